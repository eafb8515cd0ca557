"""How a callable can be called, as far as this shows without a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import cast


def signature_of(app: object) -> inspect.Signature | None:
    """Return the application's signature, or None if it does not show one.

    Raises:
        TypeError: As `own_signature`.
    """
    own = own_signature(app)
    # A decorator may change the interface: the function it wraps counts only if the decorator takes
    # any arguments.
    if own is not None and not (takes(own, 2) and takes(own, 3)):
        return own
    return _signature(cast("Callable[..., object]", app), follow_wrapped=True) or own


def own_signature(app: object) -> inspect.Signature | None:
    """Like `signature_of`, but of the outermost decorator instead of the function it wraps.

    Raises:
        TypeError: The application is not callable, or is an async generator function.
    """
    if not callable(app):
        raise TypeError(f"app must be callable, got {app!r:.80}")
    try:
        # inspect would also drop a first argument if `__call__` is a static or a class method, and
        # would miss a `__call__` that is an attribute of the instance, as in Sentry's middleware.
        call = app.__call__ if _is_instance(app) else app
    except Exception:  # noqa: BLE001 - an unbound proxy, such as Werkzeug's LocalProxy
        return None
    by_class = type(_without_partial(app)).__call__  # of an instance in a partial
    if inspect.isasyncgenfunction(call) or inspect.isasyncgenfunction(by_class):
        raise TypeError(f"app is an async generator function, neither ASGI nor WSGI: {app!r:.80}")
    return _signature(call, follow_wrapped=False)


def _is_instance(app: object) -> bool:
    """Return whether it is an instance of a class that defines ``__call__``."""
    directly_callable = (type, FunctionType, MethodType, BuiltinFunctionType, functools.partial)
    return not isinstance(app, directly_callable)


def _signature(app: Callable[..., object], *, follow_wrapped: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(app, follow_wrapped=follow_wrapped)
    except Exception:  # noqa: BLE001 - written in C, or an unbound proxy
        return None


def takes(signature: inspect.Signature, count: int) -> bool:
    """Return whether a call may have ``count`` positional arguments."""
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def class_of(app: object) -> type | None:
    """Return the application if it is a class, whose calls make instances; otherwise None."""
    app = _without_partial(app)
    return app if inspect.isclass(app) and type(app).__call__ is type.__call__ else None


def is_async(app: object) -> bool:
    """Return whether a call returns an awaitable, as far as this shows."""
    app = _without_partial(app)
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _without_partial(app: object) -> object:
    while isinstance(app, functools.partial):
        app = app.func
    return app
