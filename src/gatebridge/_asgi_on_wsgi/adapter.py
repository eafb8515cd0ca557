"""`AsgiToWsgi`: an ASGI application served by a WSGI server."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal, TypeAlias

from anyio.from_thread import BlockingPortal
from typing_extensions import Self

from gatebridge._arguments import (
    require_bool,
    require_int,
    require_mapping,
    require_seconds,
    require_word,
)
from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._asgi_on_wsgi.http_on_loop import HttpCall
from gatebridge._asgi_on_wsgi.interpreter_exit import (
    expect_requests,
    known_servers,
    note_server,
    refuse_at_exit,
)
from gatebridge._asgi_on_wsgi.refusal import return_refusal
from gatebridge._asgi_on_wsgi.request_body import NO_BODY, RequestMessages, may_have_body
from gatebridge._asgi_on_wsgi.request_in_thread import WsgiRequest
from gatebridge._asgi_on_wsgi.session import Session, closed_error
from gatebridge._asgi_on_wsgi.thread_tasks import Part
from gatebridge._asgi_on_wsgi.websocket.raw_socket import RawSocket, raw_socket_of
from gatebridge._asgi_on_wsgi.websocket.websocket_on_loop import WebSocketCall
from gatebridge._concurrency.loop_use import LoopUse, PortalUse, SharedLoop
from gatebridge._concurrency.own_thread import refuse_background_thread, refuse_portal_thread
from gatebridge._concurrency.per_process import PerProcess, current_process
from gatebridge._detect.interface import require_asgi3
from gatebridge._lifespan.as_server import LifespanMode
from gatebridge._translate.handshake import handshake_key, is_handshake
from gatebridge._translate.scope import scope_from_environ, websocket_scope_from_environ
from gatebridge._translate.text import request_line
from gatebridge._wrong_server import for_wsgi_servers
from gatebridge.errors import HostError, LifespanError, RequestError, UnavailableError
from gatebridge.types import ASGIApplication, StartResponse, WSGIEnvironment

_logger = logging.getLogger("gatebridge")

_Respond: TypeAlias = Callable[[StartResponse], Iterable[bytes]]

_FOREVER = 1e6  # seconds, which are eleven days


class _ProcessState:
    """What an adapter has in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.session: Session | None = None
        self.finalizer: weakref.finalize[..., AsgiToWsgi] | None = None  # for a forgotten session
        self.failure: LifespanError | None = None  # of the startup
        self.closed = False

    def drop_session(self) -> None:
        """Close the session, if there is one; with the lock held."""
        if self.session is None:
            return
        try:
            self.session.close()
        except LifespanError:
            self.forget_session()
            raise
        self.forget_session()  # not if it was interrupted: the next call then finishes it

    def forget_session(self) -> None:
        if self.finalizer is not None:
            self.finalizer.detach()
        self.session = None


