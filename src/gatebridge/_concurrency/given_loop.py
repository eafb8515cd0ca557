"""An asyncio loop that the user starts, stops and closes, without notice."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue

from gatebridge._concurrency.host_threads import require_threads
from gatebridge._concurrency.loop_handle import AsyncFunction, AsyncioHandle
from gatebridge._concurrency.loop_use import LoopUse
from gatebridge._concurrency.own_thread import refuse_loop_thread
from gatebridge._concurrency.portal import Portal
from gatebridge.errors import UnavailableError

_STOPPED_CHECK_SECONDS = 1.0  # interval at which a waiting thread checks that the loop runs


class GivenLoop(LoopUse):
    """A hold on a loop that the user runs; it is never stopped.

    Args:
        loop: Runs in another thread, or will soon.
        timeout: Seconds to wait until it runs; None to wait indefinitely.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        super().__init__()
        self._loop = loop
        self._timeout = timeout

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        self.portal = portal = GivenLoopPortal(self._loop)
        running: SimpleQueue[None] = SimpleQueue()
        if not portal.handle.call_soon(partial(running.put, None)):
            raise UnavailableError("loop", "is closed")
        try:
            running.get(timeout=self._timeout)
        except Empty:
            reason = f"no thread has run it for {self._timeout:g} seconds"
            raise UnavailableError("loop", reason) from None
        return portal


class GivenLoopPortal(Portal):
    """A portal to a loop that may stop without notice, and may run on in another thread.

    It keeps no task on the loop, because the loop's owner would find it there at the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(AsyncioHandle(loop), _STOPPED_CHECK_SECONDS)
        self.spawn = self._spawn

    def _spawn(self, function: AsyncFunction, context: Context) -> Callable[[], object]:
        _this_thread.ran.portals.add(self)
        return self.handle.start_task(function, context)

    def is_running(self) -> bool:
        """See `Portal`."""
        return not self.ended and self.handle.loop.is_running()

    def refuse_own_thread(self) -> None:
        """See `Portal`; the loop may run on any thread."""
        refuse_loop_thread(self.handle.loop)


class _Ran:
    """The portals whose loops have run a task on one thread; freed when that thread ends.

    The end of its thread is the only notice of a loop that was stopped and never runs again.
    Without `__del__`, the requests on such a loop would wait indefinitely.
    """

    def __init__(self) -> None:
        self.portals: weakref.WeakSet[GivenLoopPortal] = weakref.WeakSet()

    def __del__(self) -> None:
        for portal in list(self.portals):
            if not portal.is_running():  # it does in a fork, or if another thread took over
                portal.end()


class _ThisThread(threading.local):
    def __init__(self) -> None:
        self.ran = _Ran()


_this_thread = _ThisThread()
