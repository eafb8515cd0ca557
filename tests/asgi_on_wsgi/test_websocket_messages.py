"""WebSockets: messages in both directions, control frames, limits."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import anyio
import pytest
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from asgi_on_wsgi.apps import Event
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG
from asgi_on_wsgi.peer import ACCEPT, Peer, Record, disconnect, recording, text, websocket
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

BLOCK = 65536


@websocket
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})


def data(key: str, value: str | bytes) -> dict[str, Any]:
    return {"type": "websocket.receive", key: value}


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Return a client's frame of up to 125 bytes, masked with zeros."""
    return bytes([opcode | 0x80 * final, 0x80 | len(payload), 0, 0, 0, 0]) + payload


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-05")
@pytest.mark.parametrize("value", ["", "text", "\xe4\u20ac\U0001f600", "x" * 200_000])
def test_text_is_received_and_sent_as_text(adapt: Adapt, value: str) -> None:
    with Peer(adapt(echo)) as peer:
        peer.accepted()
        peer.send(TextMessage(data=value))
        assert peer.event() == TextMessage(data=value)
        peer.hang_up()
        peer.served()


@pytest.mark.clause("A-WS-05")
@pytest.mark.parametrize("value", [b"", b"\0\xff", b"x" * 200_000])
def test_bytes_are_received_and_sent_as_bytes(adapt: Adapt, value: bytes) -> None:
    with Peer(adapt(echo)) as peer:
        peer.accepted()
        peer.send(BytesMessage(data=value))
        assert peer.event() == BytesMessage(data=value)
        peer.hang_up()
        peer.served()


@pytest.mark.clause("A-WS-05")
def test_a_message_has_one_of_the_two_keys(adapt: Adapt) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record))) as peer:
        peer.accepted()
        peer.send(TextMessage(data=""), BytesMessage(data=b""))
        peer.hang_up()
        peer.served()
    assert record.all()[1:-1] == [data("text", ""), data("bytes", b"")]


@pytest.mark.clause("A-WS-05")
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"text": "a", "bytes": None}, TextMessage(data="a")),
        ({"text": None, "bytes": b"b"}, BytesMessage(data=b"b")),
        ({"bytes": bytearray(b"c")}, BytesMessage(data=b"c")),
        ({"bytes": memoryview(b"d")}, BytesMessage(data=b"d")),
    ],
)
def test_the_key_that_is_not_none_is_sent(adapt: Adapt, message: Any, expected: Any) -> None:
    app = recording(ACCEPT, {"type": "websocket.send", **message})
    with Peer(adapt(app)) as peer:
        peer.accepted()
        assert peer.event() == expected
        peer.hang_up()
        peer.served()


def test_many_small_messages_keep_their_order(adapt: Adapt) -> None:
    with Peer(adapt(echo, window_bytes=500)) as peer:
        peer.accepted()
        texts = [str(number) for number in range(500)]
        peer.send(*(TextMessage(data=each) for each in texts))
        assert [peer.text() for _ in texts] == texts
        peer.hang_up()
        peer.served()


