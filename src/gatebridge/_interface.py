"""Which specification a callable is written for, told from its signature: it is never called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Literal

Interface = Literal["asgi", "wsgi"]

_HOW_TO_CHOOSE = (
    "put it into a function of (scope, receive, send) if it is ASGI, "
    "or of (environ, start_response) if it is WSGI"
)


def interface(app: object) -> Interface:
    """Return which interface an application has.

    An ASGI application takes three arguments, a WSGI application two. Where both would do, as with
    optional ones, a coroutine function is ASGI, and otherwise the first parameter's name decides:
    ``scope`` is ASGI, ``environ`` or ``env`` is WSGI.
    The instances of a class are awaited if it is ASGI, and iterated if it is WSGI.

    Args:
        app: A function, a class, an instance with ``__call__``, a bound method, a partial.

    Returns:
        ``"asgi"`` or ``"wsgi"``.

    Raises:
        TypeError: It is neither, or cannot be told; says which, and what to do about it.

    Source: ASGI main specification 3.0 "Applications"; PEP 3333 "The Application/Framework Side".
    """
    signature = _signature_of(app)
    if signature is None:
        raise TypeError(f"app: its parameters are not known: {app!r:.80}; {_HOW_TO_CHOOSE}")
    two, three = _takes(signature, 2), _takes(signature, 3)
    if not (two or three):
        raise _neither(app, signature)
    cls = _class_of(app)
    if cls is not None:
        return _interface_of_class(cls, two=two, three=three)
    if three and (not two or _is_async(app)):
        return "asgi"
    if not three and _is_async(app):
        raise TypeError(
            f"app: a coroutine function of two arguments is neither ASGI nor WSGI: {app!r:.80}"
        )
    first = next(iter(signature.parameters), "")
    if first in ("environ", "env"):
        return "wsgi"
    if not three:
        if _takes(signature, 0):
            raise _neither(app, signature)
        return "wsgi"
    if first == "scope":
        return "asgi"
    raise TypeError(f"app: may be ASGI or WSGI: {app!r:.80}{signature}; {_HOW_TO_CHOOSE}")


def require_asgi3(app: object) -> None:
    """Raise `TypeError` for what can be told from an ASGI 3 application without calling it."""
    signature = _signature_of(app)
    if signature is None or _takes(signature, 3):
        return
    if _takes(signature, 2):
        raise TypeError(
            f"app: takes two arguments, as for WSGI, not three: {app!r:.80}; WsgiToAsgi adapts it"
        )
    raise _neither(app, signature)


def require_wsgi(app: object) -> None:
    """Raise `TypeError` for what can be told from a WSGI application without calling it."""
    signature = _signature_of(app)
    if signature is None or _takes(signature, 2):
        return
    if _takes(signature, 3):
        raise TypeError(f"app: takes three arguments, as for ASGI, not two: {app!r:.80}")
    raise _neither(app, signature)


def _signature_of(app: object) -> inspect.Signature | None:
    """Return what the application is called with, or None if nothing tells."""
    if not callable(app):
        raise TypeError(f"app: not callable: {app!r:.80}")
    # inspect takes away a first argument also where `__call__` is a static or a class method, and
    # does not find one that is an attribute of the instance, as Sentry's.
    call = app.__call__ if _is_instance(app) else app
    # A decorator may change the interface: what it wraps counts only if it takes any arguments.
    own = _signature(call, follow_wrapped=False)
    if own is not None and not (_takes(own, 2) and _takes(own, 3)):
        return own
    return _signature(app, follow_wrapped=True) or own


def _is_instance(app: object) -> bool:
    """Return whether it is an object of a class that has ``__call__``."""
    by_themselves = (type, FunctionType, MethodType, BuiltinFunctionType, functools.partial)
    return not isinstance(app, by_themselves)


def _signature(app: Callable[..., object], *, follow_wrapped: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(app, follow_wrapped=follow_wrapped)
    except (TypeError, ValueError):
        return None  # written in C, or the like


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _class_of(app: object) -> type | None:
    """Return the class whose instances the calls make, if it is one."""
    app = _without_partial(app)
    return app if inspect.isclass(app) and type(app).__call__ is type.__call__ else None


def _interface_of_class(cls: type, *, two: bool, three: bool) -> Interface:
    """Return the interface of a class, whose instances are either awaited or iterated."""
    if three and hasattr(cls, "__await__"):
        return "asgi"
    if two and hasattr(cls, "__iter__"):
        return "wsgi"
    raise TypeError(
        f"app: its instances are neither awaited (ASGI) nor iterated (WSGI): {cls!r:.80}; "
        "one of them may be the application"
    )


def _is_async(app: object) -> bool:
    """Return whether a call gives an awaitable, as far as this can be told."""
    app = _without_partial(app)
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _without_partial(app: object) -> object:
    while isinstance(app, functools.partial):
        app = app.func
    return app


def _neither(app: object, signature: inspect.Signature) -> TypeError:
    if _takes(signature, 0):
        return TypeError(f"app: needs no argument: {app!r:.80}; call it first if it is a factory")
    if _takes(signature, 1):
        return TypeError(
            f"app: takes one argument, not three: {app!r:.80}; if it is an ASGI 2 application, "
            "wrap it by asgiref.compatibility.guarantee_single_callable"
        )
    return TypeError(
        "app: takes neither scope, receive and send nor environ and start_response: "
        f"{app!r:.80}{signature}"
    )
