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
"""

from __future__ import annotations

import errno
import sys

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


def is_disconnect(error: BaseException | None) -> bool:
    """Say whether an application raised ``error`` because its client left."""
    seen: set[int] = set()  # a chain of causes may be a ring
    while error is not None and id(error) not in seen:
        if isinstance(error, ClientDisconnected):
            return True
        seen.add(id(error))
        error = error.__cause__
    return False
