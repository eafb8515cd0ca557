"""The loop handle: from any thread back to the event loop that a request runs on.

`LoopHandle.call_soon` runs a callback soon on that loop; `Signal` is what a task there waits for.
Both exist in anyio. Here they are on the path of every request, where `anyio.from_thread.run` and
an `anyio.Event` for each wait would cost more than all the rest of it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol


class _Event(Protocol):
    """What one task waits for once: `trio.Event`, or a future of asyncio."""

    def set(self) -> object: ...

    def wait(self) -> Awaitable[object]: ...


class _FutureEvent:
    """An event of asyncio for one waiter, at half the cost of `asyncio.Event`."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        return self._future


class LoopHandle:
    """The way to one running event loop from any thread.

    Callbacks that come while the loop has not yet run the earlier ones share one wake-up of the
    loop, which is a system call.
    """

    def __init__(
        self,
        loop: object,
        schedule: Callable[[Callable[[], None]], object],
        new_event: Callable[[], _Event],
        is_closed: Callable[[], bool],
    ) -> None:
        self.loop = loop
        self.new_event = new_event
        self._schedule = schedule
        self._is_closed = is_closed
        self._callbacks: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Run ``callback`` on the loop's thread; thread-safe. It must not raise.

        Returns:
            False if the loop has ended, so that the callback never runs.
        """
        self._callbacks.append(callback)  # before the check: the loop clears the flag, then looks
        if self._scheduled and not self._is_closed():  # closed with callbacks left
            return True
        self._scheduled = True
        try:
            self._schedule(self._run)
        except RuntimeError:  # asyncio: closed; trio: RunFinishedError
            self._callbacks.clear()
            self._scheduled = False
            return False
        return True

    def _run(self) -> None:
        self._scheduled = False
        while self._callbacks:
            self._callbacks.popleft()()


class Signal:
    """Wakes one task of the loop, any number of times."""

    __slots__ = ("_event", "_handle", "_set")

    def __init__(self, handle: LoopHandle) -> None:
        self._handle = handle
        self._event: _Event | None = None
        self._set = False

    def set(self) -> None:
        """Let the task's present or next `wait` return; on the loop's thread only."""
        self._set = True
        if self._event is not None:
            self._event.set()

    def set_soon(self) -> bool:
        """Call `set` on the loop's thread; as `LoopHandle.call_soon`."""
        return self._handle.call_soon(self.set)

    async def wait(self) -> None:
        """Return once `set` was called since the last return."""
        if not self._set:
            event = self._event = self._handle.new_event()
            try:
                await event.wait()
            finally:
                self._event = None
        self._set = False


_current = threading.local()


def current_loop() -> LoopHandle:
    """Return the handle of the event loop that runs on this thread.

    Raises:
        RuntimeError: None runs.
    """
    # trio first: as a guest it runs inside a loop of asyncio. It is not imported for the question.
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        loop: Any = trio.lowlevel.current_trio_token()
    else:
        trio, loop = None, asyncio.get_running_loop()
    handle: LoopHandle | None = getattr(_current, "handle", None)
    if handle is None or handle.loop is not loop:
        if trio is not None:
            # trio runs what was scheduled before it ends, and raises for what comes later.
            handle = LoopHandle(loop, loop.run_sync_soon, trio.Event, lambda: False)
        else:
            new_event = partial(_FutureEvent, loop)
            handle = LoopHandle(loop, loop.call_soon_threadsafe, new_event, loop.is_closed)
        _current.handle = handle
    return handle
