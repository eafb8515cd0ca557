"""One value for each process, for state that a forked child must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Process:
    """A process, from its fork to its end.

    The id does not identify it: a descendant may get the id of an ancestor that has ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.children: dict[int, Process] = {}


_process = Process(os.getpid())


def current_process() -> Process:
    """Return this process, the same object each time.

    Each call asks the system for the id: uWSGI forks without running the hooks of
    `os.register_at_fork`.
    """
    global _process  # noqa: PLW0603 - there is one for the interpreter
    pid = os.getpid()
    process = _process
    if process.pid != pid:
        # Two threads that are here at once get the same object.
        process = _process = process.children.setdefault(pid, Process(pid))
    return process


def _after_fork_in_child() -> None:
    global _process  # noqa: PLW0603 - there is one for the interpreter
    _process = Process(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class PerProcess(Generic[T]):
    """Makes a value at its first use in each process.

    A child keeps its parent's value, untouched: freeing it would close the coroutines in it, and so
    run an application's clean-up in a process that does not run that application.

    Args:
        make: Makes the value. If two threads call it at once, one of the two values is dropped.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[Process, T] = {}

    def get(self) -> T:
        """Return this process's value."""
        process = current_process()
        try:
            return self._values[process]
        except KeyError:
            return self._values.setdefault(process, self._make())

    def inherited(self) -> list[T]:
        """Return the values of the processes that this one descends from, nearest last."""
        process = current_process()
        return [value for key, value in list(self._values.items()) if key is not process]
