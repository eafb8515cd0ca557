"""The job of a worker: one request, from its environ to the end of the application's response."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextvars import Context

from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge._concurrency.signals import Signal
from gatebridge._concurrency.thread_context import context_for_thread
from gatebridge._protocol.presence import CLOSED, HERE, LOST
from gatebridge._translate.disconnects import wsgi_app_lost_client
from gatebridge._translate.text import request_line
from gatebridge._wsgi_on_asgi.call_in_thread import WsgiCall
from gatebridge._wsgi_on_asgi.departure import DepartureFlag
from gatebridge._wsgi_on_asgi.input import WsgiInput
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
from gatebridge._wsgi_on_asgi.settings import Settings
from gatebridge._wsgi_on_asgi.spool import spool
from gatebridge.errors import WsgiAppError
from gatebridge.types import HTTPSendMessage, Scope, WSGIApplication, WSGIEnvironment

_logger = logging.getLogger("gatebridge")


class WorkerJob(WsgiCall):
    """What a worker does for one request, and what it shares with the event loop.

    A response that is whole when the application returns is left in `whole`. Only what takes longer
    has a channel.

    `WsgiCall` is a base class and not a part, because a part that calls its owner back would form a
    cycle with it. For the same reason the job drops environ and context before it calls the
    application: the environ refers back to the job, and the context may refer to the environ.

    Args:
        app: The application.
        environ: What to call it with, but for what is added here: ``wsgi.early_hints``,
            ``gatebridge.disconnected``, and the body and length of a spooled request.
        scope: The request's.
        settings: Those of the adapter.
        loop: The handle of the event loop that takes the response.
        sends: Set when the loop's side is to look again.

    Attributes:
        body: The request's body, where it is streamed or spooled; None if the environ has it.
        spool_bytes: How much of a body to be spooled may stay in memory; None if it is not to be
            spooled.
        called: Whether the application was called.
        done: Whether the worker has ended.
        ended: Whether the ASGI call has ended.
        errors: What the job has raised, at most one. A list, because `pop` is atomic: the loop's
            side and the worker may both be about to log an error that was not raised.
    """

    __slots__ = (
        "_app",
        "_context",
        "_environ",
        "_lock",
        "_loop",
        "_sends",
        "body",
        "called",
        "done",
        "ended",
        "errors",
        "spool_bytes",
    )

    def __init__(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        scope: Scope,
        settings: Settings,
        loop: LoopHandle,
        sends: Signal,
    ) -> None:
        WsgiCall.__init__(self, scope, settings)
        self._app = app
        self._loop = loop
        self._sends = sends
        self._environ: WSGIEnvironment | None = environ
        self._context: Context | None = context_for_thread()
        self._lock = threading.RLock()  # of the channel; guards also `channel`, `done`, `ended`
        self.body: WsgiInput | None = None
        self.spool_bytes: int | None = None
        self.called = False
        self.done = False
        self.ended = False
        self.errors: list[BaseException] = []

    def __str__(self) -> str:
        return request_line(self._scope["method"], self._scope["path"])

    def open_channel(self) -> ResponseChannel:
        """Return the channel, made by the first side that needs it."""
        with self._lock:
            channel = self.channel
            if channel is None:
                settings = self._settings
                channel = self.channel = ResponseChannel(
                    settings.window_bytes, self._lock, self._sends.set_soon, settings.pool.waiting
                )
                if self.whole is not None:
                    channel.put_whole(self.whole)
                    channel.delivered = not self.whole
                    self.whole = ()
                if self.done:
                    channel.worker_done()
                if self.ended:
                    channel.call_ended()
            return channel

    def send_whole(self, messages: Sequence[HTTPSendMessage]) -> None:
        """Hand over a whole response now: ``close()`` may take long, and the client not wait."""
        with self._lock:
            channel = self.channel
            if channel is None:
                self.whole = messages
        if channel is not None:
            channel.put_whole(messages)
        elif not self._loop.call_soon(self._sends.set):
            self.open_channel().loop_ended()

    def take_whole(self) -> Sequence[HTTPSendMessage]:
        """Return the messages of a whole response, once, unless they go through the channel."""
        with self._lock:
            messages = self.whole
            if not messages or self.channel is not None:
                return ()
            self.whole = ()
            return messages

    def watched_channel(self) -> ResponseChannel:
        """Return the channel, which from now on notices a departure as soon as it can."""
        channel = self.open_channel()
        if channel.client is HERE:
            channel.watch()
            if self._loop.is_closed():
                channel.loop_ended()
        return channel

    def __call__(self) -> Callable[[], object]:
        """Run the application; return what is to be called when the worker is free again."""
        environ, self._environ = self._environ, None
        channel = self.channel
        try:
            assert environ is not None
            if self._loop.is_closed():  # perhaps while this waited for a thread
                self.open_channel().loop_ended()
            elif channel is None or channel.client < CLOSED:
                environ["gatebridge.disconnected"] = DepartureFlag(self)
                # Only what the server offers (A-CORE-14).
                hints = "http.response.early_hint" in self._extensions
                if hints and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
                    environ["wsgi.early_hints"] = self.early_hints
                context, self._context = self._context, None
                assert context is not None
                if self.spool_bytes is None:
                    self.called = True
                    context.run(self.run, self._app, environ, self.body)
                else:
                    self._run_spooled(context, environ, self.spool_bytes)
        except Exception as exc:  # noqa: BLE001 - raised by the ASGI call
            self.errors.append(_wrapped(exc) if isinstance(exc, StopIteration) else exc)
        except BaseException as exc:  # noqa: BLE001 - it must not end the server (D-28)
            self.errors.append(_wrapped(exc))
        if self.close_error is not None:
            error, self.close_error = self.close_error, None
            if not wsgi_app_lost_client(error):
                _logger.error("%s: close() failed after another error", self, exc_info=error)
            del error  # no cycle through the traceback's frames
        if self.errors and self.ended:  # before the pool says that the worker is free
            self.log_lost_error()
        return self._finish

    def _run_spooled(self, context: Context, environ: WSGIEnvironment, memory_bytes: int) -> None:
        """Read the whole body, then run the application with it, unless the client has left."""
        assert self.body is not None
        file, length = spool(self.body, memory_bytes)
        try:
            channel = self.channel
            if channel is None or channel.client < CLOSED:
                environ["wsgi.input"] = file
                self.declare(environ, length)
                self.called = True
                context.run(self.run, self._app, environ, None)
        finally:
            file.close()

    def declare(self, environ: WSGIEnvironment, length: int) -> None:
        """Set the length of a body that was received as a whole, if the request has one (D-13)."""
        if length or any(
            name.lower() == b"transfer-encoding" for name, _ in self._scope.get("headers") or ()
        ):
            environ["CONTENT_LENGTH"] = str(length)

    def _finish(self) -> None:
        """Hand over the end of the response."""
        with self._lock:
            self.done = True
            channel = self.channel
        if channel is None:
            lost = not self._loop.call_soon(self._sends.set)
        else:
            channel.worker_done(self.whole or ())
            lost = channel.client is LOST
        if lost and not self.ended:
            _logger.info("%s: the event loop has ended", self)
        if self.errors and (lost or self.ended or self._loop.is_closed()):
            self.log_lost_error()

    def withdrawn(self) -> None:
        """Record that no worker does this job."""
        channel = self.open_channel()
        self.done = True
        channel.worker_done()

    def call_ended(self) -> None:
        """Record that the ASGI call takes and sends nothing more."""
        with self._lock:
            self.ended = True
            if self.channel is not None:
                self.channel.call_ended()

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
