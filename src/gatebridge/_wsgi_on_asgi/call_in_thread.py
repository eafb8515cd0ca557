"""One call of a WSGI application, in a worker thread: the server's part of PEP 3333.

This side knows WSGI and a channel to put messages into; it knows no event loop. What the
application does wrong is raised from here, into the application where the specification wants that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gatebridge._protocol.length import (
    NO_CONTENT,
    UNKNOWN,
    BodyLength,
    DeclaredLength,
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
    NO_HEAD,
    REPLACE_HEAD,
    SEND_HEAD,
    Step,
)
from gatebridge._translate.head_from_wsgi import ResponseHead, head_from_wsgi, header_value
from gatebridge._wsgi_on_asgi.file_wrapper import FileWrapper, regular_file
from gatebridge._wsgi_on_asgi.input import WsgiInput
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
from gatebridge._wsgi_on_asgi.settings import Settings
from gatebridge.errors import WsgiAppError
from gatebridge.types import (
    HTTPResponseStartMessage,
    HTTPSendMessage,
    OptExcInfo,
    Scope,
    Write,
    WSGIApplication,
    WSGIEnvironment,
)


class WsgiCall(ABC):
    """The state of one response, and the callables that the application is handed.

    Args:
        scope: The request's, of type ``"http"``.
        settings: Those of the adapter.

    Attributes:
        channel: The channel of a response that is not whole at once; None until it is needed.
        stage: How far the response has come.
        whole: The messages of a response that was complete at once, until they are sent; None
            for any other response.
        close_error: What ``close()`` of an iterable raised that had failed already.
    """

    __slots__ = (
        "_extensions",
        "_head",
        "_input",
        "_length",
        "_method",
        "_scope",
        "_settings",
        "channel",
        "close_error",
        "stage",
        "whole",
    )

    def __init__(self, scope: Scope, settings: Settings) -> None:
        self._scope = scope
        self._settings = settings
        self._method: str = scope["method"]
        self._extensions: Mapping[str, Any] = scope.get("extensions") or {}
        self._input: WsgiInput | None = None
        self._head: ResponseHead | None = None  # also if the one that was given broke the rules
        self._length: BodyLength = UNKNOWN
        self.channel: ResponseChannel | None = None
        self.stage = NO_HEAD
        self.close_error: BaseException | None = None
        self.whole: Sequence[HTTPSendMessage] | None = None

    @abstractmethod
    def send_whole(self, messages: Sequence[HTTPSendMessage]) -> None:
        """Send a response that is complete at once, before the end of the call.

        Raises:
            ClientDisconnected: The client is gone.
        """

    @abstractmethod
    def open_channel(self) -> ResponseChannel:
        """Return the channel for a response that is not complete at once."""

    def run(self, app: WSGIApplication, environ: WSGIEnvironment, body: WsgiInput | None) -> None:
        """Call the application, send what it returns, and close that.

        A result that is complete at once is left in `whole`. What ``close()`` raised after another
        error, which is raised from here, is left in `close_error`.

        Args:
            app: The application.
            environ: What to call it with; not looked at afterwards.
            body: The request's body where it is streamed, None if the environ has the whole.

        Raises:
            WsgiAppError: The application broke PEP 3333.
            ClientDisconnected: The client left while the response was being sent.
            BaseException: Whatever the application raised.
        """
        self._input = body
        iterable: Any = app(environ, self.start_response)
        if type(iterable) in (list, tuple) and self.stage <= HEAD:
            self._send_whole(iterable)
            return
        try:
            self._send_result(iterable)
        except BaseException:
            try:
                _close(iterable)
            except BaseException as exc:  # noqa: BLE001 - logged by the caller
                self.close_error = exc
            raise
        _close(iterable)
        if (self._length.missing or 0) < 0:
            self._cut_off_surplus()

    # --- what the application calls ---------------------------------------------------------------

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Write:
        """Record status and headers; they are sent with the first block (PEP 3333).

        The parameters have the names that Gunicorn, Waitress, Cheroot, Werkzeug and wsgiref give
        them: applications pass ``exc_info`` by keyword, which PEP 3333 does not foresee.
        """
        if exc_info:
            try:
                self._replace(exc_info)
            finally:
                exc_info = None  # as in _replace
        else:
            self._advance(GIVE_HEAD)
        head = head_from_wsgi(status, headers)
        if head.dropped or head.closes:
            self._treat_hop_by_hop(head)
        self._head = head
        self._length = length_of_body(head.length, head.status, self._method)
        return self._write

    def _advance(self, step: Step) -> None:
        """Take a step, if this is the time for it."""
        stage = AFTER.get((self.stage, step))
        if stage is None:  # a KeyError would become the error's context
            raise _out_of_order(step)
        self.stage = stage

    def _treat_hop_by_hop(self, head: ResponseHead) -> None:
        """Ask the server to close the connection if its protocol has that, and log the rest."""
        if head.closes and self._scope.get("http_version", "1.1").startswith("1"):
            head.headers.append((b"connection", b"close"))
        for name in head.dropped:
            self._settings.notices.header_dropped(self._scope, name)

    def _replace(self, exc_info: OptExcInfo) -> None:
        """Allow another head, unless one was sent."""
        if type(exc_info) is not tuple or len(exc_info) != 3:
            raise WsgiAppError("exc_info", f"not what sys.exc_info() returns: {exc_info!r:.80}")
        _, error, traceback = exc_info
        try:
            if self.stage > HEAD and isinstance(error, BaseException):
                raise error.with_traceback(traceback)
            self._advance(REPLACE_HEAD)
        finally:
            del exc_info, error, traceback  # no cycle through the traceback's frames

    def _write(self, block: bytes, /) -> None:
        """Send a block; it has gone out or is buffered when this returns (PEP 3333)."""
        _check_block(block)
        if self.stage is COMPLETE:
            if block and self._length is UNKNOWN:
                raise _out_of_order(BLOCK)
            self._length.take(block)
        elif self._length is not NO_CONTENT:
            self._send_block(block)
        elif start := self._start_if_due():
            self._put(start, b"", SEND_HEAD)
        missing = self._length.missing
        if missing is not None and missing < 0:
            raise wrong_length(WsgiAppError, missing)

    def early_hints(self, headers: Iterable[tuple[str, str]], /) -> None:
        """Send the ``Link`` pairs in a 103 response; does nothing once the response has begun."""
        links = [header_value("link", value) for name, value in headers if name.lower() == "link"]
        if links:
            message: HTTPSendMessage = {"type": "http.response.early_hint", "links": links}
            self.open_channel().put_hint(message)

    # --- the response -----------------------------------------------------------------------------

    def _send_result(self, result: Any) -> None:  # noqa: ANN401 - what an application returned
        if type(result) is FileWrapper:
            self._send_file(result)
            return
        for item in _iterate(result):
            block = _check_block(item)
            if block:
                if self._length is NO_CONTENT:
                    break
                if self.stage is not COMPLETE:
                    self._send_block(block)
                if self.stage is COMPLETE:
                    break
        self._end()

    def _send_block(self, block: bytes) -> None:
        """Send one block, no further than the declared length."""
        start = self._start_if_due()
        block = self._length.take(block)
        self._put(start, block, END if self._length.reached else BLOCK)

    def _end(self) -> None:
        """Complete the response, if it is as long as declared."""
        if self.stage is COMPLETE:
            return
        start = self._start_if_due()
        if missing := self._length.missing:
            raise wrong_length(WsgiAppError, missing)
        self._put(start, b"", END)

    def _put(self, start: HTTPResponseStartMessage | None, block: bytes, step: Step) -> None:
        self._advance(step)
        if start is not None and step is END:
            self.send_whole(
                (start, {"type": "http.response.body", "body": block, "more_body": False})
            )
        else:
            channel = self.channel or self.open_channel()
            channel.put(block, start=start, last=step is END)

    def _send_whole(self, blocks: Sequence[bytes]) -> None:
        """Leave a result that is complete to be sent: start, body and end travel together."""
        for block in blocks:
            if type(block) is not bytes:
                _check_block(block)
        body = b"".join(blocks)
        head = self._require_head()
        start = self._start(head)
        if self._length is NO_CONTENT:
            body = b""
        elif head.length is None:
            head.headers.append((b"content-length", b"%d" % len(body)))
        elif head.length != len(body):
            if len(body) < head.length:
                raise wrong_length(WsgiAppError, head.length - len(body))
            body = body[: head.length]
            self._cut_off_surplus()
        self._advance(END)
        self.whole = start, {"type": "http.response.body", "body": body, "more_body": False}

    def _send_file(self, wrapper: FileWrapper) -> None:
        """Send a file by the server's own means, or else in large blocks."""
        if self.stage <= HEAD and self._length is not NO_CONTENT:
            head = self._require_head()
            file = regular_file(wrapper)
            if file is not None:
                if head.length is None:
                    self._length = DeclaredLength(file.available)
                    head.headers.append((b"content-length", str(file.available).encode()))
                elif head.length > file.available:
                    raise wrong_length(WsgiAppError, head.length - file.available)
                count = file.available if head.length is None else head.length
                message: Any = None
                extensions = self._extensions if self._settings.server_sends_files else ()
                if "http.response.zerocopysend" in extensions:
                    message = file.zero_copy_message(count)
                elif "http.response.pathsend" in extensions:
                    message = file.path_message(count)
                if message is not None and count:
                    start = self._start(head)
                    self._advance(FILE)
                    channel = self.open_channel()
                    channel.put(start=start)
                    channel.put_file(message)
                    return
        if self.stage is not COMPLETE and self._length is not NO_CONTENT:
            for block in wrapper.blocks(self._length.missing):
                self._send_block(_check_block(block))
        self._end()

    def _cut_off_surplus(self) -> None:
        """Log that more was returned than declared; the client has a correct response."""
        head = self._require_head()
        if head.length is not None:
            self._settings.notices.surplus_cut_off(self._scope, head.length)

    def _start_if_due(self) -> HTTPResponseStartMessage | None:
        return self._start(self._require_head()) if self.stage <= HEAD else None

    def _start(self, head: ResponseHead) -> HTTPResponseStartMessage:
        """Return the message of the head, which is about to go out."""
        if self._input is not None and self._input.refused is not None:
            raise self._input.refused  # 413, whatever the application made of it (D-15)
        return {
            "type": "http.response.start",
            "status": head.status,
            "headers": head.headers,
        }

    def _require_head(self) -> ResponseHead:
        if self._head is None:
            raise WsgiAppError("start_response", "not called before the body's first block or end")
        return self._head


def _out_of_order(step: Step) -> WsgiAppError:
    """Return the error of an application that takes a step at the wrong time."""
    if step is GIVE_HEAD:
        return WsgiAppError("start_response", "called again without exc_info")
    if step is REPLACE_HEAD:
        return WsgiAppError("start_response", "called again after the headers were sent")
    return WsgiAppError("write", "called after the end of the response")


def _iterate(result: Any) -> Iterator[object]:  # noqa: ANN401 - what an application returned
    if isinstance(result, (str, bytes)) or not (
        hasattr(result, "__iter__") or hasattr(result, "__getitem__")
    ):
        raise WsgiAppError(
            "return value", f"not an iterable of blocks of bytes: {type(result).__name__}"
        )
    return iter(result)


def _check_block(block: object) -> bytes:
    if not isinstance(block, bytes):
        raise WsgiAppError("body", f"a block that is not bytes: {type(block).__name__}")
    return block


def _close(iterable: object) -> None:
    close = getattr(iterable, "close", None)
    if close is not None:
        close()
