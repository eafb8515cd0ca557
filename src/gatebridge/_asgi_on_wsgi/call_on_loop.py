"""One call of an ASGI application, as a task on the event loop: the server's part of ASGI.

This side never touches the WSGI server. What the server's thread has to do, it puts into a queue;
the thread, see `request_in_thread`, answers by callbacks on the loop.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from io import BufferedReader
from queue import SimpleQueue
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias

from gatebridge._concurrency.gate import BLOCK_OVERHEAD
from gatebridge._concurrency.loop import Signal, context_for_thread
from gatebridge._concurrency.portal import Portal
from gatebridge._translate.disconnects import asgi_app_lost_client, stems_from
from gatebridge._translate.messages import body_of, head_of, links_of, path_of, type_of
from gatebridge._translate.response import WsgiHead, has_content
from gatebridge._translate.text import request_line
from gatebridge.errors import (
    AsgiAppError,
    ClientDisconnected,
    GatebridgeError,
    UnavailableError,
)
from gatebridge.types import ASGIApplication, Message, ReceiveMessage

_logger = logging.getLogger("gatebridge")

Part: TypeAlias = tuple[bytes, bool]
"""A part of the request's body, and whether more follows."""


class Begin(NamedTuple):
    """How the response begins: its head, its first block or all of it, whether more follows."""

    head: WsgiHead
    body: bytes | BufferedReader
    more: bool


class ReadPart:
    """Asks the thread for the next part of the request's body."""


class HeadSent:
    """Notifies a waiting thread that the application has sent its head."""


class OpenFile(NamedTuple):
    """Asks the thread to open the file that is the response's body."""

    head: WsgiHead
    path: str


Task: TypeAlias = (
    Begin | bytes | BaseException | ReadPart | HeadSent | OpenFile | list[tuple[str, str]] | None
)
"""What the thread has to do: begin the response, give out a block, raise, read, wait for a body no
longer than usual, open a file, send early hints, or end the response."""

_READ_PART = ReadPart()
_HEAD_SENT = HeadSent()


