"""What the event loop asks of the server's thread at a WebSocket, and the queue of these tasks.

A denial is an HTTP response, with the tasks of one.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple


class Accept(NamedTuple):
    """Complete the handshake."""

    subprotocol: str | None
    headers: list[tuple[str, str]]


class Data(NamedTuple):
    """Send a message of ``size`` bytes."""

    data: str | bytes
    size: int


class Close(NamedTuple):
    """End the connection."""

    code: int
    reason: str


class WakingQueue(SimpleQueue[Any]):
    """A queue whose reader may wait for something else than the queue.

    Attributes:
        wake: Called after each item was put, in whatever thread; None while no thread waits.
    """

    wake: Callable[[], object] | None = None

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401, ARG002, FBT001, FBT002 - as its base class
        """Put an item; never blocks."""
        super().put(item)
        wake = self.wake
        if wake is not None:
            wake()
