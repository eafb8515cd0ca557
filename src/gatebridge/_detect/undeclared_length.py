"""The WSGI applications that need the length of a request body to read it."""

from __future__ import annotations

from types import MethodType

# These read a body without CONTENT_LENGTH to its end if the server sets wsgi.input_terminated;
# `AsgiToWsgi` does so for every ASGI application. Django, Bottle, Falcon and web.py treat such a
# body as empty, and CherryPy answers 411.
_READERS = frozenset({"flask.app.Flask", "gatebridge.AsgiToWsgi", "pyramid.router.Router"})

_INNER = {
    "flask.app.Flask": "wsgi_app",
    "opentelemetry.instrumentation.wsgi.OpenTelemetryMiddleware": "wsgi",
    "sentry_sdk.integrations.wsgi.SentryWsgiMiddleware": "app",
    "werkzeug.middleware.proxy_fix.ProxyFix": "app",
    "whitenoise.base.WhiteNoise": "application",
}
"""Objects that pass the body to one inner application, and the attribute that holds it."""

_MAX_DEPTH = 100  # middleware that wraps itself is an endless chain


def needs_length(app: object) -> bool:
    """Return whether a WSGI application may need ``CONTENT_LENGTH`` to read a request body.

    The application is never called. True is the safe answer: an application that does not need the
    length only gets the body later. So this is False only for Flask and Pyramid, including within
    middleware that is known to leave the body alone.

    Args:
        app: Any callable.
    """
    for _ in range(_MAX_DEPTH):
        if isinstance(app, MethodType):  # Flask's own, unless middleware has replaced it
            return _READERS.isdisjoint(_classes(app.__self__))
        classes = _classes(app)
        inner = next((name for cls, name in _INNER.items() if cls in classes), None)
        if inner is None:
            return _READERS.isdisjoint(classes)
        app = getattr(app, inner, None)
    return True


def _classes(app: object) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in type(app).__mro__}
