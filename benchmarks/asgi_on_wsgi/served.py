"""What servers load: the attribute ``<application>_<contender>_<loop>``, or `wsgi_small`."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.asgi_on_wsgi.apps import small, starlette_app, upload
from benchmarks.asgi_on_wsgi.contenders import CONTENDERS
from gatebridge.types import ASGIApplication, StartResponse, WSGIApplication, WSGIEnvironment

_APPS: dict[str, ASGIApplication] = {"starlette": starlette_app, "plain": small, "upload": upload}


def wsgi_small(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer as `small` does: what the server can do without an adapter."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]


def __getattr__(name: str) -> WSGIApplication:
    try:
        app, contender, loop = name.split("_")
        return CONTENDERS[contender](_APPS[app], loop)
    except (KeyError, ValueError):
        raise AttributeError(name) from None
