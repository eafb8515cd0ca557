"""Which exceptions mean that the client left, and which are failures to report.

A server, or middleware between it and the adapter, raises from ``receive`` and ``send``, and an
application raises because of what its own reads and writes raised. Each rule is here once:

* ``receive`` reports a departure by a message. Only a `ConnectionError` out of it means the same;
  a full disk under a middleware that spools uploads is an `OSError` too.
* ``send`` reports a departure by "a server-specific subclass of ``OSError``" (ASGI HTTP 2.4
  "Disconnected Client"): Uvicorn's ``ClientDisconnected``, for one. So there an `OSError` without
  an errno means a departure as well, unless its class is one that the standard library raises for
  other reasons.
* An application's error counts as a departure only if it is `ClientDisconnected`, or was raised
  explicitly *from* it. Its ``__context__`` proves nothing: a bug in the handling of a departure has
  that context too.
* An ASGI application may react to a disconnect as it likes: by its framework's own exception, too,
  or by a cancellation.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import cast

from gatebridge.errors import ClientDisconnected

# Most numbers of connections become a `ConnectionError`, but not these, nor any in a subclass.
_CONNECTION_ERRNOS = {
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ENOTCONN,
    errno.EPIPE,
    errno.ESHUTDOWN,
    errno.ETIMEDOUT,
}

# What frameworks raise at a disconnect, with no link to what they were told, and cancellations:
# by module and name, because none of these is imported for the question. A class of any module
# whose name begins with ClientDisconnect, as Quart's and Starlette's do, is one as well.
_OF_FRAMEWORKS = frozenset(
    {
        ("asyncio.exceptions", "CancelledError"),
        ("django.core.exceptions", "RequestAborted"),
        ("falcon.errors", "WebSocketDisconnected"),
        ("litestar.exceptions.websocket_exceptions", "WebSocketDisconnect"),
        ("sanic.exceptions", "WebsocketClosed"),
        ("starlette.websockets", "WebSocketDisconnect"),
        ("starlette.websockets", "WebSocketDisconnected"),
        ("trio", "Cancelled"),
    }
)


def receive_lost_client(error: Exception) -> bool:
    """Say whether ``receive`` raised ``error`` because the client left."""
    return isinstance(error, ConnectionError)


def send_lost_client(error: Exception) -> bool:
    """Say whether ``send`` raised ``error`` because the client left."""
    if isinstance(error, ConnectionError):
        return True
    if not isinstance(error, OSError):
        return False
    if error.errno is not None:
        return error.errno in _CONNECTION_ERRNOS
    kind = type(error)  # `TimeoutError`, `io.UnsupportedOperation`: no server's class
    return kind is OSError or kind.__module__.partition(".")[0] not in sys.stdlib_module_names


def wsgi_app_lost_client(error: BaseException | None) -> bool:
    """Say whether a WSGI application raised ``error`` because its client left."""
    return stems_from(error, lambda each: isinstance(each, ClientDisconnected))


def asgi_app_lost_client(error: BaseException | None) -> bool:
    """Say whether an ASGI application raised ``error`` because its client left.

    That is: `ClientDisconnected`, a framework's own class for it, a cancellation, what was raised
    ``from`` one of them, and a group of nothing but these.
    """
    return stems_from(error, _is_reaction)


def _is_reaction(error: BaseException) -> bool:
    return any(
        cls.__name__.startswith("ClientDisconnect")
        or (cls.__module__, cls.__qualname__) in _OF_FRAMEWORKS
        for cls in type(error).__mro__
    )


def stems_from(
    error: BaseException | None,
    is_origin: Callable[[BaseException], bool],
    seen: set[int] | None = None,
) -> bool:
    """Return whether an exception is an origin, a group of them, or was explicitly raised from one.

    ``raise ... from None`` says the opposite.

    Args:
        error: The exception.
        is_origin: Whether one is an origin.
        seen: The identities of those that were looked at: a chain may lead back to where it began.
    """
    seen = set() if seen is None else seen
    while error is not None and id(error) not in seen:
        if is_origin(error):
            return True
        seen.add(id(error))
        leaves = getattr(error, "exceptions", None)  # of a group, or of its backport to 3.10
        if leaves and isinstance(leaves, tuple):
            members = cast("tuple[BaseException, ...]", leaves)
            if all(stems_from(member, is_origin, seen) for member in members):
                return True
        error = error.__cause__
    return False