def test_tasks_of_the_application_may_send_at_once(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def sender(name: str) -> None:
            for number in range(100):
                await send(text(f"{name}{number}"))

        await send(ACCEPT)
        async with anyio.create_task_group() as group:
            for name in "abc":
                group.start_soon(sender, name)

    with Peer(adapt(app, window_bytes=1)) as peer:
        peer.accepted()
        texts = [peer.text() for _ in range(300)]
        assert peer.closed() == (1000, "")
        peer.served()
    for name in "abc":
        assert [t for t in texts if t[0] == name] == [f"{name}{number}" for number in range(100)]


# --- control frames, fragments --------------------------------------------------------------------


@pytest.mark.clause("A-WS-09", "H-WS-03")
def test_a_ping_is_answered_while_the_application_does_nothing(adapt: Adapt) -> None:
    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await anyio.sleep_forever()

    with Peer(adapt(app, shutdown_timeout=0)) as peer:
        peer.accepted()
        for payload in (b"", b"x" * 125):
            peer.send(Ping(payload=payload))
            assert peer.event() == Pong(payload=payload)
        peer.hang_up()
        peer.served()


@pytest.mark.clause("A-WS-09", "H-WS-03")
def test_control_frames_may_come_between_the_fragments_of_a_message(adapt: Adapt) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record))) as peer:
        peer.accepted()
        parts = "a\xe4\u20ac".encode()
        peer.socket.sendall(frame(1, parts[:2], final=False))  # in the middle of a character
        peer.socket.sendall(frame(9, b"between"))
        assert peer.event() == Pong(payload=b"between")
        peer.socket.sendall(frame(10, b"unasked for"))
        peer.socket.sendall(frame(0, b"", final=False) + frame(0, parts[2:]))
        peer.socket.sendall(frame(2, b"b", final=False) + frame(0, b"", final=True))
        peer.hang_up()
        peer.served()
    assert record.all()[1:-1] == [data("text", "a\xe4\u20ac"), data("bytes", b"b")]


@pytest.mark.clause("A-WS-09")
def test_a_frame_may_come_in_single_bytes(adapt: Adapt) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record))) as peer:
        peer.accepted()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in frame(1, b"slow"):
            peer.socket.sendall(bytes([byte]))
        peer.hang_up()
        peer.served()
    assert record.all()[1:-1] == [data("text", "slow")]


@pytest.mark.clause("H-WS-04", "A-WS-06")
@pytest.mark.parametrize(
    ("code", "raw"),
    [
        (1002, b"\x81\x01a"),  # not masked
        (1002, frame(3, b"")),  # an opcode that means nothing
        (1002, frame(0, b"a")),  # the continuation of nothing
        (1002, frame(9, b"", final=False)),  # a fragmented ping
        (1002, b"\xc1\x80\0\0\0\0"),  # a reserved bit
        (1002, frame(8, b"\x03")),  # half a code
        (1002, frame(8, b"\x03\xed")),  # 1005
        (1007, frame(1, b"\xff")),
        (1007, frame(1, b"\xe4", final=False) + frame(0, b"\x20")),
        (1007, frame(8, b"\x03\xe8\xff")),
    ],
)
def test_a_client_that_breaks_the_protocol_is_closed(adapt: Adapt, code: int, raw: bytes) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record))) as peer:
        peer.accepted()
        peer.socket.sendall(frame(1, b"fine") + raw + frame(1, b"ignored"))
        got, reason = peer.closed(answered=False)
        assert got == code
        assert peer.until_end() == b""  # the client may read at leisure
        peer.socket.shutdown(socket.SHUT_WR)
        peer.served()
    assert record.all()[1:] == [data("text", "fine"), disconnect(code, reason or "")]


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-WS-09")
@pytest.mark.parametrize("limit", [4, None])
def test_a_message_of_the_largest_size_is_received(adapt: Adapt, limit: int | None) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record), max_message_size=limit)) as peer:
        peer.accepted()
        peer.socket.sendall(frame(1, "\xe4".encode(), final=False) + frame(0, b"bc"))
        peer.socket.sendall(frame(2, b"1234"))
        peer.hang_up()
        peer.served()
    assert record.all()[1:-1] == [data("text", "\xe4bc"), data("bytes", b"1234")]


@pytest.mark.clause("A-WS-09")
@pytest.mark.parametrize(
    "raw",
    [
        frame(2, b"12345"),
        frame(2, b"123", final=False) + frame(0, b"45", final=False),
        frame(1, "\xe4\xe4\xe4".encode()),
    ],
)
def test_a_larger_message_is_closed_with_1009(adapt: Adapt, raw: bytes) -> None:
    record = Record()
    with Peer(adapt(recording(ACCEPT, into=record), max_message_size=4)) as peer:
        peer.accepted()
        peer.socket.sendall(raw)
        code, reason = peer.closed()
        peer.socket.close()
        peer.served()
    assert code == 1009
    assert record.all()[1:] == [disconnect(1009, reason or "")]


