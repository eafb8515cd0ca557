"""Which specification a callable is written for, told from its signature: it is never called."""

from __future__ import annotations

import functools
import inspect
from typing import Literal

Interface = Literal["asgi", "wsgi"]

_HOW_TO_CHOOSE = (
    "put it into a function of (scope, receive, send) if it is ASGI, "
    "or of (environ, start_response) if it is WSGI"
)


def interface(app: object) -> Interface:
    """Return which interface an application has.

    An ASGI application takes three arguments, a WSGI application two. Where both would do, as with
    optional ones, a coroutine function is ASGI, and otherwise the first parameter's name decides.

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
        raise TypeError(f"app: its parameters cannot be told: {app!r:.80}; {_HOW_TO_CHOOSE}")
    two, three = _takes(signature, 2), _takes(signature, 3)
    if three and (not two or _is_async(app)):
        return "asgi"
    if not (two or three):
        raise _neither(app, signature)
    if not three:
        if _is_async(app):
            raise TypeError(
                f"app: a coroutine function of two arguments is neither ASGI nor WSGI: {app!r:.80}"
            )
        return "wsgi"
    first = next(iter(signature.parameters), "")
    if first == "scope":
        return "asgi"
    if first in ("environ", "env"):
        return "wsgi"
    raise TypeError(f"app: {app!r:.80}{signature} may be ASGI or WSGI; {_HOW_TO_CHOOSE}")


def require_asgi3(app: object) -> None:
    """Raise `TypeError` for what can be told from an ASGI 3 application without calling it."""
    signature = _signature_of(app)
    if signature is None or _takes(signature, 3):
        return
    if _takes(signature, 2):
        raise TypeError("app: it takes two arguments, not three: a WSGI application?")
    raise _neither(app, signature)


def _signature_of(app: object) -> inspect.Signature | None:
    if not callable(app):
        raise TypeError(f"app: not callable: {app!r:.80}")
    try:
        return inspect.signature(app)
    except (TypeError, ValueError):
        return None  # written in C, or the like


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _is_async(app: object) -> bool:
    """Return whether a call gives an awaitable, as far as this can be told."""
    while isinstance(app, functools.partial):
        app = app.func
    if inspect.isclass(app):
        return hasattr(app, "__await__")
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _neither(app: object, signature: inspect.Signature) -> TypeError:
    if _takes(signature, 1):
        return TypeError(
            "app: an ASGI 2 application (it takes one argument, not three); wrap it by "
            "asgiref.compatibility.guarantee_single_callable"
        )
    if _takes(signature, 0):
        return TypeError(f"app: it takes no argument: a factory, to be called first? {app!r:.80}")
    return TypeError(f"app: not called with scope, receive and send: {app!r:.80}{signature}")
