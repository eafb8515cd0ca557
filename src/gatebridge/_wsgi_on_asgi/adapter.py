"""`WsgiToAsgi`: a WSGI application served by an ASGI server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import FunctionType

import anyio.to_thread

from gatebridge._arguments import require_bool, require_int, require_mapping, require_seconds
from gatebridge._concurrency.pool import PoolStatistics, WorkerPool
from gatebridge._detect.interface import require_wsgi
from gatebridge._lifespan.as_application import answer_lifespan
from gatebridge._translate.environ import EnvironMaker
from gatebridge._translate.text import request_line
from gatebridge._wrong_server import for_asgi_servers
from gatebridge._wsgi_on_asgi.errors_stream import WsgiErrors
from gatebridge._wsgi_on_asgi.file_wrapper import FileWrapper
from gatebridge._wsgi_on_asgi.notices import Notices
from gatebridge._wsgi_on_asgi.refusal import refuse_websocket, send_refusal
from gatebridge._wsgi_on_asgi.request_on_loop import AsgiRequest
from gatebridge._wsgi_on_asgi.settings import Settings
from gatebridge.errors import HostError, RequestError
from gatebridge.types import ErrorStream, Receive, Scope, Send, WSGIApplication

_logger = logging.getLogger("gatebridge")


class WsgiToAsgi:
    """An ASGI 3 application that serves a WSGI application.

    For an ASGI server::

        from gatebridge import WsgiToAsgi
        app = WsgiToAsgi(flask_app)
        # uvicorn shop:app

    Each request calls the application once, in one worker thread, with a copy of the request's
    `contextvars` context. Bodies are streamed in both directions through bounded windows. A worker
    that waits for its client does not count against ``threads``.

    The adapter answers the lifespan protocol, and stops the worker threads at its shutdown. Without
    a lifespan everything else works the same. A WebSocket is refused: 501 where the server offers a
    denial response, otherwise 403.

    Args:
        app: The WSGI application. An object whose signature shows that it is not one is refused;
            beyond that, the adapter only calls it.
        threads: Calls that may run at a time; at least 1. With ``threads=1`` and the default
            ``max_threads``, calls never overlap; an application that sends a request to itself
            deadlocks.
        max_threads: Threads that may exist, including those whose clients stall; at least
            ``threads``. None means 1 if ``threads`` is 1, otherwise ``threads`` and 2000 more.
        max_queue: Requests that may wait for a thread, at least 0; further ones are answered 503
            with ``Retry-After: 1``. None for any number.
        idle_timeout: Time without work after which a thread ends, in seconds; at least 0.
        shutdown_timeout: Time that requests may still run at the lifespan's shutdown, in seconds;
            at least 0. Those that run longer are abandoned, and logged.
        window_bytes: The part of a body that may wait between client and application, in bytes, in
            each direction of each request; at least 1. Each block counts with its overhead and
            is never split, and the server may hold about as many bytes again.
        max_body_size: The largest request body in bytes, at least 0; larger ones are answered 413.
            None for any.
        spool_bodies: Whether to receive a request body without a declared length (a chunked upload)
            before calling the application, and to set ``CONTENT_LENGTH``. Django, Bottle, Falcon
            and CherryPy need it: they treat a body without a length as empty, or answer 411.
            ``wsgi.input`` is then a seekable file, in memory up to ``window_bytes``, otherwise a
            temporary file on disk; without a ``max_body_size``, more than 1 GiB is answered 413.
            Bodies with a declared length are still streamed.
        duplicate_header_limit: Times that a header may occur in a request, at least 1; this
            includes ``Cookie``, which HTTP/2 clients may send in parts. A request with more is
            answered 400. None for any number.
        multiprocess: For ``wsgi.multiprocess``: whether another process may serve the same
            application at the same time. Pass False on a single-process server if a debugger, such
            as pyramid_debugtoolbar, needs that.
        environ: Name-value pairs to put into each environ; they replace what the request has under
            the same name. Names that begin with ``wsgi.`` are ignored, with a warning; CGI names
            (without a dot) must have a native string.
        errors: For ``wsgi.errors``; None means ``sys.stderr``, looked up on each write.
        name: For the names of the threads; None means the name of the function, or of the class.
        server_sends_files: Whether the server may send a file itself, with the extensions
            ``http.response.zerocopysend`` and ``http.response.pathsend``. Pass False if middleware
            between the adapter and the server must see the bytes, to compress them for example.

    Attributes:
        app: As given.

    Raises:
        TypeError: ``app`` is not a WSGI application, or an argument is of the wrong type.
        ValueError: A number is out of range.

    Source: PEP 3333; ASGI HTTP 2.5; ASGI lifespan 2.0.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        threads: int = 40,
        max_threads: int | None = None,
        max_queue: int | None = None,
        idle_timeout: float = 10.0,
        shutdown_timeout: float = 30.0,
        window_bytes: int = 262144,
        max_body_size: int | None = None,
        spool_bodies: bool = False,
        duplicate_header_limit: int | None = None,
        multiprocess: bool = True,
        environ: Mapping[str, object] | None = None,
        errors: ErrorStream | None = None,
        name: str | None = None,
        server_sends_files: bool = True,
    ) -> None:
        require_wsgi(app)
        require_int(1, threads=threads, window_bytes=window_bytes)
        if max_threads is None:
            max_threads = 1 if threads == 1 else threads + 2000
        require_int(threads, max_threads=max_threads)
        require_int(1, or_none=True, duplicate_header_limit=duplicate_header_limit)
        require_int(0, or_none=True, max_queue=max_queue, max_body_size=max_body_size)
        require_seconds(idle_timeout=idle_timeout, shutdown_timeout=shutdown_timeout)
        require_mapping(environ=environ)
        require_bool(
            spool_bodies=spool_bodies,
            multiprocess=multiprocess,
            server_sends_files=server_sends_files,
        )
        self.app = app
        self._pool = WorkerPool(
            threads=threads,
            max_threads=max_threads,
            max_queue=max_queue,
            idle_timeout=idle_timeout,
            name=f"gatebridge-{name or _name_of(app)}",
        )
        self._numbers = f"{threads=}, {max_threads=}, {max_queue=}, {max_body_size=}"
        self._shutdown_timeout = shutdown_timeout
        self._duplicate_header_limit = duplicate_header_limit
        self._settings = Settings(
            self._pool, Notices(), window_bytes, max_body_size, spool_bodies, server_sends_files
        )
        self._environ_from = EnvironMaker(
            {
                "wsgi.errors": WsgiErrors(errors),
                "wsgi.multithread": max_threads > 1,
                "wsgi.multiprocess": multiprocess,
                "wsgi.file_wrapper": FileWrapper,
            },
            replacing=_checked_environ(environ or {}),
        ).environ_from

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.app!r}, {self._numbers})"

    @for_asgi_servers("give others the WSGI application")
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan; refuse a WebSocket.

        Raises:
            HostError: The server breaks the ASGI specification, or speaks another protocol.
            WsgiAppError: The application broke PEP 3333, or raised an exception that must not end
                a server: `SystemExit`, `KeyboardInterrupt`, `StopIteration`.
            Exception: Whatever the application raised.
        """
        kind = scope.get("type")
        if kind == "http":
            try:
                environ = self._environ_from(scope, self._duplicate_header_limit)
            except RequestError as exc:
                await send_refusal(scope, send, exc.status, str(exc))
                return
            except HostError:
                request = request_line(scope.get("method"), scope.get("path"))
                _logger.info("%s: HostError before the application was called", request)
                raise
            settings = self._settings
            await AsgiRequest(self.app, environ, scope, receive, send, settings).run(environ)
        elif kind == "lifespan":
            await answer_lifespan(receive, send, self._run_lifespan())
        elif kind == "websocket":
            await refuse_websocket(scope, receive, send)
        else:
            raise HostError("type", f"not a protocol that WSGI can serve: {kind!r:.80}")

    def statistics(self) -> PoolStatistics:
        """Return the number of threads and what they do; see `PoolStatistics`."""
        return self._pool.statistics()

    @asynccontextmanager
    async def _run_lifespan(self) -> AsyncGenerator[None, None]:
        """Serve requests until the lifespan ends, then stop the worker threads."""
        self._pool.open()
        try:
            yield
        except BaseException:
            closing = self._pool.leave()
            if closing is not None:
                self._pool.reopen(closing)
            raise
        closing = self._pool.leave()
        if closing is not None:
            await self._drain(closing)

    async def _drain(self, closing: object) -> None:
        """Stop the pool's threads; log the requests of those that do not end in time.

        Later requests, without a lifespan, are served all the same, with the threads that the
        abandoned ones leave.
        """
        try:
            abandoned = await anyio.to_thread.run_sync(self._pool.join, self._shutdown_timeout)
        finally:
            self._pool.reopen(closing)
        for request in abandoned:
            _logger.warning(
                "still running %g seconds after shutdown began, abandoned: %s",
                self._shutdown_timeout,
                request,
            )


def _name_of(app: object) -> str:
    return app.__qualname__ if isinstance(app, FunctionType) else type(app).__qualname__


def _checked_environ(environ: Mapping[str, object]) -> dict[str, object]:
    checked: dict[str, object] = {}
    for key, value in environ.items():
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"environ must have names of type str, got {key!r:.80}")
        if "." not in key and not (type(value) is str and all(char <= "\xff" for char in value)):
            raise TypeError(f"environ must have a native string for {key!r:.80}, got {value!r:.80}")
        if key.startswith("wsgi."):
            _logger.warning("environ: %.80r is for the server to set and was ignored", key)
            continue
        checked[key] = value
    return checked
