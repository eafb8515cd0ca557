"""The job of a worker: one request, from its environ to the end of the application's response."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from typing import Any

from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge._concurrency.thread_context import context_for_thread
from gatebridge._protocol.presence import CLOSED, LOST
from gatebridge._translate.disconnects import wsgi_app_lost_client
from gatebridge._translate.text import request_line
from gatebridge._wsgi_on_asgi.call_in_thread import WsgiCall
from gatebridge._wsgi_on_asgi.departure import DepartureFlag
from gatebridge._wsgi_on_asgi.input import WsgiInput
from gatebridge._wsgi_on_asgi.notices import Notices
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
from gatebridge._wsgi_on_asgi.spool import spool
from gatebridge.errors import WsgiAppError
from gatebridge.types import Scope, WSGIApplication, WSGIEnvironment

_logger = logging.getLogger("gatebridge")


class WorkerJob:
    """What a worker does for one request.

    Args:
        app: The application.
        environ: What to call it with, but for what is added here: ``wsgi.early_hints``,
            ``gatebridge.disconnected``, and the body and length of a spooled request.
        scope: The request's.
        server_sends_files: Whether to use the server's own ways to send a file.
        channel: Where the response goes.
        loop: The handle of the event loop that takes it from there.
        notices: Where to log what was put right in the application's responses.

    Attributes:
        environ: As given.
        body: The request's body, where it is streamed or spooled; None if the environ has it.
        spool_bytes: How much of a body to be spooled may stay in memory; None if it is not to be
            spooled.
        call: The call of the application.
        called: Whether the application was called.
        errors: What the job has raised, at most one. A list, because `pop` is atomic: the loop's
            side and the worker may both be about to log an error that was not raised.
    """

    __slots__ = (
        "_app",
        "_channel",
        "_context",
        "_extensions",
        "_loop",
        "_scope",
        "body",
        "call",
        "called",
        "environ",
        "errors",
        "spool_bytes",
    )

    def __init__(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        scope: Scope,
        *,
        server_sends_files: bool,
        channel: ResponseChannel,
        loop: LoopHandle,
        notices: Notices,
    ) -> None:
        self._app = app
        self._scope = scope
        self._channel = channel
        self._loop = loop
        self._extensions: Mapping[str, Any] = scope.get("extensions") or {}
        files: Container[str] = self._extensions if server_sends_files else ()
        self._context = context_for_thread()
        self.environ = environ
        self.body: WsgiInput | None = None
        self.spool_bytes: int | None = None
        self.call = WsgiCall(channel, scope, files, notices)
        self.called = False
        self.errors: list[BaseException] = []

    def __str__(self) -> str:
        return request_line(self._scope["method"], self._scope["path"])

    def __call__(self) -> Callable[[], object]:
        """Run the application; return what is to be called when the worker is free again."""
        environ, channel, call = self.environ, self._channel, self.call
        try:
            if self._loop.is_closed():  # perhaps while this waited for a thread
                channel.loop_ended()
            elif channel.client < CLOSED:
                environ["gatebridge.disconnected"] = DepartureFlag(channel, self._loop)
                # Only what the server offers (A-CORE-14).
                hints = "http.response.early_hint" in self._extensions
                if hints and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
                    environ["wsgi.early_hints"] = call.early_hints
                if self.spool_bytes is None:
                    self._run(self.body)
                else:
                    self._run_spooled(self.spool_bytes)
        except Exception as exc:  # noqa: BLE001 - raised by the ASGI call
            self.errors.append(_wrapped(exc) if isinstance(exc, StopIteration) else exc)
        except BaseException as exc:  # noqa: BLE001 - it must not end the server (D-28)
            self.errors.append(_wrapped(exc))
        if call.close_error is not None:
            error, call.close_error = call.close_error, None
            if not wsgi_app_lost_client(error):
                _logger.error("%s: close() failed after another error", self, exc_info=error)
            del error  # no cycle through the traceback's frames
        if self.errors and channel.ended:  # before the pool says that the worker is free
            self.log_lost_error()
        return self._finish

    def _run(self, body: WsgiInput | None) -> None:
        self.called = True
        self._context.run(self.call.run, self._app, self.environ, body)

    def _run_spooled(self, memory_bytes: int) -> None:
        """Read the whole body, then run the application with it, unless the client has left."""
        assert self.body is not None
        file, length = spool(self.body, memory_bytes)
        try:
            if self._channel.client < CLOSED:
                self.environ["wsgi.input"] = file
                self.declare(length)
                self._run(None)
        finally:
            file.close()

    def declare(self, length: int) -> None:
        """Set the length of a body that was received as a whole, if the request has one (D-13)."""
        if length or any(
            name.lower() == b"transfer-encoding" for name, _ in self._scope.get("headers") or ()
        ):
            self.environ["CONTENT_LENGTH"] = str(length)

    def _finish(self) -> None:
        """Hand over the end of the response."""
        channel = self._channel
        channel.worker_done(self.call.whole)
        if channel.client is LOST and not channel.ended:
            _logger.info("%s: the event loop has ended", self)
        if self.errors and (channel.ended or channel.client is LOST or self._loop.is_closed()):
            self.log_lost_error()

    def log_lost_error(self) -> None:
        """Log what the application raised, if the ASGI call has ended without raising it."""
        try:
            error = self.errors.pop()
        except IndexError:
            return
        if not wsgi_app_lost_client(error):
            _logger.error("%s: failed after its request had ended", self, exc_info=error)


def _wrapped(exc: BaseException) -> WsgiAppError:
    error = WsgiAppError("application", f"raised {type(exc).__name__}, which may not leave it")
    error.__cause__ = exc
    return error
