"""An ASGI application on a WSGI server: `AsgiToWsgi`."""
