"""WebSockets of an ASGI application over the socket of a WSGI server."""
