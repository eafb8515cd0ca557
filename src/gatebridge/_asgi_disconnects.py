"""Which exceptions of an ASGI application say only that its client disconnected.

An application may react to a disconnect as it likes, so such an exception is nobody's fault. A bug
in that reaction is one, although the disconnect is in its ``__context__``: what counts is the
exception itself, and what it was explicitly raised from.
"""

from __future__ import annotations

import asyncio
import sys

from gatebridge._disconnects import stems_from
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


def _says_so(error: BaseException) -> bool:
    if isinstance(error, (ClientDisconnected, asyncio.CancelledError)):
        return True
    trio = sys.modules.get("trio")
    if trio is not None and isinstance(error, trio.Cancelled):
        return True
    return any((cls.__module__, cls.__qualname__) in _OF_FRAMEWORKS for cls in type(error).__mro__)
