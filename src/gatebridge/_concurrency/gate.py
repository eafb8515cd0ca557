"""Waiting in a worker thread for the event loop, which may end without notice."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

_LOOP_CHECK_SECONDS = 5.0  # interval at which a waiting worker checks that the loop exists


class Gate:
    """Where threads wait until the event loop lets all of them continue.

    `shut` and `open` are called with the owner's lock held, `wait` without it. An application may
    read or write in several threads at once, so more than one may wait at the gate.

    Args:
        waiting: Returns a context manager to wait in.
        wake: Wakes the loop, which is always harmless; returns False if the loop has ended.
    """

    __slots__ = ("_barrier", "_waiting", "_wake")

    def __init__(
        self, waiting: Callable[[], AbstractContextManager[object]], wake: Callable[[], bool]
    ) -> None:
        self._waiting = waiting
        self._wake = wake
        self._barrier: threading.Lock | None = None  # held as long as the gate is shut

    def shut(self) -> threading.Lock:
        """Shut the gate, and return the barrier to `wait` for."""
        if self._barrier is None:
            self._barrier = threading.Lock()
            self._barrier.acquire()
        return self._barrier

    def open(self) -> None:
        """Let all waiting threads continue."""
        if self._barrier is not None:
            self._barrier.release()
            self._barrier = None

    def wait(self, barrier: threading.Lock, timeout: float = math.inf) -> bool:
        """Wait until the gate is opened, or for ``timeout`` seconds.

        Returns:
            False if the loop has ended, so that the gate would never open.
        """
        deadline = time.monotonic() + timeout
        with self._waiting():
            while not barrier.acquire(timeout=min(_LOOP_CHECK_SECONDS, timeout)):
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return True
                if not self._wake():
                    return False
        barrier.release()  # for the next waiting thread
        return True
