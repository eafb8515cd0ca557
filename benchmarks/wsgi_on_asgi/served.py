"""What servers load: ``<application>_<contender>_<threads>``, or ``<application>_limit``."""

from __future__ import annotations

from benchmarks.wsgi_on_asgi.apps import flask_app, small
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS, OnEventLoop
from benchmarks.wsgi_on_asgi.stalling import stalling
from gatebridge.types import ASGIApplication, WSGIApplication

_APPS: dict[str, WSGIApplication] = {"flask": flask_app, "plain": small, "stalling": stalling}


def __getattr__(name: str) -> ASGIApplication:
    try:
        if name.endswith("_limit"):
            return OnEventLoop(_APPS[name.removesuffix("_limit")])
        app, contender, threads = name.split("_")
        return CONTENDERS[contender](_APPS[app], int(threads))
    except (KeyError, ValueError):
        raise AttributeError(name) from None
