"""Waiting for a socket and for other threads at once."""

from __future__ import annotations

import selectors
import socket
import threading

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class SocketWaiter:
    """Lets one thread wait for a socket and for other threads at once.

    Args:
        connection: The socket; not closed by this.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._events = 0  # of the connection that are waited for
        self._lock = threading.Lock()  # or a wake-up might go to the next owner of the descriptor
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
        """Wait for the connection, for `wake`, or until a timeout.

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
