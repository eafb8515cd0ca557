"""The loop handle: access to an event loop from any thread.

`LoopHandle.call_soon` runs a callback on that loop. Every request uses it: `anyio.from_thread.run`
would cost more than the rest of the request.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeAlias

from gatebridge._concurrency.signals import AsyncioSignal, SharedTimer, Signal, TrioSignal

AsyncFunction: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class LoopHandle(ABC):
    """The way to one event loop from any thread.

    A wake-up of the loop is a system call. Callbacks added before the loop has run the earlier ones
    share it.

    Attributes:
        loop: An event loop with asyncio's interface, or a token of trio.
        is_closed: Returns whether the loop was closed without notice.
        timers: The timers of the loop's signals, by their timeout in seconds.
    """

    def __init__(
        self,
        loop: Any,  # noqa: ANN401 - see above
        schedule: Callable[[Callable[[], None]], object],
        is_closed: Callable[[], bool],
    ) -> None:
        self.loop = loop
        self.is_closed = is_closed
        self.timers: dict[float, SharedTimer] = {}
        self._schedule = schedule
        self._callbacks: deque[Callable[[], None]] = deque()
        self._turns = 0  # number of times that the loop has run callbacks
        self._awaited_turn = 0  # the latest turn that a wake-up was sent for

    @abstractmethod
    def new_signal(self) -> Signal:
        """Return a signal for a task of the loop to wait for."""

    @abstractmethod
    def start_task(self, function: AsyncFunction, context: Context) -> Callable[[], object]:
        """Start a task outside any task group; on the loop's thread only.

        Args:
            function: Must not raise.
            context: The task's context.

        Returns:
            A callable that cancels the task, also on the loop's thread only. The caller keeps it as
            long as the task runs: asyncio itself does not keep the task alive.
        """

    @abstractmethod
    def _has_run(self, callback: Callable[[], None], refusal: RuntimeError) -> bool:
        """Take back a callback that the loop, at its end, refused; True if it has run anyway."""

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Run ``callback`` on the loop's thread; thread-safe. It must not raise.

        Returns:
            False if the loop has ended, so that the callback never runs.
        """
        self._callbacks.append(callback)  # before the check: the loop counts, then takes callbacks
        # A loop may have been closed with callbacks left.
        if self._turns < self._awaited_turn and not self.is_closed():
            return True
        turns = self._turns
        try:
            self._schedule(self._run)
        except RuntimeError as exc:
            return self._has_run(callback, exc)
        # Last: no thread may rely on a wake-up that a signal handler's exception has prevented, or
        # that the loop, at its end, has refused.
        self._awaited_turn = turns + 1
        return True

    def _run(self) -> None:
        self._turns += 1
        # Only the current ones. Later ones wait for the loop's next turn; otherwise busy threads
        # would keep everything else on the loop from running.
        try:
            for _ in range(len(self._callbacks)):
                try:
                    callback = self._callbacks.popleft()
                except IndexError:  # the last callback was taken back
                    return
                callback()
        except BaseException:  # KeyboardInterrupt, on a loop in the main thread that may run again
            self._schedule(self._run)
            raise


class AsyncioHandle(LoopHandle):
    """The handle of a loop with asyncio's interface, which may not be running yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, loop.call_soon_threadsafe, loop.is_closed)

    def new_signal(self) -> Signal:
        return AsyncioSignal(self)

    def start_task(self, function: AsyncFunction, context: Context) -> Callable[[], object]:
        loop: asyncio.AbstractEventLoop = self.loop
        if sys.version_info >= (3, 11) and loop.get_task_factory() is None:
            if sys.version_info >= (3, 12):
                # The task runs at once up to its first wait, which saves a turn of the loop.
                return asyncio.Task(function(), loop=loop, context=context, eager_start=True).cancel
            return asyncio.Task(function(), loop=loop, context=context).cancel
        return context.run(loop.create_task, function()).cancel

    def _has_run(self, callback: Callable[[], None], refusal: RuntimeError) -> bool:  # noqa: ARG002 - a closed loop runs none
        if not self.is_closed():
            raise refusal
        self._callbacks.clear()
        return False


class _TrioHandle(LoopHandle):
    def __init__(self, token: Any) -> None:  # noqa: ANN401 - trio is not imported here
        # trio runs all callbacks that were scheduled before it ends, and raises for later ones.
        super().__init__(token, token.run_sync_soon, lambda: False)

    def new_signal(self) -> Signal:
        return TrioSignal(self)

    def start_task(self, function: AsyncFunction, context: Context) -> Callable[[], object]:
        trio = sys.modules["trio"]
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await function()

        trio.lowlevel.spawn_system_task(run, context=context)
        return scope.cancel  # type: ignore[no-any-return]

    def _has_run(self, callback: Callable[[], None], refusal: RuntimeError) -> bool:
        if not isinstance(refusal, sys.modules["trio"].RunFinishedError):
            raise refusal
        # Other threads' callbacks stay: in its last turn, trio runs everything it has accepted.
        try:
            self._callbacks.remove(callback)
        except ValueError:
            return True
        return False


class _ThisThread(threading.local):
    handle: LoopHandle | None = None


_this_thread = _ThisThread()


def current_loop() -> LoopHandle:
    """Return the handle of the event loop that runs on this thread.

    Raises:
        RuntimeError: No event loop runs.
    """
    # trio first: in guest mode it runs inside an asyncio loop. It is not imported for this check.
    trio = sys.modules.get("trio")
    loop: Any = None
    if trio is not None:
        try:
            if trio.lowlevel.in_trio_task():
                loop = trio.lowlevel.current_trio_token()
        except AttributeError:  # another thread is importing it
            pass
    in_trio = loop is not None
    if not in_trio:
        loop = asyncio.get_running_loop()
    handle = _this_thread.handle
    if handle is None or handle.loop is not loop:
        handle = _this_thread.handle = _TrioHandle(loop) if in_trio else AsyncioHandle(loop)
    return handle
