"""Gates: places in an application where a request waits until the test opens them.

An application reaches a gate by a connection to the test, wherever it runs: in another process, in
a thread, a greenlet or a task. So a test knows how far it has come, and nobody sleeps.
"""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
from collections import defaultdict
from types import TracebackType

from typing_extensions import Self

HANG = 20  # seconds after which a wait is a failure with a name, not a stuck run

# --- in the application ---------------------------------------------------------------------------


def _address() -> tuple[str, int]:
    return "127.0.0.1", int(os.environ["SITE_GATES"])


def reach(name: str) -> None:
    """Wait at a gate."""
    with socket.create_connection(_address()) as connection:
        connection.sendall(f"{name}\n".encode())
        connection.recv(1)


def note(what: str) -> None:
    """Tell that something has happened, without waiting."""
    with socket.create_connection(_address()) as connection:
        connection.sendall(f"{what}\n".encode())


async def reach_async(name: str) -> None:
    """Wait at a gate, in a task of asyncio."""
    reader, writer = await asyncio.open_connection(*_address())
    writer.write(f"{name}\n".encode())
    await reader.read(1)
    writer.close()


# --- in the test ----------------------------------------------------------------------------------


class Gates:
    """All gates of a test's server.

    Attributes:
        port: For ``SITE_GATES`` in the server's environment.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self._reached: dict[str, queue.SimpleQueue[socket.socket]]
        self._reached = defaultdict(queue.SimpleQueue)
        self.history: list[str] = []
        """What was reached or noted, in order."""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # was closed
            connection.settimeout(HANG)
            name = connection.makefile().readline().strip()
            self.history.append(name)
            self._reached[name].put(connection)

    def reached(self, name: str) -> socket.socket:
        """Wait until somebody is there; closing the connection lets that one go on."""
        try:
            return self._reached[name].get(timeout=HANG)
        except queue.Empty:
            raise AssertionError(f"nobody came to {name!r}; before: {self.history}") from None

    def open(self, name: str, count: int = 1) -> None:
        """Wait until so many are there, and only then let them go on."""
        for connection in [self.reached(name) for _ in range(count)]:
            connection.close()

    def noted(self, what: str) -> None:
        """Wait until something has happened."""
        self.open(what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for waiting in self._reached.values():
            while not waiting.empty():
                waiting.get().close()
