"""`to_asgi` and `to_wsgi`: adapt an application only where it needs that."""

from __future__ import annotations

from typing import cast

from gatebridge._asgi_to_wsgi import AsgiToWsgi
from gatebridge._interface import interface
from gatebridge._wsgi_to_asgi import WsgiToAsgi
from gatebridge.types import ASGIApplication, WSGIApplication


def to_asgi(app: ASGIApplication | WSGIApplication) -> ASGIApplication:
    """Return the application itself if it is an ASGI application, else within `WsgiToAsgi`.

    Raises:
        TypeError: As `interface`.
    """
    if interface(app) == "asgi":
        return cast("ASGIApplication", app)
    return WsgiToAsgi(cast("WSGIApplication", app))


def to_wsgi(app: ASGIApplication | WSGIApplication) -> WSGIApplication:
    """Return the application itself if it is a WSGI application, else within `AsgiToWsgi`.

    Raises:
        TypeError: As `interface`.
    """
    if interface(app) == "wsgi":
        return cast("WSGIApplication", app)
    return AsgiToWsgi(cast("ASGIApplication", app))
