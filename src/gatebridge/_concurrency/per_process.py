"""A value for each process: what a forked child must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Makes a value at its first use in each process.

    The process is asked for at each use: uWSGI forks without running the hooks of
    `os.register_at_fork`. What the parent had is kept in the child, untouched, because to collect
    it would close the coroutines in it, and so run an application's clean-up where nothing of
    that application runs.

    Args:
        make: Makes the value. Of two threads that come first, one's value is thrown away.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's value."""
        pid = os.getpid()
        try:
            return self._values[pid]
        except KeyError:
            return self._values.setdefault(pid, self._make())

    def inherited(self) -> list[T]:
        """Return the values of the processes that this one descends from, nearest last."""
        pid = os.getpid()
        return [value for key, value in list(self._values.items()) if key != pid]
