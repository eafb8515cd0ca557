"""The portal: starts tasks on one event loop from any thread.

`anyio.from_thread.BlockingPortal` also brings results back to the calling thread. A request here
only needs a task in a given context: its response reaches the waiting thread through a queue.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

import anyio

from gatebridge._concurrency.loop_handle import LoopHandle, current_loop
from gatebridge._concurrency.own_thread import own_thread_error
from gatebridge.errors import UnavailableError

T = TypeVar("T")


class Guest(Protocol):
    """Something that waits for the loop, and must be notified when the loop ends."""

    def lost(self) -> None:
        """Called when the loop has ended; on any thread, at least once."""

    async def leave(self) -> None:
        """Finish, because the loop's owner is about to stop it; on the loop. Must not raise."""


class Portal:
    """Runs tasks on one event loop, for other threads.

    Args:
        handle: The loop's handle.
        check_seconds: Seconds between the checks of a waiting thread that the loop still runs; None
            if `end` is sure to be called when the loop ends.

    Attributes:
        handle: As given.
        spawn: The handle's `LoopHandle.start_task`.
        ended: Whether the loop accepts no more work. It is set before the guests are notified, so
            that a guest that joins later can see it.
        guests: Notified when the loop ends.
    """

    def __init__(self, handle: LoopHandle, check_seconds: float | None = None) -> None:
        self.handle = handle
        self.spawn = handle.start_task
        self.ended = False
        self.guests: set[Guest] = set()
        self._check_seconds = check_seconds
        self._thread_id = threading.get_ident()  # the loop's, unless a subclass overrides its use
        self._stopped = handle.new_signal()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run an async function on the loop, in an empty context, and wait for its result.

        Raises:
            UnavailableError: The loop has ended, or this is its own thread, which would deadlock.
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
            self.handle.call_soon(call.cancel)  # after a KeyboardInterrupt, no thread waits for it
            raise
        finally:
            self.guests.discard(call)

    def is_running(self) -> bool:
        """Return whether the loop still runs callbacks."""
        return not self.ended

    def refuse_own_thread(self) -> None:
        """Raise `UnavailableError` on the loop's own thread, where waiting would deadlock."""
        if threading.get_ident() == self._thread_id:
            raise own_thread_error()

    def stop(self) -> None:
        """End the portal; thread-safe."""
        self._stopped.set_soon()

    async def until_stopped(self, owner: Callable[[], Awaitable[object]] | None) -> None:
        """Wait for `stop`, or until ``owner``, if given, returns and the guests have left."""
        if owner is None:
            await self._stopped.wait()
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._stop_with, owner)
            await self._stopped.wait()
            group.cancel_scope.cancel()

    async def _stop_with(self, owner: Callable[[], Awaitable[object]]) -> None:
        await owner()
        async with anyio.create_task_group() as leaving:
            for guest in list(self.guests):
                leaving.start_soon(guest.leave)
        self._stopped.set()

    def end(self) -> None:
        """Accept no more work, and notify the guests."""
        self.ended = True
        for guest in list(self.guests):
            guest.lost()


class _Call(Guest):
    """One run of an async function, for a thread that waits."""

    def __init__(self, portal: Portal, function: Callable[[], Awaitable[Any]]) -> None:
        self._portal = portal
        self._function = function
        # The first outcome counts. Not a Future: a KeyboardInterrupt may leave its lock locked.
        self._outcomes: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._cancel: Callable[[], object] | None = None

    def result(self, check_seconds: float | None) -> Any:  # noqa: ANN401 - as the function's
        """Wait for the outcome; check every ``check_seconds`` that the loop still runs."""
        outcome = None
        while outcome is None:
            try:
                outcome = self._outcomes.get(timeout=check_seconds)
            except Empty:  # noqa: PERF203
                if not self._portal.is_running():
                    self.lost()
        result, error = outcome
        try:
            if error is not None:
                raise error
            return result
        finally:
            outcome = error = None  # no cycle through the traceback's frames

    def start(self) -> None:
        if self._portal.ended:
            self.lost()
        else:
            self._cancel = self._portal.spawn(self._run, contextvars.Context())

    def cancel(self) -> None:
        """Cancel the task, if it was started and has not ended."""
        if self._cancel is not None:
            self._cancel()

    async def _run(self) -> None:
        try:
            result = await self._function()
        except anyio.get_cancelled_exc_class():
            self.lost()
        except BaseException as exc:  # noqa: BLE001 - raised in the waiting thread
            self._outcomes.put((None, exc))
        else:
            self._outcomes.put((result, None))

    def lost(self) -> None:
        self._outcomes.put((None, UnavailableError("event loop", "has ended")))

    async def leave(self) -> None:
        pass  # the call may end in time; otherwise it is lost


class PortalRun:
    """One run of a portal: other threads wait until it opens, and may stop it even before.

    Attributes:
        portal: The portal, once it is open.
        stopped: Whether `stop` was called.
    """

    def __init__(self) -> None:
        self.portal: Portal | None = None
        self.stopped = False
        # Not an Event: a KeyboardInterrupt may leave its lock locked.
        self._changed: SimpleQueue[None] = SimpleQueue()

    async def run(self, owner: Callable[[], Awaitable[object]] | None = None) -> None:
        """Keep a portal to the running loop open until it is stopped.

        Args:
            owner: If given, the portal also ends when this returns, after the guests have left.
                They may do so even if the owner cancels all tasks.
        """
        portal = Portal(current_loop())
        try:
            with anyio.CancelScope(shield=True):
                self.portal = portal
                self.notify()
                if self.stopped:
                    portal.stop()
                await portal.until_stopped(owner)
        finally:
            portal.end()

    def stop(self) -> None:
        """End the portal, now or as soon as it opens; thread-safe."""
        self.stopped = True  # before the check: `run` sets the portal, then checks this
        self.notify()
        if self.portal is not None:
            self.portal.stop()

    def notify(self) -> None:
        """End all waits: the portal has opened, or never will."""
        self._changed.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until `notify` has been called, or for ``seconds``; None to wait indefinitely."""
        with suppress(Empty):
            self._changed.get(timeout=seconds)
            self.notify()  # the next waiting thread
