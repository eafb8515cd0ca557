"""The response of an ASGI application, on its way from the event loop to the server's thread."""

from __future__ import annotations

import logging
from collections.abc import Container
from enum import Enum
from queue import SimpleQueue

from gatebridge._asgi_on_wsgi.thread_tasks import Begin, EarlyHints, HeadSent, OpenFile, Task
from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge._concurrency.signals import Signal
from gatebridge._protocol.length import (
    NO_CONTENT,
    UNKNOWN,
    BodyLength,
    has_content,
    length_of_body,
    wrong_length,
)
from gatebridge._protocol.order import (
    AFTER,
    BLOCK,
    COMPLETE,
    END,
    FILE,
    GIVE_HEAD,
    HEAD,
    HEAD_SENT,
    NO_HEAD,
    SEND_HEAD,
    Stage,
    Step,
)
from gatebridge._protocol.presence import HERE, LEFT
from gatebridge._protocol.window import Window
from gatebridge._translate.head_from_asgi import WsgiHead
from gatebridge._translate.messages import body_of, head_of, links_of, path_of, type_of
from gatebridge._translate.text import request_line
from gatebridge.errors import AsgiAppError, ClientDisconnected
from gatebridge.types import Message

_logger = logging.getLogger("gatebridge")


class _File(Enum):
    """The state of a file that is the response's body."""

    NONE = "the body is not a file, or the file could not be opened"
    ASKED = "the thread was asked to open it"
    SENT = "the thread sends it"


_FILE_NONE, _FILE_ASKED, _FILE_SENT = _File


