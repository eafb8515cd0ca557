"""One WebSocket connection, as a call of the application on the event loop.

As in `call_on_loop`, this side touches no socket. What goes to the peer is put into a queue for the
server's thread, see `connection_in_thread`, which tells this side what comes from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from gatebridge._asgi_on_wsgi.call_on_loop import AsgiCall
from gatebridge._asgi_on_wsgi.websocket.raw_socket import WakingQueue
from gatebridge._concurrency.gate import BLOCK_OVERHEAD
from gatebridge._concurrency.portal import Portal
from gatebridge._translate.messages import type_of
from gatebridge._translate.text import request_line
from gatebridge._translate.websocket_messages import acceptance_of, close_of, data_of
from gatebridge.errors import AsgiAppError, ClientDisconnected, GatebridgeError
from gatebridge.types import ASGIApplication, Message


class Accept(NamedTuple):
    """Asks the thread to complete the handshake."""

    subprotocol: str | None
    headers: list[tuple[str, str]]


class Data(NamedTuple):
    """Asks the thread to send a message, which counts as so many bytes in the window."""

    data: str | bytes
    weight: int


class Close(NamedTuple):
    """Asks the thread to end the connection."""

    code: int
    reason: str


_DENIAL = {
    "websocket.http.response.start": "http.response.start",
    "websocket.http.response.body": "http.response.body",
}


class WebSocketCall(AsgiCall):
    """The state of one connection, and the callables that the application is handed.

    An application that denies the handshake sends an ordinary response, so that everything about it
    is the base class's.

    Args:
        app: The ASGI application.
        scope: The connection's.
        portal: To the event loop.
        window_bytes: How much may wait for the peer, or for the application.
        ended: Called with this call when its task has ended.

    Attributes:
        inbox: The tasks, with what wakes the thread.
        consumed: How many bytes of messages the application has received, each with its overhead.
        reader_waits: Whether the thread reads no further until the application has received more.
            This side then resets it, and wakes the thread.
    """

    consumed = 0
    reader_waits = False
    _connected = False  # the application has received websocket.connect
    _accepted = False
    _denied = False  # by a response of the application's own
    _code = 1006  # of the disconnect
    _reason = ""

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        portal: Portal,
        window_bytes: int,
        ended: Callable[[AsgiCall], object],
    ) -> None:
        super().__init__(app, {**scope, "method": "GET"}, None, portal, window_bytes, ended)
        self._scope = scope
        self._offered: list[str] = [*scope["subprotocols"]]
        self.tasks = self.inbox = WakingQueue()
        self._messages: deque[tuple[dict[str, Any], int]] = deque()

    def __str__(self) -> str:
        return request_line("websocket", self._path)

    # --- how it ends ------------------------------------------------------------------------------

    def _fail(self, error: BaseException | None) -> None:
        """End the connection as the application's task has ended (A-WS-10)."""
        if self._accepted and error is None:
            self._end()
            self.inbox.put(Close(1000, ""))
            return
        if error is None and not self._denied:
            error = AsgiAppError(
                "websocket.accept", "the application returned without accepting or closing"
            )
        super()._fail(error)

    def cut_off(self, why: GatebridgeError | None = None) -> None:
        """Cancel the task; an open connection ends with 1001, else the thread raises ``why``."""
        if self._accepted and why is not None:
            self.inbox.put(Close(1001, ""))
            why = None
        super().cut_off(why)

    # --- what the thread says ---------------------------------------------------------------------

    def deliver_messages(self, messages: list[tuple[dict[str, Any], int]]) -> None:
        """Be given messages from the peer, each with its weight in the window."""
        if not self._complete:
            self._messages.extend(messages)
            self.wake()

    def disconnect(self, code: int, reason: str) -> None:
        """Be told that the connection is over, if the application has not ended it by itself."""
        if self._complete:
            self.wake()
        elif not self._departed:
            self._code, self._reason = code, reason
            self.depart()

    # --- what the application calls ---------------------------------------------------------------

    async def receive(self) -> Any:  # noqa: ANN401 - not a message of the base class's
        """Return the next event (ASGI WebSocket 2.5 "Connect", "Receive", "Disconnect")."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while not self._messages:
            if self._complete or self._departed:
                self._told = True
                return {
                    "type": "websocket.disconnect",
                    "code": self._code,
                    "reason": self._reason,
                }
            await self._change()
        message, weight = self._messages.popleft()
        self.consumed += weight
        if self.reader_waits:
            self.reader_waits = False
            self.inbox.put(None)
        return message

    async def send(self, message: Message) -> None:
        """Take one message (ASGI WebSocket 2.5 "Accept", "Send", "Close"; the denial response).

        Raises:
            AsgiAppError: The message breaks the specification, or comes at the wrong time. It has
                no effect, except that a denial's body of the wrong length ends the response.
            ClientDisconnected: The connection is over.
        """
        kind = type_of(message)
        if self._denied:
            if kind not in _DENIAL:
                raise AsgiAppError(kind, "sent after websocket.http.response.start")
            await self._deny(kind, message)
        elif self._departed:
            raise self._disconnected()
        elif self._complete:
            self._told = True
            raise ClientDisconnected("send", "the application has ended the connection")
        elif self._accepted:
            await self._go_on_with(kind, message)
        else:
            await self._answer(kind, message)

    async def _answer(self, kind: str, message: Message) -> None:
        """Take what answers the handshake."""
        if kind == "websocket.accept":
            accept = Accept(*acceptance_of(message, self._offered))
            self._accepted = self._started = True
            self.inbox.put(accept)
        elif kind == "websocket.close":
            headers = [(b"content-length", b"0")]
            await super().send({"type": "http.response.start", "status": 403, "headers": headers})
            await super().send({"type": "http.response.body"})
        elif kind in _DENIAL:
            await self._deny(kind, message)
            self._denied = True
        elif kind == "websocket.send":
            raise AsgiAppError(kind, "sent before websocket.accept")
        else:
            raise _foreign(kind)

    async def _go_on_with(self, kind: str, message: Message) -> None:
        """Take what follows the acceptance."""
        if kind == "websocket.send":
            data, size = data_of(message)
            if self.waiting_bytes() >= self._window:
                await self._until_room()
            self._put += size + BLOCK_OVERHEAD
            self.inbox.put(Data(data, size + BLOCK_OVERHEAD))
        elif kind == "websocket.close":
            self._code, self._reason = close_of(message)
            self._messages.clear()
            self._end()
            self.inbox.put(Close(self._code, self._reason))
        elif kind == "websocket.accept" or kind in _DENIAL:
            raise AsgiAppError(kind, "sent after websocket.accept")
        else:
            raise _foreign(kind)

    async def _deny(self, kind: str, message: Message) -> None:
        try:
            await super().send({**message, "type": _DENIAL[kind]})
        except AsgiAppError as exc:
            if exc.field in _DENIAL.values():
                raise AsgiAppError(f"websocket.{exc.field}", exc.reason) from None
            raise


def _foreign(kind: str) -> AsgiAppError:
    return AsgiAppError("type", f"not a message of a WebSocket: {kind!r:.80}")
