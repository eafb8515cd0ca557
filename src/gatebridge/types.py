"""The shapes of both specifications: every scope, every message, every callable.

Source: ASGI (main specification 3.0, HTTP and WebSocket 2.5, lifespan 2.0, TLS 0.2, extensions) and
PEP 3333. A key that a specification calls optional is `NotRequired`; all bytes are raw, all text is
decoded, header names are lower-case.

The callables that this library accepts and offers are typed loosely where the specifications are
open (a server may add keys, an application may be typed with another package's classes), so that
applications and servers of any origin fit; the TypedDicts say exactly what is in a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias

from typing_extensions import NotRequired, TypedDict

__all__ = [
    "ASGIApplication",
    "ASGIVersions",
    "AnyScope",
    "DisconnectFlag",
    "ErrorStream",
    "ExcInfo",
    "Extensions",
    "HTTPDisconnectMessage",
    "HTTPRequestMessage",
    "HTTPResponseBodyMessage",
    "HTTPResponseDebugMessage",
    "HTTPResponseEarlyHintMessage",
    "HTTPResponsePathSendMessage",
    "HTTPResponsePushMessage",
    "HTTPResponseStartMessage",
    "HTTPResponseTrailersMessage",
    "HTTPResponseZeroCopySendMessage",
    "HTTPScope",
    "HTTPSendMessage",
    "InputStream",
    "LifespanScope",
    "LifespanShutdownCompleteMessage",
    "LifespanShutdownFailedMessage",
    "LifespanShutdownMessage",
    "LifespanStartupCompleteMessage",
    "LifespanStartupFailedMessage",
    "LifespanStartupMessage",
    "Message",
    "OptExcInfo",
    "Receive",
    "ReceiveMessage",
    "Scope",
    "Send",
    "SendMessage",
    "StartResponse",
    "TLSExtension",
    "WSGIApplication",
    "WSGIEnvironment",
    "WebSocketAcceptMessage",
    "WebSocketCloseMessage",
    "WebSocketConnectMessage",
    "WebSocketDenialBodyMessage",
    "WebSocketDenialStartMessage",
    "WebSocketDisconnectMessage",
    "WebSocketReceiveMessage",
    "WebSocketScope",
    "WebSocketSendMessage",
    "Write",
]

# --- scopes ---------------------------------------------------------------------------------------


class ASGIVersions(TypedDict):
    """``scope["asgi"]``: the versions that the server speaks.

    Source: ASGI HTTP 2.5 "HTTP Connection Scope".
    """

    version: str
    spec_version: NotRequired[str]


class TLSExtension(TypedDict):
    """``scope["extensions"]["tls"]``: the connection's TLS data, present only under TLS.

    ``tls_version`` and ``cipher_suite`` are the protocol's 16-bit numbers, certificates are PEM.

    Source: ASGI TLS 0.2 "Connection Scope".
    """

    server_cert: str | None
    client_cert_chain: NotRequired[Iterable[str]]
    client_cert_name: NotRequired[str | None]
    client_cert_error: NotRequired[str | None]
    tls_version: int | None
    cipher_suite: int | None


Extensions = TypedDict(
    "Extensions",
    {
        "http.response.debug": dict[str, Any],
        "http.response.early_hint": dict[str, Any],
        "http.response.pathsend": dict[str, Any],
        "http.response.push": dict[str, Any],
        "http.response.trailers": dict[str, Any],
        "http.response.zerocopysend": dict[str, Any],
        "tls": TLSExtension,
        "websocket.http.response": dict[str, Any],
    },
    total=False,
)
Extensions.__doc__ = """``scope["extensions"]``: what the server offers beyond the specification.