class Response:
    """The state of one response, and the ``send`` that the application is handed.

    Args:
        handle: Of the event loop.
        tasks: For the server's thread.
        log_names: Method and path, for the log.
        method: The request's.
        extensions: Those of the scope.
        window_bytes: How much of the response may wait for the thread.

    Attributes:
        tasks: As given.
        stage: How far the response has come.
        head: What the application has sent as the head of its response; None before.
        head_wanted: Whether the thread has waited for some time, and must be notified of a head at
            once; written by the thread alone.
        window: That of the body, from its first part on; the thread takes.
        client: Whether the thread takes the response.
        told: Whether the application knows that it takes no more.
        failed: Whether the server gets an error in place of the rest.
    """

    def __init__(
        self,
        handle: LoopHandle,
        tasks: SimpleQueue[Task],
        log_names: tuple[str, str],
        method: str,
        extensions: Container[str],
        window_bytes: int,
    ) -> None:
        self._handle = handle
        self._log_names = log_names
        self._method = method
        self._extensions = extensions
        self._window_bytes = window_bytes
        self._changed: list[Signal] = []  # what the application waits for
        self._length: BodyLength = UNKNOWN
        self._file = _FILE_NONE
        self._file_error: AsgiAppError | None = None  # why it could not be opened
        self._ignored: Window | None = None  # that of what was sent after the end
        self.tasks = tasks
        self.stage = NO_HEAD
        self.head: WsgiHead | None = None
        self.head_wanted = False
        self.window: Window | None = None
        self.client = HERE
        self.told = False
        self.failed = False

    def __str__(self) -> str:
        return request_line(*self._log_names)

    # --- what the application sends ---------------------------------------------------------------

    async def send(self, message: Message) -> None:  # noqa: C901 - a call for each message costs
        """Take one message of the response (ASGI HTTP 2.5 "Response Start", "Response Body").

        Raises:
            AsgiAppError: The message breaks the specification, or comes at the wrong time. It has
                no effect, except that a body of the wrong length ends the response.
            ClientDisconnected: The client left before the response was complete.
        """
        if self.client is not HERE:
            raise self.disconnected()
        kind = type_of(message)
        if self.stage is COMPLETE:
            self._ignore(kind, message)
        elif kind == "http.response.body":
            body = body_of(message)
            step = BLOCK if message.get("more_body", False) else END
            if self.stage <= HEAD:
                self._begin(body, step)
                return
            if self.window is not None and self.window.must_wait():
                await self.until_room()
            self._go_on(body, step)
        elif kind == "http.response.start":
            if self.stage is not NO_HEAD:
                raise _out_of_order(kind, self.stage, GIVE_HEAD)
            self.head = head_of(message)
            self.stage = HEAD
            if self.head_wanted:
                self.tasks.put(HeadSent())
            if message.get("trailers"):
                _logger.debug("%s: trailers dropped: WSGI cannot carry them", self)
        elif kind == "http.response.pathsend" and kind in self._extensions:
            await self._send_file(path_of(message))
        else:
            self._send_other(kind, message)

    def _send_other(self, kind: str, message: Message) -> None:
        if kind == "http.response.early_hint" and kind in self._extensions:
            links = links_of(message)
            if links and self.stage <= HEAD:
                self.tasks.put(EarlyHints(links))
        elif kind == "http.response.trailers":  # after the body they are ignored
            raise AsgiAppError(kind, "sent before the end of the body")
        else:
            raise AsgiAppError("type", f"not a message of an HTTP response: {kind!r:.80}")

    def _step(self, step: Step, kind: str) -> None:
        """Take a step, if this is the time for it."""
        stage = AFTER.get((self.stage, step))
        if stage is None:  # a KeyError would become the error's context
            raise _out_of_order(kind, self.stage, step)
        self.stage = stage
        if stage is COMPLETE and self._changed:
            self.wake()

    def _begin(self, body: bytes, step: Step) -> None:
        """Let the thread begin the response."""
        kind = "http.response.body"
        if self._file is _FILE_ASKED:
            raise _beside_file()
        head = self.head
        if head is None:
            raise _out_of_order(kind, self.stage, step)
        if step is END and head.length == len(body) and has_content(head.code, self._method):
            # The fast path of a response in one piece: what follows would find no fault in it.
            self.complete()
            self.tasks.put(Begin(head, body, more=False))
            return
        length = self._length_after(head)
        if length is NO_CONTENT:
            body, step = b"", END
        elif length is not UNKNOWN:
            length.take(body)
            if missing := _fault(length, step):
                raise wrong_length(AsgiAppError, missing)
        self._length = length
        more = step is not END
        if more:
            self.window = Window(self._window_bytes)
            if body:  # an empty one takes no room
                self.window.put(len(body))
        self._step(step, kind)
        self.tasks.put(Begin(head, body, more))

    def _go_on(self, body: bytes, step: Step) -> None:
        """Give the thread another block, or the end."""
        if self._file is _FILE_ASKED:
            raise _beside_file()
        allowed = self._length.take(body)
        missing = _fault(self._length, step)
        if missing:
            body = allowed
        if body:
            assert self.window is not None
            self.window.put(len(body))
            self.tasks.put(body)
        if missing:
            self.failed = True
            error = wrong_length(AsgiAppError, missing)
            try:
                self.fail(error)
                raise error
            finally:
                del error  # no cycle through the traceback's frames
        self._step(step, "http.response.body")
        if step is END:
            self.tasks.put(None)

    async def _send_file(self, path: str) -> None:
        kind = "http.response.pathsend"
        if self._file is _FILE_ASKED or (self.stage, FILE) not in AFTER:
            raise _out_of_order(kind, self.stage, FILE)
        assert self.head is not None
        if self._length_after(self.head) is NO_CONTENT:
            self._begin(b"", END)
            return
        self._file = _FILE_ASKED
        self.tasks.put(OpenFile(self.head, path))
        while self._file is _FILE_ASKED:
            await self.change()
            if self.client is not HERE:
                raise self.disconnected()
        error, self._file_error = self._file_error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # no cycle through the traceback's frames

    def _length_after(self, head: WsgiHead) -> BodyLength:
        return length_of_body(head.length, head.code, self._method)

    def _ignore(self, kind: str, message: Message) -> None:
        if self._file is _FILE_SENT and kind in ("http.response.body", "http.response.pathsend"):
            raise AsgiAppError(kind, "sent after http.response.pathsend")
        # Nobody takes it, so that nothing but this would ever stop an endless stream.
        try:
            size = len(body_of(message))
        except AsgiAppError:
            size = 0  # nothing counts any more
        if self._ignored is None:
            self._ignored = Window(self._window_bytes + 1)
        self._ignored.put(size)
        if self._ignored.is_full:
            self.told = True
            raise ClientDisconnected("send", "the response was complete long before")

    # --- what the thread says, on the loop --------------------------------------------------------

    def begin_alone(self) -> None:
        """Begin the response with its head: the thread has waited for a body long enough."""
        if self.stage is HEAD and self._file is not _FILE_ASKED and self.client is HERE:
            self._begin(b"", SEND_HEAD)

    def file_opened(self, error: AsgiAppError | None) -> None:
        """Accept that the thread sends the file, or why it cannot be sent."""
        self._file_error = error
        self._file = _FILE_NONE if error is not None else _FILE_SENT
        if error is None:
            self.complete()  # also if the server has closed meanwhile what it took for empty
        else:
            self.wake()

    def closed(self) -> None:
        """Called when the server closes the response before its end."""
        if self._length.missing == 0 and not (self.window and self.window.on_their_way):
            self.complete()  # it has all that was declared: many servers then do not ask for more
        elif self.client is HERE:
            _logger.info("%s: the client left before the end of the response", self)
            self.client_left()

    def client_left(self) -> None:
        """Called when the server's thread stops reading the response."""
        self.client = LEFT
        self.wake()

    # --- of a WebSocket, where this is the response to the handshake ------------------------------

    def switch_protocols(self) -> None:
        """Record that the head of 101 Switching Protocols is sent."""
        self.stage = HEAD_SENT

    def complete(self) -> None:
        """Record that nothing more is to come."""
        self.stage = COMPLETE
        self.wake()

    # --- how it ends without being complete -------------------------------------------------------

    def fail(self, error: BaseException | None) -> None:
        """Let the thread raise why the response does not become whole.

        Args:
            error: What the application raised; None if it has returned although a part is missing.
        """
        error = _raisable(self._missing_part() if error is None else error)
        name = type(error).__qualname__  # the server logs the rest
        phase = "after" if self.stage > HEAD else "before"
        _logger.info("%s: %s %s the response had begun", self, name, phase)
        self.told = True
        self.client_left()
        self.tasks.put(error)

    def _missing_part(self) -> AsgiAppError:
        if self.head is None:
            return AsgiAppError("http.response.start", "missing at the application's return")
        reason = "the last one, without more_body, is missing at the application's return"
        return AsgiAppError("http.response.body", reason)

    def tell(self) -> None:
        """Record that the application knows that nothing more is taken."""
        self.told = True

    def disconnected(self) -> ClientDisconnected:
        """Return what to raise in the application, which then knows that its client left."""
        self.told = True
        return ClientDisconnected("send")

    # --- what changes -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the application look again at what it waits for."""
        for signal in self._changed:
            signal.set()

    async def change(self) -> None:
        """Wait until `wake` is called."""
        signal = self._handle.new_signal()
        self._changed.append(signal)
        try:
            await signal.wait()
        finally:
            self._changed.remove(signal)

    async def until_room(self) -> None:
        """Wait until the thread has taken enough of what waits for it.

        Raises:
            ClientDisconnected: Nobody takes more.
        """
        assert self.window is not None
        while self.window.must_wait():
            await self.change()
            if self.client is not HERE or self.stage is COMPLETE:
                raise self.disconnected()


def _out_of_order(kind: str, stage: Stage, step: Step) -> AsgiAppError:
    """Return the error of an application that sends a message at the wrong time."""
    if step is GIVE_HEAD:
        return AsgiAppError(kind, "sent twice")
    if stage is NO_HEAD:
        return AsgiAppError(kind, "sent before http.response.start")
    return AsgiAppError("http.response.pathsend", "sent after a part of the body")


def _beside_file() -> AsgiAppError:
    return AsgiAppError("http.response.body", "sent during http.response.pathsend")


def _fault(length: BodyLength, step: Step) -> int:
    """Return how many bytes the body lacks at its end; or has too many, as a negative number."""
    missing = length.missing or 0
    return missing if missing < 0 or step is END else 0


def _raisable(error: BaseException) -> Exception:
    """Return the error as the server's thread may raise it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    # These would end the server's worker, or its loop over blocks.
    fitting = AsgiAppError("application", f"raised {type(error).__name__}, which may not leave it")
    fitting.__cause__ = error
    return fitting
