"""One HTTP request of `WsgiToAsgi` on the event loop, from `receive` to `send`.

Two parties meet here: this, the ASGI call, and the worker's job, which runs the application in its
thread. Response messages go from the worker to the loop through a `ResponseChannel`; a body that
does not come as one message goes the other way through a `WsgiInput`. The worker's last act is to
record in the channel that it is done, the call's last act to end both.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import anyio

from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._concurrency.pool import PoolClosed, PoolFull, WorkerPool
from gatebridge._protocol.order import HEAD
from gatebridge._protocol.presence import CLOSED
from gatebridge._translate.disconnects import send_lost_client, wsgi_app_lost_client
from gatebridge._wsgi_on_asgi.input import WsgiInput, broken_by, promised_body, receive_part
from gatebridge._wsgi_on_asgi.job_in_thread import WorkerJob
from gatebridge._wsgi_on_asgi.notices import Notices
from gatebridge._wsgi_on_asgi.refusal import send_refusal
from gatebridge._wsgi_on_asgi.response_channel import DONE, WHOLE, ResponseChannel
from gatebridge.errors import (
    ClientDisconnected,
    HostError,
    RequestError,
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
    """The ASGI call of one request: it receives, sends, and watches for the client's departure.

    Args:
        app: The application.
        environ: Complete but for ``wsgi.input``, and for what `WorkerJob` adds.
        pool: Where the application runs.
        limits: What the request may take.
        scope: As the server gave it, like ``receive`` and ``send``.
        server_sends_files: Whether to use the server's own ways to send a file.
        notices: Where to log what was put right in the application's responses.
    """

    __slots__ = (
        "_channel",
        "_failure",
        "_input",
        "_job",
        "_limits",
        "_pool",
        "_queued",
        "_receive",
        "_receives",
        "_scope",
        "_send",
        "_sends",
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
        self._pool = pool
        self._limits = limits
        self._scope = scope
        self._receive = receive
        self._send = send
        loop = current_loop()
        self._sends = loop.new_signal()  # there is something to send, or the worker is done
        self._receives = loop.new_signal()  # there is a reason to receive
        self._channel = ResponseChannel(limits.window_bytes, self._sends.set_soon, pool.waiting)
        self._job = WorkerJob(
            app,
            environ,
            scope,
            server_sends_files=server_sends_files,
            channel=self._channel,
            loop=loop,
            notices=notices,
        )
        self._input: WsgiInput | None = None  # if the body did not come as one message
        self._queued = False  # the job had to wait for a thread
        self._failure: BaseException | None = None  # what the server's callables raised

    def __str__(self) -> str:
        return str(self._job)

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
            phase = "after" if self._job.call.stage > HEAD else "before"
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
            starts_now = self._pool.submit(self._job)
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
                self._queued = self._channel.watched = True
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
            if self._job.errors or self._channel.client >= CLOSED:
                await self._conclude()
        finally:
            self._leave()

    async def _receive_first(self) -> bool:
        """Take what is there of the body before the thread hop; False if the client has left."""
        job, (window_bytes, max_size, spool_bodies) = self._job, self._limits
        length, on_demand = promised_body(job.environ, max_size)
        spools = spool_bodies and length is None
        if spools and max_size is None:
            max_size = _SPOOLED_BYTES
        part = None
        if not on_demand:
            part = await receive_part(self._receive)
            if part is None:
                return False
            body, more_body = part
            whole = not more_body and (length is None or length == len(body))
            if whole and (max_size is None or len(body) <= max_size):
                if spools:
                    job.declare(len(body))
                job.environ["wsgi.input"] = io.BytesIO(body)
                return True
        if spools:
            job.spool_bytes = window_bytes
        self._input = job.body = job.environ["wsgi.input"] = WsgiInput(
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
                if channel.client >= CLOSED:
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
            if channel.progress < WHOLE and (messages or if_complete):
                channel.watched = True
                if self._job.call.stage > HEAD and self._input is not None:
                    self._input.release()
            if if_complete and channel.watched:
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
        if error is None and self._job.errors:
            error = self._job.errors.pop()
        try:
            if self._channel.client >= CLOSED and (error is None or wsgi_app_lost_client(error)):
                self._log_departure(error)
            elif isinstance(error, RequestError) and self._job.call.stage <= HEAD:
                await send_refusal(self._scope, self._send, error.status, str(error))
            elif error is not None:
                raise error
        finally:
            del error  # no cycle through the traceback's frames

    def _log_departure(self, error: BaseException | None = None) -> None:
        if not self._job.called:
            _logger.info("%s: the client left before the application was called", self)
            return
        own = error is not None and type(error) is not ClientDisconnected
        what = f"; the application raised {type(error).__qualname__}" if own else ""
        _logger.info("%s: the client left before the end of the response%s", self, what)

    def _hear_of_departure(self) -> None:
        if not self._channel.delivered:
            self._disconnect()
            return
        self._channel.client_left()  # a client that has its response may leave
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))

    def _disconnect(self) -> None:
        """The client is gone: nothing more is sent, and the application's next step notices."""
        self._channel.drop()
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))
        if self._queued and self._pool.withdraw(self._job):
            self._channel.worker_done()

    def _fail(self, error: Exception) -> None:
        """The server's own callable failed: as if the client were gone, but raised at the end."""
        self._failure = self._failure or error
        if self._input is not None:
            self._input.abort(broken_by(error))
        self._disconnect()

    def _leave(self) -> None:
        """End the ASGI call's part, whether the worker is done or not (cancellation)."""
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input", "the request is over"))
        self._channel.call_ended()
        if self._channel.progress is not DONE:
            self._disconnect()
        elif self._channel.watched:  # the application sets it before it waits for the departure
            self._channel.drop()
        if self._job.errors:
            self._job.log_lost_error()


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