Source: ASGI main specification 3.0 "Extensions"; ASGI extensions.
"""


class HTTPScope(TypedDict):
    """The scope of one HTTP request.

    ``wsgi_environ`` is the original environ, where this library made the scope.

    Source: ASGI HTTP 2.5 "HTTP Connection Scope".
    """

    type: Literal["http"]
    asgi: ASGIVersions
    http_version: str
    method: str
    scheme: NotRequired[str]
    path: str
    raw_path: NotRequired[bytes | None]
    query_string: bytes
    root_path: NotRequired[str]
    headers: Iterable[tuple[bytes, bytes]]
    client: NotRequired[tuple[str, int] | None]
    server: NotRequired[tuple[str, int | None] | None]
    state: NotRequired[dict[str, Any]]
    extensions: NotRequired[Extensions | None]
    wsgi_environ: NotRequired[WSGIEnvironment]


class WebSocketScope(TypedDict):
    """The scope of one WebSocket connection.

    ``wsgi_environ`` is the original environ, where this library made the scope.

    Source: ASGI WebSocket 2.5 "WebSocket Connection Scope".
    """

    type: Literal["websocket"]
    asgi: ASGIVersions
    http_version: NotRequired[str]
    scheme: NotRequired[str]
    path: str
    raw_path: NotRequired[bytes | None]
    query_string: NotRequired[bytes | None]
    root_path: NotRequired[str]
    headers: Iterable[tuple[bytes, bytes]]
    client: NotRequired[tuple[str, int] | None]
    server: NotRequired[tuple[str, int | None] | None]
    subprotocols: NotRequired[Iterable[str]]
    state: NotRequired[dict[str, Any]]
    extensions: NotRequired[Extensions | None]
    wsgi_environ: NotRequired[WSGIEnvironment]


class LifespanScope(TypedDict):
    """The scope of one event loop's lifespan.

    Source: ASGI lifespan 2.0 "Scope".
    """

    type: Literal["lifespan"]
    asgi: ASGIVersions
    state: NotRequired[dict[str, Any]]


# --- HTTP messages --------------------------------------------------------------------------------


class HTTPRequestMessage(TypedDict):
    """A part of the request's body, in ``receive``.

    Source: ASGI HTTP 2.5 "Request".
    """

    type: Literal["http.request"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class HTTPDisconnectMessage(TypedDict):
    """The client left, or the response is complete, in ``receive``.

    Source: ASGI HTTP 2.5 "Disconnect".
    """

    type: Literal["http.disconnect"]


class HTTPResponseStartMessage(TypedDict):
    """Status and headers of the response, in ``send``.

    Source: ASGI HTTP 2.5 "Response Start".
    """

    type: Literal["http.response.start"]
    status: int
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]
    trailers: NotRequired[bool]


class HTTPResponseBodyMessage(TypedDict):
    """A part of the response's body, in ``send``.

    Source: ASGI HTTP 2.5 "Response Body".
    """

    type: Literal["http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class HTTPResponseTrailersMessage(TypedDict):
    """Extension ``http.response.trailers``: fields after the body.

    Source: ASGI extensions, "HTTP Trailers".
    """

    type: Literal["http.response.trailers"]
    headers: Iterable[tuple[bytes, bytes]]
    more_trailers: NotRequired[bool]


class HTTPResponseZeroCopySendMessage(TypedDict):
    """Extension ``http.response.zerocopysend``: a part of the body, by a file's descriptor.

    ``offset`` and ``count`` are in bytes; without them the file is sent from where it stands to
    its end.

    Source: ASGI extensions, "Zero Copy Send".
    """

    type: Literal["http.response.zerocopysend"]
    file: Any
    offset: NotRequired[int]
    count: NotRequired[int]
    more_body: NotRequired[bool]


class HTTPResponsePathSendMessage(TypedDict):
    """Extension ``http.response.pathsend``: the whole body, by a file's absolute path.

    Source: ASGI extensions, "Path Send".
    """

    type: Literal["http.response.pathsend"]
    path: str


class HTTPResponseEarlyHintMessage(TypedDict):
    """Extension ``http.response.early_hint``: values of ``Link`` fields for a 103 response.

    Source: ASGI extensions, "Early Hints"; RFC 8297.
    """

    type: Literal["http.response.early_hint"]
    links: Iterable[bytes]


class HTTPResponsePushMessage(TypedDict):
    """Extension ``http.response.push``: HTTP/2 server push.

    Source: ASGI extensions, "HTTP/2 Server Push".
    """

    type: Literal["http.response.push"]
    path: str
    headers: Iterable[tuple[bytes, bytes]]


class HTTPResponseDebugMessage(TypedDict):
    """Extension ``http.response.debug``: what a test client may want to know.

    Source: ASGI extensions, "Debug".
    """

    type: Literal["http.response.debug"]
    info: dict[str, Any]


# --- WebSocket messages ---------------------------------------------------------------------------


class WebSocketConnectMessage(TypedDict):
    """The client asks for the handshake, in ``receive``.

    Source: ASGI WebSocket 2.5 "Connect".
    """

    type: Literal["websocket.connect"]


class WebSocketAcceptMessage(TypedDict):
    """The application completes the handshake, in ``send``.

    Source: ASGI WebSocket 2.5 "Accept".
    """

    type: Literal["websocket.accept"]
    subprotocol: NotRequired[str | None]
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]


class WebSocketReceiveMessage(TypedDict):
    """A whole message from the client: exactly one of ``bytes`` and ``text`` is not None.

    Source: ASGI WebSocket 2.5 "Receive".
    """

    type: Literal["websocket.receive"]
    bytes: NotRequired[bytes | None]
    text: NotRequired[str | None]


class WebSocketSendMessage(TypedDict):
    """A whole message to the client: exactly one of ``bytes`` and ``text`` is not None.

    Source: ASGI WebSocket 2.5 "Send".
    """

    type: Literal["websocket.send"]
    bytes: NotRequired[bytes | None]
    text: NotRequired[str | None]


class WebSocketDisconnectMessage(TypedDict):
    """The connection is over, in ``receive``.

    Source: ASGI WebSocket 2.5 "Disconnect"; RFC 6455 section 7.4.
    """

    type: Literal["websocket.disconnect"]
    code: NotRequired[int | None]
    reason: NotRequired[str | None]


class WebSocketCloseMessage(TypedDict):
    """The application ends the connection, or refuses the handshake, in ``send``.

    Source: ASGI WebSocket 2.5 "Close"; RFC 6455 section 7.4.
    """

    type: Literal["websocket.close"]
    code: NotRequired[int]
    reason: NotRequired[str | None]


class WebSocketDenialStartMessage(TypedDict):
    """Extension ``websocket.http.response``: the head of the answer that refuses a handshake.

    Source: ASGI extensions, "WebSocket Denial Response".
    """

    type: Literal["websocket.http.response.start"]
    status: int
    headers: NotRequired[Iterable[tuple[bytes, bytes]]]


class WebSocketDenialBodyMessage(TypedDict):
    """Extension ``websocket.http.response``: a part of that answer's body.

    Source: ASGI extensions, "WebSocket Denial Response".
    """

    type: Literal["websocket.http.response.body"]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


# --- lifespan messages ----------------------------------------------------------------------------


class LifespanStartupMessage(TypedDict):
    """The server is about to take connections, in ``receive``.

    Source: ASGI lifespan 2.0 "Startup".
    """

    type: Literal["lifespan.startup"]


class LifespanStartupCompleteMessage(TypedDict):
    """The application is ready, in ``send``.

    Source: ASGI lifespan 2.0 "Startup Complete".
    """

    type: Literal["lifespan.startup.complete"]


class LifespanStartupFailedMessage(TypedDict):
    """The application cannot run, in ``send``.

    Source: ASGI lifespan 2.0 "Startup Failed".
    """

    type: Literal["lifespan.startup.failed"]
    message: NotRequired[str]


class LifespanShutdownMessage(TypedDict):
    """The server has closed every connection, in ``receive``.

    Source: ASGI lifespan 2.0 "Shutdown".
    """

    type: Literal["lifespan.shutdown"]


class LifespanShutdownCompleteMessage(TypedDict):
    """The application has cleaned up, in ``send``.

    Source: ASGI lifespan 2.0 "Shutdown Complete".
    """

    type: Literal["lifespan.shutdown.complete"]


class LifespanShutdownFailedMessage(TypedDict):
    """The application could not clean up, in ``send``.

    Source: ASGI lifespan 2.0 "Shutdown Failed".
    """

    type: Literal["lifespan.shutdown.failed"]
    message: NotRequired[str]


# --- unions: which message goes which way ---------------------------------------------------------

AnyScope: TypeAlias = HTTPScope | WebSocketScope | LifespanScope
"""What an application may be called with."""

ReceiveMessage: TypeAlias = (
    HTTPRequestMessage
    | HTTPDisconnectMessage
    | WebSocketConnectMessage
    | WebSocketReceiveMessage
    | WebSocketDisconnectMessage
    | LifespanStartupMessage
    | LifespanShutdownMessage
)
"""What ``await receive()`` may give."""

HTTPSendMessage: TypeAlias = (
    HTTPResponseStartMessage
    | HTTPResponseBodyMessage
    | HTTPResponseTrailersMessage
    | HTTPResponseZeroCopySendMessage
    | HTTPResponsePathSendMessage
    | HTTPResponseEarlyHintMessage
    | HTTPResponsePushMessage
    | HTTPResponseDebugMessage
)
"""What ``await send()`` may be given for an HTTP request."""

SendMessage: TypeAlias = (
    HTTPSendMessage
    | WebSocketAcceptMessage
    | WebSocketSendMessage
    | WebSocketCloseMessage
    | WebSocketDenialStartMessage
    | WebSocketDenialBodyMessage
    | LifespanStartupCompleteMessage
    | LifespanStartupFailedMessage
    | LifespanShutdownCompleteMessage
    | LifespanShutdownFailedMessage
)
"""What ``await send()`` may be given."""

# --- the callables of ASGI ------------------------------------------------------------------------

Scope: TypeAlias = Mapping[str, Any]
"""Any scope, as an application is handed it; `AnyScope` says what is inside."""

Message: TypeAlias = Mapping[str, Any]
"""Any message; `ReceiveMessage` and `SendMessage` say what is inside."""


class Receive(Protocol):
    """``await receive()`` gives the next message for the application.

    Source: ASGI main specification 3.0 "Applications".
    """

    def __call__(self) -> Awaitable[Message]:
        """Wait for the next message; `ReceiveMessage` says what it may be."""
        ...


class Send(Protocol):
    """``await send(message)`` hands one message to the server; an `OSError` says the client left.

    Source: ASGI main specification 3.0 "Applications"; ASGI HTTP 2.5 "Disconnected Client".
    """

    def __call__(self, message: Any, /) -> Awaitable[None]:  # noqa: ANN401 - see the module
        """Send a message; `SendMessage` says what it may be."""
        ...


class ASGIApplication(Protocol):
    """An ASGI 3 application: one async callable.

    Source: ASGI main specification 3.0 "Applications".
    """

    def __call__(
        self,
        scope: Any,  # noqa: ANN401 - see the module
        receive: Any,  # noqa: ANN401
        send: Any,  # noqa: ANN401
        /,
    ) -> Awaitable[None]:
        """Serve what the scope stands for: a request, a WebSocket, or a lifespan."""
        ...


# --- the callables of WSGI ------------------------------------------------------------------------

WSGIEnvironment: TypeAlias = dict[str, Any]
"""A builtin dict of CGI names to native strings, and ``wsgi.*`` names to what PEP 3333 says."""

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]
"""What ``sys.exc_info()`` returns while an exception is handled."""

OptExcInfo: TypeAlias = ExcInfo | tuple[None, None, None]
"""What ``sys.exc_info()`` returns, ``(None, None, None)`` if no exception is handled."""

Write: TypeAlias = Callable[[bytes], object]
"""The callable that ``start_response`` returns, for one block of the body per call."""


class StartResponse(Protocol):
    """``start_response(status, headers)``: native strings, one tuple for each header line.

    Source: PEP 3333 "The ``start_response()`` Callable".
    """

    def __call__(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = ...,
        /,
    ) -> Write:
        """Begin the response; with ``exc_info``, replace one that was not sent yet."""
        ...


class InputStream(Protocol):
    """``wsgi.input``: the request's body, as bytes.

    Source: PEP 3333 "Input and Error Streams".
    """

    def read(self, size: int = ..., /) -> bytes:
        """Return at most ``size`` bytes, or all to the end if it is not given; none at the end."""
        ...

    def readline(self, size: int = ..., /) -> bytes:
        """Return the next line with its end, ``size`` bytes of it at most."""
        ...

    def readlines(self, hint: int = ..., /) -> list[bytes]:
        """Return the lines to the end; ``hint`` bytes may be enough, and may be ignored."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines to the end, each with its own end."""
        ...


