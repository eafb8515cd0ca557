"""Distinguish exceptions that mean that the client left from failures to report.

A server, or middleware between it and the adapter, raises from ``receive`` and ``send``, and an
application raises because its own reads and writes did. Each rule is here once:

* ``receive`` reports a departure with a message. The only exception from it that means the same is
  a `ConnectionError`; if middleware spools uploads, a full disk is an `OSError`, too.
* ``send`` reports a departure with "a server-specific subclass of ``OSError``" (ASGI HTTP 2.4
  "Disconnected Client"), such as Uvicorn's ``ClientDisconnected``. So an `OSError` from ``send``
  that has no errno also means a departure, unless its class is one that the standard library raises
  for other reasons.
* An application's error counts as a departure only if it is `ClientDisconnected`, or was raised
  explicitly *from* it. Its ``__context__`` proves nothing: a bug in the handling of a departure has
  that context too.
* An ASGI application may react to a disconnect as it likes, including with its framework's own
  exception, or with a cancellation.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import cast

from gatebridge.errors import ClientDisconnected

# For most errnos of connections, `OSError` becomes a `ConnectionError`. It does not for some of
# these, nor if a subclass of `OSError` is raised.
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

# Exceptions that frameworks raise on a disconnect, without a link to ours, and cancellations: by
# module and name, because none of these is imported just for this check. A class of any module also
# counts if its name begins with ClientDisconnect, like those of Quart and Starlette.
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
    """Return whether ``receive`` raised ``error`` because the client left."""
    return isinstance(error, ConnectionError)


def send_lost_client(error: Exception) -> bool:
    """Return whether ``send`` raised ``error`` because the client left."""
    if isinstance(error, ConnectionError):
        return True
    if not isinstance(error, OSError):
        return False
    if error.errno is not None:
        return error.errno in _CONNECTION_ERRNOS
    kind = type(error)  # `TimeoutError`, `io.UnsupportedOperation`: no server's class
    return kind is OSError or kind.__module__.partition(".")[0] not in sys.stdlib_module_names


def wsgi_app_lost_client(error: BaseException | None) -> bool:
    """Return whether a WSGI application raised ``error`` because its client left."""
    return stems_from(error, lambda each: isinstance(each, ClientDisconnected))


def asgi_app_lost_client(error: BaseException | None) -> bool:
    """Return whether an ASGI application raised ``error`` because its client left.

    That is: `ClientDisconnected`, a framework's own class for it, a cancellation, an exception that
    was raised ``from`` one of them, or a group of only these.
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

    ``raise ... from None`` means that it was not.

    Args:
        error: The exception.
        is_origin: Returns whether an exception is an origin.
        seen: The identities of the exceptions already checked: a chain may contain a cycle.
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
