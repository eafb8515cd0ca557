"""The window: how many bytes may be on their way between a thread and the event loop."""

from __future__ import annotations

import sys

BLOCK_OVERHEAD = sys.getsizeof(b"") + 8
"""What a block takes besides its bytes, and counts in a window: many small ones take far more."""


class Window:
    """Counts the bytes that one side has put on their way and the other has not taken yet.

    One thread at a time puts, and one takes. Each only writes its own number, so that they need no
    lock. A block is never split: the last one may go beyond the window.

    Args:
        size: How many bytes may be on their way before whoever puts has to wait; at least 1.

    Attributes:
        waits: Whether the side that puts waits for room. It sets this, then looks again; the side
            that takes looks after it has taken, resets it and wakes the other.
    """

    __slots__ = ("_half", "_put", "_size", "_taken", "waits")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = size // 2
        self._put = 0
        self._taken = 0
        self.waits = False

    def put(self, size: int) -> None:
        """Count a block of so many bytes."""
        self._put += size + BLOCK_OVERHEAD

    def take(self, size: int, blocks: int = 1) -> None:
        """Count so many bytes as taken, with which so many blocks came to their end."""
        self._taken += size + blocks * BLOCK_OVERHEAD

    def take_all(self) -> None:
        """Count everything as taken, on the side that puts."""
        self._taken = self._put

    @property
    def on_their_way(self) -> int:
        """How many bytes were put and not taken, with their overhead."""
        return self._put - self._taken

    @property
    def is_full(self) -> bool:
        """Whether whoever puts must wait."""
        return self._put - self._taken >= self._size

    @property
    def is_half_empty(self) -> bool:
        """Whether to wake whoever waits: not at each block, so that a slow pace costs few wakes."""
        return self._put - self._taken <= self._half
