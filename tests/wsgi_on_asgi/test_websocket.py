"""A WebSocket handshake is refused: WSGI has none."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsgi_on_asgi.apps import adapter
from wsgi_on_asgi.host import HANG, extensions

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("A-WS-11", "D-41")]

DENIAL = extensions("websocket.http.response")


class Socket:
    """A server's part of a handshake."""

    def __init__(self, first: str = "websocket.connect", **scope: Any) -> None:
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "path": "/socket",
            "headers": [],
            "subprotocols": ["chat"],
            **scope,
        }
        self.calls: list[Any] = []
        self.send_error: Exception | None = None
        self.receive_error: Exception | None = None
        self._first = first

    async def receive(self) -> dict[str, Any]:
        assert "receive" not in self.calls
        self.calls.append("receive")
        if self.receive_error:
            raise self.receive_error
        return {"type": self._first}

    async def send(self, message: dict[str, Any]) -> None:
        self.calls.append(message)
        if self.send_error:
            raise self.send_error

    async def refused(self) -> list[Any]:
        with anyio.fail_after(HANG):
            app = adapter(lambda *_: pytest.fail("called"))
            await app(self.scope, self.receive, self.send)
        return self.calls


@pytest.mark.clause("A-WS-02", "A-CORE-14")
@pytest.mark.parametrize("offered", [{}, {"extensions": None}, {"extensions": {"tls": {}}}])
async def test_without_the_extension_it_is_closed_before_accept(offered: dict[str, Any]) -> None:
    """Which is HTTP 403; the connect event comes first."""
    assert await Socket(**offered).refused() == ["receive", {"type": "websocket.close"}]


@pytest.mark.clause("A-WS-02", "A-EXT-01", "A-EXT-02", "D-52")
async def test_with_the_extension_the_answer_is_501() -> None:
    first, start, body = await Socket(extensions=DENIAL).refused()
    assert first == "receive"
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 501)
    assert (body["type"], body["more_body"]) == ("websocket.http.response.body", False)
    assert dict(start["headers"]) == {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": str(len(body["body"])).encode(),
    }
    assert body["body"]


@pytest.mark.clause("A-WS-05")
@pytest.mark.parametrize("offered", [{}, DENIAL])
async def test_no_message_with_text_or_bytes_is_ever_sent(offered: dict[str, Any]) -> None:
    _, *messages = await Socket(extensions=offered).refused()
    assert not [message for message in messages if {"text", "bytes"} & set(message)]


@pytest.mark.clause("D-52")
async def test_it_is_logged_at_info_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gatebridge")
    await Socket().refused()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "/socket" in record.getMessage()


@pytest.mark.clause("A-WS-02")
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_client_that_left_already_is_not_answered(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gatebridge")
    socket = Socket("websocket.disconnect")
    socket.receive_error = error
    assert await socket.refused() == ["receive"]
    assert caplog.messages == ["websocket '/socket': the client left before it was refused"]


@pytest.mark.clause("D-30")
async def test_a_failure_of_receive_is_the_servers_error() -> None:
    socket = Socket()
    socket.receive_error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        await socket.refused()


@pytest.mark.clause("D-30")
@pytest.mark.parametrize("offered", [{}, DENIAL])
async def test_a_failure_of_send_is_the_servers_error(offered: dict[str, Any]) -> None:
    socket = Socket(extensions=offered)
    socket.send_error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        await socket.refused()


@pytest.mark.clause("A-HTTP-31")
@pytest.mark.parametrize("offered", [{}, DENIAL])
async def test_a_client_that_leaves_is_no_error(offered: dict[str, Any]) -> None:
    socket = Socket(extensions=offered)
    socket.send_error = BrokenPipeError()
    await socket.refused()
    assert len(socket.calls) == 2
