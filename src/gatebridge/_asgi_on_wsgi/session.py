"""A session: an ASGI application between its startup and its shutdown, on one event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from enum import Enum
from functools import partial
from typing import Any

import anyio

from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._asgi_on_wsgi.interpreter_exit import open_sessions, refuse_at_exit
from gatebridge._concurrency.loop_use import LoopUse
from gatebridge._concurrency.portal import Portal
from gatebridge._lifespan.as_server import Lifespan, LifespanMode
from gatebridge.errors import LifespanError, UnavailableError
from gatebridge.types import ASGIApplication

_logger = logging.getLogger("gatebridge")

_GRACE_SECONDS = 1.0  # for what was cancelled


class Phase(Enum):
    """A session's phase; it only advances."""

    NEW = "the application has not started"
    OPEN = "requests are served"
    CLOSING = "no more requests are taken"
    CLOSED = "everything is released"


_NEW, _OPEN, _CLOSING, _CLOSED = Phase  # as the stages of a response


class Session:
    """Runs an application's lifespan, and its requests in between.

    What must happen once, the startup and the shutdown, happens on the event loop. The threads only
    ask for it and wait: in the main thread a signal handler may raise at any point, and `close`
    then finishes what was begun.

    Args:
        app: The ASGI application.
        use: The hold on the event loop.
        mode: Of the lifespan.
        shutdown_timeout: How many seconds requests may still run at the end, and how many the
            application may then take to shut down.

    Attributes:
        portal: To the event loop, once `open` has it.
        phase: Its phase.
        state: For the scopes of requests; None if they have none.
    """

    portal: Portal

    def __init__(
        self, app: ASGIApplication, use: LoopUse, mode: LifespanMode, shutdown_timeout: float
    ) -> None:
        self._app = app
        self._use = use
        self._mode = mode
        self._shutdown_timeout = shutdown_timeout
        self._requests: set[Call] = set()  # whose tasks have not ended
        self._lifespan: Lifespan | None = None
        self._lifespan_task: Callable[[], object] | None = None  # kept, or it would be collected
        self._startup: anyio.Event | None = None  # set when it has succeeded or failed
        self._ended: anyio.Event | None = None  # set when everything is shut down
        self._shutdown_task: Callable[[], object] | None = None  # kept for the same reason
        self._failure: LifespanError | None = None  # of the shutdown
        self._idle: anyio.Event | None = None  # set when the last request has ended, at the end
        self.phase = _NEW
        self.state: dict[str, Any] | None = None

    # --- from other threads -----------------------------------------------------------------------

    def open(self, timeout: float | None) -> None:
        """Run the application's startup; wait at most ``timeout`` seconds.

        Raises:
            LifespanError: It failed.
            UnavailableError: The event loop has ended, or the interpreter exits.
        """
        try:
            refuse_at_exit()
            self.portal = self._use.open()
            open_sessions.get()[self] = None
            self.portal.call(lambda: self._start_up(timeout))
        except BaseException:
            with suppress(LifespanError):  # was logged
                self.close()
            raise

    def submit(self, call: Call) -> None:
        """Start a request.

        Raises:
            UnavailableError: The event loop has ended, or the session is about to.
        """
        if self.phase is not _OPEN:
            raise closed_error()
        call_soon = self.portal.handle.call_soon
        try:
            self._requests.add(call)  # before the look: who closes sets the phase, then looks here
            if self.phase is not _OPEN:
                call_soon(partial(self.request_ended, call))
            elif not self.portal.ended and call_soon(call.start):
                return
        except BaseException:  # from a signal handler: the loop may have the call, or not
            if not call_soon(call.abandon):
                self._requests.discard(call)
            raise
        if self.phase is not _OPEN:
            raise closed_error()
        self._requests.discard(call)
        raise UnavailableError("event loop", "has ended")

    def close(self) -> None:
        """Wait for the requests, let the application shut down, and give the loop back.

        If this is done already, or just being done, only wait for its end.

        Raises:
            LifespanError: The shutdown failed.
            UnavailableError: Called on the loop's own thread.
        """
        portal = self._use.portal
        if portal is not None:
            portal.refuse_own_thread()
            self.portal = portal  # `open` may not have got that far
        self._begin_to_close()
        failure = None
        try:
            if portal is not None and not (self.phase is _CLOSED or portal.ended):
                portal.call(self._end)
                failure, self._failure = self._failure, None
        except UnavailableError as exc:
            if self.phase is not _CLOSED and (self._lifespan is not None or self._requests):
                _logger.warning("the application was not shut down: %s", exc)
        self._release()
        self._use.join()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # no cycle through the traceback's frames

    def is_open(self) -> bool:
        """Return whether requests are served."""
        return self.phase is _OPEN and not self.portal.ended

    def is_shutting_down(self) -> bool:
        """Return whether the shutdown is under way on the loop."""
        return self.phase is _CLOSING and self._ended is not None

    def abandon(self) -> None:
        """Close without waiting; the owner was garbage-collected."""
        # Sessions of a parent process are not its own. Nothing here may wait: the collector runs
        # on any thread, whatever that one holds.
        if self not in open_sessions.get():
            return
        if not (self.portal.is_running() and self.portal.handle.call_soon(self._end_soon)):
            open_sessions.get().pop(self, None)

    def lost(self) -> None:
        """Tell the requests that the loop has ended."""
        for call in list(self._requests):
            call.lost()

    def _begin_to_close(self) -> None:
        if self.phase is not _CLOSED:
            self.phase = _CLOSING

    def _release(self) -> None:
        """Forget the session and release the loop. Idempotent."""
        self.phase = _CLOSED
        if self._use.portal is not None:
            self._use.portal.guests.discard(self)
        open_sessions.get().pop(self, None)
        self._use.close()

    # --- on the event loop ------------------------------------------------------------------------

    async def _start_up(self, seconds: float | None) -> None:
        if self.phase is not _NEW:
            return
        if self._mode != "off":
            await self._start_application(seconds)
        self.portal.guests.add(self)
        self.phase = _OPEN

    async def _start_application(self, seconds: float | None) -> None:
        self._startup = anyio.Event()
        try:
            lifespan = Lifespan(self._app, required=self._mode == "on")
            self._lifespan_task = self.portal.spawn(lifespan.run, Context())
            await lifespan.startup(seconds)
            self._lifespan = lifespan
            self.state = lifespan.state
        finally:
            self._startup.set()

    def _end_soon(self) -> None:
        self._begin_to_close()
        if self._ended is not None:
            return
        self._ended = anyio.Event()
        if self.portal.ended or (self._startup is None and not self._requests):
            # No task for nothing: a loop that is stopped now would leave it pending.
            self._release()
            self._ended.set()
        else:
            self._shutdown_task = self.portal.spawn(self._shut_down, Context())

    async def _end(self) -> None:
        self._end_soon()
        assert self._ended is not None
        await self._ended.wait()

    async def leave(self) -> None:
        """Like `close`, on the loop: its owner is about to stop it."""
        await self._end()

    async def _shut_down(self) -> None:
        assert self._ended is not None
        try:
            if self._startup is not None:
                await self._startup.wait()  # interrupted, it takes a moment to end
            await self._end_requests()
            if self._lifespan is not None:
                await self._lifespan.shutdown(self._shutdown_timeout)
        except LifespanError as exc:
            _logger.error("%s", exc)  # noqa: TRY400 - where it was raised says nothing
            self._failure = LifespanError(exc.field, exc.reason)  # without the frames of this one
            self._failure.__cause__ = exc.__cause__
        finally:
            self._release()
            self._ended.set()

    async def _end_requests(self) -> None:
        await self._until_idle(self._shutdown_timeout)
        for call in list(self._requests):
            _logger.warning(
                "still running %g seconds after close() began, cut off: %s",
                self._shutdown_timeout,
                call,
            )
        for call in list(self._requests):
            call.cut_off(UnavailableError("close()", "cut the response off after shutdown_timeout"))
        await self._until_idle(_GRACE_SECONDS)
        for call in list(self._requests):
            _logger.warning("not ended by its cancellation: %s", call)

    async def _until_idle(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while self._requests:
                self._idle = anyio.Event()
                await self._idle.wait()

    def request_ended(self, call: Call) -> None:
        """Forget a request whose task has ended."""
        self._requests.discard(call)
        if not self._requests and self._idle is not None:
            self._idle.set()


def closed_error() -> UnavailableError:
    """Return what a request raises that comes too late."""
    return UnavailableError("close()", "the adapter was closed; startup() opens it again")
