"""The names and arguments of a2wsgi, asgiref and Starlette, for code that was written for those.

Behind the names are `gatebridge.WsgiToAsgi` and `gatebridge.AsgiToWsgi`, with their default
arguments where a name here has none for them; new code should use those. The how-to guides on
migrating say what differs.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Iterable
from typing import Any

import anyio

from gatebridge._arguments import require_int
from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._concurrency.given_loop import GivenLoop
from gatebridge._concurrency.loop_use import LoopUse
from gatebridge._concurrency.own_thread import refuse_loop_thread
from gatebridge._concurrency.per_process import current_process
from gatebridge._concurrency.pool import WorkerPool
from gatebridge._lifespan.as_server import LifespanMode
from gatebridge._translate.environ import environ_from_scope
from gatebridge._translate.text import request_line
from gatebridge._wrong_server import for_wsgi_servers
from gatebridge._wsgi_on_asgi.adapter import WsgiToAsgi as _WsgiToAsgi
from gatebridge.errors import UnavailableError
from gatebridge.types import (
    ASGIApplication,
    InputStream,
    Message,
    OptExcInfo,
    Receive,
    Scope,
    Send,
    StartResponse,
    Write,
    WSGIApplication,
    WSGIEnvironment,
)

__all__ = ["ASGIMiddleware", "ASGIResponder", "WSGIMiddleware", "WsgiToAsgi", "build_environ"]

_logger = logging.getLogger("gatebridge")

_LAST = ("http.response.body", "http.response.pathsend")  # unless there is more_body


class ASGIMiddleware(AsgiToWsgi):
    """``a2wsgi.ASGIMiddleware``: a WSGI application that serves an ASGI application.

    Nothing starts when it is made; the event loop does at the first request, or when `loop` is
    asked for. A forked child has a loop of its own, unless the loop was given.

    Args:
        app: The ASGI 3 application.
        wait_time: For how many seconds the application may go on after its response, before it is
            cancelled. None for any time. The server's thread does not wait for it.
        loop: Use this event loop, of asyncio's kind. Another thread runs it, now or soon; it is
            neither stopped nor closed. Anything false for the process's background loop.
        lifespan: As for `AsgiToWsgi`. None is ``"auto"``, but ``"off"`` if a loop is given, or
            `loop` is asked for before the first request: code that does so runs the lifespan there
            itself.

    Attributes:
        app: The application; another one may be put here, for the requests to come.
        wait_time: As given; it may be changed.

    Raises:
        TypeError: ``app`` is not an ASGI 3 application.
        ValueError: ``lifespan`` is none of the words.

    Source: a2wsgi 1.10.
    """

    def __init__(
        self,
        app: ASGIApplication,
        wait_time: float | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        lifespan: LifespanMode | None = None,
    ) -> None:
        super().__init__(app, lifespan=lifespan or ("off" if loop else "auto"))
        self.wait_time = wait_time
        self._loop = loop or None
        self._lifespan_is_undecided = lifespan is None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the requests run on, for `asyncio.run_coroutine_threadsafe`.

        Raises:
            LifespanError: The application, which had to start with the loop, did not.
            UnavailableError: The adapter was closed.
        """
        if self._loop is not None:
            return self._loop
        session = self._processes.get().session
        if session is None or not session.is_open():
            if session is None and self._lifespan_is_undecided:
                self._lifespan = "off"
            session = self._start(reopen=False)
        loop: asyncio.AbstractEventLoop = session.portal.handle.loop
        return loop

    @for_wsgi_servers("give others the ASGI application")
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request; see `AsgiToWsgi`."""

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
        ) -> Write:
            return start_response(status, headers, exc_info)  # some demand all three

        return super().__call__(environ, start)

    def _loop_use(self) -> LoopUse:
        if self._loop is None:
            return super()._loop_use()
        if self._process is not current_process():
            raise UnavailableError(
                "loop", "made in the process that this one was forked from; make it after the fork"
            )
        return GivenLoop(self._loop, self._startup_timeout)

    def _refuse_own_thread(self) -> None:
        if self._loop is None:
            super()._refuse_own_thread()
        else:
            refuse_loop_thread(self._loop)

    def _application(self) -> ASGIApplication:
        # Bound, so that this object, and with it the session, lasts as long as its requests.
        return self._serve

    def _serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self.wait_time is None:
            return self.app(scope, receive, send)
        return self._serve_and_cancel(scope, receive, send, self.wait_time)

    async def _serve_and_cancel(
        self, scope: Scope, receive: Receive, send: Send, seconds: float
    ) -> None:
        async def send_and_see(message: Message) -> None:
            await send(message)
            if message["type"] in _LAST and not message.get("more_body"):
                cancel.deadline = anyio.current_time() + seconds

        with anyio.CancelScope() as cancel:
            await self.app(scope, receive, send_and_see)
        if cancel.cancelled_caught:
            request = request_line(scope.get("method", scope["type"]), scope["path"])
            _logger.info("%s: cancelled %g seconds after the response", request, seconds)


class ASGIResponder(ASGIMiddleware):
    """``a2wsgi.asgi.ASGIResponder``: one request on a given loop, without a lifespan.

    Args:
        app: As for `ASGIMiddleware`, like the others.
        loop: The event loop.
        wait_time: In seconds.

    Source: a2wsgi 1.10.
    """

    def __init__(
        self,
        app: ASGIApplication,
        loop: asyncio.AbstractEventLoop | None,
        wait_time: float | None = None,
    ) -> None:
        super().__init__(app, wait_time, loop, lifespan="off")


class WSGIMiddleware(_WsgiToAsgi):
    """``WSGIMiddleware`` of a2wsgi, Starlette and Uvicorn: serves a WSGI application.

    Args:
        app: The WSGI application.
        workers: How many calls may run at a time. Threads start on demand, whatever the number.
        send_queue_size: Accepted and ignored: what waits for a client is bounded in bytes.

    Attributes:
        app: The application; another one may be put here, for the requests to come.
        executor: The threads; has ``shutdown()``.
        send_queue_size: As given.

    Raises:
        TypeError: ``app`` is not a WSGI application, or ``workers`` is not an ``int``.
        ValueError: ``workers`` is less than 1.

    Source: a2wsgi 1.10; Starlette 1.10; Uvicorn 0.54.
    """

    def __init__(self, app: WSGIApplication, workers: int = 10, send_queue_size: int = 10) -> None:
        require_int(1, workers=workers)
        super().__init__(app, threads=workers)
        self.send_queue_size = send_queue_size
        self.executor = _Executor(self._pool, self._shutdown_timeout)


class _Executor:
    """What there is of `concurrent.futures.ThreadPoolExecutor` in `WSGIMiddleware.executor`."""

    def __init__(self, pool: WorkerPool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as it is there
        """Take no more requests, which are answered 503, and end the threads.

        Args:
            wait: Whether to wait until the requests that were taken are served, for 30 seconds
                at most.
            cancel_futures: Accepted and ignored: a request that was taken is served.
        """
        for request in self._pool.close(self._timeout if wait else 0):
            if wait:
                _logger.warning(
                    "still running %g seconds after shutdown() began, abandoned: %s",
                    self._timeout,
                    request,
                )


class WsgiToAsgi(_WsgiToAsgi):
    """``asgiref.wsgi.WsgiToAsgi``: an ASGI application that serves a WSGI application.

    Args:
        wsgi_application: The WSGI application.
        duplicate_header_limit: How often a header may come in a request. More often, and the answer
            is 400. 0 or None for any number.

    Attributes:
        duplicate_header_limit: As given.

    Raises:
        TypeError: ``wsgi_application`` is not a WSGI application, or ``duplicate_header_limit``
            is not an ``int``.
        ValueError: ``duplicate_header_limit`` is less than 0.

    Source: asgiref 3.13.
    """

    def __init__(
        self, wsgi_application: WSGIApplication, duplicate_header_limit: int | None = 100
    ) -> None:
        super().__init__(wsgi_application, duplicate_header_limit=duplicate_header_limit or None)
        self.duplicate_header_limit = duplicate_header_limit

    @property
    def wsgi_application(self) -> WSGIApplication:
        """The application; another one may be put here, for the requests to come."""
        return self.app

    @wsgi_application.setter
    def wsgi_application(self, application: WSGIApplication) -> None:
        self.app = application


def build_environ(scope: Scope, body: bytes | InputStream) -> dict[str, Any]:
    """``starlette.middleware.wsgi.build_environ``: the environ for a scope and a whole body.

    Args:
        scope: Of type ``"http"``.
        body: All bytes of the request's body; or, as a2wsgi's function has it, a binary file.

    Returns:
        A new environ, with the scope itself in ``environ["asgi.scope"]``.

    Raises:
        RequestError: As `gatebridge.environ_from_scope`.
        HostError: As `gatebridge.environ_from_scope`.

    Source: Starlette 1.10; a2wsgi 1.10.
    """
    file = io.BytesIO(body) if isinstance(body, bytes) else body
    return environ_from_scope(scope, body=file)
