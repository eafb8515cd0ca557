"""``wsgi.input`` over ``receive``: a synchronous file in a worker, fed from the event loop.

The loop's side calls `feed` with each message and `abort` when there will be no more; it asks
`wants_more` before it receives the next one, so that a body of any size takes one window of memory.
`feed_from` does so up to the last message.
The worker's side is an ordinary binary file. Neither side knows the other: the loop is woken by a
callable, and a worker that waits does so inside a context manager that tells the pool.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from gatebridge._concurrency.gate import Gate
from gatebridge._protocol.window import Window
from gatebridge._translate.disconnects import receive_lost_client
from gatebridge._translate.messages import part_of
from gatebridge.errors import (
    ClientDisconnected,
    GatebridgeError,
    HostError,
    RequestBodyError,
)
from gatebridge.types import Receive, WSGIEnvironment

_logger = logging.getLogger("gatebridge")


class WsgiInput(io.BufferedIOBase):
    """A request's body as a file: bytes, read once, never more than the body.

    Every method behaves as on an `io.BytesIO` of the whole body, however it was split on its way;
    only `read1` returns what has already come. Reading past the end gives ``b""``. A body that
    cannot be completed never looks like a short one: the read that would need the missing bytes
    raises, and so does each later one.

    Args:
        length: The declared length in bytes, or None. Bytes beyond it are not readable.
        max_size: The largest body of undeclared length to accept, in bytes, or None.
        window_bytes: How much may wait here unread before `wants_more` turns false.
        on_demand: Whether `wants_more` stays false until the first read (``Expect: 100-continue``).
        wake: Called when `wants_more` has become true, mostly in the worker's thread; returns
            False if the loop has ended.
        waiting: Makes a context manager that the worker waits in.
        request: What a log says of the request.

    Source: PEP 3333 "Input and Error Streams"; ASGI HTTP 2.5 "Request".
    """

    def __init__(
        self,
        *,
        length: int | None,
        max_size: int | None,
        window_bytes: int,
        on_demand: bool,
        wake: Callable[[], bool],
        waiting: Callable[[], AbstractContextManager[object]],
        request: str,
    ) -> None:
        self._length = length
        self._max_size = max_size
        self._on_demand = on_demand
        self._wake = wake
        self._gate = Gate(waiting, wake)
        self._request = request
        self._lock = threading.RLock()  # guards all below; reentrant as that of ResponseChannel
        self._blocks: deque[bytes] = deque()
        self._offset = 0  # bytes of the first block that were read
        self._window = Window(window_bytes)  # that of what was not read
        self._received = 0  # bytes fed in all, also those beyond the declared length
        self._complete = False
        self._error: GatebridgeError | None = None
        self._raised = False  # a read has raised it

    # --- the loop's side --------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether the last message of the body was fed, so that receiving gives no more of it."""
        return self._complete

    def wants_more(self) -> bool:
        """Say whether to receive the next message; if not, ``wake`` is called once it is wanted."""
        with self._lock:
            return not (self._on_demand or self._window.must_wait())

    def feed(self, body: bytes, *, more_body: bool) -> None:
        """Append the body of one ``http.request`` message."""
        with self._lock:
            before, self._received = self._received, self._received + len(body)
            error = None
            if self._length is None:
                if self._max_size is not None and self._received > self._max_size:
                    error = RequestBodyError(
                        "body", f"over the limit of {self._max_size} bytes", 413
                    )
                    body = b""
            elif self._received > self._length:
                if before <= self._length:
                    _logger.warning(
                        "%s: the body is longer than its Content-Length of %d bytes; "
                        "the surplus is ignored",
                        self._request,
                        self._length,
                    )
                body = body[: max(self._length - before, 0)]
            elif self._received < self._length and not more_body:
                error = RequestBodyError(
                    "content-length",
                    f"the body ended after {self._received} of {self._length} bytes",
                )
            if body:
                self._blocks.append(body)
                self._window.put(len(body))
            self._complete = not more_body
            self._error = self._error or error
            self._gate.open()

    async def feed_from(self, receive: Receive, woken: Callable[[], Awaitable[object]]) -> bool:
        """Receive the body as it is wanted, up to its last message.

        Args:
            receive: The server's.
            woken: Returns once ``wake`` was called.

        Returns:
            False if the client left before.

        Raises:
            HostError: As `receive_part`.
            Exception: Whatever ``receive`` raises.
        """
        while not self._complete:
            if not self.wants_more():
                await woken()
                continue
            part = await receive_part(receive)
            if part is None:
                return False
            self.feed(part[0], more_body=part[1])
        return True

    def abort(self, error: GatebridgeError) -> None:
        """Let each read raise ``error`` that needs more than was fed. The first error stays."""
        with self._lock:
            if not self._complete:
                self._error = self._error or error
            self._on_demand = False
            self._gate.open()

    @property
    def refused(self) -> RequestBodyError | None:
        """A new error of a body over the limit, if a read has raised one (H-MSG-10, D-15)."""
        if not self._raised or not isinstance(self._error, RequestBodyError):
            return None
        return RequestBodyError(*self._error.args) if self._error.status == 413 else None

    def release(self) -> None:
        """Receive the body even if the application has not read: its answer has begun."""
        with self._lock:
            wake, self._on_demand = self._on_demand, False
        if wake:
            self._wake()

    # --- the worker's side ------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing: the stream belongs to the server, and PEP 3333 forbids closing it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, fewer only at the end of the body; all that is left if negative.

        Raises:
            ClientDisconnected: The client left before the end of the body.
            RequestBodyError: The body ended before its declared length, or is too large.
        """
        wanted = sys.maxsize if size is None or size < 0 else size
        parts: list[bytes] = []
        while wanted and self._fill():
            block = self._take(wanted)
            parts.append(block)
            wanted -= len(block)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most ``size`` bytes of what has already come; wait only if there is nothing.

        Raises:
            ClientDisconnected, RequestBodyError: As `read`.
        """
        block = b""
        while size and not block and self._fill():
            block = self._take(sys.maxsize if size < 0 else size)
        return block

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return bytes up to and with the next newline, at most ``size`` unless it is negative.

        Raises:
            ClientDisconnected, RequestBodyError: As `read`.
        """
        wanted = sys.maxsize if size is None or size < 0 else size
        parts: list[bytes] = []
        while wanted and self._fill():
            block = self._take(wanted, until_newline=True)
            parts.append(block)
            wanted -= len(block)
            if block.endswith(b"\n"):
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the lines up to that which reaches ``hint`` bytes; all if it is not positive.

        Raises:
            ClientDisconnected, RequestBodyError: As `read`.
        """
        lines: list[bytes] = []
        wanted = sys.maxsize if hint is None or hint <= 0 else hint
        while wanted > 0 and (line := self.readline()):
            lines.append(line)
            wanted -= len(line)
        return lines

    def _fill(self) -> bool:
        """Wait until a block is there; say whether there is one, or the body is at its end."""
        while True:
            with self._lock:
                if self._blocks:
                    return True
                if self._length is not None and self._received >= self._length:
                    return False
                if self._error is not None:
                    self._raised = True
                    # A new one each time: a kept exception would keep the caller's frames.
                    raise type(self._error)(*self._error.args)
                if self._complete:
                    return False
                barrier = self._gate.shut()
                wake, self._on_demand = self._on_demand, False
            if wake and not self._wake():
                self.abort(ClientDisconnected("wsgi.input"))
            if not self._gate.wait(barrier):  # opened by feed or abort
                self.abort(ClientDisconnected("wsgi.input"))

    def _take(self, size: int, *, until_newline: bool = False) -> bytes:
        """Take at most ``size`` bytes from the first block, if no other thread was faster."""
        with self._lock:
            if not self._blocks:
                return b""
            block, start = self._blocks[0], self._offset
            end = min(len(block), start + size)
            if until_newline:
                end = block.find(b"\n", start, end) + 1 or end
            at_end = end == len(block)
            if at_end:
                self._blocks.popleft()
            self._offset = 0 if at_end else end
            wake = self._window.take(end - start, blocks=at_end)
        if wake:
            self._wake()
        return block[start:end]


