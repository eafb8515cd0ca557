"""One HTTP request of `WsgiToAsgi` on the event loop, from `receive` to `send`.

Two parties meet here: this, the ASGI call, and the worker's job, which runs the application in its
thread. Nearly every request takes the short way in `AsgiRequest.run`: the body comes as one
message, and soon after it a whole response. Otherwise messages go from the worker to the loop
through a `ResponseChannel`, and a body of several messages the other way through a `WsgiInput`. The
worker's last act is to record that it is done, the call's last act to end both.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._concurrency.pool import PoolClosed, PoolFull
from gatebridge._concurrency.signals import Signal
from gatebridge._protocol.order import HEAD
from gatebridge._protocol.presence import CLOSED
from gatebridge._translate.disconnects import send_lost_client, wsgi_app_lost_client
from gatebridge._wsgi_on_asgi.input import WsgiInput, broken_by, promised_body, receive_part
from gatebridge._wsgi_on_asgi.job_in_thread import WorkerJob
from gatebridge._wsgi_on_asgi.refusal import send_refusal
from gatebridge._wsgi_on_asgi.response_channel import WHOLE, ResponseChannel
from gatebridge._wsgi_on_asgi.settings import Settings
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


class AsgiRequest:
    """The ASGI call of one request: it receives, sends, and watches for the client's departure.

    Args:
        app: The application.
        environ: Complete but for ``wsgi.input``, and for what `WorkerJob` adds.
        scope: As the server gave it, like ``receive`` and ``send``.
        settings: Those of the adapter.
    """

    __slots__ = (
        "_failure",
        "_input",
        "_job",
        "_queued",
        "_receive",
        "_receives",
        "_scope",
        "_send",
        "_sends",
        "_settings",
    )

    def __init__(
        self,
        app: WSGIApplication,
        environ: WSGIEnvironment,
        scope: Scope,
        receive: Receive,
        send: Send,
        settings: Settings,
    ) -> None:
        loop = current_loop()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._settings = settings
        self._sends = loop.new_signal()  # there is something to send, or the worker is done
        self._job = WorkerJob(app, environ, scope, settings, loop, self._sends)
        self._receives: Signal | None = None  # there is a reason to receive; with `_input`
        self._input: WsgiInput | None = None  # if the body did not come as one message
        self._queued = False  # the job had to wait for a thread
        self._failure: BaseException | None = None  # what the server's callables raised

    def __str__(self) -> str:
        return str(self._job)

    # --- on the event loop ------------------------------------------------------------------------

    async def run(  # noqa: C901 - each call costs, on the path of every request
        self, environ: WSGIEnvironment
    ) -> None:
        """Serve the request, and log what ended it, unless the server got a whole response.

        Args:
            environ: As given.

        Raises:
            HostError: ``receive`` gave something else than the specification allows.
            BaseException: What the application raised; or what ``receive`` or ``send`` raised,
                unless it says that the client left.
        """
        job = self._job
        try:
            try:
                length, on_demand = promised_body(environ, self._settings.max_body_size)
                part = None
                if not on_demand:
                    part = await receive_part(self._receive)
                    if part is None:
                        self._log_departure()
                        return
                self._accept(environ, length, part)
                part = None  # it is the application's now
                self._queued = not self._settings.pool.submit(job)
            except (RequestError, PoolFull, PoolClosed) as exc:
                await self._refuse(exc)
                return
            try:
                if self._input is None or self._input.complete:  # the short way
                    await self._sends.wait(
                        _UNWATCHED_QUEUED_SECONDS if self._queued else _UNWATCHED_SECONDS
                    )
                    if await self._send_whole():
                        while not job.done and job.channel is None:  # the worker is in close()
                            await self._sends.wait()
                # In this order: once the job is done, nothing becomes whole.
                if not job.done or job.whole or job.channel is not None:
                    await self._send_as_it_comes()
                if job.errors or job.channel is not None:
                    await self._conclude()
            finally:
                self._leave()
        except Exception as exc:
            phase = "after" if job.stage > HEAD else "before"
            name = type(exc).__qualname__  # the server logs the rest
            _logger.info("%s: %s %s the response had begun", self, name, phase)
            raise
        except BaseException:
            _logger.info("%s: cancelled", self)
            raise

    async def _refuse(self, why: RequestError | PoolFull | PoolClosed) -> None:
        """Answer a request that the application does not get."""
        scope, send = self._scope, self._send
        if isinstance(why, RequestError):
            await send_refusal(scope, send, why.status, str(why))
        elif isinstance(why, PoolFull):
            await send_refusal(scope, send, 503, "too many requests are waiting", _RETRY_AFTER)
        else:
            await send_refusal(scope, send, 503, "shutting down", _RETRY_AFTER)

    def _accept(
        self, environ: WSGIEnvironment, length: int | None, part: tuple[bytes, bool] | None
    ) -> None:
        """Set ``wsgi.input``: a file in memory if the first part is the whole body, or a stream."""
        job, settings = self._job, self._settings
        max_size = settings.max_body_size
        spools = settings.spool_bodies and length is None
        if spools and max_size is None:
            max_size = _SPOOLED_BYTES
        if part is not None:
            body, more_body = part
            whole = not more_body and (length is None or length == len(body))
            if whole and (max_size is None or len(body) <= max_size):
                if spools:
                    job.declare(environ, len(body))
                environ["wsgi.input"] = io.BytesIO(body)
                return
        if spools:
            job.spool_bytes = settings.window_bytes
        self._receives = current_loop().new_signal()
        self._input = job.body = environ["wsgi.input"] = WsgiInput(
            length=length,
            max_size=max_size,
            window_bytes=settings.window_bytes,
            on_demand=part is None,
            wake=self._receives.set_soon,
            waiting=settings.pool.waiting,
            request=str(self),
        )
        if part is not None:
            self._input.feed(part[0], more_body=part[1])

    async def _send_whole(self) -> bool:
        """Send a whole response without a channel; return False if there is none yet."""
        messages = self._job.take_whole()
        try:
            for message in messages:
                await self._send(message)
        except Exception as exc:  # noqa: BLE001 - raised when the worker is done
            self._send_failed(exc)
        return bool(messages)

    async def _send_as_it_comes(self) -> None:
        """Send what there is, until the worker is done; watch for a departure if it takes long."""
        channel = self._job.open_channel()
        done = False
        if self._input is None or self._input.complete:
            done = await self._send_response(channel, if_complete=True)
        if not done:
            async with anyio.create_task_group() as group:
                group.start_soon(_without_traceback, self._receive_rest)
                await self._send_response(channel)
                group.cancel_scope.cancel()

    async def _send_response(self, channel: ResponseChannel, *, if_complete: bool = False) -> bool:
        """Send messages until the worker is done.

        Args:
            channel: The job's.
            if_complete: Return when the response turns out to stream, or to take longer, so that
                the client is to be watched.

        Returns:
            Whether the worker is done.
        """
        while True:
            messages, finished = channel.take()
            for message in messages:
                if channel.client >= CLOSED:
                    break
                try:
                    await self._send(message)
                except Exception as exc:  # noqa: BLE001 - raised when the worker is done
                    self._send_failed(exc)
            if finished:
                return True
            if channel.progress < WHOLE and (messages or if_complete):
                channel.watched = True
                if self._job.stage > HEAD and self._input is not None:
                    self._input.release()
            if if_complete and channel.watched:
                return False
            if not messages:
                await self._sends.wait()

    async def _receive_rest(self) -> None:
        """Receive the body as the application reads it, then watch for the client's departure."""
        body, wanted = self._input, self._receives
        try:
            if (
                body is not None
                and wanted is not None
                and not await body.feed_from(self._receive, wanted.wait)
            ):
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
        job = self._job
        closed = job.channel is not None and job.channel.client >= CLOSED
        error, self._failure = self._failure, None
        if error is None and job.errors:
            error = job.errors.pop()
        try:
            if closed and (error is None or wsgi_app_lost_client(error)):
                self._log_departure(error)
            elif isinstance(error, RequestError) and job.stage <= HEAD:
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
        channel = self._job.open_channel()
        if not channel.delivered:
            self._disconnect()
            return
        channel.client_left()  # a client that has its response may leave
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))

    def _send_failed(self, error: Exception) -> None:
        if send_lost_client(error):
            self._disconnect()
        else:
            self._fail(error)

    def _disconnect(self) -> None:
        """The client is gone: nothing more is sent, and the application's next step notices."""
        self._job.open_channel().drop()
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input"))
        if self._queued:
            self._settings.pool.withdraw(self._job, self._job.withdrawn)

    def _fail(self, error: Exception) -> None:
        """The server's own callable failed: as if the client were gone, but raised at the end."""
        self._failure = self._failure or error
        if self._input is not None:
            self._input.abort(broken_by(error))
        self._disconnect()

    def _leave(self) -> None:
        """End the ASGI call's part, whether the worker is done or not (cancellation)."""
        job = self._job
        if self._input is not None:
            self._input.abort(ClientDisconnected("wsgi.input", "the request is over"))
        job.call_ended()
        if not job.done:
            self._disconnect()
        if job.errors:
            job.log_lost_error()


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
