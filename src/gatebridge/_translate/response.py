"""Response heads: WSGI status lines and header lists to ASGI start messages and back.

A head is checked in full before anything is sent, because what leaves here goes onto the wire: a
control character in a value would let an application's user inject headers, and a wrong length
would desynchronise the connection. Each error names the header.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from gatebridge._translate.headers import TOKEN, declared_length
from gatebridge.errors import AsgiAppError, WsgiAppError
from gatebridge.types import HTTPResponseBodyMessage, HTTPResponseStartMessage

_logger = logging.getLogger("gatebridge")

_BYTES_LIKE = (bytes, bytearray, memoryview)

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"trailers transfer-encoding upgrade".split()
)
"""Fields of one connection (RFC 9110 section 7.6.1, RFC 2616 section 13.5.1), lower-case."""

_DROPPED = {"status", *(name.decode("ascii") for name in HOP_BY_HOP)}
_NOT_JUST_PASSED = HOP_BY_HOP | {b"content-length"}

# Options of an application's Connection header that are never about the connection.
_NEVER_OPTIONS = {"", "content-length", "content-type", "set-cookie", "date"}

_STATUS = re.compile(r"([2-9][0-9]{2})(?: [ -~\x80-\xff]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # without HTAB, which HTTP allows inside

_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class ResponseHead(NamedTuple):
    """A checked head for ``http.response.start``.

    Attributes:
        status: 200 to 999.
        headers: Lower-case names and trimmed values, in the application's order.
        length: The declared Content-Length in bytes, or None.
        dropped: Names of headers that only a server may send, and that are not in ``headers``.
        closes: Whether the application asked for the connection to be closed. Over HTTP/1 that may
            be passed on.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    dropped: tuple[str, ...] = ()
    closes: bool = False


class WsgiHead(NamedTuple):
    """A checked head for ``start_response``: as `ResponseHead`, in native strings."""

    status: str
    headers: list[tuple[str, str]]
    length: int | None


def has_content(status: int, method: str) -> bool:
    """Say whether a response may have a body (RFC 9110 sections 9.3.2, 15.3.5, 15.3.6, 15.4.5)."""
    return status not in (204, 205, 304) and method != "HEAD"


# --- WSGI to ASGI ---------------------------------------------------------------------------------


def head_from_wsgi(status: object, headers: object) -> ResponseHead:
    """Check and translate the arguments of ``start_response``.

    Hop-by-hop headers are dropped, with the fields that ``Connection`` names.

    Raises:
        WsgiAppError: They break PEP 3333 or HTTP; names the status or the header.

    Source: PEP 3333 "The start_response() Callable"; RFC 9110 sections 5 and 15.
    """
    if type(status) is not str:
        raise WsgiAppError("status", f"not of type str: {status!r:.80}")
    if type(headers) is not list:
        raise WsgiAppError("headers", f"not a list: {type(headers).__name__}")
    code = _status_code(status)
    translated: list[tuple[bytes, bytes]] = []
    lengths: list[bytes] = []
    hop_by_hop: list[tuple[bytes, bytes]] = []
    for item in cast("list[tuple[str, str]]", headers):
        if type(item) is not tuple or len(item) != 2:
            raise WsgiAppError("headers", f"not a tuple of name and value: {item!r:.80}")
        name, value = item
        if type(name) is not str:
            raise WsgiAppError("headers", f"a name not of type str: {name!r:.80}")
        raw_name, raw_value = _asgi_name(name), header_value(name, value)
        if raw_name in _NOT_JUST_PASSED:
            if raw_name in HOP_BY_HOP:
                hop_by_hop.append((raw_name, raw_value))
                continue
            lengths.append(raw_value)
            if len(lengths) > 1:
                continue
        translated.append((raw_name, raw_value))
    if not lengths and code not in (204, 205):
        head = ResponseHead(code, translated, None)
    else:
        head = ResponseHead(code, *_with_declared_length(code, translated, lengths))
    return _end_to_end(head, hop_by_hop) if hop_by_hop else head


