"""A WSGI application on an ASGI server: `WsgiToAsgi`."""
