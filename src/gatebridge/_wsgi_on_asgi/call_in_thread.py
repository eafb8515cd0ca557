"""One call of a WSGI application, in a worker thread: the server's part of PEP 3333.

This side knows WSGI and a channel to put messages into; it knows no event loop. What the
application does wrong is raised from here, into the application where the specification wants that.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from gatebridge._bodies.file_wrapper import FileWrapper, regular_file
from gatebridge._translate.response import (
    ResponseHead,
    has_content,
    head_from_wsgi,
    header_value,
)
from gatebridge._wsgi_on_asgi.input import WsgiInput
from gatebridge._wsgi_on_asgi.notices import Notices
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
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


class WsgiCall:
    """The state of one response, and the callables that the application is handed.

    Args:
        channel: Where the response goes.
        scope: The request's, of type ``"http"``.
        file_extensions: Names of extensions; among them the server's ways to send a file.
        notices: Where to log what was put right.
    """

    __slots__ = (
        "_called",
        "_channel",
        "_file_extensions",
        "_head",
        "_input",
        "_method",
        "_notices",
        "_over",
        "_remaining",
        "_scope",
        "_sends_content",
        "_wrote",
        "close_error",
        "started",
        "whole",
    )

    def __init__(
        self,
        channel: ResponseChannel,
        scope: Scope,
        file_extensions: Container[str],
        notices: Notices,
    ) -> None:
        self._channel = channel
        self._scope = scope
        self._method: str = scope["method"]
        self._file_extensions = file_extensions
        self._notices = notices
        self._input: WsgiInput | None = None
        self._called = False  # start_response was, rightly or wrongly
        self._head: ResponseHead | None = None
        self._sends_content = True
        self._remaining: int | None = None  # bytes to go until the declared length
        self._wrote = False
        self._over = False  # the body is complete; more would be surplus
        self.started = False  # the head was handed over and cannot be replaced
        self.close_error: BaseException | None = None  # of an iterable that had failed already
        self.whole: tuple[HTTPSendMessage, ...] = ()  # left to be sent with the end of the call

    def run(self, app: WSGIApplication, environ: WSGIEnvironment, body: WsgiInput | None) -> None:
        """Call the application, send what it returns, and close that.

        A result that is complete at once is left in `whole`. What ``close()`` raised after another
        error, which is raised from here, is left in `close_error`.

        Args:
            app: The application.
            environ: What to call it with; not looked at afterwards.
            body: The request's body where it is streamed, None if it was at hand as a whole.

        Raises:
            WsgiAppError: The application broke PEP 3333.
            ClientDisconnected: The client left while the response was being sent.
            BaseException: Whatever the application raised.
        """
        self._input = body
        iterable: Any = app(environ, self.start_response)
        if type(iterable) in (list, tuple) and not self._wrote:
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
        if self._remaining is not None and self._remaining < 0:
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
        elif self._called:
            raise WsgiAppError("start_response", "called again without exc_info")
        self._called = True
        head = head_from_wsgi(status, headers)
        if head.dropped or head.closes:
            self._treat_hop_by_hop(head)
        self._head = head
        self._sends_content = has_content(head.status, self._method)
        self._remaining = head.length if self._sends_content else None
        return self._write

    def _treat_hop_by_hop(self, head: ResponseHead) -> None:
        """Ask the server to close the connection if its protocol has that, and log the rest."""
        if head.closes and self._scope.get("http_version", "1.1").startswith("1"):
            head.headers.append((b"connection", b"close"))
        for name in head.dropped:
            self._notices.header_dropped(self._scope, name)

    def _replace(self, exc_info: OptExcInfo) -> None:
        """Allow another head, unless one was sent."""
        if type(exc_info) is not tuple or len(exc_info) != 3:
            raise WsgiAppError("exc_info", f"not what sys.exc_info() returns: {exc_info!r:.80}")
        _, error, traceback = exc_info
        try:
            if not self.started:
                return
            if not isinstance(error, BaseException):
                raise WsgiAppError("start_response", "called again after the headers were sent")
            raise error.with_traceback(traceback)
        finally:
            del exc_info, error, traceback  # no cycle through the traceback's frames

    def _write(self, block: bytes, /) -> None:
        """Send a block; it has gone out or is buffered when this returns (PEP 3333)."""
        self._wrote = True
        _check_block(block)
        if not self._sends_content:
            if not self.started:
                self._channel.put(message=self._start())
            return
        if not self._over:
            self._send_block(block)
        elif block:
            if self._remaining is None:
                raise WsgiAppError("write", "called after the end of the response")
            self._remaining -= len(block)
        if self._remaining is not None and self._remaining < 0:
            raise WsgiAppError(
                "content-length", f"{-self._remaining} bytes more in the body than declared"
            )

    def early_hints(self, headers: Iterable[tuple[str, str]], /) -> None:
        """Send the ``Link`` pairs in a 103 response; does nothing once the response has begun."""
        links = [header_value("link", value) for name, value in headers if name.lower() == "link"]
        if links:
            message: HTTPSendMessage = {"type": "http.response.early_hint", "links": links}
            self._channel.put(message=message, hint=True)

    # --- the response -----------------------------------------------------------------------------

    def _send_result(self, result: Any) -> None:  # noqa: ANN401 - what an application returned
        if type(result) is FileWrapper:
            self._send_file(result)
            return
        for item in _iterate(result):
            block = _check_block(item)
            if block:
                if self._sends_content and not self._over:
                    self._send_block(block)
                if self._over or not self._sends_content:
                    break
        self._end()

    def _send_block(self, block: bytes) -> None:
        """Send one block, no further than the declared length."""
        message = None if self.started else self._start()
        if self._remaining is not None:
            surplus = len(block) - self._remaining
            self._remaining = -surplus
            if surplus >= 0:
                self._over = True
                block = block[: len(block) - surplus]
        self._channel.put(block, message=message, last=self._over)

    def _send_whole(self, blocks: Sequence[bytes]) -> None:
        """Leave a result that is complete to be sent: start, body and end travel together."""
        for block in blocks:
            _check_block(block)
        body = b"".join(blocks)
        head = self._require_head()
        if not self._sends_content:
            body = b""
        elif head.length is None:
            head.headers.append((b"content-length", b"%d" % len(body)))
        elif head.length != len(body):
            if len(body) < head.length:
                raise _shortfall(head.length - len(body))
            body = body[: head.length]
            self._cut_off_surplus()
        start = self._start()
        self._over = True
        self.whole = start, {"type": "http.response.body", "body": body, "more_body": False}

    def _send_file(self, wrapper: FileWrapper) -> None:
        """Send a file by the server's own means, or else in large blocks."""
        if self._sends_content and not self._wrote:
            head = self._require_head()
            file = regular_file(wrapper)
            if file is not None:
                if head.length is None:
                    self._remaining = file.available
                    head.headers.append((b"content-length", str(file.available).encode()))
                elif head.length > file.available:
                    raise _shortfall(head.length - file.available)
                count = file.available if head.length is None else head.length
                message: Any = None
                if "http.response.zerocopysend" in self._file_extensions:
                    message = file.zero_copy_message(count)
                elif "http.response.pathsend" in self._file_extensions:
                    message = file.path_message(count)
                if message is not None and count:
                    self._channel.put(message=self._start())
                    self._over = True
                    self._channel.put_file(message)
                    return
        if self._sends_content and not self._over:
            for block in wrapper.blocks(self._remaining):
                self._send_block(_check_block(block))
        self._end()

    def _end(self) -> None:
        """Complete the response, if it is as long as declared."""
        if self._over:
            return
        if self._remaining:
            raise _shortfall(self._remaining)
        self._over = True
        message = None if self.started else self._start()
        self._channel.put(message=message, last=True)

    def _cut_off_surplus(self) -> None:
        """Log that more was returned than declared; the client has a correct response."""
        head = self._require_head()
        if head.length is not None:
            self._notices.surplus_cut_off(self._scope, head.length)

    def _start(self) -> HTTPResponseStartMessage:
        head = self._require_head()
        if self._input is not None and self._input.refused is not None:
            raise self._input.refused  # whatever the application made of it, the answer is 413
        self.started = True
        return {
            "type": "http.response.start",
            "status": head.status,
            "headers": head.headers,
        }

    def _require_head(self) -> ResponseHead:
        if self._head is None:
            raise WsgiAppError("start_response", "not called before the body's first block or end")
        return self._head


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


def _shortfall(missing: int) -> WsgiAppError:
    return WsgiAppError("content-length", f"{missing} bytes fewer in the body than declared")


def _close(iterable: object) -> None:
    close = getattr(iterable, "close", None)
    if close is not None:
        close()
