"""One WebSocket connection, as a call of the application on the event loop.

This side touches no socket. What goes to the peer is put into a queue for the server's thread, see
`connection_in_thread`, which tells this side what comes from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._asgi_on_wsgi.response_on_loop import Response
from gatebridge._asgi_on_wsgi.websocket.thread_tasks import Accept, Close, Data, WakingQueue
from gatebridge._concurrency.portal import Portal
from gatebridge._protocol.order import COMPLETE
from gatebridge._protocol.presence import HERE
from gatebridge._protocol.window import Window
from gatebridge._translate.messages import type_of
from gatebridge._translate.websocket_messages import acceptance_of, close_of, data_of
from gatebridge.errors import AsgiAppError, ClientDisconnected, GatebridgeError
from gatebridge.types import ASGIApplication, Message

_DENIAL = {
    "websocket.http.response.start": "http.response.start",
    "websocket.http.response.body": "http.response.body",
}


class _Handshake(Enum):
    """What the application makes of the handshake."""

    UNANSWERED = "it has not answered"
    ACCEPTED = "the connection is a WebSocket's"
    DENIED = "it sends an HTTP response instead"


class WebSocketCall(Call):
    """The call for one connection.

    An application that denies the handshake sends an ordinary response, which is why there is one.

    Args:
        app: The ASGI application.
        scope: The connection's.
        portal: To the event loop.
        window_bytes: How much may wait for the peer, or for the application.
        ended: Called with this call when its task has ended.

    Attributes:
        inbox: The tasks of the response, with what wakes the thread.
        outbound: The window of what waits for the peer; the thread takes.
        inbound: That of what waits for the application; the thread puts.
    """

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        portal: Portal,
        window_bytes: int,
        ended: Callable[[Call], object],
    ) -> None:
        self.inbox = WakingQueue()
        response = Response(
            portal.handle,
            self.inbox,
            ("websocket", scope["path"]),
            "GET",
            scope["extensions"],
            window_bytes,
        )
        super().__init__(app, scope, response, portal, ended)
        self.outbound = response.window = Window(window_bytes)
        self.inbound = Window(window_bytes)
        self._offered: list[str] = [*scope["subprotocols"]]
        self._handshake = _Handshake.UNANSWERED
        self._messages: deque[tuple[dict[str, Any], int]] = deque()
        self._connected = False  # the application has received websocket.connect
        self._code = 1006  # of the disconnect
        self._reason = ""

    def _call_app(self) -> Any:  # noqa: ANN401 - as its base class
        return self._app(self._scope, self._receive, self._send)

    # --- how it ends ------------------------------------------------------------------------------

    def _conclude(self, error: BaseException | None) -> None:
        """End the connection as the application's task has ended (A-WS-10)."""
        if self._handshake is _Handshake.ACCEPTED and error is None:
            self._close(1000, "")
            return
        if error is None and self._handshake is _Handshake.UNANSWERED:
            error = AsgiAppError(
                "websocket.accept", "the application returned without accepting or closing"
            )
        self.response.fail(error)

    def _close(self, code: int, reason: str) -> None:
        self.response.complete()
        self.inbox.put(Close(code, reason))

    def cut_off(self, why: GatebridgeError | None = None) -> None:
        """Cancel the task; an open connection ends with 1001, else the thread raises ``why``."""
        if self._handshake is _Handshake.ACCEPTED and why is not None:
            self.inbox.put(Close(1001, ""))
            why = None
        super().cut_off(why)

    # --- what the thread says ---------------------------------------------------------------------

    def deliver(self, messages: list[tuple[dict[str, Any], int]]) -> None:
        """Accept messages from the peer, each with its size in bytes."""
        if self.response.stage is not COMPLETE:
            self._messages.extend(messages)
            self.response.wake()

    def disconnect(self, code: int, reason: str) -> None:
        """Called when the connection is over, perhaps because the application has ended it."""
        if self.response.stage is COMPLETE:
            self.response.wake()
        elif self.response.client is HERE:
            self._code, self._reason = code, reason
            self.response.client_left()

    # --- what the application calls ---------------------------------------------------------------

    async def _receive(self) -> Any:  # noqa: ANN401 - a dictionary of one of three types
        """Return the next event (ASGI WebSocket 2.5 "Connect", "Receive", "Disconnect")."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while not self._messages:
            if self.response.stage is COMPLETE or self.response.client is not HERE:
                self.response.tell()
                return {
                    "type": "websocket.disconnect",
                    "code": self._code,
                    "reason": self._reason,
                }
            await self.response.change()
        message, size = self._messages.popleft()
        if self.inbound.take(size):
            self.inbox.put(None)
        return message

    async def _send(self, message: Message) -> None:
        """Take one message (ASGI WebSocket 2.5 "Accept", "Send", "Close"; the denial response).

        Raises:
            AsgiAppError: The message breaks the specification, or comes at the wrong time. It has
                no effect, except that a denial's body of the wrong length ends the response.
            ClientDisconnected: The connection is over.
        """
        kind = type_of(message)
        if self._handshake is _Handshake.DENIED:
            if kind not in _DENIAL:
                raise AsgiAppError(kind, "sent after websocket.http.response.start")
            await self._deny(kind, message)
        elif self.response.client is not HERE:
            raise self.response.disconnected()
        elif self.response.stage is COMPLETE:
            self.response.tell()
            raise ClientDisconnected("send", "the application has ended the connection")
        elif self._handshake is _Handshake.ACCEPTED:
            await self._go_on_with(kind, message)
        else:
            await self._answer(kind, message)

    async def _answer(self, kind: str, message: Message) -> None:
        """Take what answers the handshake."""
        if kind == "websocket.accept":
            accept = Accept(*acceptance_of(message, self._offered))
            self._handshake = _Handshake.ACCEPTED
            self.response.switch_protocols()
            self.inbox.put(accept)
        elif kind == "websocket.close":
            send, headers = self.response.send, [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body"})
        elif kind in _DENIAL:
            await self._deny(kind, message)
            self._handshake = _Handshake.DENIED
        elif kind == "websocket.send":
            raise AsgiAppError(kind, "sent before websocket.accept")
        else:
            raise _foreign(kind)

    async def _go_on_with(self, kind: str, message: Message) -> None:
        """Take what follows the acceptance."""
        if kind == "websocket.send":
            data, size = data_of(message)
            await self.response.until_room()
            self.outbound.put(size)
            self.inbox.put(Data(data, size))
        elif kind == "websocket.close":
            self._code, self._reason = close_of(message)
            self._messages.clear()
            self._close(self._code, self._reason)
        elif kind == "websocket.accept" or kind in _DENIAL:
            raise AsgiAppError(kind, "sent after websocket.accept")
        else:
            raise _foreign(kind)

    async def _deny(self, kind: str, message: Message) -> None:
        try:
            await self.response.send({**message, "type": _DENIAL[kind]})
        except AsgiAppError as exc:
            if exc.field in _DENIAL.values():
                raise AsgiAppError(f"websocket.{exc.field}", exc.reason) from None
            raise


def _foreign(kind: str) -> AsgiAppError:
    return AsgiAppError("type", f"not a message of a WebSocket: {kind!r:.80}")
