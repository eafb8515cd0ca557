"""A WebSocket client in this process, and the server's thread that serves its handshake."""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from typing_extensions import Self
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Request,
    TextMessage,
)

from asgi_on_wsgi.apps import Event as ThreadEvent
from asgi_on_wsgi.host import HANG, Host, ServingThread
from gatebridge.types import Receive, Scope, Send, WSGIApplication

Socket = Callable[[Scope, Receive, Send], Awaitable[Any]]

ACCEPT = {"type": "websocket.accept"}
CONNECT = {"type": "websocket.connect"}


def text(data: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": data}


def disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def websocket(function: Socket) -> Socket:
    """Return an application that knows nothing but WebSockets."""

    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        return await function(scope, receive, send)

    return app


class Record:
    """What an application has received."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._over = ThreadEvent()

    def add(self, message: Any) -> bool:
        """Record a message; return whether more is to come."""
        self._messages.append(message)
        if message["type"] != "websocket.disconnect":
            return True
        self._over.set()
        return False

    def all(self) -> list[Any]:
        """Wait for the disconnect, and return everything."""
        self._over.happens()
        return self._messages


def recording(*messages: dict[str, Any], into: Record | None = None) -> Socket:
    """Return an application that sends these messages, then records all that it receives."""
    record = into or Record()

    @websocket
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        while record.add(await receive()):
            pass

    return app


class Peer:
    """One connection: its client's end is this object's, the other end a server's.

    Args:
        app: What the server serves.
        server: The key that the server keeps the socket under.
        subprotocols: What the client offers.
        environ: Further keys; None removes one.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        server: str = "werkzeug.socket",
        subprotocols: tuple[str, ...] = (),
        **environ: Any,
    ) -> None:
        self.ws = WSConnection(ConnectionType.CLIENT)
        request = self.ws.send(
            Request(host="example.org", target="/", subprotocols=list(subprotocols))
        )
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
        assert key
        self.socket, self.far = socket.socketpair()
        self.socket.settimeout(HANG)
        headers = {
            "upgrade": "websocket",
            "connection": "keep-alive, Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": key[1].decode(),
        }
        if subprotocols:
            headers["sec-websocket-protocol"] = ", ".join(subprotocols)
        self.host = Host(headers=headers, **{server: self.far, **environ})
        self.wire = b""
        """All that came from the server."""
        self._thread = ServingThread(self.host, app)

    # --- what the client does ---------------------------------------------------------------------

    def accepted(self) -> AcceptConnection:
        """Wait for the handshake to be completed."""
        event = self.event()
        assert isinstance(event, AcceptConnection)
        return event

    def send(self, *events: Event) -> None:
        self.socket.sendall(b"".join(self.ws.send(event) for event in events))

    def event(self) -> Event:
        """Return the next event; a message only as a whole."""
        whole: str | bytes = b""
        while True:
            for event in self.ws.events():
                if isinstance(event, Message):
                    whole = event.data if not whole else whole + event.data
                    if not event.message_finished:
                        continue
                    kind = TextMessage if isinstance(event, TextMessage) else BytesMessage
                    return kind(data=whole)  # type: ignore[arg-type]
                return event
            data = self.socket.recv(65536)
            assert data, "the server has ended the connection"
            self.wire += data
            self.ws.receive_data(data)

    def text(self) -> str:
        """Return the next message, which is a text."""
        event = self.event()
        assert isinstance(event, TextMessage), event
        return event.data

    def closed(self, *, answered: bool = True) -> tuple[int, str | None]:
        """Wait for the server's close frame, answer it, and return what it says."""
        event = self.event()
        assert isinstance(event, CloseConnection), event
        if answered:
            self.send(event.response())
        return int(event.code), event.reason or ""

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection as a client should."""
        self.send(CloseConnection(code=code, reason=reason))
        event = self.event()
        assert isinstance(event, CloseConnection), event
        assert int(event.code) == code

    def until_end(self) -> bytes:
        """Return the bytes until the server ends the connection."""
        data = b""
        while part := self.socket.recv(65536):
            data += part
        self.wire += data
        return data

    # --- what the server does ---------------------------------------------------------------------

    def join(self) -> BaseException | None:
        """Wait for the server's thread; return what was raised there."""
        try:
            self._thread.join()
        except AssertionError:
            raise
        except BaseException as exc:  # noqa: BLE001
            return exc
        return None

    def served(self) -> None:
        """Wait until the server was told that the connection is over, and nothing else."""
        error = self.join()
        assert type(error) is ConnectionError, error
        assert self.host.status is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()
        self._thread._thread.join(HANG)
        self.far.close()
