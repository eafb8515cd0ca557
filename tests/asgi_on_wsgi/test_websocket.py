"""WebSockets: the handshake, its denial, and how a connection ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import subprocess
import sys
import weakref
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import pytest
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from asgi_on_wsgi.apps import Event, Recorder, body, http, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.peer import (
    ACCEPT,
    CONNECT,
    Peer,
    Record,
    disconnect,
    recording,
    text,
    websocket,
)
from gatebridge import AsgiToWsgi
from gatebridge._asgi_on_wsgi.websocket.socket_waiter import SocketWaiter
from gatebridge.errors import AsgiAppError, ClientDisconnected, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


def denial(status: int = 401, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "websocket.http.response.start", "status": status, "headers": list(headers)}


def denial_body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "websocket.http.response.body", "body": content, "more_body": more}


CLOSE: dict[str, Any] = {"type": "websocket.close"}


# --- when a request is a websocket ----------------------------------------------------------------


def kind_of(adapt: Adapt, **environ: Any) -> str:
    """Return the type of the scope that a handshake becomes, changed like this."""
    kinds: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])
        if scope["type"] == "http":
            await send(start())
            await send(body(b"over http"))
        else:
            await send(CLOSE)

    with Peer(adapt(app, lifespan="off"), **environ) as peer:
        assert peer.join() is None
        expected = {"http": b"over http", "websocket": b""}
        assert peer.host.body == expected[kinds[0]]
    return kinds[0]


@pytest.mark.clause("C-08", "D-42")
@pytest.mark.parametrize("server", ["werkzeug.socket", "gunicorn.socket"])
def test_a_handshake_with_a_socket_is_a_websocket(adapt: Adapt, server: str) -> None:
    assert kind_of(adapt, server=server) == "websocket"


@pytest.mark.clause("C-08", "D-42")
def test_a_handshake_without_a_socket_is_an_http_request(adapt: Adapt) -> None:
    assert kind_of(adapt, server="other.socket") == "http"


@pytest.mark.clause("D-42")
def test_a_handshake_without_wsproto_is_an_http_request(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        assert name == "wsproto"
        return None

    monkeypatch.setattr("gatebridge._asgi_on_wsgi.adapter.find_spec", find_spec)
    assert kind_of(adapt) == "http"


@pytest.mark.clause("H-WS-01")
@pytest.mark.parametrize(
    "environ",
    [
        {"REQUEST_METHOD": "POST"},
        {"SERVER_PROTOCOL": "HTTP/1.0"},
        {"SERVER_PROTOCOL": "HTTP/2"},
        {"HTTP_HOST": None},
        {"HTTP_UPGRADE": None},
        {"HTTP_UPGRADE": "h2c"},
        {"HTTP_UPGRADE": "websockets"},
        {"HTTP_CONNECTION": None},
        {"HTTP_CONNECTION": "keep-alive"},
        {"CONTENT_LENGTH": "5"},
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True},
    ],
    ids=str,
)
def test_what_is_no_handshake_is_an_http_request(adapt: Adapt, environ: dict[str, Any]) -> None:
    assert kind_of(adapt, **environ) == "http"


@pytest.mark.clause("H-WS-01")
@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_UPGRADE": "h2c, WebSocket"},
        {"HTTP_CONNECTION": "Keep-Alive,UPGRADE"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
    ],
    ids=str,
)
def test_the_form_of_a_handshake_is_not_more_than_the_rfc_wants(
    adapt: Adapt, environ: dict[str, Any]
) -> None:
    assert kind_of(adapt, **environ) == "websocket"


@pytest.mark.clause("H-WS-01", "D-52")
@pytest.mark.parametrize(
    "key", ["", "x", "AAAAAAAAAAAAAAAAAAAAAA==" * 2, "AAAAAAAAAAAAAAAAAAAAAAA=", "\xff" * 24, None]
)
def test_a_malformed_key_is_400(adapt: Adapt, key: str | None) -> None:
    app = Recorder()
    with Peer(adapt(app), HTTP_SEC_WEBSOCKET_KEY=key) as peer:
        assert peer.join() is None
    assert peer.host.code == 400
    assert b"sec-websocket-key" in peer.host.body
    assert app.scopes == []


@pytest.mark.clause("H-WS-01", "D-52")
@pytest.mark.parametrize("version", ["12", "8", "14", "013", "13, 8"])
def test_another_version_is_426(adapt: Adapt, version: str) -> None:
    app = Recorder()
    with Peer(adapt(app), HTTP_SEC_WEBSOCKET_VERSION=version) as peer:
        assert peer.join() is None
    assert peer.host.code == 426
    assert peer.host.header("sec-websocket-version") == "13"
    assert app.scopes == []


@pytest.mark.clause("H-WS-01")
def test_no_version_is_400(adapt: Adapt) -> None:
    with Peer(adapt(Recorder()), HTTP_SEC_WEBSOCKET_VERSION=None) as peer:
        assert peer.join() is None
    assert peer.host.code == 400


@pytest.mark.clause("D-42")
def test_wsproto_is_imported_for_a_handshake_only() -> None:
    code = (
        "import sys, gatebridge\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': b'x'})\n"
        "with gatebridge.AsgiToWsgi(app, lifespan='off') as adapter:\n"
        "    environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/', 'werkzeug.socket': object()}\n"
        "    assert adapter(environ, lambda *_: None) == [b'x']\n"
        "    environ['HTTP_UPGRADE'] = 'h2c'\n"
        "    assert adapter(environ, lambda *_: None) == [b'x']\n"
        "assert 'wsproto' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- the scope ------------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-01", "D-47")
def test_the_scope_is_that_of_a_websocket(adapt: Adapt) -> None:
    app = Recorder(websocket(recording(CLOSE)))
    with Peer(
        adapt(app),
        PATH_INFO="/chat",
        QUERY_STRING="room=1",
        HTTP_SEC_WEBSOCKET_PROTOCOL="chat,\t superchat ,,",
    ) as peer:
        assert peer.join() is None
    (scope,) = app.scopes
    assert type(scope) is dict
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["scheme"] == "ws"
    assert scope["subprotocols"] == ["chat", "superchat"]
    assert (scope["path"], scope["query_string"]) == ("/chat", b"room=1")
    assert (b"host", b"example.org") in scope["headers"]
    assert scope["client"] == ("192.0.2.1", 50000)
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope["state"] == {}
    assert scope["wsgi_environ"] is peer.host.environ
    assert "method" not in scope


@pytest.mark.clause("A-WS-01")
def test_over_tls_the_scheme_is_wss(adapt: Adapt) -> None:
    app = Recorder(websocket(recording(CLOSE)))
    environ: dict[str, Any] = {"wsgi.url_scheme": "https"}
    with Peer(adapt(app), **environ) as peer:
        assert peer.join() is None
    assert app.scopes[0]["scheme"] == "wss"
    assert app.scopes[0]["subprotocols"] == []


# --- accept ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-02", "H-WS-02")
def test_the_handshake_is_completed_by_accept_and_not_before(adapt: Adapt) -> None:
    received = Record()
    connected, go_on = Event(), Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.add(await receive())
        connected.set()
        await anyio.to_thread.run_sync(go_on.happens)
        await send(ACCEPT)
        received.add(await receive())

    with Peer(adapt(app)) as peer:
        connected.happens()
        peer.socket.settimeout(0)
        with pytest.raises(BlockingIOError):
            peer.socket.recv(1)
        peer.socket.settimeout(HANG)
        go_on.set()
        assert peer.accepted().subprotocol is None  # the client checks Sec-WebSocket-Accept
        peer.hang_up()
        peer.served()
    assert received.all() == [CONNECT, disconnect(1000)]
    assert peer.wire.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


@pytest.mark.clause("A-WS-04", "H-WS-02")
def test_accept_chooses_a_subprotocol_and_adds_headers(adapt: Adapt) -> None:
    accept = {
        "type": "websocket.accept",
        "subprotocol": "b",
        "headers": [(b"x-one", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
    }
    with Peer(adapt(recording(accept)), subprotocols=("a", "b")) as peer:
        event = peer.accepted()
        peer.hang_up()
        peer.served()
    assert event.subprotocol == "b"
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert event.extra_headers == [(b"x-one", b"1"), *cookies]


def refused_by_send(adapt: Adapt, *messages: Any) -> AsgiAppError:
    """Return the error of the last message, which has no effect: the application goes on."""
    errors: list[AsgiAppError] = []
    received = Record()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages[:-1]:
            await send(message)
        with pytest.raises(AsgiAppError) as caught:
            await send(messages[-1])
        errors.append(caught.value)
        if ACCEPT not in messages[:-1]:
            await send(ACCEPT)
        await recording(text("goes on"), into=received)(scope, receive, send)

    with Peer(adapt(app), subprotocols=("a",)) as peer:
        peer.accepted()
        assert peer.text() == "goes on"
        peer.hang_up()
        peer.served()
    assert received.all() == [CONNECT, disconnect(1000)]
    return errors[0]


@pytest.mark.clause("A-WS-04")
@pytest.mark.parametrize(
    ("field", "accept"),
    [
        ("subprotocol", {"subprotocol": "c"}),
        ("subprotocol", {"subprotocol": ""}),
        ("subprotocol", {"subprotocol": b"a"}),
        ("sec-websocket-protocol", {"headers": [(b"sec-websocket-protocol", b"a")]}),
        ("Sec-WebSocket-Accept", {"headers": [(b"Sec-WebSocket-Accept", b"a")]}),
        ("headers", {"headers": [("x", "y")]}),
        ("x-injected", {"headers": [(b"x-injected", b"a\r\nb: c")]}),
    ],
)
def test_accept_is_checked(adapt: Adapt, field: str, accept: dict[str, Any]) -> None:
    assert refused_by_send(adapt, ACCEPT | accept).field == field


@pytest.mark.clause("A-WS-04")
def test_headers_that_belong_to_the_connection_are_not_added(adapt: Adapt) -> None:
    headers = [(b"content-length", b"0"), (b"upgrade", b"h2c"), (b"x-kept", b"1")]
    with Peer(adapt(recording(ACCEPT | {"headers": headers}))) as peer:
        assert peer.accepted().extra_headers == [(b"x-kept", b"1")]
        peer.hang_up()
        peer.served()


# --- the order of messages ------------------------------------------------------------------------


@pytest.mark.clause("A-WS-02", "A-WS-05")
@pytest.mark.parametrize(
    "messages",
    [
        [text("early")],
        [ACCEPT, ACCEPT],
        [ACCEPT, denial()],
        [ACCEPT, denial_body(b"x")],
        [denial_body(b"x")],
        [start()],
        [ACCEPT, body(b"x")],
        [{"type": "websocket.receive", "text": "x"}],
        [{"type": None}],
        [None],
        [ACCEPT, {"type": "websocket.send"}],
        [ACCEPT, {"type": "websocket.send", "text": None, "bytes": None}],
        [ACCEPT, {"type": "websocket.send", "text": "", "bytes": b""}],
        [ACCEPT, {"type": "websocket.send", "text": b"x"}],
        [ACCEPT, {"type": "websocket.send", "bytes": "x"}],
        [ACCEPT, {"type": "websocket.send", "text": "\ud800"}],
    ],
    ids=str,
)
def test_a_wrong_message_raises_and_has_no_effect(adapt: Adapt, messages: list[Any]) -> None:
    refused_by_send(adapt, *messages)


@pytest.mark.clause("A-WS-08", "H-WS-05")
@pytest.mark.parametrize(
    ("field", "close"),
    [
        *(("code", {"code": code}) for code in (1005, 1006, 1015, 999, 0, -1, 5000, 70000, "1000")),
        ("reason", {"reason": "x" * 124}),
        ("reason", {"reason": "\xe4" * 62}),
        ("reason", {"reason": b"x"}),
        ("reason", {"reason": "\udcff"}),
    ],
)
def test_a_close_that_may_not_be_sent_is_refused(
    adapt: Adapt, field: str, close: dict[str, Any]
) -> None:
    assert refused_by_send(adapt, ACCEPT, CLOSE | close).field == field


# --- denied ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-03", "A-WS-02")
@pytest.mark.parametrize("close", [CLOSE, CLOSE | {"code": 4001, "reason": "no"}])
def test_close_before_accept_is_403(adapt: Adapt, close: dict[str, Any]) -> None:
    received = Record()
    over = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(close, into=received)(scope, receive, send)
        with pytest.raises(ClientDisconnected):
            await send(text("too late"))
        over.set()

    with Peer(adapt(app)) as peer:
        assert peer.join() is None
        assert (peer.host.status, peer.host.body) == ("403 Forbidden", b"")
        over.happens()
        peer.far.close()
        assert peer.until_end() == b""  # an ordinary response, by the server
    assert received.all() == [CONNECT, disconnect(1006)]


@pytest.mark.clause("A-EXT-01")
def test_a_denial_is_an_ordinary_response(adapt: Adapt) -> None:
    received = Record()
    app = recording(
        denial(401, (b"www-authenticate", b"Basic"), (b"content-length", b"4")),
        denial_body(b"w", more=True),
        denial_body(b"ho?"),
        into=received,
    )
    adapter = adapt(app)
    with Peer(adapter) as peer:
        assert peer.join() is None
        assert peer.host.status == "401 Unauthorized"
        assert peer.host.headers == [("www-authenticate", "Basic"), ("content-length", "4")]
        assert peer.host.body == b"who?"
        assert peer.far.gettimeout() is None
    adapter.close()
    assert received.all() == [CONNECT, disconnect(1006)]


@pytest.mark.clause("A-EXT-02")
@pytest.mark.parametrize("late", [ACCEPT, CLOSE, text("x"), denial()], ids=str)
@pytest.mark.parametrize("whole", [False, True])
def test_other_messages_after_a_denial_are_refused(adapt: Adapt, late: Any, whole: bool) -> None:
    errors: list[AsgiAppError] = []

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(denial())
        if whole:
            await send(denial_body(b"no"))
        if not (whole and late == denial()):  # which HTTP ignores after the end
            with pytest.raises(AsgiAppError) as caught:
                await send(late)
            errors.append(caught.value)
            assert caught.value.field == late["type"]
        if not whole:
            await send(denial_body(b"no"))

    adapter = adapt(app)
    with Peer(adapter) as peer:
        assert peer.join() is None
        assert (peer.host.code, peer.host.body) == (401, b"no")
    adapter.close()
    assert len(errors) == (not (whole and late == denial()))


@pytest.mark.clause("A-EXT-01")
def test_a_denial_of_the_wrong_length_is_an_error(adapt: Adapt) -> None:
    app = recording(denial(403, (b"content-length", b"2")), denial_body(b"four"))
    with Peer(adapt(app)) as peer:
        error = peer.join()
    assert isinstance(error, AsgiAppError)
    assert error.field == "content-length"


@pytest.mark.clause("A-EXT-01", "A-WS-10")
def test_an_unfinished_denial_is_an_error(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(denial())

    with Peer(adapt(app)) as peer:
        error = peer.join()
    assert isinstance(error, AsgiAppError)


# --- the application ends -------------------------------------------------------------------------


@pytest.mark.clause("A-WS-10")
def test_an_application_that_returns_closes_with_1000(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(text("last"))

    with Peer(adapt(app)) as peer:
        peer.accepted()
        assert peer.text() == "last"
        assert peer.closed() == (1000, "")
        assert peer.until_end() == b""
        peer.served()


@pytest.mark.clause("A-WS-10")
@pytest.mark.parametrize("error", [ZeroDivisionError("x"), SystemExit(3), StopIteration()])
def test_an_application_that_raises_closes_with_1011(adapt: Adapt, error: BaseException) -> None:
    """And the server hears of it, though it can write nothing more to the connection."""

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(text("last"))
        if isinstance(error, StopIteration):
            next(iter(()))
        raise error

    with Peer(adapt(app)) as peer:
        peer.accepted()
        assert peer.text() == "last"
        assert peer.closed() == (1011, "")
        raised = peer.join()
        if isinstance(error, ZeroDivisionError):
            assert raised is error
        else:
            assert type(raised) in (AsgiAppError, RuntimeError)
        with pytest.raises(BrokenPipeError):
            peer.far.send(b"HTTP/1.1 500")


@pytest.mark.clause("A-WS-10")
def test_an_application_that_raises_before_an_answer_is_an_error(adapt: Adapt) -> None:
    error = ZeroDivisionError()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise error

    with Peer(adapt(app)) as peer:
        assert peer.join() is error
        assert peer.host.status is None


@pytest.mark.clause("A-WS-10")
def test_an_application_that_returns_without_an_answer_is_an_error(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with Peer(adapt(app)) as peer:
        error = peer.join()
    assert isinstance(error, AsgiAppError)
    assert error.field == "websocket.accept"


@pytest.mark.clause("A-WS-08", "A-WS-07")
@pytest.mark.parametrize(
    ("close", "expected"),
    [
        ({}, (1000, "")),
        ({"reason": None}, (1000, "")),
        ({"code": 4999, "reason": "\xe4" * 61 + "x"}, (4999, "\xe4" * 61 + "x")),
        ({"code": 1012}, (1012, "")),
    ],
)
def test_close_sends_code_and_reason(
    adapt: Adapt, close: dict[str, Any], expected: tuple[int, str]
) -> None:
    received = Record()
    over = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages = [ACCEPT, text("a"), CLOSE | close]
        await recording(*messages, into=received)(scope, receive, send)
        for late in (text("late"), CLOSE):
            with pytest.raises(ClientDisconnected):
                await send(late)
        over.set()

    with Peer(adapt(app)) as peer:
        peer.accepted()
        assert peer.text() == "a"
        assert peer.closed() == expected
        over.happens()
        peer.served()
    assert received.all() == [CONNECT, disconnect(*expected)]


@pytest.mark.clause("A-WS-08", "A-WS-06")
def test_after_its_close_the_application_receives_its_own_code_only(adapt: Adapt) -> None:
    """Not what the peer had sent before, nor how the peer went."""
    received = Record()
    lost = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["text"] == "one"
        await send(CLOSE | {"code": 4000})
        await anyio.to_thread.run_sync(lost.happens)
        received.add(await receive())

    with Peer(adapt(app)) as peer:
        peer.accepted()
        peer.send(TextMessage(data="one"), TextMessage(data="two"))
        assert peer.closed(answered=False) == (4000, "")
        peer.socket.close()
        peer.served()
        lost.set()
    assert received.all() == [disconnect(4000)]


@pytest.mark.clause("A-WS-08")
def test_what_comes_before_the_answer_to_the_close_is_ignored(adapt: Adapt) -> None:
    with Peer(adapt(recording(ACCEPT, CLOSE))) as peer:
        peer.accepted()
        event = peer.event()
        assert event == CloseConnection(code=1000, reason="")
        peer.socket.sendall(b"\x89\x80\0\0\0\0" + b"\x81\x81\0\0\0\0a")  # a ping, a text
        peer.socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        assert peer.until_end() == b""
        peer.served()


@pytest.mark.clause("A-WS-08")
def test_both_may_close_at_once(adapt: Adapt) -> None:
    """The peer still gets what the application sent before its close, and the close."""
    closed = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "bytes": b"x" * 2_000_000})
        await send(CLOSE | {"code": 4000})
        closed.set()

    with Peer(adapt(app)) as peer:
        peer.accepted()
        closed.happens()
        peer.send(CloseConnection(code=4001))
        assert peer.event() == BytesMessage(data=b"x" * 2_000_000)
        assert peer.closed(answered=False) == (4000, "")
        peer.served()


@pytest.mark.clause("A-WS-10")
def test_work_after_close_does_not_hold_the_connection(adapt: Adapt) -> None:
    closed, done = Event(), Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(CLOSE)
        await anyio.to_thread.run_sync(closed.happens)
        done.set()

    with Peer(adapt(app)) as peer:
        peer.accepted()
        peer.closed()
        peer.served()
        closed.set()
        done.happens()


@pytest.mark.clause("A-WS-10")
def test_a_peer_that_does_not_answer_the_close_is_not_waited_for_long(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gatebridge._asgi_on_wsgi.websocket.connection_in_thread._CLOSE_SECONDS", 0.01
    )
    with Peer(adapt(recording(ACCEPT, CLOSE))) as peer:
        peer.accepted()
        assert peer.closed(answered=False) == (1000, "")
        assert peer.until_end() == b""
        peer.served()


# --- the peer ends --------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-06")
@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", disconnect(1005)),
        (b"\x03\xe8", disconnect(1000)),
        (b"\x0f\xa0bye \xc3\xa4", disconnect(4000, "bye \xe4")),
    ],
)
def test_the_peers_close_is_a_disconnect(
    adapt: Adapt, frame: bytes, expected: dict[str, Any]
) -> None:
    received = Record()
    with Peer(adapt(recording(ACCEPT, into=received))) as peer:
        peer.accepted()
        peer.socket.sendall(bytes([0x88, 0x80 | len(frame), 0, 0, 0, 0]) + frame)
        assert peer.until_end() == bytes([0x88, len(frame)]) + frame  # echoed
        peer.served()
    assert received.all() == [CONNECT, expected]


@pytest.mark.clause("A-WS-06")
def test_messages_before_the_close_are_received_before_the_disconnect(adapt: Adapt) -> None:
    received = Record()
    with Peer(adapt(recording(ACCEPT, into=received))) as peer:
        peer.accepted()
        peer.send(TextMessage(data="a"), BytesMessage(data=b"b"))
        peer.hang_up(1001)
        peer.served()
    assert received.all()[1:] == [
        {"type": "websocket.receive", "text": "a"},
        {"type": "websocket.receive", "bytes": b"b"},
        disconnect(1001),
    ]


@pytest.mark.clause("A-WS-06", "A-WS-07", "A-WS-10")
@pytest.mark.parametrize("how", ["lost", "closed"])
def test_send_after_the_peer_left_raises(
    adapt: Adapt, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gatebridge")
    received = Record()
    raised = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(ACCEPT, into=received)(scope, receive, send)
        with pytest.raises(ClientDisconnected):
            await send(CLOSE)
        try:
            await send(text("x"))
        except OSError:
            raised.set()
            raise

    adapter = adapt(app)
    with Peer(adapter) as peer:
        peer.accepted()
        if how == "lost":
            peer.socket.close()
        else:
            peer.hang_up()
        raised.happens()
        peer.served()
    adapter.close()
    assert received.all() == [CONNECT, disconnect(1006 if how == "lost" else 1000)]
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []  # nobody's fault


@pytest.mark.clause("A-WS-06", "A-WS-02")
def test_a_client_that_leaves_before_the_answer_is_a_disconnect(adapt: Adapt) -> None:
    received = Record()
    raised = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(into=received)(scope, receive, send)
        with pytest.raises(ClientDisconnected):
            await send(ACCEPT)
        raised.set()

    with Peer(adapt(app)) as peer:
        peer.socket.close()
        raised.happens()
        peer.served()
    assert received.all() == [CONNECT, disconnect(1006)]


def test_what_a_client_sends_before_the_answer_is_not_lost(adapt: Adapt) -> None:
    received = Record()
    connected, go_on = Event(), Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connected.set()
        await anyio.to_thread.run_sync(go_on.happens)
        await recording(ACCEPT, into=received)(scope, receive, send)

    with Peer(adapt(app)) as peer:
        connected.happens()
        peer.socket.sendall(b"\x81\x81\0\0\0\0a")
        go_on.set()
        peer.accepted()
        peer.hang_up()
        peer.served()
    assert received.all()[1] == {"type": "websocket.receive", "text": "a"}


# --- the server, the adapter, the loop ------------------------------------------------------------


@pytest.mark.clause("D-42", "C-08")
@pytest.mark.parametrize(
    ("server", "expected"),
    [("werkzeug.socket", ConnectionError), ("gunicorn.socket", StopIteration)],
)
def test_each_server_is_told_in_its_own_way_not_to_answer(
    adapt: Adapt, server: str, expected: type[Exception]
) -> None:
    with Peer(adapt(recording(ACCEPT)), server=server) as peer:
        peer.accepted()
        peer.hang_up()
        assert type(peer.join()) is expected
        assert peer.host.status is None
        assert peer.until_end() == b""
        assert peer.far.gettimeout() is None  # as the server had it


@pytest.mark.clause("D-42", "C-08")
def test_eventlet_is_told_not_to_answer(adapt: Adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says HTTP/1.0 whatever the client says, and has the socket in its input."""
    module: Any = ModuleType("eventlet.wsgi")
    module.WSGI_LOCAL = SimpleNamespace(already_handled=False)
    monkeypatch.setitem(sys.modules, "eventlet.wsgi", module)
    near, far = socket.socketpair()
    held = SimpleNamespace(get_socket=lambda: far)
    environ: dict[str, Any] = {"eventlet.input": held, "SERVER_PROTOCOL": "HTTP/1.0"}
    with near, Peer(adapt(recording(ACCEPT)), server="unused", **environ) as peer:
        peer.socket.close()
        peer.socket = near
        near.settimeout(HANG)
        peer.accepted()
        peer.hang_up()
        with pytest.raises(AssertionError):  # PEP 3333 would have start_response called
            peer.join()
        far.close()
        assert peer.host.result == []
        assert module.WSGI_LOCAL.already_handled is True