class ErrorStream(Protocol):
    """``wsgi.errors``: a text stream.

    Source: PEP 3333 "Input and Error Streams".
    """

    def flush(self) -> object:
        """Send what was written on its way."""
        ...

    def write(self, text: str, /) -> object:
        """Write text, in which U+000A ends a line."""
        ...

    def writelines(self, lines: Iterable[str], /) -> object:
        """Write several texts; no line's end is added."""
        ...


class DisconnectFlag(Protocol):
    """``environ["gatebridge.disconnected"]`` of `WsgiToAsgi`: whether the client is gone.

    `disconnect_flag` returns it, and on other servers one that is never set.

    Two methods of a `threading.Event`, for any thread of the application. The flag is set once the
    client has left, and at the latest when the request is over. The server is asked from the first
    call of either method on, or once the response streams. As long as more of the request's body is
    on its way than fits into the window, a departure cannot be seen.
    """

    def is_set(self) -> bool:
        """Return whether the client is gone."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client is gone, and return whether it is.

        Meanwhile a worker's thread does not count against ``threads``.

        Args:
            timeout: How many seconds to wait at most; None for as long as it takes.
        """
        ...


class WSGIApplication(Protocol):
    """A WSGI application: a callable of environ and ``start_response``.

    Source: PEP 3333 "The Application/Framework Side".
    """

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse, /
    ) -> Iterable[bytes]:
        """Serve a request: call ``start_response``, and return the blocks of the body."""
        ...
