"""What servers load: the attribute ``<application>_<contender>_<threads>``."""

from __future__ import annotations

from benchmarks.wsgi_to_asgi.apps import flask_app, small
from benchmarks.wsgi_to_asgi.contenders import CONTENDERS
from benchmarks.wsgi_to_asgi.stalling import stalling
from gatebridge.types import ASGIApplication, WSGIApplication

_APPS: dict[str, WSGIApplication] = {"flask": flask_app, "plain": small, "stalling": stalling}


def __getattr__(name: str) -> ASGIApplication:
    try:
        app, contender, threads = name.split("_")
        return CONTENDERS[contender](_APPS[app], int(threads))
    except (KeyError, ValueError):
        raise AttributeError(name) from None
