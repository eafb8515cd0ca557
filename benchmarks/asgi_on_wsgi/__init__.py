"""ASGI applications on WSGI servers."""
