"""The loop handle: from any thread back to the event loop that a request runs on.

`LoopHandle.call_soon` runs a callback soon on that loop; `Signal` is what a task there waits for.
Both exist in anyio. Here they are on the path of every request, where `anyio.from_thread.run` and
an `anyio.Event` for each wait would cost more than all the rest of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any


class LoopHandle:
    """The way to one running event loop from any thread.

    Callbacks that come while the loop has not yet run the earlier ones share one wake-up of the
    loop, which is a system call.
    """

    def __init__(
        self,
        loop: Any,  # noqa: ANN401 - of asyncio, or a token of trio
        schedule: Callable[[Callable[[], None]], object],
        is_closed: Callable[[], bool],
        signal: type[Signal],
    ) -> None:
        self.loop = loop
        self.is_asyncio = signal is _AsyncioSignal
        self._signal = signal
        self._schedule = schedule
        self.is_closed = is_closed  # whether the loop has ended without a word
        self._callbacks: deque[Callable[[], None]] = deque()
        self._turns = 0  # how often the loop has run callbacks
        self._awaited_turn = 0  # the latest one that it was asked for
        self.patience: dict[float, _Patience] = {}  # by seconds

    def new_signal(self) -> Signal:
        """Return what a task of the loop can wait for."""
        return self._signal(self)

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Run ``callback`` on the loop's thread; thread-safe. It must not raise.

        Returns:
            False if the loop has ended, so that the callback never runs.
        """
        self._callbacks.append(callback)  # before the check: the loop counts, then looks
        if self._turns < self._awaited_turn and not self.is_closed():  # closed with callbacks left
            return True
        turns = self._turns
        try:
            self._schedule(self._run)
        except RuntimeError as exc:
            if not self._has_ended(exc):
                raise
            return self._was_run(callback)
        # Last: no thread may rely on a wake-up that a signal handler's exception has prevented,
        # wherever it was raised, or that a loop at its end has refused.
        self._awaited_turn = turns + 1
        return True

    def _has_ended(self, error: RuntimeError) -> bool:
        """Return whether the loop refused a callback because it has ended."""
        if self.is_asyncio:
            return self.is_closed()
        return isinstance(error, sys.modules["trio"].RunFinishedError)

    def _was_run(self, callback: Callable[[], None]) -> bool:
        """Take back a callback that a loop at its end refused, unless it has run nevertheless."""
        if self.is_asyncio:
            self._callbacks.clear()
            return False
        # Those of other threads stay: in its last turn, trio runs all that it has accepted.
        try:
            self._callbacks.remove(callback)
        except ValueError:
            return True
        return False

    def _run(self) -> None:
        self._turns += 1
        # Not until there are none: what comes meanwhile has to wait for the loop's next turn, or
        # busy threads would keep everything else on the loop from having one.
        try:
            for _ in range(len(self._callbacks)):
                try:
                    callback = self._callbacks.popleft()
                except IndexError:  # the last one was taken back
                    return
                callback()
        except BaseException:  # KeyboardInterrupt, on a loop in the main thread that may run again
            self._schedule(self._run)
            raise


class Signal(ABC):
    """Wakes one task of the loop, any number of times."""

    __slots__ = ("_handle", "_set", "_waiter")

    def __init__(self, handle: LoopHandle) -> None:
        self._handle = handle
        self._set = False
        self._waiter: Any = None  # what the task waits for: a future of asyncio, a trio.Event

    def set_soon(self) -> bool:
        """Call `set` on the loop's thread; as `LoopHandle.call_soon`."""
        return self._handle.call_soon(self.set)

    @abstractmethod
    def set(self) -> None:
        """Let the task's present or next `wait` return; on the loop's thread only."""

    @abstractmethod
    async def wait(self, seconds: float | None = None) -> None:
        """Wait until `set` has been called since the last return, or until a timeout.

        Args:
            seconds: How long to wait at least; perhaps twice as long. None for as long as it takes.
        """


