"""The signal: a task waits until a thread, or other code on the loop, sets it.

An `anyio.Event` and a timeout of anyio for each wait would cost more than the rest of a request.
"""

from __future__ import annotations

import asyncio
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol


class SharedTimer:
    """Sets the signals of one asyncio loop whose tasks have waited for ``seconds``.

    One timer serves all of them. A timer for each wait would cost a tenth of a short request,
    although it hardly ever fires.
    """

    __slots__ = ("_loop", "_newer", "_older", "_runs", "_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._newer: dict[Signal, None] = {}  # added since the timer last fired
        self._older: dict[Signal, None] = {}
        self._runs = False

    def begin(self, signal: Signal) -> None:
        self._newer[signal] = None
        if not self._runs:
            self._loop.call_later(self._seconds, self._tick)
            self._runs = True  # last: if a signal handler raises, the next wait starts the timer

    def end(self, signal: Signal) -> None:
        if self._newer.pop(signal, signal) is signal:  # it was not among the newer ones
            self._older.pop(signal, None)

    def _tick(self) -> None:
        late, self._older, self._newer = self._older, self._newer, {}
        for signal in late:
            signal.set()
        self._runs = False
        if self._older:
            self._loop.call_later(self._seconds, self._tick)
            self._runs = True


class Handle(Protocol):
    """The part of a loop's handle that a signal needs; see `LoopHandle`."""

    loop: Any
    timers: dict[float, SharedTimer]

    def call_soon(self, callback: Callable[[], None], /) -> bool: ...


class Signal(ABC):
    """Wakes one task of the loop, any number of times."""

    __slots__ = ("_handle", "_set", "_waiter")

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._set = False
        self._waiter: Any = None  # the task waits for it: a future of asyncio, or a trio.Event

    def set_soon(self) -> bool:
        """Call `set` on the loop's thread; like `LoopHandle.call_soon`."""
        return self._handle.call_soon(self.set)

    @abstractmethod
    def set(self) -> None:
        """Make the task's current or next `wait` return; on the loop's thread only."""

    @abstractmethod
    async def wait(self, seconds: float | None = None) -> None:
        """Wait until `set` has been called since the last return, or until a timeout.

        Args:
            seconds: The timeout, which may take up to twice as long. None to wait indefinitely.
        """


class AsyncioSignal(Signal):
    __slots__ = ()

    def set(self) -> None:
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        if not self._set:
            loop: asyncio.AbstractEventLoop = self._handle.loop
            # Half the cost of an asyncio.Event, and a tenth of the cost of a timeout of asyncio.
            self._waiter = loop.create_future()
            timer = None
            if seconds is not None:
                timer = self._handle.timers.get(seconds)
                if timer is None:
                    timer = self._handle.timers[seconds] = SharedTimer(loop, seconds)
                timer.begin(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.end(self)
        self._set = False


class TrioSignal(Signal):
    __slots__ = ()

    def set(self) -> None:
        self._set = True
        if self._waiter is not None:
            self._waiter.set()

    async def wait(self, seconds: float | None = None) -> None:
        if not self._set:
            trio = sys.modules["trio"]
            self._waiter = trio.Event()
            try:
                with trio.move_on_after(math.inf if seconds is None else seconds):
                    await self._waiter.wait()
            finally:
                self._waiter = None
        self._set = False
