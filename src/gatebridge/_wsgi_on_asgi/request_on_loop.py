"""One HTTP request of `WsgiToAsgi`, from the first `receive` to the last `send`.

Two parties meet here: the ASGI call, which receives, sends and watches for the client's departure,
and one worker thread, in which the application runs (`WsgiCall`). Response messages go from the
worker to the loop through a `ResponseChannel`; a body that is not at hand at once goes the other
way through a `WsgiInput`; a body to be spooled is read from there by the worker, before it calls
the application. Whatever happens, the worker's last act is `finish`, and the call's last act is to
release both.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

import anyio

from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._concurrency.pool import PoolClosed, PoolFull, WorkerPool
from gatebridge._concurrency.thread_context import context_for_thread
from gatebridge._protocol.order import HEAD
from gatebridge._protocol.presence import CLOSED, HERE, LOST
from gatebridge._translate.disconnects import send_lost_client, wsgi_app_lost_client
from gatebridge._translate.text import request_line
from gatebridge._wsgi_on_asgi.call_in_thread import WsgiCall
from gatebridge._wsgi_on_asgi.departure import DepartureFlag
from gatebridge._wsgi_on_asgi.input import WsgiInput, broken_by, promised_body, receive_part
from gatebridge._wsgi_on_asgi.notices import Notices
from gatebridge._wsgi_on_asgi.refusal import send_refusal
from gatebridge._wsgi_on_asgi.response_channel import ALL, LAST, ResponseChannel
from gatebridge._wsgi_on_asgi.spool import spool
from gatebridge.errors import (
    ClientDisconnected,
    HostError,
    RequestError,
    WsgiAppError,
)
from gatebridge.types import (
    Receive,
    Scope,
    Send,
    WSGIApplication,
    WSGIEnvironment,
)

_logger = logging.getLogger("gatebridge")

# How long a request may wait for a thread, and how long it may run, before its client is watched.
# To watch costs a task, which nearly all requests can do without.
_UNWATCHED_QUEUED_SECONDS = 0.02
_UNWATCHED_SECONDS = 0.1
_SPOOLED_BYTES = 1073741824  # how many bytes to spool at most, if no limit was set, as in Waitress
_RETRY_AFTER = (b"retry-after", b"1")  # seconds


class Limits(NamedTuple):
    """What one request may take.

    Attributes:
        window_bytes: How much of a body may be on its way, in each direction.
        max_body_size: The largest request body in bytes, or None.
        spool_bodies: Whether to receive a body of undeclared length before the application is
            called.
    """

    window_bytes: int
    max_body_size: int | None
    spool_bodies: bool


class AsgiRequest:
    """The state of one request, shared by the ASGI call and its worker; the worker's job.

    Args:
        app: The application.
        environ: Complete but for ``wsgi.input``, a computed length, ``wsgi.early_hints`` and
            ``gatebridge.disconnected``.
        pool: Where the application runs.
        limits: What the request may take.
        scope: As the server gave it, like ``receive`` and ``send``.
        server_sends_files: Whether to use the server's own ways to send a file.
        notices: Where to log what was put right in the application's responses.
    """

    __slots__ = (
        "_app",
        "_call",
        "_called",
        "_channel",
        "_context",
        "_environ",
        "_errors",
        "_extensions",
        "_failure",
        "_input",
        "_left",
        "_limits",
        "_loop",
        "_pool",
        "_queued",
        "_receive",
        "_receives",
        "_scope",
        "_send",
        "_sends",
        "_spools",
        "_watches",
    )

    def __init__(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        pool: WorkerPool,
        limits: Limits,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        server_sends_files: bool,
        notices: Notices,
    ) -> None:
        self._app = app
        self._environ = environ
        self._pool = pool
        self._limits = limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._loop = current_loop()
        self._sends = self._loop.new_signal()  # there is something to send, or the worker is done
        self._receives = self._loop.new_signal()  # there is a reason to receive
        self._queued = False  # it had to wait for a thread
        self._called = False  # the application was
        self._watches = False  # there is a reason to receive after the body
        self._channel = ResponseChannel(limits.window_bytes, self._sends.set_soon, pool.waiting)
        self._input: WsgiInput | None = None  # if the body was not at hand as a whole
        self._spools = False  # the worker reads all of it before it calls the application
        self._extensions: Mapping[str, Any] = scope.get("extensions") or {}
        files = self._extensions if server_sends_files else ()
        self._call = WsgiCall(self._channel, scope, files, notices)
        self._context = context_for_thread()
        self._errors: list[BaseException] = []  # what the worker raised: at most one
        self._failure: BaseException | None = None  # what the server's callables raised
        self._left = False  # the ASGI call has ended, or is about to

    def __str__(self) -> str:
        return request_line(self._scope["method"], self._scope["path"])

    # --- on the event loop ------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the request, and log what ended it, unless the server got a whole response.

        Raises:
            HostError: ``receive`` gave something else than the specification allows.
            BaseException: What the application raised; or what ``receive`` or ``send`` raised,
                unless it says that the client left.
        """
        try:
            await self._serve()
        except Exception as exc:
            phase = "after" if self._call.stage > HEAD else "before"
            name = type(exc).__qualname__  # the server logs the rest
            _logger.info("%s: %s %s the response had begun", self, name, phase)
            raise
        except BaseException:
            _logger.info("%s: cancelled", self)
            raise

    async def _serve(self) -> None:
        try:
            if not await self._receive_first():
                self._log_departure()
                return
            starts_now = self._pool.submit(self)
        except RequestError as exc:
            await send_refusal(self._scope, self._send, exc.status, str(exc))
            return
        except (PoolFull, PoolClosed) as exc:
            full = isinstance(exc, PoolFull)
            reason = "too many requests are waiting" if full else "shutting down"
            await send_refusal(self._scope, self._send, 503, reason, _RETRY_AFTER)
            return
        try:
            # Nearly every request: the body is here, and the response soon comes in one piece.
            done = False
            if not starts_now:
                self._queued = self._watches = True
            if self._input is None or self._input.complete:
                await self._sends.wait(
                    _UNWATCHED_SECONDS if starts_now else _UNWATCHED_QUEUED_SECONDS
                )
                done = await self._send_response(if_complete=True)
            if not done:
                async with anyio.create_task_group() as group:
                    group.start_soon(_without_traceback, self._receive_rest)
                    await self._send_response()
                    group.cancel_scope.cancel()
            if self._errors or self._channel.presence >= CLOSED:
                await self._conclude()
        finally:
            self._leave()

    async def _receive_first(self) -> bool:
        """Take what is there of the body before the thread hop; False if the client has left."""
        environ, (window_bytes, max_size, spool_bodies) = self._environ, self._limits
        length, on_demand = promised_body(environ, max_size)
        self._spools = spool_bodies and length is None
        if self._spools and max_size is None:
            max_size = _SPOOLED_BYTES
        part = None
        if not on_demand:
            part = await receive_part(self._receive)
            if part is None:
                return False
            body, more_body = part
            whole = not more_body and (length is None or length == len(body))
            if whole and (max_size is None or len(body) <= max_size):
                if self._spools:
                    self._spools = False
                    self._declare(environ, len(body))
                environ["wsgi.input"] = io.BytesIO(body)
                return True
        self._input = environ["wsgi.input"] = WsgiInput(
            length=length,
            max_size=max_size,
            window_bytes=window_bytes,
            on_demand=on_demand,
            wake=self._receives.set_soon,
            waiting=self._pool.waiting,
            request=str(self),
        )
        if part is not None:
            self._input.feed(part[0], more_body=part[1])
        return True

    async def _send_response(  # noqa: C901 - a call for each message costs
        self, *, if_complete: bool = False
    ) -> bool:
        """Send messages until the worker is done.

        Args:
            if_complete: Return when the response turns out to stream, or to take longer, so that
                the client is to be watched.

        Returns:
            Whether the worker is done.
        """
        channel = self._channel
        while True:
            messages, finished = channel.take()
            for message in messages:
                if channel.presence >= CLOSED:
                    break
                try:
                    await self._send(message)
                except Exception as exc:  # noqa: BLE001 - raised when the worker is done
                    if send_lost_client(exc):
                        self._disconnect()
                    else:
                        self._fail(exc)
            if finished:
                return True
            if channel.has < ALL and (messages or if_complete):
                self._watches = True
                if self._call.stage > HEAD and self._input is not None:
                    self._input.release()
            if if_complete and self._watches:
                return False
            if not messages:
                await self._sends.wait()

    async def _receive_rest(self) -> None:
        """Receive the body as the application reads it, then watch for the client's departure."""
        body = self._input
        try:
            if body is not None and not await body.feed_from(self._receive, self._receives.wait):
                self._hear_of_departure()
                return
        except Exception as exc:  # noqa: BLE001 - raised when the worker is done
            self._fail(exc)
            return
        try:
            if await receive_part(self._receive) is None:
                self._hear_of_departure()
            # Some hosts repeat the last message of the body. They do not tell of a departure.
        except HostError as exc:
            self._fail(exc)
        except Exception:
            _logger.exception("%s: receive() failed, so that a departure goes unnoticed", self)

    async def _conclude(self) -> None:
        """Raise what there is to raise; answer what there is to answer."""
        error, self._failure = self._failure, None
        if error is None and self._errors:
            error = self._errors.pop()
        try:
            if self._channel.presence >= CLOSED and (error is None or wsgi_app_lost_client(error)):
                self._log_departure(error)
            elif isinstance(error, RequestError) and self._call.stage <= HEAD:
                await send_refusal(self._scope, self._send, error.status, str(error))
            elif error is not None:
                raise error
        finally:
            del error  # no cycle through the traceback's frames

    def _log_departure(self, error: BaseException | None = None) -> None:
        if not self._called:
            _logger.info("%s: the client left before the application was called", self)
            return
        own = error is not None and type(error) is not ClientDisconnected
        what = f"; the application raised {type(error).__qualname__}" if own else ""
        _logger.info("%s: the client left before the end of the response%s", self, what)

    def _hear_of_departure(self) -> None:
        if not self._channel.delivered:
            self._disconnect()
            return
        self._channel.depart()  # a client that has its response may leave
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))

    def _disconnect(self) -> None:
        """The client is gone: nothing more is sent, and the application's next step notices."""
        self._channel.close()
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))
        if self._queued and self._pool.withdraw(self):
            self._channel.finish()

    def _fail(self, error: Exception) -> None:
        """The server's own callable failed: as if the client were gone, but raised at the end."""
        self._failure = self._failure or error
        if self._input is not None:
            self._input.abort(broken_by(error))
        self._disconnect()

    def _leave(self) -> None:
        """End the ASGI call's part, whether the worker is done or not (cancellation)."""
        self._left = True
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input", "the request is over"))
        self._channel.leave()
        if self._channel.has is not LAST:
            self._disconnect()
        elif self._watches:  # looked at after the flags were set, so that nobody waits unseen
            self._channel.close()
        if self._errors:
            self._log_lost_error()

    # --- in the worker's thread -------------------------------------------------------------------

    def __call__(self) -> Callable[[], object]:
        """Run the application; the job of a worker."""
        environ = self._environ
        del self._environ  # it leads back here by what is now put into it
        try:
            if self._queued and self._loop.is_closed():  # while this waited for a thread
                self._channel.lose()
            elif self._channel.presence < CLOSED:
                environ["gatebridge.disconnected"] = DepartureFlag(self._channel, self._watch)
                hints = "http.response.early_hint" in self._extensions
                if hints and environ["SERVER_PROTOCOL"] != "HTTP/1.0":
                    environ["wsgi.early_hints"] = self._call.early_hints
                if self._spools:
                    self._run_spooled(environ)
                else:
                    self._run(environ, self._input)
        except Exception as exc:  # noqa: BLE001 - raised by the ASGI call
            self._errors.append(_wrapped(exc) if isinstance(exc, StopIteration) else exc)
        except BaseException as exc:  # noqa: BLE001 - it must not end the server (D-28)
            self._errors.append(_wrapped(exc))
        if self._call.close_error is not None:
            error, self._call.close_error = self._call.close_error, None
            if not wsgi_app_lost_client(error):
                _logger.error("%s: close() failed after another error", self, exc_info=error)
            del error  # no cycle through the traceback's frames
        if self._left:
            self._log_lost_error()
        return self._finish

    def _run(self, environ: WSGIEnvironment, body: WsgiInput | None) -> None:
        self._called = True
        self._context.run(self._call.run, self._app, environ, body)

    def _run_spooled(self, environ: WSGIEnvironment) -> None:
        """Read the whole body, then run the application with it, unless the client has left."""
        assert self._input is not None
        file, length = spool(self._input, self._limits.window_bytes)
        try:
            if self._channel.presence < CLOSED:
                environ["wsgi.input"] = file
                self._declare(environ, length)
                self._run(environ, None)
        finally:
            file.close()

    def _declare(self, environ: WSGIEnvironment, length: int) -> None:
        """Set the length of a spooled body, if the request has one (D-13)."""
        if length or any(
            name.lower() == b"transfer-encoding" for name, _ in self._scope.get("headers") or ()
        ):
            environ["CONTENT_LENGTH"] = str(length)

    def _finish(self) -> None:
        """Hand over the end; the worker's last act."""
        self._channel.finish(self._call.whole)
        if self._channel.presence is LOST and not self._left:
            _logger.info("%s: the event loop has ended", self)
        if (
            self._left
            or self._channel.presence is LOST
            or (self._errors and self._loop.is_closed())
        ):
            self._log_lost_error()

    def _watch(self) -> None:
        """Watch for the client's departure from now on, if nobody does."""
        if self._channel.presence is not HERE:
            return
        if not self._watches:
            self._watches = True
            self._sends.set_soon()
        if self._loop.is_closed():
            self._channel.lose()

    def _log_lost_error(self) -> None:
        """Log what the application raised when there is nobody left to raise it to."""
        try:
            error = self._errors.pop()
        except IndexError:
            return
        if not wsgi_app_lost_client(error):
            _logger.error("%s: failed after its request had ended", self, exc_info=error)


async def _without_traceback(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Make a call, and let its cancellation out without the frames that it has come through.

    For asyncio anyio keeps a task's cancellation in a cycle. What these frames know, the whole
    request, would stay with it until the collector of cycles runs.
    """
    call = function()
    del function  # it has the request, and this frame is in the cycle
    try:
        await call
    except Exception:
        raise
    except BaseException as exc:  # noqa: BLE001 - raised again
        raise exc.with_traceback(None)  # noqa: B904 - from itself


def _wrapped(exc: BaseException) -> WsgiAppError:
    error = WsgiAppError("application", f"raised {type(exc).__name__}, which may not leave it")
    error.__cause__ = exc
    return error
