"""WSGI applications on ASGI servers."""
