"""Which exceptions of an ASGI application say only that its client disconnected.

An application may react to a disconnect as it likes, so such an exception is nobody's fault. A bug
in that reaction is one, although the disconnect is in its ``__context__``: what counts is the
exception itself, and what it was explicitly raised from.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import cast

from gatebridge.errors import ClientDisconnected

# What frameworks raise at a disconnect, with no link to what they were told: by module and name,
# because none of them is imported for the question.
_OF_FRAMEWORKS = frozenset(
    {
        ("django.core.exceptions", "RequestAborted"),
        ("falcon.errors", "WebSocketDisconnected"),
        ("litestar.exceptions.websocket_exceptions", "WebSocketDisconnect"),
        ("sanic.exceptions", "WebsocketClosed"),
        ("starlette.requests", "ClientDisconnect"),
        ("starlette.websockets", "WebSocketDisconnect"),
        ("starlette.websockets", "WebSocketDisconnected"),
    }
)


def is_disconnect(error: BaseException | None) -> bool:
    """Return whether an exception says that the client disconnected, and nothing else.

    That is: `ClientDisconnected`, a framework's own class for it, a cancellation, what was raised
    ``from`` one of them, and a group of nothing but these.
    """
    return stems_from(error, _says_so)


def stems_from(error: BaseException | None, is_origin: Callable[[BaseException], bool]) -> bool:
    """Return whether an exception is an origin, a group of them, or was explicitly raised from one.

    ``raise ... from None`` inside of an ``except`` block puts the new exception in the place of the
    one handled, and so counts as raised from it.
    """
    seen: set[int] = set()  # a chain that somebody made by hand may be a circle
    while error is not None and id(error) not in seen:
        if is_origin(error):
            return True
        leaves = getattr(error, "exceptions", None)  # of a group, or of its backport to 3.10
        if leaves and isinstance(leaves, tuple):
            members = cast("tuple[BaseException, ...]", leaves)
            if all(stems_from(member, is_origin) for member in members):
                return True
        seen.add(id(error))
        cause, replaced = error.__cause__, error.__suppress_context__  # set by any `from`
        error = error.__context__ if cause is None and replaced else cause
    return False


def _says_so(error: BaseException) -> bool:
    if isinstance(error, (ClientDisconnected, asyncio.CancelledError)):
        return True
    trio = sys.modules.get("trio")
    if trio is not None and isinstance(error, trio.Cancelled):
        return True
    return any((cls.__module__, cls.__qualname__) in _OF_FRAMEWORKS for cls in type(error).__mro__)
