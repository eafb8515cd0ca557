"""``http.request`` messages over ``wsgi.input``: the request's body for an ASGI application.

Source: PEP 3333 "Input and Error Streams"; ASGI HTTP 2.5 "Request"; RFC 9112 section 6.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gatebridge._asgi_on_wsgi.thread_tasks import Part
from gatebridge.errors import HostError, RequestBodyError, RequestError
from gatebridge.types import InputStream, WSGIEnvironment

BLOCK_BYTES = 65536


NO_BODY: Part = b"", False
"""The only part of a request without a body."""


def may_have_body(environ: WSGIEnvironment) -> bool:
    """Return whether there is anything about a request's body to find out.

    For a request without a body, `RequestMessages` would come to the same, for more time.
    """
    return bool(
        environ.get("CONTENT_LENGTH")
        or environ.get("wsgi.input_terminated")
        or "HTTP_TRANSFER_ENCODING" in environ
    )


class RequestMessages:
    """Reads ``wsgi.input`` in parts, never further than it may, in the thread that calls it.

    Args:
        environ: The request's.
        scope: Made of it.
        max_body_size: The largest body in bytes, None for any.

    Attributes:
        over: Whether all of the body was read.
        parts: Number of messages that were read.

    Raises:
        RequestError: 411 for a body whose end cannot be known, 413 for a declared length over the
            limit.
    """

    __slots__ = (
        "_cheap",
        "_error",
        "_input",
        "_length",
        "_limit",
        "_read_bytes",
        "over",
        "parts",
    )

    def __init__(
        self, environ: WSGIEnvironment, scope: Mapping[str, Any], max_body_size: int | None
    ) -> None:
        self._input: InputStream | None = environ.get("wsgi.input")
        self._read_bytes = 0
        self.parts = 0
        self._error: Exception | None = None  # found early, for the next `read`
        self._limit = max_body_size
        self._length: int | None = None  # unknown
        coded = "HTTP_TRANSFER_ENCODING" in environ
        if environ.get("CONTENT_LENGTH") and not coded:
            for name, value in scope["headers"]:  # a blank length is not among them
                if name == b"content-length":
                    self._length = int(value)
                    break
        if self._length is None and not environ.get("wsgi.input_terminated"):
            if coded:
                raise _length_required()
            self._length = 0
        if max_body_size is not None and (self._length or 0) > max_body_size:
            raise _too_large(max_body_size)
        self.over = self._length == 0
        # Nothing says that there is a body, and such a method seldom has one.
        seldom = not coded and scope["method"] in ("GET", "HEAD", "OPTIONS")
        self._cheap = seldom if self._length is None else self._length <= BLOCK_BYTES
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self._cheap = self._cheap and scope["http_version"] == "1.0"

    def read_early(self) -> Part | None:
        """Return the first message's body and whether more follows, if that can be had cheaply.

        That is: a body of a known, small length, or hardly any, and the client does not wait for
        ``100 Continue``, which it is sent at the first read. What goes wrong comes again with the
        next `read`.

        Raises:
            RequestBodyError: The body is over the limit.
            HostError: As `read`.
        """
        if self.over:
            return NO_BODY
        if not self._cheap:
            return None
        parts: list[bytes] = []
        more = True
        while more and (self._length is not None or not parts):
            try:
                part, more = self._read()  # some servers read in small pieces
            except HostError:
                raise
            except Exception as exc:
                if isinstance(exc, RequestBodyError) and exc.status == 413:
                    raise
                self._error = exc
                break
            parts.append(part)
        if not parts:
            return None
        self.parts = 1
        return b"".join(parts), more

    def read(self) -> Part:
        """Return the next message's body and whether more follows. Blocks.

        Not to be called again after the end, or after an error.

        Raises:
            RequestBodyError: The body ends before its declared length, or is over the limit.
            HostError: ``wsgi.input`` is missing, or breaks PEP 3333.
            Exception: Whatever ``wsgi.input`` raises, as at a client that left.
        """
        error, self._error = self._error, None
        if error is None:
            part = self._read()
            self.parts += 1
            return part
        try:
            raise error
        finally:
            del error  # no cycle through the traceback's frames

    @property
    def declared(self) -> bool:
        """Whether the length of the body is known."""
        return self._length is not None

    def read_ahead(self) -> Part | None:
        """Like `read`, but return None for an error, which the next `read` raises."""
        if self._error is None:
            try:
                return self.read()
            except Exception as exc:  # noqa: BLE001 - whatever `read` raises
                self._error = exc.with_traceback(None)  # its frames would form a cycle with it
        return None

    def _read(self) -> Part:
        if self._input is None:
            raise HostError("wsgi.input", "missing, though the request has a body")
        size = BLOCK_BYTES
        if self._length is not None:
            size = min(size, self._length - self._read_bytes)
        part = cast("object", self._input.read(size))
        if not isinstance(part, bytes):
            raise HostError("wsgi.input", f"read() gave {type(part).__name__}, not bytes")
        self._read_bytes += len(part)
        if len(part) > size:
            raise HostError("wsgi.input", f"read({size}) gave {len(part)} bytes, which is more")
        if self._limit is not None and self._read_bytes > self._limit:
            raise _too_large(self._limit)
        if self._length is None:
            self.over = not part
        elif not part:
            raise RequestBodyError(
                "content-length", f"the body ended after {self._read_bytes} of {self._length} bytes"
            )
        else:
            self.over = self._read_bytes == self._length
        return part, not self.over


def _length_required() -> RequestError:
    error = RequestError(
        "content-length", "missing, and this server does not say where a chunked body ends"
    )
    error.status = 411
    return error


def _too_large(limit: int) -> RequestBodyError:  # H-MSG-10
    return RequestBodyError("body", f"over the limit of {limit} bytes", 413)
