"""The event loops that are measured, each in a separate process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Generic, TypeVar

from benchmarks.child import ChildEnded, in_child

T = TypeVar("T")

LOOPS = [name for name in ("asyncio", "uvloop") if find_spec(name)]


class OnEachLoop(Generic[T]):
    """Iterates over pairs of a loop's name and a result that was measured on it.

    Args:
        measure: Yields the results of one loop; called with its name, and for a quick run or not.
        quick: Whether few rounds will do.
        patience: Seconds to wait for a result, after which the loop's measurement is ended.

    Attributes:
        endings: Sentences about measurements that ended early, for the remarks of a report.
    """

    def __init__(
        self, measure: Callable[[str, bool], Iterable[T]], *, quick: bool, patience: float
    ) -> None:
        self._measure = measure
        self._quick = quick
        self._patience = patience
        self.endings = ""

    def __iter__(self) -> Iterator[tuple[str, T]]:
        for loop in LOOPS:
            try:
                for result in in_child(self._measure, loop, self._quick, patience=self._patience):
                    yield loop, result
            except ChildEnded as ended:
                self.endings += f" On {loop} the measurement ended early: {ended}."