class _Patience:
    """Sets the signals of one loop of asyncio that have waited for a time.

    There is one timer for all of them. One for each would cost a tenth of a short request, although
    it hardly ever fires.
    """

    __slots__ = ("_loop", "_newer", "_older", "_runs", "_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._newer: dict[Signal, None] = {}  # since the timer last fired
        self._older: dict[Signal, None] = {}
        self._runs = False

    def begin(self, signal: Signal) -> None:
        self._newer[signal] = None
        if not self._runs:
            self._loop.call_later(self._seconds, self._tick)
            self._runs = True  # last, as the awaited turn of a LoopHandle

    def end(self, signal: Signal) -> None:
        if self._newer.pop(signal, signal) is signal:  # it is not among the newer ones
            self._older.pop(signal, None)

    def _tick(self) -> None:
        late, self._older, self._newer = self._older, self._newer, {}
        for signal in late:
            signal.set()
        self._runs = False
        if self._older:
            self._loop.call_later(self._seconds, self._tick)
            self._runs = True


class _AsyncioSignal(Signal):
    __slots__ = ()

    def set(self) -> None:
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        if not self._set:
            loop: asyncio.AbstractEventLoop = self._handle.loop
            # At half the cost of an asyncio.Event, and a tenth of that of a timeout of asyncio.
            self._waiter = loop.create_future()
            patience = None
            if seconds is not None:
                patience = self._handle.patience.get(seconds)
                if patience is None:
                    patience = self._handle.patience[seconds] = _Patience(loop, seconds)
                patience.begin(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if patience is not None:
                    patience.end(self)
        self._set = False


class _TrioSignal(Signal):
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


class _Current(threading.local):
    handle: LoopHandle | None = None


_current = _Current()


def current_loop() -> LoopHandle:
    """Return the handle of the event loop that runs on this thread.

    Raises:
        RuntimeError: None runs.
    """
    # trio first: as a guest it runs inside a loop of asyncio. It is not imported for the question.
    trio = sys.modules.get("trio")
    loop: Any = None
    if trio is not None:
        try:
            if trio.lowlevel.in_trio_task():
                loop = trio.lowlevel.current_trio_token()
        except AttributeError:  # another thread is just importing it
            pass
    in_trio = loop is not None
    if not in_trio:
        loop = asyncio.get_running_loop()
    handle = _current.handle
    if handle is None or handle.loop is not loop:
        if in_trio:
            # trio runs what was scheduled before it ends, and raises for what comes later.
            handle = LoopHandle(loop, loop.run_sync_soon, lambda: False, _TrioSignal)
        else:
            handle = asyncio_handle(loop)
        _current.handle = handle
    return handle


def start_task(function: Callable[[], Coroutine[Any, Any, None]]) -> object:
    """Start a task that belongs to no task group, so that it may outlive the one that starts it.

    The function must not raise, and runs in a copy of the caller's context.

    Returns:
        What to keep as long as the task runs: asyncio itself does not keep it alive.
    """
    handle = current_loop()
    if handle.is_asyncio:
        return handle.loop.create_task(function())
    context = contextvars.copy_context()  # without it, trio takes that of its own beginning
    return sys.modules["trio"].lowlevel.spawn_system_task(function, context=context)


def asyncio_handle(loop: asyncio.AbstractEventLoop) -> LoopHandle:
    """Return a handle of a loop of asyncio's kind, which need not run yet."""
    return LoopHandle(loop, loop.call_soon_threadsafe, loop.is_closed, _AsyncioSignal)


def context_for_thread() -> contextvars.Context:
    """Return a copy of the caller's context, in which no event loop is said to run.

    `anyio.run` leaves a note of its kind of loop there. A thread may run a loop of its own, or let
    one of another kind run a task in this context.
    """
    context = contextvars.copy_context()
    variable = getattr(sys.modules.get("sniffio"), "current_async_library_cvar", None)
    if variable is not None and variable in context:
        context.run(variable.set, None)
    return context