def _end_to_end(head: ResponseHead, hop_by_hop: list[tuple[bytes, bytes]]) -> ResponseHead:
    """Return a head without the fields that ``Connection`` names; say what was dropped."""
    options = {
        option.strip().lower()
        for name, value in hop_by_hop
        if name == b"connection"
        for option in value.decode("latin-1").split(",")
    }
    governed = options - _NEVER_OPTIONS
    kept: list[tuple[bytes, bytes]] = []
    dropped: set[str] = set()
    for item in head.headers:
        name = item[0].decode("ascii")
        if name in governed:
            dropped.add(name)
        else:
            kept.append(item)
    closes = "close" in options
    for raw_name, raw_value in hop_by_hop:
        if not (closes and raw_name == b"connection" and raw_value.lower() == b"close"):
            dropped.add(raw_name.decode("ascii"))
    return head._replace(headers=kept, dropped=tuple(sorted(dropped)), closes=closes)


def _with_declared_length(
    status: int, headers: list[tuple[bytes, bytes]], lengths: list[bytes]
) -> tuple[list[tuple[bytes, bytes]], int | None]:
    length = declared_length(lengths, WsgiAppError)
    if length is not None and lengths == [length] and status not in (204, 205):
        return headers, int(length)  # nearly every response
    return _with_length(status, headers, length)


def _with_length(
    status: int, headers: list[tuple[bytes, bytes]], length: bytes | None
) -> tuple[list[tuple[bytes, bytes]], int | None]:
    """Return headers in which one Content-Length stands for all, as the status allows it."""
    if status in (204, 205):
        # RFC 9110: no length on 204 (section 8.6), no content on 205 (section 15.3.6).
        headers = [item for item in headers if item[0].lower() != b"content-length"]
        return (headers, None) if status == 204 else ([*headers, (b"content-length", b"0")], 0)
    if length is None:
        return headers, None
    return [
        (name, length) if name.lower() == b"content-length" else (name, value)
        for name, value in headers
    ], int(length)


@lru_cache(maxsize=256)
def _status_code(status: str) -> int:
    match = _STATUS.fullmatch(status)
    if match is None:
        raise WsgiAppError(
            "status", f"not a code from 200 to 999, a space and a reason: {status[:80]!r}"
        )
    return int(match[1])


@lru_cache(maxsize=512)
def _asgi_name(name: str) -> bytes:
    raw = name.encode("utf-8", "replace").lower()  # str.lower() makes ASCII of U+212A
    if not TOKEN.fullmatch(raw):
        raise WsgiAppError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
    return raw


def header_value(name: str, value: object) -> bytes:
    """Return one value of a WSGI header, checked, trimmed and encoded.

    Raises:
        WsgiAppError: It is no native string, or holds a control character; names the header.
    """
    if type(value) is not str:
        raise WsgiAppError(name, f"value not of type str: {value!r:.80}")
    # What is printable has no control character; the search is for the rest of latin-1.
    if not value.isprintable() and _CONTROL.search(value):
        raise WsgiAppError(name, f"a control character in {value[:80]!r}")
    try:
        return value.strip(" ").encode("latin-1")
    except UnicodeEncodeError:
        raise WsgiAppError(name, f"a character beyond U+00FF in {value[:80]!r}") from None


# --- ASGI to WSGI ---------------------------------------------------------------------------------


def head_from_asgi(status: object, headers: Iterable[Any]) -> WsgiHead:
    """Check and translate status and headers of ``http.response.start``.

    Hop-by-hop headers are dropped, with the fields that ``Connection`` names, and so is ``Status``,
    which PEP 3333 forbids.

    Args:
        status: An int, or an `http.HTTPStatus`.
        headers: Pairs of bytes-like objects; iterated once.

    Raises:
        AsgiAppError: They break the ASGI specification or HTTP; names the status or the header.

    Source: ASGI HTTP 2.5 "Response Start"; PEP 3333 "The start_response() Callable"; RFC 9110.
    """
    code = _checked_code(status)
    kept: list[tuple[str, str]] = []
    lengths: list[str] = []
    dropped: set[str] = set()
    for item in _pairs(headers):
        name, value = _pair(item)
        native, lower = _wsgi_name(name)
        text = value.decode("latin-1")
        if text.isprintable():  # nearly every value
            text = text.strip(" ")
        else:
            text = asgi_header_value(native, value).decode("latin-1")
        if lower == "content-length":
            lengths.append(text)
            if len(lengths) > 1:
                continue
        elif lower in _DROPPED:
            dropped.add(lower)
            if lower == "connection":
                dropped |= {option.strip().lower() for option in text.split(",")}
        kept.append((native, text))
    if dropped:
        kept = _without(dropped - _NEVER_OPTIONS, kept)
    length: int | None = None
    if lengths or code == 205:
        kept, length = _with_length_of_all(code, kept, lengths)
    return WsgiHead(_REASONS.get(code) or f"{code} Unknown", kept, length)


