"""One request to an ASGI application: its task on the event loop, and the server's thread.

The thread is the only one that touches the server: it reads ``wsgi.input``, calls
``start_response`` and gives out the blocks. The task tells it what to do next through one queue;
the thread answers by callbacks on the loop. What both sides write is written by one of them only.
"""

from __future__ import annotations

import inspect
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from functools import partial
from io import BufferedReader
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from gatebridge._bodies.file_wrapper import FileWrapper
from gatebridge._bodies.gate import BLOCK_OVERHEAD
from gatebridge._bodies.request_messages import BLOCK_BYTES, RequestMessages
from gatebridge._concurrency.loop import Signal
from gatebridge._concurrency.portal import Portal
from gatebridge._translate.messages import body_of, head_of, links_of, path_of, type_of
from gatebridge._translate.response import (
    WsgiHead,
    has_content,
    head_from_asgi,
    plain_response,
)
from gatebridge.errors import (
    AsgiAppError,
    ClientDisconnected,
    GatebridgeError,
    HostError,
    RequestBodyError,
    RequestError,
    UnavailableError,
)
from gatebridge.types import (
    ASGIApplication,
    Message,
    ReceiveMessage,
    StartResponse,
    WSGIEnvironment,
)

_logger = logging.getLogger("gatebridge")


class Limits(NamedTuple):
    """What an exchange may take: of memory in each direction, and of time."""

    window_bytes: int
    response_timeout: float | None  # seconds without a message from the application


class _Head(NamedTuple):
    """What the thread needs to begin the response."""

    head: WsgiHead
    body: bytes | BufferedReader  # the first block, or a file
    more: bool


_Item: TypeAlias = _Head | bytes | BaseException | None
"""What the thread gives to the server next; None is the end of the response."""

_Duty: TypeAlias = Callable[[], "_Head | None"]
"""What the thread has to do for the task; it may yield the head of the response."""


