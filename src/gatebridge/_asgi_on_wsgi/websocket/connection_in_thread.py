"""One WebSocket connection in the server's thread: the only one that touches the socket.

The thread waits for the socket and for the application at once. It reads no further than a window
ahead of the application, and writes what the application's call, see `call_on_loop`, sends.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from queue import Empty
from typing import Any

from gatebridge._asgi_on_wsgi.request_body import BLOCK_BYTES
from gatebridge._asgi_on_wsgi.request_in_thread import WsgiRequest
from gatebridge._asgi_on_wsgi.thread_tasks import Task
from gatebridge._asgi_on_wsgi.websocket.raw_socket import RawSocket
from gatebridge._asgi_on_wsgi.websocket.socket_waiter import READ, WRITE, SocketWaiter
from gatebridge._asgi_on_wsgi.websocket.thread_tasks import Accept, Close, Data
from gatebridge._asgi_on_wsgi.websocket.websocket_on_loop import WebSocketCall
from gatebridge._asgi_on_wsgi.websocket.wire import Ended, Pinged, WebSocketWire
from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge.types import StartResponse, WSGIEnvironment

_logger = logging.getLogger("gatebridge")

_CLOSE_SECONDS = 5.0  # for the peer to take another part of what is left, or to answer the close

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocketConnection:
    """The server's thread at a handshake, and at what follows it.

    Args:
        call: The application's.
        handle: Of the call's event loop.
        environ: The request's.
        timeout: How many seconds the application may take to answer the handshake; None for any.
        raw: The connection.
        wire: Its frames.
    """

    def __init__(
        self,
        call: WebSocketCall,
        handle: LoopHandle,
        environ: WSGIEnvironment,
        timeout: float | None,
        raw: RawSocket,
        wire: WebSocketWire,
    ) -> None:
        # The handshake is an HTTP request up to the application's answer, and after a denial.
        self._request = WsgiRequest(call, handle, None, None, environ, timeout)
        self._call = call
        self._handle = handle
        self._timeout = timeout
        self._raw = raw
        self._socket = raw.socket
        self._wire = wire
        # To be written: frames, how many bytes of messages they have, and of how many messages.
        self._frames: deque[tuple[bytes, int, int]] = deque()
        self._pong = b""  # the answer to the last ping (RFC 6455 section 5.5.3)
        self._out = memoryview(b"")  # what is being written
        self._size = self._blocks = 0  # of the messages in that
        self._deadline: float | None = None  # once there is a close frame among what is written
        self._error: BaseException | None = None  # for the server

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Deny the handshake as an ordinary response, or serve the connection to its end.

        Raises:
            ConnectionError: The connection is over, in the language of Werkzeug.
            StopIteration: Likewise, of Gunicorn.
            Exception: As `WsgiRequest.respond`.
        """
        try:
            with closing(SocketWaiter(self._socket)) as waiter:
                self._call.inbox.wake = waiter.wake
                first = self._first(waiter)
                if isinstance(first, Accept):
                    self._carry(first, waiter)
        except BaseException:
            self._request.give_up()
            raise
        if first is not None and not isinstance(first, Accept):
            self._request.put_back(first)
            del first  # no cycle through the frames of the traceback, if it is an error
            return self._request.respond(start_response)
        self._request.mark_over()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle through the traceback's frames
        return self._raw.finish()

    # --- before the answer ------------------------------------------------------------------------

    def _first(self, waiter: SocketWaiter) -> Task | Accept:
        """Wait for the application's answer; None if the client leaves before."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        events = READ
        while True:
            with suppress(Empty):
                first: Task | Accept = self._call.inbox.get_nowait()
                return first
            seconds = None if deadline is None else deadline - time.monotonic()
            if seconds is not None and seconds <= 0:
                self._request.time_out()
            try:
                if waiter.wait(events, seconds):
                    events = 0  # bytes are for later: a client may not send any before the answer
                    if not self._socket.recv(1, socket.MSG_PEEK):
                        raise ConnectionResetError
            except _WOULD_BLOCK:
                pass
            except OSError:
                self._handle.call_soon(partial(self._call.disconnect, 1006, ""))
                return None
            except ValueError:
                events = 0  # TLS does not let one peek

    # --- after it ---------------------------------------------------------------------------------

    def _carry(self, accept: Accept, waiter: SocketWaiter) -> None:
        """Serve the connection to its end."""
        timeout = self._socket.gettimeout()
        try:
            self._socket.settimeout(0)
            self._frames.append((self._wire.accept(accept.subprotocol, accept.headers), 0, 0))
            self._serve(waiter)
        except (OSError, ValueError) as exc:  # ValueError: the socket was closed by somebody
            _logger.debug("%s: ended by %.200r", self._call, exc)
        finally:
            self._handle.call_soon(partial(self._call.disconnect, 1006, ""))
            with suppress(OSError):
                # So that the server cannot write, whatever it does about an application's error.
                self._socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                self._socket.settimeout(timeout)

    def _serve(self, waiter: SocketWaiter) -> None:
        while True:
            self._take_tasks()
            written = self._write()
            if written and self._wire.over:
                return
            if written and self._wire.failed:
                # The peer may have sent more. To close now could destroy what it has not read yet.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_WR)
            seconds = None
            if self._deadline is not None:
                seconds = self._deadline - time.monotonic()
                if seconds <= 0:
                    return
            reads = READ if self._deadline is not None or self._has_room() else 0
            if reads and self._pending():
                ready = READ
            else:
                ready = waiter.wait(reads | (0 if written else WRITE), seconds)
            if ready & READ:
                self._take_tasks()  # what the application sent before the peer's close goes first
                if not self._read():
                    return

    def _take_tasks(self) -> None:
        with suppress(Empty):
            while True:
                task: Any = self._call.inbox.get_nowait()
                if isinstance(task, Data):
                    if self._deadline is None:
                        self._frames.append((self._wire.message(task.data), task.size, 1))
                elif isinstance(task, Close):
                    self._close(task.code, task.reason)
                elif isinstance(task, BaseException):
                    self._error = self._error or task
                    self._close(1011, "")

    def _close(self, code: int, reason: str) -> None:
        if self._deadline is None:
            self._last(self._wire.close(code, reason))

    def _last(self, frame: bytes) -> None:
        """Send the close frame, if there is one to be sent, and wait no longer than needed."""
        self._pong = b""
        if frame:
            self._frames.append((frame, 0, 0))
        self._deadline = time.monotonic() + _CLOSE_SECONDS

    def _write(self) -> bool:
        """Write as much as the socket takes; return whether that is all."""
        while True:
            if not self._out:
                if self._pong:
                    self._out, self._pong = memoryview(self._pong), b""
                elif self._frames:
                    self._out = memoryview(self._joined_frames())
                else:
                    return True
            try:
                sent = self._socket.send(self._out)
            except _WOULD_BLOCK:
                return False
            self._out = self._out[sent:]
            if self._deadline is not None:
                self._deadline = time.monotonic() + _CLOSE_SECONDS
            if not self._out and self._blocks:
                if self._call.outbound.take(self._size, self._blocks):
                    self._handle.call_soon(self._call.response.wake)
                self._size = self._blocks = 0

    def _joined_frames(self) -> bytes:
        """Take frames to be written at once from the queue, and note what they count."""
        frames: list[bytes] = []
        written = 0
        while self._frames and written < BLOCK_BYTES:
            frame, size, blocks = self._frames.popleft()
            frames.append(frame)
            written += len(frame)
            self._size += size
            self._blocks += blocks
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _has_room(self) -> bool:
        """Return whether the application is near enough for more to be read."""
        return not self._call.inbound.must_wait()

    def _pending(self) -> bool:
        """Return whether TLS holds bytes that the socket is no longer ready for."""
        pending = getattr(self._socket, "pending", None)
        return pending is not None and pending() > 0

    def _read(self) -> bool:
        """Read once; return whether more may come."""
        try:
            data = self._socket.recv(BLOCK_BYTES)
        except _WOULD_BLOCK:
            return True
        messages: list[tuple[dict[str, Any], int]] = []
        ended: Ended | None = None
        for event in self._wire.receive(data):
            if isinstance(event, Ended):
                ended = event
            elif isinstance(event, Pinged):
                self._pong = event.answer
            else:
                key = "text" if isinstance(event.data, str) else "bytes"
                message = {"type": "websocket.receive", key: event.data}
                messages.append((message, event.size))
                self._call.inbound.put(event.size)
        if messages:
            self._handle.call_soon(partial(self._call.deliver, messages))
        if ended is not None:
            self._handle.call_soon(partial(self._call.disconnect, ended.code, ended.reason))
            if ended.answer:
                self._frames.clear()
            self._last(ended.answer)
        return bool(data)
