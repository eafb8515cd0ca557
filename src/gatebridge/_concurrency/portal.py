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
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio

from gatebridge._concurrency.loop_handle import LoopHandle, asyncio_handle, current_loop
from gatebridge.errors import UnavailableError

T = TypeVar("T")


def own_thread_error() -> UnavailableError:
    """Return what to raise on the thread of a loop that would wait for itself."""
    return UnavailableError(
        "event loop", "called on its own thread, which would wait for itself; call in another one"
    )


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
        self._thread_id = threading.get_ident()  # the loop's, except in a LoopPortal
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


class _AsyncioPortal(Portal):
    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], context: contextvars.Context
    ) -> Callable[[], object]:
        loop: asyncio.AbstractEventLoop = self.handle.loop
        if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
            # As far as it gets without waiting, at once: one turn of the loop less.
            return asyncio.Task(function(), loop=loop, context=context, eager_start=True).cancel
        return context.run(loop.create_task, function()).cancel


class LoopPortal(_AsyncioPortal):
    """A portal to a loop of asyncio's kind that others start, stop and close, and tell nobody.

    It keeps no task on the loop, which would be there at the end for its owner to wonder about.
    """

    _check_seconds = 1.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(asyncio_handle(loop))

    def spawn(
        self, function: Callable[[], Coroutine[Any, Any, None]], context: contextvars.Context
    ) -> Callable[[], object]:
        """As for any portal; the thread may be another one than the last time."""
        _of_this_thread.portals.add(self)
        return super().spawn(function, context)

    def is_running(self) -> bool:
        """As for any portal."""
        return not self.ended and self.handle.loop.is_running()

    def refuse_own_thread(self) -> None:
        """As for any portal; whichever thread it is that the loop runs on."""
        refuse_thread_of(self.handle.loop)


class _PortalsOfThread(threading.local):
    """The portals to bare loops that have run something on this thread."""

    def __init__(self) -> None:
        self.portals = _EndingWithThread()


class _EndingWithThread(weakref.WeakSet[LoopPortal]):
    """Portals that end when a thread of theirs does, and with it the only reference to this set.

    It is all that can be heard of the end of a loop that was stopped and left as it is.
    """

    def __del__(self) -> None:
        for portal in list(self):
            if not portal.is_running():  # it does if another thread took over, or in a forked child
                portal.end()


_of_this_thread = _PortalsOfThread()


def refuse_thread_of(loop: asyncio.AbstractEventLoop) -> None:
    """Raise `UnavailableError` on the thread that the loop runs on."""
    if asyncio._get_running_loop() is loop:  # None where no loop runs
        raise own_thread_error()


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
        portal = _AsyncioPortal(handle)
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