class Exchange:
    """One request. It is the iterable that the server is given for a streamed response.

    Args:
        app: The ASGI application.
        scope: The request's.
        body: The request's body; read by the server's thread only.
        environ: The request's.
        portal: To the event loop.
        limits: What the exchange may take.
        ended: Called on the loop with the exchange, when the task has ended.
    """

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_answering",
        "_app",
        "_body",
        "_body_over",
        "_cancel",
        "_changed",
        "_complete",
        "_context",
        "_cut_off",
        "_cut_short",
        "_departed",
        "_ended",
        "_environ",
        "_file_error",
        "_handle",
        "_head",
        "_ignored",
        "_items",
        "_limits",
        "_opening",
        "_over",
        "_parts",
        "_portal",
        "_put",
        "_reading",
        "_refusal",
        "_remaining",
        "_scope",
        "_sender_waits",
        "_started",
        "_taken",
        "_told",
    )

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        body: RequestMessages,
        environ: WSGIEnvironment,
        portal: Portal,
        limits: Limits,
        ended: Callable[[Exchange], object],
    ) -> None:
        self._app = app
        self._scope = scope
        self._environ = environ
        self._portal = portal
        self._handle = portal.handle
        self._limits = limits
        self._ended = ended
        self._context: Context | None = copy_context()
        self._items: SimpleQueue[_Item | _Duty] = SimpleQueue()  # from the task to the thread
        # Written by the thread:
        self._body = body
        self._ahead: deque[_Item | _Duty] = deque()  # items taken before they were asked for
        self._answering = False  # start_response was called
        self._refusal: RequestBodyError | None = None  # 413, whatever the application makes of it
        self._over = False  # the server has the whole response, or left
        self._taken = 0  # bytes of blocks, each with its overhead
        # Written on the loop:
        self._put = 0  # as _taken
        self._sender_waits = False  # for the window; the thread resets it
        self._cancel: Callable[[], object] | None = None
        self._changed: list[Signal] = []  # who waits there for whatever changes
        self._parts: deque[tuple[bytes, bool]] = deque()  # of the body, and whether more follows
        self._body_over = False  # the application has received all of it
        self._reading = False  # the thread was asked for a part
        self._cut_short = False  # there will be no further part
        self._head: WsgiHead | None = None
        self._started = False  # the head was handed over and cannot be taken back
        self._remaining: int | None = None  # bytes to go until the declared length
        self._opening = False  # the thread was asked for a file
        self._file_error: AsgiAppError | None = None
        self._complete = False  # the thread was handed the whole response
        self._ignored = 0  # bytes sent after it was complete
        self._departed = False  # the server's thread has left before that
        self._told = False  # the application knows that it, or the client, has left
        self._cut_off = False  # the task was cancelled by us
        self._read_early()

    def __str__(self) -> str:
        return f"{self._scope['method']} {self._scope['path']!r}"

    # --- in the server's thread -------------------------------------------------------------------

    def _read_early(self) -> None:
        try:
            part = self._body.read_early()
        except HostError:
            raise
        except RequestBodyError as exc:
            if exc.status == 413:
                raise
            self._cut_short = True
        except Exception as exc:  # noqa: BLE001 - how it says that the client left is its affair
            _logger.debug("%s: wsgi.input raised %r", self, exc)
            self._cut_short = True
        else:
            if part is not None:
                self._parts.append(part)

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the response as soon as there is one, and return its body.

        Raises:
            AsgiAppError: The application broke the ASGI specification, or takes too long.
            HostError: ``wsgi.input`` breaks PEP 3333.
            UnavailableError: The event loop has ended, or the adapter was closed.
            Exception: Whatever the application raised.
        """
        try:
            first = self._take()
        except BaseException as exc:
            self.close()
            if self._refusal is not None and exc is self._refusal:
                return answer(self._environ, start_response, self._refusal)
            raise
        assert isinstance(first, _Head)
        head, body, more = first
        try:
            self._answering = True
            start_response(head.status, head.headers)
            if isinstance(body, BufferedReader):
                self._over = True
                return self._wrap(body)
        except BaseException:
            if isinstance(body, BufferedReader):
                body.close()
            self.close()
            raise
        if more and not self._items.empty():  # often the end is all that follows
            item = self._items.get()
            if item is None:
                more = False
            else:
                self._ahead.append(item)
        if not more:
            self._over = True
            return [body] if body else []
        if body:
            self._ahead.appendleft(body)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next block.

        Raises:
            StopIteration: The response is complete, or was closed.
            Exception: As `respond`.
        """
        if self._over:
            raise StopIteration
        try:
            block = self._take()
        except BaseException:
            self.close()
            raise
        if block is None:
            self._over = True
            raise StopIteration
        assert isinstance(block, bytes)
        self._taken += len(block) + BLOCK_OVERHEAD
        if self._sender_waits and self._put - self._taken <= self._limits.window_bytes // 2:
            self._sender_waits = False
            self._handle.call_soon(self._wake)
        return block

    def close(self) -> None:
        """Let the application know that nobody takes the rest, if there is any. Does not wait."""
        if not self._over:
            self._over = True
            self._handle.call_soon(self._depart)

    __del__ = close

    def _take(self) -> _Item:
        """Do what the task asks for until it has something for the server."""
        while True:
            if self._ahead:
                item = self._ahead.popleft()
            else:
                try:
                    item = self._items.get(timeout=self._limits.response_timeout)
                except Empty:
                    raise self._timed_out() from None
            if item is None or isinstance(item, (bytes, _Head)):
                return item
            if isinstance(item, BaseException):
                try:
                    raise item
                finally:
                    del item  # no cycle through the traceback's frames
            found = item()
            if found is not None:
                return found

    def _timed_out(self) -> AsgiAppError:
        seconds = self._limits.response_timeout
        self._handle.call_soon(self.cut_off)
        return AsgiAppError("response_timeout", f"the application sent nothing for {seconds:g} s")

    def _read_part(self) -> None:
        """Read a part of the request's body, as the application wants it."""
        part: tuple[bytes, bool] | None = None
        try:
            part = self._body.read()
        except HostError:
            raise
        except RequestBodyError as exc:
            if exc.status == 413 and not self._answering:
                self._refusal = exc
                raise
            _logger.debug("%s: %s", self, exc)
        except Exception as exc:  # noqa: BLE001 - how it says that the client left is the server's affair
            _logger.debug("%s: wsgi.input raised %r", self, exc)
        self._handle.call_soon(partial(self._deliver, part))

    def _send_hints(self, links: list[tuple[str, str]]) -> None:
        if not self._answering:
            self._environ["wsgi.early_hints"](links)

    def _open_file(self, head: WsgiHead, path: str) -> _Head | None:
        """Open the file of a response, or tell the application why not."""
        try:
            file = _open_regular(path, head.length)
        except AsgiAppError as exc:
            self._handle.call_soon(partial(self._file_opened, exc))
            return None
        self._handle.call_soon(partial(self._file_opened, None))
        return _Head(head, file, more=False)

    def _wrap(self, file: BufferedReader) -> Iterable[bytes]:
        """Return the file as the server likes it best."""
        wrapper: Callable[[BufferedReader, int], Iterable[bytes]] | None
        wrapper = self._environ.get("wsgi.file_wrapper")
        return (wrapper if callable(wrapper) else FileWrapper)(file, BLOCK_BYTES)

    # --- on the event loop ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the task."""
        context, self._context = self._context, None
        assert context is not None
        self._cancel = self._portal.spawn(self._run, context)

    async def _run(self) -> None:
        error: BaseException | None = None
        try:
            call: Any = self._app(self._scope, self.receive, self.send)
            if not inspect.isawaitable(call):
                raise AsgiAppError("return value", f"not awaitable: {type(call).__name__}")
            result = await call
            if result is not None:
                _logger.debug("%s: the application returned %r", self, result)
        except BaseException as exc:  # noqa: BLE001 - SystemExit would end the loop
            error = exc
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        """Tell whoever needs to know how the task ended."""
        self._ended(self)
        self._cancel = None
        if self._cut_off:
            if error is not None and self._departed:
                _logger.debug("%s: cut off, and raised %r", self, error)
        elif not (self._complete or self._departed):
            self._fail(error)
        elif error is None:
            pass
        elif self._departed and self._told:
            _logger.debug("%s: after the client had left:", self, exc_info=error)
        else:
            when = "after the client had left" if self._departed else "after the whole response"
            _logger.error("%s: an error %s:", self, when, exc_info=error)

    def _fail(self, error: BaseException | None) -> None:
        """Let the thread raise why the response does not become whole."""
        phase = "after" if self._started else "before"
        if error is None:
            what = "http.response.start" if self._head is None else "http.response.body"
            error = AsgiAppError(what, "the application returned without sending all of it")
        elif not isinstance(error, Exception) or isinstance(error, StopIteration):
            # Raised in the thread, these would end the server's worker, or its loop over blocks.
            cause, error = error, AsgiAppError("application", f"it raised {error!r:.200}")
            error.__cause__ = cause
        name = type(error).__qualname__  # the server logs the rest
        _logger.info("%s: %s %s the response had begun", self, name, phase)
        self._told = True
        self._depart()
        self._items.put(error)

    def cut_off(self, why: GatebridgeError | None = None) -> None:
        """Cancel the task; the thread, if it waits, raises ``why``."""
        if self._cancel is None:
            return
        self._cut_off = True
        if not self._complete:
            self._depart()
            if why is not None:
                self._items.put(why)
        self._cancel()

    def lost(self) -> None:
        """Let the thread raise that the loop has ended; called on any thread."""
        self._items.put(UnavailableError("event loop", "it has ended"))

    def _depart(self) -> None:
        if not self._complete:
            self._departed = True
            self._wake()

    def _wake(self) -> None:
        for signal in self._changed:
            signal.set()

    async def _change(self) -> None:
        """Wait until something may be different."""
        signal = self._handle.new_signal()
        self._changed.append(signal)
        try:
            await signal.wait()
        finally:
            self._changed.remove(signal)

    async def receive(self) -> ReceiveMessage:
        """Return the next part of the body, then wait for the end (ASGI HTTP 2.5 "Request")."""
        while not (self._complete or self._departed):
            if self._parts:
                part, more = self._parts.popleft()
                self._body_over = not more
                return {"type": "http.request", "body": part, "more_body": more}
            if self._cut_short:
                break
            if not (self._body_over or self._reading):
                self._reading = True
                self._items.put(self._read_part)
            await self._change()
        self._told = True
        return {"type": "http.disconnect"}

    def _deliver(self, part: tuple[bytes, bool] | None) -> None:
        self._reading = False
        if part is None:
            self._cut_short = True
        else:
            self._parts.append(part)
        self._wake()

    async def send(self, message: Message) -> None:
        """Take one message of the response (ASGI HTTP 2.5 "Response").

        Raises:
            AsgiAppError: The message breaks the specification, or comes at the wrong time. It has
                no effect, except that a body of the wrong length ends the response.
            ClientDisconnected: The client left before the response was complete.
        """
        if self._departed:
            self._told = True
            raise ClientDisconnected("send")
        kind = type_of(message)
        if self._complete:
            # Nothing waits for it, so that nothing but this would ever stop an endless stream.
            self._ignored += len(message.get("body", b"")) + BLOCK_OVERHEAD
            if self._ignored > self._limits.window_bytes:
                raise ClientDisconnected("send", "the response was complete long ago")
        elif kind == "http.response.start":
            if self._head is not None:
                raise AsgiAppError(kind, "sent twice")
            self._head = head_of(message)
        elif kind == "http.response.body":
            await self._send_body(body_of(message), bool(message.get("more_body", False)))
        elif kind == "http.response.pathsend":
            await self._send_file(path_of(message))
        elif kind == "http.response.early_hint" and kind in self._scope["extensions"]:
            links = links_of(message)
            if not self._started and links:
                self._items.put(partial(self._send_hints, links))
        else:
            raise AsgiAppError("type", f"not a message of an HTTP response: {kind!r:.80}")

    async def _send_body(self, body: bytes, more: bool) -> None:  # noqa: FBT001
        if self._started:
            await self._send_block(body, more)
            return
        head = self._require_head("http.response.body")
        if not has_content(int(head.status[:3]), self._scope["method"]):
            self._hand_over(_Head(head, b"", more=False), more=False)
            return
        if head.length is not None:
            missing = head.length - len(body)
            if missing < 0 or (missing and not more):
                raise _wrong_length(missing)
            self._remaining = missing
        self._started = True
        self._put = len(body) + BLOCK_OVERHEAD
        self._hand_over(_Head(head, body, more), more)

    async def _send_block(self, body: bytes, more: bool) -> None:  # noqa: FBT001
        while self._put - self._taken >= self._limits.window_bytes:
            self._sender_waits = True
            if self._put - self._taken <= self._limits.window_bytes // 2:
                break  # the thread looked just before
            await self._change()
            if self._departed:
                self._told = True
                raise ClientDisconnected("send")
        if self._remaining is not None:
            missing = self._remaining - len(body)
            if missing < 0 or (missing and not more):
                body = body[: self._remaining]
                if body:
                    self._items.put(body)
                error = _wrong_length(missing)
                self._fail(error)
                raise error
            self._remaining = missing
        if body:
            self._put += len(body) + BLOCK_OVERHEAD
            self._items.put(body)
        if not more:
            self._hand_over(None, more)

    async def _send_file(self, path: str) -> None:
        head = self._require_head("http.response.pathsend")
        if self._started or self._opening:
            raise AsgiAppError("http.response.pathsend", "sent after a part of the body")
        if not has_content(int(head.status[:3]), self._scope["method"]):
            self._hand_over(_Head(head, b"", more=False), more=False)
            return
        self._opening = True
        self._items.put(partial(self._open_file, head, path))
        while self._opening:
            await self._change()
            if self._departed:
                self._told = True
                raise ClientDisconnected("send")
        error, self._file_error = self._file_error, None
        if error is not None:
            raise error

    def _file_opened(self, error: AsgiAppError | None) -> None:
        self._opening = False
        self._file_error = error
        self._complete = error is None
        self._wake()

    def _require_head(self, kind: str) -> WsgiHead:
        if self._head is None:
            raise AsgiAppError(kind, "sent before http.response.start")
        return self._head

    def _hand_over(self, item: _Item, more: bool) -> None:  # noqa: FBT001
        """Give the thread the beginning or the end of the response."""
        if not more:
            self._complete = True
            if self._changed:
                self._wake()
        self._items.put(item)


