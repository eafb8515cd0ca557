"""Waiting in a worker thread for the event loop, which may end without a word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

_CHECK_SECONDS = 5.0  # how often a waiting worker asks whether the loop is still there


def wait_at(
    gate: threading.Lock,
    waiting: Callable[[], AbstractContextManager[object]],
    wake: Callable[[], bool],
) -> bool:
    """Wait until the loop releases ``gate``.

    Args:
        gate: Held on behalf of the loop.
        waiting: Makes a context manager to wait in.
        wake: Wakes the loop, which does no harm; False if it has ended.

    Returns:
        False if the loop has ended, so that nobody would ever release the gate.
    """
    with waiting():
        while not gate.acquire(timeout=_CHECK_SECONDS):
            if not wake():
                return False
    gate.release()
    return True
