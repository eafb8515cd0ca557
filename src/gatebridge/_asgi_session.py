"""A session: an ASGI application between its startup and its shutdown, on one event loop."""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

import anyio

from gatebridge._asgi_call import AsgiCall
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._concurrency.portal import Portal
from gatebridge._lifespan import Lifespan, LifespanMode
from gatebridge.errors import LifespanError, UnavailableError
from gatebridge.types import ASGIApplication

_logger = logging.getLogger("gatebridge")

_GRACE_SECONDS = 1.0  # for what was cancelled
_CHECK_SECONDS = 1.0  # how often who waits for the end looks whether it can still come


class Session:
    """Runs an application's lifespan, and its requests in between.

    Args:
        app: The ASGI application.
        portal: To the event loop.
        release: What to call when the loop is no longer needed.
        mode: Of the lifespan.
        shutdown_timeout: How many seconds requests may still run at the end, and how many the
            application may then take to shut down.

    Attributes:
        portal: To the event loop.
        state: For the scopes of requests; None if they have none.
    """

    def __init__(
        self,
        app: ASGIApplication,
        portal: Portal,
        release: Callable[[], None],
        mode: LifespanMode,
        shutdown_timeout: float,
    ) -> None:
        self._app = app
        self.portal = portal
        self._release = release
        self._mode = mode
        self._shutdown_timeout = shutdown_timeout
        self._requests: set[AsgiCall] = set()  # whose tasks have not ended
        self._lifespan: Lifespan | None = None
        self._end_lifespan: Callable[[], object] | None = None
        self._claim = threading.Lock()  # taken once, by who ends the session
        self._closing = False
        self._closed = threading.Event()
        self._idle: anyio.Event | None = None  # set when the last request has ended, at the end
        self.state: dict[str, Any] | None = None

    # --- from other threads -----------------------------------------------------------------------

    def open(self, timeout: float | None) -> None:
        """Let the application start, within so many seconds.

        Raises:
            LifespanError: It failed.
            UnavailableError: The event loop has ended, or the interpreter exits.
        """
        try:
            refuse_at_exit()
            self.portal.call(lambda: self._start_up(timeout))
        except BaseException:
            self._release()
            raise
        self.portal.guests.add(self)
        _open_sessions.get()[self] = None

    def submit(self, call: AsgiCall) -> None:
        """Start a request.

        Raises:
            UnavailableError: The event loop has ended, or the session is about to.
        """
        self._requests.add(call)  # before the look: who closes sets the flag, then looks here
        if self._closing:
            self.portal.handle.call_soon(partial(self.request_ended, call))
            raise closed_error()
        if self.portal.ended or not self.portal.handle.call_soon(call.start):
            self._requests.discard(call)
            raise UnavailableError("event loop", "has ended")

    def close(self) -> None:
        """Wait for the requests, let the application shut down, and give the loop back.

        If this is done already, or just being done, only wait for its end.

        Raises:
            LifespanError: The shutdown failed.
            UnavailableError: Called on the loop's own thread.
        """
        self.portal.refuse_own_thread()
        if not self._begin_to_close():
            while not self._closed.wait(_CHECK_SECONDS) and self.portal.is_running():
                pass
            return
        try:
            if not self.portal.ended:
                self.portal.call(self._shut_down)
        except UnavailableError as exc:
            if self._lifespan is not None or self._requests:
                _logger.warning("the application was not shut down: %s", exc)
        finally:
            self._let_go()

    def abandon(self) -> None:
        """Do as `close`, but without waiting: whoever would have closed it was collected."""
        # Sessions of a parent process are not its own. Nothing here may wait: the collector runs
        # on any thread, whatever that one holds.
        if self not in _open_sessions.get() or not self._begin_to_close():
            return
        if not (self.portal.is_running() and self.portal.handle.call_soon(self._end_soon)):
            _open_sessions.get().pop(self, None)
            self._closed.set()

    def lost(self) -> None:
        """Tell the requests that the loop has ended."""
        for call in list(self._requests):
            call.lost()
        self._closed.set()

    def _begin_to_close(self) -> bool:
        """Return whether the caller is the one to do it."""
        if not self._claim.acquire(blocking=False):
            return False
        self._closing = True
        return True

    def _let_go(self) -> None:
        self.portal.guests.discard(self)
        _open_sessions.get().pop(self, None)
        self._release()
        self._closed.set()

    # --- on the event loop ------------------------------------------------------------------------

    async def _start_up(self, seconds: float | None) -> None:
        self._left = anyio.Event()  # set when everything is shut down
        if self._mode == "off":
            return
        lifespan = Lifespan(self._app, required=self._mode == "on")
        self._end_lifespan = self.portal.spawn(lifespan.run, Context())
        await lifespan.startup(seconds)
        self._lifespan = lifespan
        self.state = lifespan.state

    def _end_soon(self) -> None:
        self._cancel_end = self.portal.spawn(self._end, Context())

    async def _end(self) -> None:
        try:
            await self._shut_down()
        except LifespanError:
            pass  # was logged
        finally:
            self._let_go()

    async def leave(self) -> None:
        """Do as `close`, on the loop: its owner is about to stop it."""
        if self._begin_to_close():
            await self._end()
        else:
            await self._left.wait()

    async def _shut_down(self) -> None:
        try:
            await self._end_requests()
            if self._lifespan is not None:
                await self._lifespan.shutdown(self._shutdown_timeout)
        except LifespanError as exc:
            _logger.error("%s", exc)  # noqa: TRY400 - where it was raised says nothing
            raise
        finally:
            self._left.set()

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

    def request_ended(self, call: AsgiCall) -> None:
        """Forget a request whose task has ended."""
        self._requests.discard(call)
        if not self._requests and self._idle is not None:
            self._idle.set()


def closed_error() -> UnavailableError:
    """Return what a request raises that comes too late."""
    return UnavailableError("close()", "the adapter was closed; startup() opens it again")


_open_sessions: PerProcess[dict[Session, None]] = PerProcess(dict)  # as they were opened
_exiting: int | None = None  # the process that is at its end, and takes no more sessions


def refuse_at_exit() -> None:
    """Raise `UnavailableError` if nothing would shut down what is started now."""
    if _exiting == os.getpid():
        raise UnavailableError("startup", "the interpreter exits")


def _close_open_sessions() -> None:
    """At the end of the interpreter, let every application shut down."""
    global _exiting  # noqa: PLW0603 - the interpreter's state, not ours
    _exiting = os.getpid()
    for session in reversed(list(_open_sessions.get())):
        try:
            session.close()
        except Exception as exc:  # noqa: BLE001, PERF203 - the others shall have their turn
            _logger.debug("at exit: %.200r", exc)


# Before the executors of concurrent.futures are shut down, which an application's shutdown may need
# as much as any request. Theirs is registered by their import, and the last registered comes first.
_ = concurrent.futures.ThreadPoolExecutor
getattr(threading, "_register_atexit", atexit.register)(_close_open_sessions)
atexit.register(_close_open_sessions)  # for hosts that run nothing else
