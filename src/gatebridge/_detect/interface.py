"""The specification a callable is written for, found from its signature without a call."""

from __future__ import annotations

import inspect
from typing import Literal

from gatebridge._detect.signature import class_of, is_async, own_signature, signature_of, takes

Interface = Literal["asgi", "wsgi"]

_HOW_TO_CHOOSE = (
    "put it into a function of (scope, receive, send) if it is ASGI, "
    "or of (environ, start_response) if it is WSGI"
)
_RESPONSES = {2: ("__iter__", "__getitem__"), 3: ("__await__",)}
"""By the number of arguments: methods of which the instances of a class need at least one."""

_NEW = vars(object)["__new__"]
_HOW_TO_SERVE_ASGI = "give it to an ASGI server as it is, or to a WSGI server in AsgiToWsgi"


def interface(app: object) -> Interface:
    """Return which interface an application has.

    An ASGI application takes three arguments, a WSGI application two. If a callable takes both two
    and three, a coroutine function is ASGI, and otherwise the first parameter's name decides:
    ``scope`` is ASGI, ``environ`` or ``env`` is WSGI.
    A class is ASGI if its instances can be awaited, and WSGI if they can be iterated.

    Args:
        app: A function, a class, an instance with ``__call__``, a bound method, a partial.

    Returns:
        ``"asgi"`` or ``"wsgi"``.

    Raises:
        TypeError: It is neither, or does not show which; the message says what to do about it.

    Source: ASGI main specification 3.0 "Applications"; PEP 3333 "The Application/Framework Side".
    """
    signature = signature_of(app)
    if signature is None:
        raise TypeError(f"app does not show its parameters: {app!r:.80}; {_HOW_TO_CHOOSE}")
    two, three = takes(signature, 2), takes(signature, 3)
    if not (two or three):
        raise _neither(app, signature)
    cls = class_of(app)
    if cls is not None:
        return _interface_of_class(cls, two=two, three=three)
    if three and (not two or is_async(app)):
        return "asgi"
    if not three and is_async(app):
        raise TypeError(
            f"app is a coroutine function of two arguments, neither ASGI nor WSGI: {app!r:.80}"
        )
    first = next(iter(signature.parameters), "")
    if first in ("environ", "env"):
        return "wsgi"
    if not three:
        if takes(signature, 0):
            raise _neither(app, signature)
        return "wsgi"
    if first == "scope":
        return "asgi"
    raise TypeError(f"app may be ASGI or WSGI: {app!r:.80}{signature}; {_HOW_TO_CHOOSE}")


def require_asgi3(app: object) -> None:
    """Raise `TypeError` for an object that cannot be an ASGI 3 application.

    Only its own signature counts: a decorator that takes any arguments, or code in C, always
    passes.
    """
    if _count_of_arguments(app, 3) == 2:
        raise TypeError(
            "app must be an ASGI application, but takes two arguments like a WSGI application: "
            f"{app!r:.80}; give it to a WSGI server as it is, or to an ASGI server in WsgiToAsgi"
        )


def require_wsgi(app: object) -> None:
    """Raise `TypeError` for an object that cannot be a WSGI application; see `require_asgi3`."""
    count = _count_of_arguments(app, 2)
    if count == 3:
        raise TypeError(
            "app must be a WSGI application, but takes three arguments like an ASGI application: "
            f"{app!r:.80}; {_HOW_TO_SERVE_ASGI}"
        )
    if count == 2 and is_async(app):
        raise TypeError(
            "app must be a WSGI application, but is a coroutine function, as ASGI has them: "
            f"{app!r:.80}; {_HOW_TO_SERVE_ASGI}"
        )


def _count_of_arguments(app: object, wanted: Literal[2, 3]) -> int | None:
    """Return the number of arguments it takes: ``wanted``, or that of the other interface.

    Returns:
        None if the object does not show its parameters.

    Raises:
        TypeError: It takes neither number, or is a class whose instances are not a response.
    """
    signature = own_signature(app)
    if signature is None:
        return None
    other: Literal[2, 3] = 3 if wanted == 2 else 2
    if takes(signature, wanted):
        count, responses = wanted, _RESPONSES[wanted]
    elif takes(signature, other):
        count, responses = other, (*_RESPONSES[wanted], *_RESPONSES[other])
    else:
        raise _neither(app, signature)
    cls = class_of(app)
    # A class with its own __new__ may return anything.
    if cls is not None and not _has_any(cls, responses) and cls.__new__ is _NEW:
        raise _not_a_response(cls)
    return count


def _interface_of_class(cls: type, *, two: bool, three: bool) -> Interface:
    """Return the interface of a class, whose instances are either awaited or iterated."""
    if three and _has_any(cls, _RESPONSES[3]):
        return "asgi"
    if two and _has_any(cls, _RESPONSES[2]):
        return "wsgi"
    raise _not_a_response(cls)


def _has_any(cls: type, methods: tuple[str, ...]) -> bool:
    return any(hasattr(cls, method) for method in methods)


def _neither(app: object, signature: inspect.Signature) -> TypeError:
    if takes(signature, 0):
        cls = class_of(app)
        if cls is not None:
            return _not_a_response(cls)
        return TypeError(
            f"app can be called without arguments: {app!r:.80}; if it is a factory, call it, and "
            "pass what it returns"
        )
    if takes(signature, 1):
        return TypeError(
            f"app takes one argument: {app!r:.80}; if it is a factory, pass what it returns; if it "
            "is an ASGI 2 application, wrap it by asgiref.compatibility.guarantee_single_callable"
        )
    return TypeError(
        "app takes neither (scope, receive, send) nor (environ, start_response): "
        f"{app!r:.80}{signature}"
    )


def _not_a_response(cls: type) -> TypeError:
    return TypeError(
        "app is a class whose instances are neither awaited (ASGI) nor iterated (WSGI): "
        f"{cls!r:.80}; create an instance, and use that"
    )
