"""The portal: from any thread to tasks on one event loop.

`anyio.from_thread.BlockingPortal` does the same for one thread-safe call at a time. Here a request
needs a task in a context of its own, and nothing else: the way back to the waiting thread is the
request's own.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio

from gatebridge._concurrency.loop_handle import LoopHandle, current_loop
from gatebridge._concurrency.own_thread import own_thread_error
from gatebridge.errors import UnavailableError

T = TypeVar("T")


class Guest(Protocol):
    """Who waits for something that happens on the loop, and must hear when it never will."""

    def lost(self) -> None:
        """Be told that the loop has ended; on any thread, once at least."""

    async def leave(self) -> None:
        """Come to an end, as the loop's owner is about to stop it; on the loop. Must not raise."""


class Portal(ABC):
    """Runs tasks on one event loop, for other threads.

    Attributes:
        handle: The loop's.
        ended: Whether the loop takes no more work. Who then finds itself not among ``guests``, or
            was not told that all is lost, need not wait.
        guests: Whom to tell of the end.
    """

    _check_seconds: float | None = None  # how often to look whether the loop runs, if need be

    def __init__(self, handle: LoopHandle) -> None:
        self.handle = handle
        self._thread_id = threading.get_ident()  # the loop's, except in a GivenLoopPortal
        self.ended = False
        self.guests: set[Guest] = set()
        self._stopped = anyio.Event()

    @abstractmethod
    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], context: contextvars.Context
    ) -> Callable[[], object]:
        """Start a task; on the loop's thread only. The function must not raise.

        Returns:
            What cancels the task, also to be called on the loop's thread. Whoever started it keeps
            this as long as the task runs: asyncio itself does not keep it alive.
        """

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run an async function on the loop, in an empty context, and wait for what it returns.

        Raises:
            UnavailableError: The loop has ended, or its own thread would wait for itself.
            BaseException: What the function raises.
        """
        self.refuse_own_thread()
        call = _Call(self, function)
        try:
            self.guests.add(call)
            if not self.is_running() or not self.handle.call_soon(call.start):
                call.lost()
            result: T = call.result(self._check_seconds)
            return result  # noqa: TRY300
        except BaseException:
            if not call.is_settled():  # KeyboardInterrupt: nobody waits any more
                self.handle.call_soon(call.cancel)
            raise
        finally:
            self.guests.discard(call)

    def is_running(self) -> bool:
        """Return whether the loop gets to what it is given."""
        return not self.ended

    def refuse_own_thread(self) -> None:
        """Raise `UnavailableError` on the loop's own thread, which would wait for itself."""
        if threading.get_ident() == self._thread_id:
            raise own_thread_error()

    def stop(self) -> None:
        """Let the portal end; thread-safe."""
        self.handle.call_soon(self._stopped.set)

    async def until_stopped(self, owner: Callable[[], Awaitable[object]] | None) -> None:
        """Wait for `stop`, or until ``owner``, if given, returns and the guests have left."""
        if owner is None:
            await self._stopped.wait()
            return
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await owner()
                async with anyio.create_task_group() as leaving:
                    for guest in list(self.guests):
                        leaving.start_soon(guest.leave)
                self._stopped.set()

            group.start_soon(watch)
            await self._stopped.wait()
            group.cancel_scope.cancel()

    def end(self) -> None:
        """Tell everyone that the loop takes no more work."""
        self.ended = True
        for guest in list(self.guests):
            guest.lost()


class _Call(Guest):
    """One run of an async function, for a thread that waits."""

    def __init__(self, portal: Portal, function: Callable[[], Awaitable[Any]]) -> None:
        self._portal = portal
        self._function = function
        # Not a Future, nor an Event: a KeyboardInterrupt may leave their locks held for ever.
        self._outcome: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._settling = threading.Lock()  # taken once, by who says what came of it
        self._cancel: Callable[[], object] | None = None

    def is_settled(self) -> bool:
        return self._settling.locked()

    def result(self, check_seconds: float | None) -> Any:  # noqa: ANN401 - as the function's
        """Wait for the end; look every so many seconds whether it can still come."""
        outcome = None
        while outcome is None:
            try:
                outcome = self._outcome.get(timeout=check_seconds)
            except Empty:  # noqa: PERF203
                if not self._portal.is_running():
                    self.lost()
        result, error = outcome
        try:
            if error is not None:
                raise error
            return result
        finally:
            outcome = error = None  # their traceback has this frame, and so themselves

    def start(self) -> None:
        if self._portal.ended:
            self.lost()
        elif not self.is_settled():
            self._cancel = self._portal.spawn(self._run, contextvars.Context())

    def cancel(self) -> None:
        self.lost()
        if self._cancel is not None:
            self._cancel()

    async def _run(self) -> None:
        try:
            result = await self._function()
        except anyio.get_cancelled_exc_class():
            self.lost()
        except BaseException as exc:  # noqa: BLE001 - raised in the thread that waits
            self._settle(None, exc)
        else:
            self._settle(result, None)

    def lost(self) -> None:
        self._settle(None, UnavailableError("event loop", "has ended"))

    async def leave(self) -> None:
        pass  # it may be over in time; otherwise it is lost

    def _settle(self, result: object, error: BaseException | None) -> None:
        if self._settling.acquire(blocking=False):
            self._outcome.put((result, error))


class AsyncioPortal(Portal):
    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], context: contextvars.Context
    ) -> Callable[[], object]:
        loop: asyncio.AbstractEventLoop = self.handle.loop
        if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
            # As far as it gets without waiting, at once: one turn of the loop less.
            return asyncio.Task(function(), loop=loop, context=context, eager_start=True).cancel
        return context.run(loop.create_task, function()).cancel


class _TrioPortal(Portal):
    nursery: Any

    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], context: contextvars.Context
    ) -> Callable[[], object]:
        scope = sys.modules["trio"].CancelScope()

        async def run() -> None:
            with scope:
                await function()

        context.run(self.nursery.start_soon, run)
        return scope.cancel  # type: ignore[no-any-return]


async def run_portal(
    opened: Callable[[Portal], object], owner: Callable[[], Awaitable[object]] | None = None
) -> None:
    """Keep a portal to the running loop open until it is stopped.

    Args:
        opened: Is given the portal, on the loop's thread.
        owner: If given, the portal also ends when this returns. The guests may leave then, even if
            the owner cancels all tasks.
    """
    with anyio.CancelScope(shield=True):
        await _run_portal(opened, owner)


async def _run_portal(
    opened: Callable[[Portal], object], owner: Callable[[], Awaitable[object]] | None
) -> None:
    handle = current_loop()
    portal: Portal
    if handle.is_asyncio:
        portal = AsyncioPortal(handle)
        try:
            opened(portal)
            await portal.until_stopped(owner)
        finally:
            portal.end()
        return
    portal = _TrioPortal(handle)
    try:
        async with sys.modules["trio"].open_nursery() as portal.nursery:
            opened(portal)
            await portal.until_stopped(owner)
            portal.ended = True  # before the nursery is closed: what comes now is not spawned
            portal.nursery.cancel_scope.cancel()
    finally:
        portal.end()
