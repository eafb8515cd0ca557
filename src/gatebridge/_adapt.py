"""`to_asgi` and `to_wsgi`: adapt an application only where it needs that."""

from __future__ import annotations

from typing import cast

from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._detect.interface import Interface, interface
from gatebridge._detect.undeclared_length import needs_length
from gatebridge._lifespan.shim import LifespanShim
from gatebridge._lifespan.startable import Startable, lifespan_of
from gatebridge._wsgi_on_asgi.adapter import WsgiToAsgi
from gatebridge.types import ASGIApplication, WSGIApplication

AnyApplication = ASGIApplication | WSGIApplication


def to_asgi(app: AnyApplication) -> ASGIApplication:
    """Return the application itself if it is an ASGI application, else within `WsgiToAsgi`.

    The adapter has its default arguments, except that it spools request bodies without a length
    (``spool_bodies``) for every application but Flask and Pyramid, which read such bodies
    themselves. An application that starts and ends, as `WsgiMounts` does, does so with the lifespan
    of the result.

    Args:
        app: As for `interface`.

    Raises:
        TypeError: As `interface`.

    Source: PEP 3333; ASGI main specification 3.0 "Applications".
    """
    return as_asgi(app, interface(app))


def to_wsgi(app: AnyApplication) -> WSGIApplication:
    """Return the application itself if it is a WSGI application, else within `AsgiToWsgi`.

    The adapter has its default arguments.

    Args:
        app: As for `interface`.

    Raises:
        TypeError: As `interface`.

    Source: PEP 3333; ASGI main specification 3.0 "Applications".
    """
    return as_wsgi(app, interface(app))


def as_asgi(app: object, kind: Interface, *, multiprocess: bool = True) -> ASGIApplication:
    """Like `to_asgi`, for an application whose interface is known.

    Args:
        app: The application.
        kind: Its interface.
        multiprocess: As for `WsgiToAsgi`.
    """
    if kind == "asgi":
        return cast("ASGIApplication", app)
    wsgi_app = cast("WSGIApplication", app)
    adapted = WsgiToAsgi(wsgi_app, spool_bodies=needs_length(app), multiprocess=multiprocess)
    return LifespanShim(adapted, lifespan_of(app)) if isinstance(app, Startable) else adapted


def as_wsgi(app: object, kind: Interface) -> WSGIApplication:
    """Like `to_wsgi`, for an application whose interface is known."""
    if kind == "wsgi":
        return cast("WSGIApplication", app)
    return AsgiToWsgi(cast("ASGIApplication", app))