@pytest.mark.clause("A-WS-10")
def test_close_of_the_adapter_ends_the_connection(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = adapt(recording(ACCEPT), shutdown_timeout=0)
    with Peer(adapter) as peer:
        peer.accepted()
        adapter.close()
        assert peer.closed() == (1001, "")
        peer.served()
    assert "cut off: websocket '/'" in caplog.text


@pytest.mark.clause("A-WS-10")
def test_close_of_the_adapter_before_an_answer_is_an_error(adapt: Adapt) -> None:
    connected = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connected.set()
        await anyio.sleep_forever()

    adapter = adapt(app, shutdown_timeout=0)
    with Peer(adapter) as peer:
        connected.happens()
        adapter.close()
        assert isinstance(peer.join(), UnavailableError)


def test_an_error_instead_of_an_answer_does_not_outlive_the_request(adapt: Adapt) -> None:
    """It goes at once, not at the next run of the collector."""
    failures: list[weakref.ref[Exception]] = []

    class NoAnswerError(Exception):
        def __init__(self) -> None:
            failures.append(weakref.ref(self))

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NoAnswerError

    adapter = adapt(app)
    headers = {
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    near, far = socket.socketpair()
    gc.disable()
    try:
        with near, far, suppress(NoAnswerError):
            environ: dict[str, Any] = {"werkzeug.socket": far}
            Host(headers=headers, **environ).serve(adapter)
        adapter.close()
        assert [failure() for failure in failures] == [None]
    finally:
        gc.enable()


def test_an_application_that_does_not_answer_times_out(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with Peer(adapt(app, response_timeout=0.01)) as peer:
        error = peer.join()
    assert isinstance(error, AsgiAppError)
    assert error.field == "response_timeout"


def test_the_timeout_may_be_longer_than_a_selector_can_wait(adapt: Adapt) -> None:
    with Peer(adapt(recording(ACCEPT), response_timeout=1e7)) as peer:
        peer.accepted()
        peer.hang_up()
        peer.served()


def test_the_timeout_is_for_the_answer_only(adapt: Adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    wait = SocketWaiter.wait

    def recording_wait(waiter: SocketWaiter, events: int, seconds: float | None) -> int:
        waits.append(seconds)
        return wait(waiter, events, seconds)

    monkeypatch.setattr(SocketWaiter, "wait", recording_wait)
    with Peer(adapt(recording(ACCEPT), response_timeout=60)) as peer:
        peer.accepted()
        peer.send(Ping(payload=b"still there"))
        assert peer.event() == Pong(payload=b"still there")
        while_open = [*waits]
        peer.hang_up()
        peer.served()
    assert None in while_open
    before = while_open[: while_open.index(None)]
    assert all(seconds is not None and 0 < seconds <= 60 for seconds in before)
    assert while_open[len(before) :] == [None] * (len(while_open) - len(before))


@pytest.mark.clause("A-WS-10")
@pytest.mark.parametrize("accepts", [False, True])
def test_the_end_of_the_loop_ends_the_connection(accepts: bool) -> None:
    """On asyncio, where a task of the application's may end the loop."""
    tasks: list[Any] = []

    async def exit_() -> None:
        raise SystemExit(3)

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if accepts:
            await send(ACCEPT)
        tasks.append(asyncio.create_task(exit_()))
        await anyio.sleep_forever()

    adapter = AsgiToWsgi(app)
    with Peer(adapter) as peer:
        if accepts:
            peer.accepted()
            assert peer.closed() == (1011, "")
        assert isinstance(peer.join(), (UnavailableError, AsgiAppError))
    adapter.close()
    assert isinstance(tasks[0].exception(), SystemExit)


@pytest.mark.clause("A-WS-10")
@pytest.mark.parametrize("accepts", [False, True])
def test_a_loop_that_has_ended_without_a_word_ends_the_connection(
    adapt: Adapt, accepts: bool
) -> None:
    """The application hears nothing any more, and the server's thread must not wait for it."""
    connected = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if accepts:
            await send(ACCEPT)
        connected.set()
        await anyio.sleep_forever()

    adapter = adapt(app, shutdown_timeout=0)
    with Peer(adapter) as peer:
        connected.happens()
        session = adapter._processes.get().session
        assert session is not None
        session.lost()
        if accepts:
            peer.accepted()
            assert peer.closed() == (1011, "")
        assert isinstance(peer.join(), UnavailableError)


def test_an_ordinary_request_is_served_beside_a_connection(adapt: Adapt) -> None:
    from asgi_on_wsgi.host import Host

    @http
    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"page"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        both = page if scope["type"] == "http" else recording(ACCEPT)
        await both(scope, receive, send)

    adapter = adapt(app)
    with Peer(adapter) as peer:
        peer.accepted()
        near, far = socket.socketpair()
        environ: dict[str, Any] = {"werkzeug.socket": far}
        with near, far:
            assert Host(**environ).serve(adapter).body == b"page"
        peer.hang_up()
        peer.served()
