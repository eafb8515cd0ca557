"""The connection's socket, where a WSGI server lets an application have it.

PEP 3333 knows nothing of this. Some servers put the socket into the environ, and each has a way of
its own to be told that it shall neither answer nor use the connection any further.
"""

from __future__ import annotations

import selectors
import socket
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, NoReturn

from gatebridge.types import WSGIEnvironment

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class RawSocket(NamedTuple):
    """A connection that can be taken over.

    Attributes:
        socket: The connection's; perhaps of TLS, or one of gevent's or eventlet's.
        finish: Tells the server that the connection is over: it raises what the server expects, or
            returns what the server shall be given.
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


class SocketWaiter:
    """Lets one thread wait for a socket and for other threads at once.

    Args:
        connection: The socket; not closed by this.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._events = 0  # of the connection that are waited for
        self._lock = threading.Lock()  # or a wake-up might go to whoever has the descriptor next
        self._woken = False
        self._closed = False
        self._receiver, self._sender = socket.socketpair()
        self._receiver.settimeout(0)
        self._sender.settimeout(0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._receiver, READ)

    def wake(self) -> None:
        """Let the thread's present or next `wait` return; thread-safe, never blocks."""
        with self._lock:
            if not (self._woken or self._closed):
                self._woken = True
                self._sender.send(b"\0")

    def wait(self, events: int, seconds: float | None) -> int:
        """Wait for the connection, to be woken, or for so many seconds.

        Args:
            events: `READ`, `WRITE`, both or 0.
            seconds: None for any time.

        Returns:
            What the connection is ready for; 0 perhaps for no reason.

        Raises:
            OSError: The connection is closed, or ValueError.
        """
        if events != self._events:
            if not self._events:
                self._selector.register(self._connection, events)
            elif not events:
                self._selector.unregister(self._connection)
            else:
                self._selector.modify(self._connection, events)
            self._events = events
        ready = 0
        for key, mask in self._selector.select(seconds):
            if key.fileobj is self._receiver:
                with self._lock:
                    self._receiver.recv(16)
                    self._woken = False
            else:
                ready |= mask
        return ready

    def close(self) -> None:
        """Give everything back. To be woken does nothing from now on."""
        with self._lock:
            self._closed = True
            self._selector.close()
            self._receiver.close()
            self._sender.close()


class WakingQueue(SimpleQueue[Any]):
    """A queue whose reader may wait for something else than the queue.

    Attributes:
        wake: Called after each item was put, in whatever thread; None while nobody cares.
    """

    wake: Callable[[], object] | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, ARG002, FBT001, FBT002 - as its base class
        """Put an item; never blocks."""
        super().put(item)
        wake = self.wake
        if wake is not None:
            wake()
