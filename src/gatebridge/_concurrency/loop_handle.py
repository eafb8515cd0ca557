"""The loop handle: from any thread back to the event loop that a request runs on.

`LoopHandle.call_soon` runs a callback soon on that loop. It is on the path of every request, where
`anyio.from_thread.run` would cost more than all the rest of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from gatebridge._concurrency.signals import AsyncioSignal, SharedTimer, Signal, TrioSignal


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
        self.is_asyncio = signal is AsyncioSignal
        self._signal = signal
        self._schedule = schedule
        self.is_closed = is_closed  # whether the loop has ended without a word
        self._callbacks: deque[Callable[[], None]] = deque()
        self._turns = 0  # how often the loop has run callbacks
        self._awaited_turn = 0  # the latest one that it was asked for
        self.timers: dict[float, SharedTimer] = {}  # by seconds

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
            handle = LoopHandle(loop, loop.run_sync_soon, lambda: False, TrioSignal)
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
    return LoopHandle(loop, loop.call_soon_threadsafe, loop.is_closed, AsyncioSignal)
