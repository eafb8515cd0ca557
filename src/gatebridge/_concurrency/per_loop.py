"""One value for each event loop: the state that a lifespan makes on one loop is for that loop."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from gatebridge._concurrency.loop_handle import current_loop

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Holds a value for the running event loop during a block; the latest one counts."""

    def __init__(self) -> None:
        # Not anyio's RunVar, which costs four times as much at each request.
        self._held: WeakKeyDictionary[Any, list[T]] = WeakKeyDictionary()

    def get(self) -> T | None:
        """Return the value held for the running loop, or None."""
        held = self._held.get(current_loop().loop)
        return held[-1] if held else None

    @contextmanager
    def hold(self, value: T) -> Generator[None, None, None]:
        """Hold a value until the end of the block; blocks may overlap."""
        held = self._held.setdefault(current_loop().loop, [])
        held.append(value)
        try:
            yield
        finally:
            # By identity: two blocks may hold equal values.
            held[:] = [each for each in held if each is not value]