def _without(names: set[str], headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for name in names:
        _logger.debug("response header %.80r is not passed to the server", name)
    return [item for item in headers if item[0].lower() not in names]


def _with_length_of_all(
    status: int, headers: list[tuple[str, str]], lengths: list[str]
) -> tuple[list[tuple[str, str]], int | None]:
    raw = declared_length([length.encode("latin-1") for length in lengths], AsgiAppError)
    if raw is not None and status not in (204, 205) and lengths == [raw.decode("ascii")]:
        return headers, int(raw)
    in_bytes = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    in_bytes, length = _with_length(status, in_bytes, raw)
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in in_bytes], length


@lru_cache(maxsize=512)
def _wsgi_name(name: bytes) -> tuple[str, str]:
    """Return a header's name as it is, and in lower case."""
    if not TOKEN.fullmatch(name):
        raise AsgiAppError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
    native = name.decode("ascii")
    return native, native.lower()


def _checked_code(status: object) -> int:
    if not isinstance(status, int):
        raise AsgiAppError("status", f"not an int: {status!r:.80}")
    if not 200 <= status <= 999:
        shown = f": {status}" if abs(status) < 10**9 else ""  # repr() of a huge int raises
        raise AsgiAppError("status", f"not a final status from 200 to 999{shown}")
    return int(status)


def _pairs(headers: Iterable[Any]) -> list[Any]:
    try:
        return list(headers)
    except TypeError:
        raise AsgiAppError("headers", f"not iterable: {type(headers).__name__}") from None


def _pair(item: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 - what an application sent
    try:
        name, value = item
        if type(name) is bytes and type(value) is bytes:
            return name, value
        if isinstance(name, _BYTES_LIKE) and isinstance(value, _BYTES_LIKE):
            return bytes(cast("bytes", name)), bytes(cast("bytes", value))
    except (TypeError, ValueError):
        pass
    raise AsgiAppError("headers", f"not a pair of bytes: {item!r:.80}")


def asgi_header_value(name: str, value: object) -> bytes:
    """Return one value of an ASGI header as WSGI may have it: checked and trimmed.

    Raises:
        AsgiAppError: It is not bytes-like, or holds a control character; names the header.
    """
    if not isinstance(value, _BYTES_LIKE):
        raise AsgiAppError(name, f"value not bytes: {value!r:.80}")
    raw = bytes(cast("bytes", value)).strip(b" \t")
    if _CONTROL_BYTES.search(raw):
        raise AsgiAppError(name, f"a control character in {raw[:80]!r}")
    return raw.replace(b"\t", b" ")  # legal inside in HTTP, not in PEP 3333


# --- responses of the adapters' own ---------------------------------------------------------------


def plain_response(
    status: int, text: str, method: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> tuple[HTTPResponseStartMessage, HTTPResponseBodyMessage]:
    """Return the two messages of a complete response: one line of plain text.

    Args:
        status: 200 to 599.
        text: The line, without newline.
        method: The request's; there is no body for HEAD.
        headers: What to send besides type and length.
    """
    body = f"{text}\n".encode("utf-8", "backslashreplace")
    start: HTTPResponseStartMessage = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ],
    }
    content = body if has_content(status, method) else b""
    return start, {"type": "http.response.body", "body": content, "more_body": False}
