"""The connection's socket, where a WSGI server lets an application have it.

PEP 3333 knows nothing of this. Some servers put the socket into the environ, and each has a way of
its own to be kept from answering, and from using the connection any further.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from gatebridge.types import WSGIEnvironment


class RawSocket(NamedTuple):
    """A connection that can be taken over.

    Attributes:
        socket: The connection's; perhaps of TLS, or one of gevent's or eventlet's.
        finish: Tells the server that the connection is over: it raises what the server expects, or
            returns what to return to the server.
    """

    socket: socket.socket
    finish: Callable[[], list[bytes]]


def raw_socket_of(environ: WSGIEnvironment) -> RawSocket | None:
    """Return the connection that a request came over, or None if the server keeps it."""
    for key, finish in _FINISH.items():
        found: Any = environ.get(key)
        if key == "eventlet.input" and found is not None:
            found = found.get_socket()
        if found is not None:
            return RawSocket(found, finish)
    return None


def _finish_werkzeug() -> NoReturn:
    raise ConnectionError("the connection was a WebSocket's, and is over")


def _finish_gunicorn() -> NoReturn:
    raise StopIteration


def _finish_eventlet() -> list[bytes]:
    sys.modules["eventlet.wsgi"].WSGI_LOCAL.already_handled = True
    return []


_FINISH: dict[str, Callable[[], list[bytes]]] = {
    "werkzeug.socket": _finish_werkzeug,
    "gunicorn.socket": _finish_gunicorn,
    "eventlet.input": _finish_eventlet,
}