def test_the_limit_is_not_negative(adapt: Adapt) -> None:
    with pytest.raises(ValueError, match="max_message_size must be at least 0, got -1"):
        adapt(echo, max_message_size=-1)


def small_buffers(*sockets: socket.socket) -> int:
    """Make the sockets' buffers small; return what they may hold all the same, and some more."""
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return 4 * BLOCK


def test_send_waits_while_the_socket_is_full(adapt: Adapt) -> None:
    """The application is never more than the window and the socket's buffers ahead."""
    sent = 0
    count = 100

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(ACCEPT)
        for _ in range(count):
            await send({"type": "websocket.send", "bytes": b"x" * BLOCK})
            sent += 1

    with Peer(adapt(app, window_bytes=2 * BLOCK)) as peer:
        slack = 16 * BLOCK  # of the sockets' buffers
        peer.accepted()
        for received in range(count):
            assert (sent - received) * BLOCK <= 3 * BLOCK + slack
            event = peer.event()
            assert isinstance(event, BytesMessage)
            assert len(event.data) == BLOCK
        assert peer.closed() == (1000, "")
        peer.served()


def test_no_more_than_a_window_is_read_ahead_of_the_application(adapt: Adapt) -> None:
    go_on = Event()
    record = Record()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await anyio.to_thread.run_sync(go_on.happens)
        await recording(into=record)(scope, receive, send)

    with Peer(adapt(app, window_bytes=2 * BLOCK)) as peer:
        slack = small_buffers(peer.socket, peer.far)
        peer.accepted()
        peer.socket.settimeout(0.1)  # only how long nothing may move until it never will
        wire = peer.ws.send(BytesMessage(data=b"x" * 1000)) * 1000
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(wire):
                sent += peer.socket.send(wire[sent : sent + 1000])
        assert sent <= 3 * BLOCK + slack
        peer.socket.settimeout(HANG)
        go_on.set()
        peer.socket.sendall(wire[sent:])
        peer.hang_up()
        peer.served()
    assert record.all()[1:] == [data("bytes", b"x" * 1000)] * 1000 + [disconnect(1000)]


def test_a_sender_that_waits_hears_that_the_peer_left(adapt: Adapt) -> None:
    raised, waits = Event(), Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * BLOCK})
                waits.set()
        except OSError:
            raised.set()
            raise

    with Peer(adapt(app, window_bytes=1)) as peer:
        small_buffers(peer.socket, peer.far)
        peer.accepted()
        waits.happens()
        peer.socket.close()
        raised.happens()
        peer.served()


@pytest.mark.parametrize("answered", [True, False])
def test_a_sender_that_waits_hears_that_another_task_closed(
    adapt: Adapt, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not answered:
        monkeypatch.setattr(
            "gatebridge._asgi_on_wsgi.websocket.connection_in_thread._CLOSE_SECONDS", 0.01
        )
    raised = Event()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def sender() -> None:
            try:
                while True:
                    await send({"type": "websocket.send", "bytes": b"x" * BLOCK})
            except OSError:
                raised.set()

        await send(ACCEPT)
        async with anyio.create_task_group() as group:
            group.start_soon(sender)
            await receive()
            await receive()
            await send({"type": "websocket.close", "code": 4000})

    with Peer(adapt(app, window_bytes=1)) as peer:
        small_buffers(peer.socket, peer.far)
        peer.accepted()
        peer.send(TextMessage(data="close!"))
        raised.happens()
        if answered:
            event = peer.event()
            while isinstance(event, BytesMessage):
                event = peer.event()
            assert isinstance(event, CloseConnection)
            assert event.code == 4000
            peer.send(event.response())
        peer.served()
