"""One call of an ASGI application, as a task on the event loop: what HTTP and WebSocket share.

This side never touches the WSGI server. What the server's thread has to do goes to it through the
`Response`.
"""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import Context
from enum import Enum
from types import CoroutineType
from typing import Any

from gatebridge._asgi_on_wsgi.response_on_loop import Response
from gatebridge._concurrency.portal import Portal
from gatebridge._concurrency.thread_context import context_for_thread
from gatebridge._protocol.order import COMPLETE
from gatebridge._protocol.presence import HERE
from gatebridge._translate.disconnects import asgi_app_lost_client, stems_from
from gatebridge.errors import AsgiAppError, GatebridgeError, UnavailableError
from gatebridge.types import ASGIApplication

_logger = logging.getLogger("gatebridge")


class _Task(Enum):
    """What has become of the task."""

    NEW = "it was not started"
    RUNS = "it runs"
    CUT_OFF = "it was cancelled, and has not ended"
    ENDED = "it has ended, or will never start"


_NEW, _RUNS, _CUT_OFF, _ENDED = _Task


class Call(ABC):
    """The task of one call, from its start to its end.

    A base class, because a part that calls its owner back would form a cycle with it: the request
    would stay until the collector of cycles runs.

    Args:
        app: The ASGI application.
        scope: What to call it with.
        response: Where its messages go.
        portal: To the event loop.
        ended: Called with this call when its task has ended.

    Attributes:
        response: As given.
    """

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        response: Response,
        portal: Portal,
        ended: Callable[[Call], object],
    ) -> None:
        self.response = response
        self._app = app
        self._scope = scope
        self._portal = portal
        self._ended = ended
        self._context: Context | None = context_for_thread()  # until the task has it
        self._task = _NEW
        self._cancel: Callable[[], object] | None = None

    def __str__(self) -> str:
        return str(self.response)

    @abstractmethod
    def _call_app(self) -> Any:  # noqa: ANN401 - what the application makes of it is checked
        """Call the application, and return what it returns."""

    # --- from its start to its end ----------------------------------------------------------------

    def start(self) -> None:
        """Start the task, unless it was cut off before."""
        if self._task is not _NEW:
            return
        if self._portal.ended:
            self._end()
            self.lost()
            return
        # Not kept: what the application puts into its context may lead back here.
        context, self._context = self._context, None
        assert context is not None
        try:
            self._task = _RUNS
            cancel = self._portal.spawn(self._run, context)
            if self._task is _RUNS:  # an eager task may have ended by now
                self._cancel = cancel
        except BaseException:  # from a signal handler, on a loop in the main thread
            self._end()
            self.lost()
            raise

    def abandon(self) -> None:
        """Forget the call if it was not started; its thread was interrupted just about then."""
        if self._task is _NEW:
            self._end()

    async def _run(self) -> None:
        try:
            call = self._call_app()
            if type(call) is not CoroutineType and not inspect.isawaitable(call):
                raise AsgiAppError("return value", f"not awaitable: {type(call).__name__}")
            if await call is not None:
                _logger.debug("%s: the application returned something", self)
        except BaseException as exc:  # noqa: BLE001 - SystemExit would end the loop
            self._finish(exc)  # kept by no variable: its frames keep generators that have to end
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        """Report how the task ended."""
        was_cut_off = self._task is _CUT_OFF
        self._end()
        if self.response.stage is not COMPLETE and self.response.client is HERE:
            self._conclude(error)
        elif error is not None:
            self._log(error, was_cut_off=was_cut_off)

    def _end(self) -> None:
        self._task = _ENDED
        self._cancel = None
        self._ended(self)

    def cut_off(self, why: GatebridgeError | None = None) -> None:
        """Cancel the task; the thread, if it waits, raises ``why``."""
        if self._task is _ENDED:
            return
        if self.response.stage is not COMPLETE:
            self.response.client_left()
            if why is not None:
                self.response.tasks.put(why)
        if self._cancel is None:  # its thread is just about to have it started
            self._end()
        else:
            self._task = _CUT_OFF
            self._cancel()

    def lost(self) -> None:
        """Let the thread raise that the loop has ended; thread-safe."""
        self.response.tasks.put(UnavailableError("event loop", "has ended"))

    @abstractmethod
    def _conclude(self, error: BaseException | None) -> None:
        """Do what is due when the task ends before that, with an error or without one."""

    def _log(self, error: BaseException, *, was_cut_off: bool) -> None:
        """Log an exception that the server never sees, as an error unless the adapter caused it."""
        response = self.response
        if was_cut_off:
            when = "after it was cancelled"
        elif response.failed:
            when = "after its response had failed"
        elif response.client is not HERE:
            when = "after its client had disconnected"
        else:
            when = "after its response was complete"
        if response.failed and stems_from(error, _is_ours):
            expected = True  # the server has raised it already
        else:
            expected = (response.told or was_cut_off) and asgi_app_lost_client(error)
        if expected:
            _logger.debug("%s: the application ended %s", self, when, exc_info=error)
        else:
            _logger.error("%s: the application raised %s", self, when, exc_info=error)


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, AsgiAppError)
