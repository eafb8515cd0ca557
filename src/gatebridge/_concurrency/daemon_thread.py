"""Daemon threads that start without a wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial


class DaemonThread(threading.Thread):
    """A daemon thread with an empty context, whose `start` does not wait until it runs.

    To run, a thread needs the interpreter's lock, for which it competes with every thread that
    computes: an event loop that waited for it would stall. And if a signal handler raises during
    the wait in the base class, the lock of an event may stay locked.

    Args:
        target: A callable for the thread to run.
        name: Its name.
    """

    def __init__(self, target: Callable[[], object], name: str) -> None:
        # In some builds of CPython a thread gets the context of the thread that starts it: here,
        # that of the first request.
        super().__init__(target=partial(Context().run, target), name=name, daemon=True)
        # If a later CPython has no such attribute, `start` waits as in the base class.
        self._started = _Started()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end, even if it has not begun to run."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._started.wait_until_set(timeout):
            super().join(None if deadline is None else max(deadline - time.monotonic(), 0))


class _Started(threading.Event):
    """The event that the base class waits for when it starts a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        super().set()
        self._unset.release()

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - from the base class
        return True

    def wait_until_set(self, timeout: float | None) -> bool:
        # Without the lock of the base class, which the thread itself needs to continue.
        if not self.is_set() and self._unset.acquire(timeout=-1 if timeout is None else timeout):
            self._unset.release()
        return self.is_set()