def promised_body(environ: WSGIEnvironment, max_size: int | None) -> tuple[int | None, bool]:
    """Return what a request's head says of its body: its length, whether to receive it on demand.

    Raises:
        RequestBodyError: The length is over the limit.
    """
    length = int(environ["CONTENT_LENGTH"]) if "CONTENT_LENGTH" in environ else None
    if max_size is not None and length is not None and length > max_size:
        raise RequestBodyError("body", f"over the limit of {max_size} bytes", 413)
    # To receive makes the server send 100 Continue, unknown to HTTP/1.0 (RFC 9110 section 10.1.1).
    expect: str = environ.get("HTTP_EXPECT", "")
    on_demand = expect.lower() == "100-continue" and environ["SERVER_PROTOCOL"] != "HTTP/1.0"
    return length, on_demand


async def receive_part(receive: Receive) -> tuple[bytes, bool] | None:
    """Receive one message: its body and ``more_body``, or None if the client has left.

    Raises:
        HostError: It is no message of a request.
        Exception: Whatever ``receive`` raises, except for a `ConnectionError`: the client left.
    """
    try:
        message = await receive()
    except Exception as exc:
        if receive_lost_client(exc):
            return None
        raise
    return part_of(message)


def broken_by(error: Exception) -> GatebridgeError:
    """Return what reads raise after ``receive`` or ``send`` has failed with ``error``.

    The server gets ``error`` itself. The application gets an `OSError`, which frameworks expect of
    a stream that breaks: it stops, and nothing is blamed on it.
    """
    if isinstance(error, HostError):
        return error
    return ClientDisconnected("wsgi.input", "the server's receive() or send() failed")