class AsgiToWsgi:
    """A WSGI application that serves an ASGI application.

    For a WSGI server::

        from gatebridge import AsgiToWsgi
        app = AsgiToWsgi(fastapi_app)
        # gunicorn --threads 8 shop:app

    All requests run as tasks on one event loop, in a background thread that the adapters of the
    process share, each in a copy of the `contextvars` context of the server's thread. Only that
    thread reads the request's body and begins the response. Bodies are streamed both ways.

    A WebSocket is served if ``wsproto`` is installed (``gatebridge[websocket]``) and the server
    lets the adapter have the connection, as Werkzeug and Gunicorn do; it keeps one of the server's
    threads to its end. Any other handshake is an ordinary HTTP request to the application.

    The application's lifespan begins with `startup`, or else before the first request, and ends
    with `close`, at the end of the ``with`` block, or at the interpreter's exit. A forked child
    begins anew, with a loop and a lifespan of its own.

    Args:
        app: The ASGI 3 application.
        backend: ``"asyncio"`` or ``"trio"``.
        backend_options: For `anyio.run`, such as ``{"use_uvloop": True}``. Adapters with equal
            options share a loop.
        portal: Use the event loop of this portal instead of a background loop. It has to outlive
            the adapter; ``backend`` and ``backend_options`` are then ignored.
        lifespan: ``"on"`` if the application must speak the lifespan protocol, ``"off"`` if it is
            not to be asked to, ``"auto"`` if it may do without.
        startup_timeout: How many seconds the startup may take, more than 0; None for any time.
        shutdown_timeout: How many seconds requests and background tasks may still run when the
            adapter is closed, and how many the application may then take to shut down; at least 0.
        response_timeout: How many seconds the application may let the server wait for the
            beginning of the response, or for its next part, more than 0; None for any time. Time
            in which the server's thread waits for its client does not count. Of a WebSocket only
            the answer to the handshake is bounded.
        window_bytes: How many bytes of a response may wait for the client, in each request; at
            least 1. For a WebSocket in each direction. Each block counts with its overhead, and
            none is split. Responses that wait are few: each has one of the server's threads.
        max_body_size: The largest request body in bytes, at least 0; larger ones are answered 413.
            None for any.
        max_message_size: The largest WebSocket message in bytes that a client may send, at least 0;
            a larger one ends the connection with code 1009. None for any.
        offer_pathsend: Whether to offer the application ``http.response.pathsend``, so that
            frameworks leave the sending of files to the server. Only for applications all of whose
            middleware knows this message: other middleware drops it, and with it the body, or what
            the middleware would have done to it, such as compression.

    Attributes:
        app: As given.

    Raises:
        TypeError: ``app`` is not an ASGI 3 application, or an argument is of the wrong type.
        ValueError: A number is out of range, or a word is none of those above.

    Source: PEP 3333; ASGI HTTP 2.5; ASGI WebSocket 2.5; ASGI lifespan 2.0.
    """

    def __init__(
        self,
        app: ASGIApplication,
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        backend_options: Mapping[str, Any] | None = None,
        portal: BlockingPortal | None = None,
        lifespan: LifespanMode = "auto",
        startup_timeout: float | None = 120.0,
        shutdown_timeout: float = 30.0,
        response_timeout: float | None = None,
        window_bytes: int = 1048576,
        max_body_size: int | None = None,
        max_message_size: int | None = 16777216,
        offer_pathsend: bool = False,
    ) -> None:
        require_asgi3(app)
        require_word(("asyncio", "trio"), backend=backend)
        require_word(("auto", "on", "off"), lifespan=lifespan)
        require_mapping(backend_options=backend_options)
        require_bool(offer_pathsend=offer_pathsend)
        require_int(1, window_bytes=window_bytes)
        require_int(0, or_none=True, max_body_size=max_body_size, max_message_size=max_message_size)
        require_seconds(shutdown_timeout=shutdown_timeout)
        require_seconds(
            or_none=True,
            above_zero=True,
            startup_timeout=startup_timeout,
            response_timeout=response_timeout,
        )
        self.app = app
        self._backend = backend
        self._backend_options = dict(backend_options or {})
        self._portal = portal
        self._process = current_process()
        self._lifespan: LifespanMode = lifespan
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout
        self._max_body_size = max_body_size
        self._max_message_size = max_message_size
        self._offer_pathsend = offer_pathsend
        self._window_bytes = window_bytes
        # There is a limit to what a queue, and more so a selector, can be told.
        self._response_timeout = None if (response_timeout or 0) > _FOREVER else response_timeout
        self._numbers = f"{backend=}, {lifespan=}, {response_timeout=}, {max_body_size=}"
        self._processes = PerProcess(_ProcessState)
        expect_requests()

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.app!r}, {self._numbers})"

    @for_wsgi_servers("give others the ASGI application")
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request.

        Raises:
            LifespanError: The application did not start up.
            UnavailableError: The adapter was closed, its event loop has ended or cannot run on this
                server, or it is called on that loop's thread.
            HostError: The server breaks PEP 3333.
            AsgiAppError: The application broke the ASGI specification, let the response time out,
                or raised what must not end a server: `SystemExit`, `KeyboardInterrupt`.
            Exception: Whatever the application raised.
        """
        session = self._processes.get().session
        if session is None or not session.is_open():
            session = self._start(reopen=False)
        session.portal.refuse_own_thread()
        if threading.get_ident() not in known_servers:
            note_server()
        raw = _takeover(environ) if "HTTP_UPGRADE" in environ else None
        try:
            if raw is None:
                call, respond = self._http(environ, session)
            else:
                call, respond = self._websocket(environ, session, raw)
        except RequestError as exc:
            return return_refusal(environ, start_response, exc)
        except HostError:
            request = request_line(environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            _logger.info("%s: HostError before the application was called", request)
            raise
        session.submit(call)
        return respond(start_response)

    def _http(self, environ: WSGIEnvironment, session: Session) -> tuple[Call, _Respond]:
        """Return both sides of an HTTP request: the call, and what answers the server.

        Raises:
            RequestError: It is to be refused.
            HostError: The server breaks PEP 3333.
        """
        scope: dict[str, Any] = scope_from_environ(environ)  # type: ignore[assignment]
        if self._offer_pathsend:
            scope["extensions"]["http.response.pathsend"] = {}
        if session.state is not None:
            scope["state"] = session.state.copy()
        body: RequestMessages | None = None
        part: Part | None = NO_BODY
        if may_have_body(environ):
            body = RequestMessages(environ, scope, self._max_body_size)
            part = body.read_early()
        portal = session.portal
        call = HttpCall(
            self._application(), scope, part, portal, self._window_bytes, session.request_ended
        )
        timeout = self._response_timeout
        return call, WsgiRequest(call, portal.handle, body, call.deliver, environ, timeout).respond

    def _websocket(
        self, environ: WSGIEnvironment, session: Session, raw: RawSocket
    ) -> tuple[Call, _Respond]:
        """Return both sides of a WebSocket over a connection that the server lets us have.

        Raises:
            RequestError: As `_http`.
            HostError: As `_http`.
        """
        # These need wsproto, which is imported for a first handshake only.
        from gatebridge._asgi_on_wsgi.websocket.connection_in_thread import (  # noqa: PLC0415
            WebSocketConnection,
        )
        from gatebridge._asgi_on_wsgi.websocket.wire import WebSocketWire  # noqa: PLC0415

        scope: dict[str, Any] = websocket_scope_from_environ(environ)  # type: ignore[assignment]
        if session.state is not None:
            scope["state"] = session.state.copy()
        wire = WebSocketWire(handshake_key(environ), scope["subprotocols"], self._max_message_size)
        portal = session.portal
        call = WebSocketCall(
            self._application(), scope, portal, self._window_bytes, session.request_ended
        )
        timeout = self._response_timeout
        return call, WebSocketConnection(call, portal.handle, environ, timeout, raw, wire).respond

    def startup(self) -> None:
        """Start the event loop and the application, unless they run; also after `close`.

        Raises:
            LifespanError: The application did not start up. Requests raise it as well, until the
                adapter is closed.
            UnavailableError: Called on the thread of the event loop, the portal does not run, or no
                event loop can run on this server.
            Exception: Whatever kept the event loop from running, such as a missing package.
        """
        self._start(reopen=True)

    def close(self) -> None:
        """Shut down the application and release the event loop. Idempotent.

        New requests are refused from now on. Those that run, and what they left to do in the
        background, get ``shutdown_timeout`` seconds; what is then left is cancelled, and logged by
        method and path. Then the lifespan ends.

        Raises:
            LifespanError: The application's shutdown failed. Everything is released nevertheless.
            UnavailableError: Called on the thread of the event loop.
        """
        self._refuse_own_thread()
        process = self._processes.get()
        with process.lock:
            process.closed = True
            process.failure = None
            process.drop_session()

    def __enter__(self) -> Self:
        """Do as `startup`."""
        self.startup()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do as `close`."""
        self.close()

    def _start(self, *, reopen: bool) -> Session:
        """Return the session, opened by the first thread that comes."""
        self._refuse_own_thread()
        process = self._processes.get()
        if not reopen:  # without the lock, which `close` holds until the end
            session = process.session
            if process.closed or (session is not None and session.is_shutting_down()):
                raise closed_error()
        with process.lock:
            if reopen:
                process.closed = False
            elif process.closed:
                raise closed_error()
            if process.failure is not None:
                raise LifespanError(
                    process.failure.field, process.failure.reason
                ) from process.failure.__cause__
            session = process.session
            if session is not None:
                if session.is_open():
                    return session
                process.drop_session()  # the loop was ended by an error, the start by a signal
            session = process.session = self._new_session()
            process.finalizer = weakref.finalize(self, session.abandon)
            process.finalizer.atexit = False
            try:
                session.open(self._startup_timeout)
            except LifespanError as exc:
                process.failure = exc
                raise
            return session

    def _refuse_own_thread(self) -> None:
        """Raise `UnavailableError` before waiting for a lock whose holder may wait for us."""
        if self._portal is None:
            refuse_background_thread((self._backend, self._backend_options))
        else:
            refuse_portal_thread(self._portal)

    def _new_session(self) -> Session:
        refuse_at_exit()  # nothing would shut it down, and CPython 3.12 starts no thread then
        use = self._loop_use()
        return Session(self.app, use, self._lifespan, self._shutdown_timeout)

    def _loop_use(self) -> LoopUse:
        """Return the hold on the event loop, not yet opened."""
        if self._portal is None:
            return SharedLoop(self._backend, self._backend_options)
        if self._process is current_process():
            return PortalUse(self._portal)
        raise UnavailableError(
            "portal", "runs in the process that this one was forked from; open it after the fork"
        )

    def _application(self) -> ASGIApplication:
        """Return what to call for a request."""
        return self.app


def _takeover(environ: WSGIEnvironment) -> RawSocket | None:
    """Return the connection that a WebSocket handshake can be served on, if there is one."""
    raw = raw_socket_of(environ) if is_handshake(environ) else None
    if raw is not None and find_spec("wsproto") is None:
        _logger.info(
            "%s: a WebSocket handshake becomes an HTTP request; "
            "install gatebridge[websocket] to serve it",
            request_line("websocket", environ.get("PATH_INFO")),
        )
        return None
    return raw
