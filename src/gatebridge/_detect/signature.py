"""How a callable can be called, as far as this can be seen without a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import cast


def signature_of(app: object) -> inspect.Signature | None:
    """Return what the application is called with, or None if nothing tells.

    Raises:
        TypeError: As `own_signature`.
    """
    own = own_signature(app)
    # A decorator may change the interface: what it wraps counts only if it takes any arguments.
    if own is not None and not (takes(own, 2) and takes(own, 3)):
        return own
    return _signature(cast("Callable[..., object]", app), follow_wrapped=True) or own


def own_signature(app: object) -> inspect.Signature | None:
    """Return the same, without regard to what a decorator says that it wraps.

    Raises:
        TypeError: It cannot be called, or is an async generator function.
    """
    if not callable(app):
        raise TypeError(f"app must be callable, got {app!r:.80}")
    try:
        # inspect takes away a first argument also where `__call__` is a static or a class method,
        # and does not find one that is an attribute of the instance, as Sentry's.
        call = app.__call__ if _is_instance(app) else app
    except Exception:  # noqa: BLE001 - a proxy, such as Werkzeug's LocalProxy, that stands for nothing yet
        return None
    by_class = type(_without_partial(app)).__call__  # of an instance in a partial
    if inspect.isasyncgenfunction(call) or inspect.isasyncgenfunction(by_class):
        raise TypeError(f"app is an async generator function, neither ASGI nor WSGI: {app!r:.80}")
    return _signature(call, follow_wrapped=False)


def _is_instance(app: object) -> bool:
    """Return whether it is an object of a class that has ``__call__``."""
    by_themselves = (type, FunctionType, MethodType, BuiltinFunctionType, functools.partial)
    return not isinstance(app, by_themselves)


def _signature(app: Callable[..., object], *, follow_wrapped: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(app, follow_wrapped=follow_wrapped)
    except Exception:  # noqa: BLE001 - written in C, or a proxy that stands for nothing yet
        return None


def takes(signature: inspect.Signature, count: int) -> bool:
    """Return whether a call may have this number of positional arguments."""
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def class_of(app: object) -> type | None:
    """Return the class whose instances the calls make, if it is one."""
    app = _without_partial(app)
    return app if inspect.isclass(app) and type(app).__call__ is type.__call__ else None


def is_async(app: object) -> bool:
    """Return whether a call gives an awaitable, as far as this can be seen."""
    app = _without_partial(app)
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _without_partial(app: object) -> object:
    while isinstance(app, functools.partial):
        app = app.func
    return app
