"""The window: how many bytes may be on their way between a thread and the event loop."""

from __future__ import annotations

import sys

BLOCK_OVERHEAD = sys.getsizeof(b"") + 8
"""What a block takes besides its bytes, and counts in a window: many small ones take far more."""


class Window:
    """Counts the bytes that one side has put on their way and the other has not taken yet.

    One thread at a time puts, and one takes. Each only writes its own number, so that they need no
    lock. A block is never split, so that the last one may exceed the window.

    Args:
        size: How many bytes may be on their way before the putting side has to wait; at least 1.
    """

    __slots__ = ("_half", "_put", "_size", "_taken", "_waits")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = size // 2
        self._put = 0
        self._taken = 0
        self._waits = False  # the putting side waits for room

    def put(self, size: int) -> None:
        """Count a block of ``size`` bytes."""
        self._put += size + BLOCK_OVERHEAD

    def must_wait(self) -> bool:
        """Return whether the putting side must wait; `take` then says when to wake it."""
        if not self.is_full:
            return False
        self._waits = True  # before the second look: the other side takes, then looks here
        return not self._is_half_empty()

    def take(self, size: int, blocks: int = 1) -> bool:
        """Count bytes as taken.

        Args:
            size: How many.
            blocks: How many blocks ended with them.

        Returns:
            Whether to wake the putting side: at half a window, so that a slow pace costs few wakes.
        """
        self._taken += size + blocks * BLOCK_OVERHEAD
        if self._waits and self._is_half_empty():
            self._waits = False
            return True
        return False

    def take_all(self) -> None:
        """Count everything as taken; on the putting side."""
        self._taken = self._put

    @property
    def on_their_way(self) -> int:
        """How many bytes were put and not taken, with their overhead."""
        return self._put - self._taken

    @property
    def is_full(self) -> bool:
        """Whether the putting side must wait."""
        return self._put - self._taken >= self._size

    def _is_half_empty(self) -> bool:
        return self._put - self._taken <= self._half
