"""The frames of one WebSocket connection, from bytes to messages and back; no I/O.

The only module that imports ``wsproto``, which is optional: nothing may import this one before it
is known to be needed.

Source: RFC 6455.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    TextMessage,
)


class Received(NamedTuple):
    """A whole message, and its length in bytes."""

    data: str | bytes
    size: int


class Pinged(NamedTuple):
    """A ping, and the frame that answers it."""

    answer: bytes


class Ended(NamedTuple):
    """The last that there is from the peer: its close frame, or its mistake.

    Attributes:
        code: The peer's code, 1005 if it gave none; or that of its mistake.
        reason: Why; may be empty.
        answer: The frame to send now; empty if nothing is.
    """

    code: int
    reason: str
    answer: bytes


Event: TypeAlias = Received | Pinged | Ended


class WebSocketWire:
    """The server's end of a connection.

    Args:
        key: The client's, checked.
        subprotocols: What the client offers.
        max_message_size: The largest message in bytes that the client may send, None for any.

    Attributes:
        over: Close frames were received and sent, or nothing more is to be expected.
        failed: The peer broke the protocol or the limit; what else it sends is not read.
    """

    def __init__(self, key: bytes, subprotocols: list[str], max_message_size: int | None) -> None:
        self._limit = max_message_size
        self._ws = WSConnection(ConnectionType.SERVER)
        # Just what the handshake is about. The request itself was checked before.
        headers = [
            (b"host", b"localhost"),
            (b"upgrade", b"websocket"),
            (b"connection", b"upgrade"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", key),
        ]
        if subprotocols:
            headers.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("ascii")))
        self._ws.initiate_upgrade_connection(headers, b"/")
        list(self._ws.events())
        self._text = io.StringIO()  # the message that is being received
        self._bytes = bytearray()
        self._size = 0
        self._closing = False  # our close frame was made
        self.over = False
        self.failed = False

    def accept(self, subprotocol: str | None, headers: list[tuple[str, str]]) -> bytes:
        """Return the response that completes the handshake."""
        extra = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        return self._ws.send(AcceptConnection(subprotocol=subprotocol, extra_headers=extra))

    def message(self, data: str | bytes) -> bytes:
        """Return the frame of a message; not after `close`, nor after `Ended`."""
        if isinstance(data, str):
            return self._ws.send(TextMessage(data=data))
        return self._ws.send(BytesMessage(data=data))

    def close(self, code: int, reason: str) -> bytes:
        """Return the close frame; not after `Ended`, and only once."""
        self._closing = True
        return self._ws.send(CloseConnection(code=code, reason=reason))

    def receive(self, data: bytes) -> Iterator[Event]:
        """Yield what the bytes from the peer mean."""
        if self.over or self.failed:
            return
        self._ws.receive_data(data)
        for event in self._ws.events():
            if isinstance(event, CloseConnection):
                yield self._ended(event)
                return
            if self._closing:
                continue
            if isinstance(event, Ping):
                yield Pinged(self._ws.send(event.response()))
            elif isinstance(event, (TextMessage, BytesMessage)):
                if isinstance(event, TextMessage):
                    self._text.write(event.data)
                    self._size += len(event.data.encode("utf-8"))
                else:
                    self._bytes += event.data
                    self._size += len(event.data)
                if self._limit is not None and self._size > self._limit:
                    reason = f"a message of more than {self._limit} bytes"
                    yield self._fail(1009, reason)
                    return
                if event.message_finished:
                    yield self._whole(is_text=isinstance(event, TextMessage))

    def _whole(self, *, is_text: bool) -> Received:
        received = Received(self._text.getvalue() if is_text else bytes(self._bytes), self._size)
        self._text = io.StringIO()
        self._bytes = bytearray()
        self._size = 0
        return received

    def _ended(self, event: CloseConnection) -> Ended:
        code, reason = int(event.code), event.reason or ""
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            self.over = True
            return Ended(code, reason, self._ws.send(event.response()))
        if self._ws.state is ConnectionState.CLOSED:  # the answer to our own close frame
            self.over = True
            return Ended(code, reason, b"")
        return self._fail(code, reason)

    def _fail(self, code: int, reason: str) -> Ended:
        self.failed = True
        return Ended(code, reason, b"" if self._closing else self.close(code, reason))
