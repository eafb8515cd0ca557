"""``head_from_asgi``: ``http.response.start`` to the arguments of ``start_response``.

A head is checked in full before anything is sent, as in `head_from_wsgi`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from gatebridge._translate.fields import (
    HOP_BY_HOP,
    TOKEN,
    governed_fields,
    sent_length,
    with_length,
)
from gatebridge._translate.remembered import RESPONSE_NAMES, remember
from gatebridge.errors import AsgiAppError

_logger = logging.getLogger("gatebridge")

_BYTES_LIKE = (bytes, bytearray, memoryview)

# What values were translated to, by names in their usual spellings.
_KNOWN: dict[bytes, dict[bytes, tuple[str, str]]] = {
    spelling.encode(): {} for name in RESPONSE_NAMES for spelling in (name, name.title())
}
_known_of_name = _KNOWN.get

_DROPPED = {"status", *(name.decode("ascii") for name in HOP_BY_HOP)}
_CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # except HTAB, which HTTP allows inside
_REASONS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class WsgiHead(NamedTuple):
    """A checked head for ``start_response``, in native strings.

    Attributes:
        status: The status line.
        headers: Names and trimmed values, in the application's order.
        length: The declared Content-Length in bytes, or None.
        code: The number in ``status``.
    """

    status: str
    headers: list[tuple[str, str]]
    length: int | None
    code: int


_new_tuple: Callable[..., WsgiHead] = tuple[object, ...].__new__


def head_from_asgi(  # noqa: C901, PLR0912 - each call costs, on the path of every response
    status: object, headers: Iterable[Any]
) -> WsgiHead:
    """Check and translate status and headers of ``http.response.start``.

    Hop-by-hop headers are dropped, as are the fields that ``Connection`` names, and ``Status``,
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
    lengths: list[bytes] = []
    dropped: set[str] = set()
    connection: list[str] = []
    new_in: dict[bytes, tuple[str, str]] | None = None
    new_value, new_pair = b"", ("", "")
    try:
        items = list(headers)
    except TypeError:
        raise AsgiAppError("headers", f"not iterable: {type(headers).__name__}") from None
    for item in items:
        try:
            name, value = item
        except (TypeError, ValueError):
            name = value = None
        if type(name) is not bytes or type(value) is not bytes:
            name, value = _bytes_of(item, name, value)
        known = _known_of_name(name)
        if known is not None:  # never a field of those below
            pair = known.get(value)
            if pair is None:
                pair = _translated(name, value)
                new_in, new_value, new_pair = known, value, pair
            kept.append(pair)
            continue
        native, text = pair = _translated(name, value)
        lower = native.lower()
        if lower == "content-length":
            lengths.append(text.encode("latin-1"))
            if len(lengths) > 1:
                continue
        elif lower in _DROPPED:
            dropped.add(lower)
            if lower == "connection":
                connection.append(text)
        kept.append(pair)
    if new_in is not None:
        remember(new_in, new_value, new_pair)
    if dropped:
        kept = _without(dropped | governed_fields(connection), kept)
    length: str | None = None
    if lengths or code == 205:
        raw = sent_length(code, lengths, AsgiAppError)
        length = None if raw is None else raw.decode("ascii")
        if lengths != [raw] or code == 205:
            kept = with_length(kept, "content-length", length, at_the_end=code == 205)
    reason = _REASONS.get(code) or f"{code} Unknown"
    number = None if length is None else int(length)
    return _new_tuple(WsgiHead, (reason, kept, number, code))  # like WsgiHead(...), in less time


def _without(names: set[str], headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for name in names:
        _logger.debug("response header %.80r is not passed to the server", name)
    return [item for item in headers if item[0].lower() not in names]


def _translated(name: bytes, value: bytes) -> tuple[str, str]:
    native = _wsgi_name(name)
    text = value.decode("latin-1")
    if text.isprintable():  # nearly every value
        return native, text.strip(" ")
    return native, asgi_header_value(native, value).decode("latin-1")


@lru_cache(maxsize=512)
def _wsgi_name(name: bytes) -> str:
    """Return a header's name unchanged."""
    if not TOKEN.fullmatch(name):
        raise AsgiAppError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
    return name.decode("ascii")


def _checked_code(status: object) -> int:
    if not isinstance(status, int):
        raise AsgiAppError("status", f"not an int: {status!r:.80}")
    if not 200 <= status <= 999:
        shown = f": {status}" if abs(status) < 10**9 else ""  # repr() of a huge int raises
        raise AsgiAppError("status", f"not a final status from 200 to 999{shown}")
    return int(status)


def _bytes_of(item: object, name: object, value: object) -> tuple[bytes, bytes]:
    try:
        if isinstance(name, _BYTES_LIKE) and isinstance(value, _BYTES_LIKE):
            return bytes(cast("bytes", name)), bytes(cast("bytes", value))
    except ValueError:
        pass  # such as of a released memoryview
    raise AsgiAppError("headers", f"not a pair of bytes: {item!r:.80}")


def asgi_header_value(name: str, value: object) -> bytes:
    """Return one value of an ASGI header as WSGI allows it: checked and trimmed.

    Raises:
        AsgiAppError: It is not bytes-like, or contains a control character; names the header.
    """
    if not isinstance(value, _BYTES_LIKE):
        raise AsgiAppError(name, f"value not bytes: {value!r:.80}")
    raw = bytes(cast("bytes", value)).strip(b" \t")
    if _CONTROL_BYTES.search(raw):
        raise AsgiAppError(name, f"a control character in {raw[:80]!r}")
    return raw.replace(b"\t", b" ")  # HTTP allows a tab inside a value, PEP 3333 does not