class AsgiCall:
    """The state of one call, and the callables that the application is handed.

    Args:
        app: The ASGI application.
        scope: The request's.
        part: The first part of the request's body, if it was read already.
        portal: To the event loop.
        window_bytes: How much of the response may wait for the thread.
        ended: Called with this call when its task has ended.

    Attributes:
        tasks: For the server's thread.
        taken: How many bytes of blocks the thread has taken, each with its overhead; written by
            the thread alone.
        sender_waits: Whether the application waits for the thread to take more. The thread then
            resets it, and calls `wake`.
        head: What the application has sent as the head of its response; None before.
        head_wanted: Whether the thread has waited for some time, and must be notified of a head at
            once; written by the thread alone.
    """

    # Of the class, for most requests change few of them:
    taken = 0
    sender_waits = False
    head: WsgiHead | None = None
    head_wanted = False
    _put = 0  # as taken
    _cancel: Callable[[], object] | None = None
    _body_over = False  # the application has received all of the body
    _reading = False  # the thread was asked for a part
    _cut_short = False  # there will be no further part
    _started = False  # the head was handed over and cannot be taken back
    _alone = False  # it was, before any part of the body
    _remaining: int | None = None  # bytes to go until the declared length
    _opening = False  # the thread was asked for a file
    _file_sent = False  # and sends it
    _file_error: AsgiAppError | None = None  # why it could not be opened
    _complete = False  # the thread was handed the whole response
    _ignored = 0  # bytes sent after that
    _departed = False  # the thread has left before it gave out all of that
    _told = False  # the application knows that it, or the client, has left
    _failed = False  # both the thread and the application were given an error
    _cut_off = False  # the task was cancelled by us

    def __init__(
        self,
        app: ASGIApplication,
        scope: dict[str, Any],
        part: Part | None,
        portal: Portal,
        window_bytes: int,
        ended: Callable[[AsgiCall], object],
    ) -> None:
        self._app = app
        self._scope = scope
        # The application may change the scope, as a middleware does that makes a GET of a HEAD.
        self._method: str = scope["method"]
        self._path: str = scope["path"]
        self._extensions: dict[str, Any] = scope["extensions"]
        self._parts = deque(() if part is None else (part,))
        self._portal = portal
        self._window = window_bytes
        self._ended = ended
        self._context: Context | None = context_for_thread()
        self._changed: list[Signal] = []  # who waits for whatever changes
        self.tasks: SimpleQueue[Task] = SimpleQueue()

    def __str__(self) -> str:
        return request_line(self._method, self._path)

    def start(self) -> None:
        """Start the task, unless it was cut off before."""
        context, self._context = self._context, None
        if context is None:
            return
        if self._portal.ended:
            self._ended(self)
            self.lost()
            return
        self._cancel = self._portal.spawn(self._run, context)

    def abandon(self) -> None:
        """Forget the call if it was not started; its thread was interrupted just about then."""
        if self._context is not None:
            self._context = None
            self._ended(self)

    async def _run(self) -> None:
        try:
            call: Any = self._app(self._scope, self.receive, self.send)
            if type(call) is not CoroutineType and not inspect.isawaitable(call):
                raise AsgiAppError("return value", f"not awaitable: {type(call).__name__}")
            if await call is not None:
                _logger.debug("%s: the application returned something", self)
        except BaseException as exc:  # noqa: BLE001 - SystemExit would end the loop
            self._finish(exc)  # kept by no variable: its frames keep generators that have to end
        else:
            self._finish(None)

    # --- how it ends ------------------------------------------------------------------------------

    def _finish(self, error: BaseException | None) -> None:
        """Report how the task ended."""
        self._ended(self)
        self._cancel = None
        if not (self._complete or self._departed):
            self._fail(error)
        elif error is not None:
            self._log(error)

    def _log(self, error: BaseException) -> None:
        """Log an exception that the server never sees, as an error unless the adapter caused it."""
        if self._cut_off:
            when = "after it was cancelled"
        elif self._failed:
            when = "after its response had failed"
        elif self._departed:
            when = "after its client had disconnected"
        else:
            when = "after its response was complete"
        if self._failed and stems_from(error, _is_ours):
            expected = True  # the server has raised it already
        else:
            expected = (self._told or self._cut_off) and asgi_app_lost_client(error)
        if expected:
            _logger.debug("%s: the application ended %s", self, when, exc_info=error)
        else:
            _logger.error("%s: the application raised %s", self, when, exc_info=error)

    def _fail(self, error: BaseException | None) -> None:
        """Let the thread raise why the response does not become whole."""
        if error is None and self._cut_short and self._told:
            error = ClientDisconnected("wsgi.input")
        elif error is None and self.head is None:
            error = AsgiAppError("http.response.start", "missing at the application's return")
        elif error is None:
            reason = "the last one, without more_body, is missing at the application's return"
            error = AsgiAppError("http.response.body", reason)
        error = raisable(error)
        name = type(error).__qualname__  # the server logs the rest
        phase = "after" if self._started else "before"
        _logger.info("%s: %s %s the response had begun", self, name, phase)
        self._told = True
        self.depart()
        self.tasks.put(error)

    def cut_off(self, why: GatebridgeError | None = None) -> None:
        """Cancel the task; the thread, if it waits, raises ``why``."""
        if self._cancel is None and self._context is None:
            return  # it has ended
        self._cut_off = True
        if not self._complete:
            self.depart()
            if why is not None:
                self.tasks.put(why)
        if self._cancel is not None:
            self._cancel()
        else:  # its thread is just about to have it started
            self._context = None
            self._ended(self)

    def lost(self) -> None:
        """Let the thread raise that the loop has ended; thread-safe."""
        self.tasks.put(UnavailableError("event loop", "has ended"))

    def depart(self) -> None:
        """Be told that the thread takes no more of the response."""
        self._departed = True
        self.wake()

    def closed(self) -> None:
        """Called when the server closes the response before its end."""
        if self._remaining == 0 and not self.waiting_bytes():
            # It has all that was declared: many servers then do not ask for more.
            self._end()
        elif not self._departed:
            _logger.info("%s: the client left before the end of the response", self)
            self.depart()

    def waiting_bytes(self) -> int:
        """Return how much of the response the thread has not taken yet; thread-safe."""
        return self._put - self.taken

    # --- what changes -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the application look again at what it waits for."""
        for signal in self._changed:
            signal.set()

    async def _change(self) -> None:
        signal = self._portal.handle.new_signal()
        self._changed.append(signal)
        try:
            await signal.wait()
        finally:
            self._changed.remove(signal)

    def deliver(self, part: Part | None) -> None:
        """Be given a part of the body; None if there will be no further one."""
        self._reading = False
        if part is None:
            self._cut_short = True
        else:
            self._parts.append(part)
        self.wake()

    def file_opened(self, error: AsgiAppError | None) -> None:
        """Be told that the thread sends the file, or why it cannot be sent."""
        self._opening = False
        self._file_error = error
        self._complete = self._file_sent = error is None
        self.wake()

    def begin_alone(self) -> None:
        """Begin the response with its head: the thread has waited for a body long enough."""
        if not (self._started or self._opening or self._complete or self._departed):
            self._alone = True
            self._begin(b"", more=True)

    # --- what the application calls ---------------------------------------------------------------

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
                self.tasks.put(_READ_PART)
            await self._change()
        self._told = True
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take one message of the response (ASGI HTTP 2.5 "Response Start", "Response Body").

        Raises:
            AsgiAppError: The message breaks the specification, or comes at the wrong time. It has
                no effect, except that a body of the wrong length ends the response.
            ClientDisconnected: The client left before the response was complete.
        """
        if self._departed:
            raise self._disconnected()
        kind = type_of(message)
        if self._complete:
            self._ignore(kind, message)
        elif kind == "http.response.body":
            body, more = body_of(message), bool(message.get("more_body", False))
            if not self._started:
                self._begin(body, more=more)
                return
            if self.waiting_bytes() >= self._window:
                await self._until_room()
            self._go_on(body, more=more)
        elif kind == "http.response.start":
            if self.head is not None:
                raise AsgiAppError(kind, "sent twice")
            self.head = head_of(message)
            if self.head_wanted:
                self.tasks.put(_HEAD_SENT)
            if message.get("trailers"):
                _logger.debug("%s: trailers dropped: WSGI cannot carry them", self)
        else:
            await self._send_extension(kind, message)

    async def _until_room(self) -> None:
        """Wait until the thread has taken enough of what waits for it."""
        while self.waiting_bytes() >= self._window:
            self.sender_waits = True
            if self.waiting_bytes() <= self._window // 2:
                break  # the thread looked just before
            await self._change()
            if self._departed or self._complete:
                raise self._disconnected()

    async def _send_extension(self, kind: str, message: Message) -> None:
        if kind == "http.response.pathsend" and kind in self._extensions:
            await self._send_file(path_of(message))
        elif kind == "http.response.early_hint" and kind in self._extensions:
            links = links_of(message)
            if links and not self._started:
                self.tasks.put(links)
        elif kind == "http.response.trailers":  # after the body they are ignored
            raise AsgiAppError(kind, "sent before the end of the body")
        else:
            raise AsgiAppError("type", f"not a message of an HTTP response: {kind!r:.80}")

    def _begin(self, body: bytes, *, more: bool) -> None:
        """Let the thread begin the response."""
        self._refuse_beside_file()
        head = self._head_for("http.response.body")
        if head is None:
            return
        if head.length is not None:
            missing = head.length - len(body)
            if missing < 0 or (missing and not more):
                raise wrong_length(missing)
            self._remaining = missing
        self._started = True
        if not more:
            self._end()
        elif body:  # an empty one takes no room
            self._put = len(body) + BLOCK_OVERHEAD
        self.tasks.put(Begin(head, body, more))

    def _go_on(self, body: bytes, *, more: bool) -> None:
        """Give the thread another block, or the end."""
        if self._alone:
            self._refuse_beside_file()
            self._alone = False
        if self._remaining is not None:
            missing = self._remaining - len(body)
            if missing < 0 or (missing and not more):
                if allowed := body[: self._remaining]:
                    self.tasks.put(allowed)
                error = wrong_length(missing)
                self._failed = True
                try:
                    self._fail(error)
                    raise error
                finally:
                    del error
            self._remaining = missing
        if body:
            self._put += len(body) + BLOCK_OVERHEAD
            self.tasks.put(body)
        if not more:
            self._end()
            self.tasks.put(None)

    async def _send_file(self, path: str) -> None:
        if self._opening or (self._started and not self._alone):
            raise AsgiAppError("http.response.pathsend", "sent after a part of the body")
        head = self._head_for("http.response.pathsend")
        if head is None:
            return
        self._opening = True
        self.tasks.put(OpenFile(head, path))
        while self._opening:
            await self._change()
            if self._departed:
                raise self._disconnected()
        error, self._file_error = self._file_error, None
        try:
            if error is not None:
                raise error
        finally:
            del error

    def _refuse_beside_file(self) -> None:
        if self._opening:
            raise AsgiAppError("http.response.body", "sent during http.response.pathsend")

    def _head_for(self, kind: str) -> WsgiHead | None:
        """Return the head of a response with content; one without content is over with this."""
        if self.head is None:
            raise AsgiAppError(kind, "sent before http.response.start")
        if has_content(int(self.head.status[:3]), self._method):
            return self.head
        self._end()
        self.tasks.put(Begin(self.head, b"", more=False))
        return None

    def _end(self) -> None:
        self._complete = True
        if self._changed:
            self.wake()

    def _ignore(self, kind: str, message: Message) -> None:
        if self._file_sent and kind in ("http.response.body", "http.response.pathsend"):
            raise AsgiAppError(kind, "sent after http.response.pathsend")
        # Nobody takes it, so that nothing but this would ever stop an endless stream.
        try:
            self._ignored += len(body_of(message))
        except AsgiAppError:
            pass  # nothing counts any more
        self._ignored += BLOCK_OVERHEAD
        if self._ignored > self._window:
            self._told = True
            raise ClientDisconnected("send", "the response was complete long before")

    def _disconnected(self) -> ClientDisconnected:
        self._told = True
        return ClientDisconnected("send")


def raisable(error: BaseException) -> Exception:
    """Return the error as the server's thread may raise it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    # These would end the server's worker, or its loop over blocks.
    fitting = AsgiAppError("application", f"raised {type(error).__name__}, which may not leave it")
    fitting.__cause__ = error
    return fitting


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, AsgiAppError)


def wrong_length(missing: int) -> AsgiAppError:
    """Return the error of a body that has so many bytes fewer than declared, or more."""
    what = "fewer" if missing > 0 else "more"
    return AsgiAppError("content-length", f"{abs(missing)} bytes {what} in the body than declared")