def answer(
    environ: WSGIEnvironment, start_response: StartResponse, error: RequestError
) -> list[bytes]:
    """Refuse a request, and say why in one line."""
    method = str(environ.get("REQUEST_METHOD"))
    _logger.info("%s %r: answered %d: %s", method, environ.get("PATH_INFO"), error.status, error)
    start, message = plain_response(error.status, str(error), method)
    head = head_from_asgi(start["status"], start.get("headers", ()))
    start_response(head.status, head.headers)
    body = message.get("body")
    return [body] if body else []


def _open_regular(path: str, length: int | None) -> BufferedReader:
    """Open a file that is to be sent as a whole.

    Raises:
        AsgiAppError: It cannot be opened, is no regular file, or not as long as declared. Not an
            `OSError`, which out of ``send`` would mean that the client left.
    """
    try:
        # A named pipe, for one, would let open() wait for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            raise AsgiAppError("path", f"not a regular file: {path!r:.200}")
        file = open(path, "rb")  # noqa: PTH123, SIM115 - the server closes it
    except OSError as exc:
        raise AsgiAppError("path", f"cannot be opened: {exc}") from exc
    missing = 0 if length is None else length - os.fstat(file.fileno()).st_size
    if missing:
        file.close()
        raise _wrong_length(missing)
    return file


def _wrong_length(missing: int) -> AsgiAppError:
    what = "fewer" if missing > 0 else "more"
    return AsgiAppError("content-length", f"{abs(missing)} bytes {what} in the body than declared")
