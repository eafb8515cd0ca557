"""``head_from_wsgi``: the arguments of ``start_response`` to ``http.response.start``.

A head is checked in full before anything is sent, because it goes onto the wire: a control
character in a value would let an application's user inject headers, and a wrong length would
desynchronize the connection. Each error names the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, cast

from gatebridge._translate.fields import (
    HOP_BY_HOP,
    TOKEN,
    governed_fields,
    sent_length,
    with_length,
)
from gatebridge._translate.remembered import RESPONSE_NAMES, remember
from gatebridge.errors import WsgiAppError

_NOT_JUST_PASSED = HOP_BY_HOP | {b"content-length"}

# What values were translated to, by names in their usual spellings.
_KNOWN: dict[str, dict[str, tuple[bytes, bytes]]] = {
    spelling: {} for name in RESPONSE_NAMES for spelling in (name, name.title())
}
_known_of_name = _KNOWN.get

_STATUS = re.compile(r"([2-9][0-9]{2})(?: [ -~\x80-\xff]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ResponseHead(NamedTuple):
    """A checked head for ``http.response.start``.

    Attributes:
        status: 200 to 999.
        headers: Lower-case names and trimmed values, in the application's order.
        length: The declared Content-Length in bytes, or None.
        dropped: Names of headers that only a server may send, and that are not in ``headers``.
        closes: Whether the application asked to close the connection. Over HTTP/1 the adapter may
            pass that on.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    dropped: tuple[str, ...] = ()
    closes: bool = False


_new_tuple: Callable[..., ResponseHead] = tuple[object, ...].__new__


def head_from_wsgi(  # noqa: C901, PLR0912 - each call costs, on the path of every response
    status: object, headers: object
) -> ResponseHead:
    """Check and translate the arguments of ``start_response``.

    Hop-by-hop headers are dropped, as are the fields that ``Connection`` names.

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
    new_in: dict[str, tuple[bytes, bytes]] | None = None
    new_value, new_pair = "", (b"", b"")
    for item in cast("list[tuple[str, str]]", headers):
        if type(item) is not tuple or len(item) != 2:
            raise WsgiAppError("headers", f"not a tuple of name and value: {item!r:.80}")
        name, value = item
        if type(name) is not str:
            raise WsgiAppError("headers", f"a name not of type str: {name!r:.80}")
        known = _known_of_name(name)
        if known is not None and type(value) is str:  # never a field of those below
            pair = known.get(value)
            if pair is None:
                pair = _asgi_name(name), header_value(name, value)
                new_in, new_value, new_pair = known, value, pair
            translated.append(pair)
            continue
        raw_name, raw_value = _asgi_name(name), header_value(name, value)
        if raw_name in _NOT_JUST_PASSED:
            if raw_name in HOP_BY_HOP:
                hop_by_hop.append((raw_name, raw_value))
                continue
            lengths.append(raw_value)
            if len(lengths) > 1:
                continue
        translated.append((raw_name, raw_value))
    if new_in is not None:
        remember(new_in, new_value, new_pair)
    length: bytes | None = None
    if lengths or code == 205:
        length = sent_length(code, lengths, WsgiAppError)
        if lengths != [length] or code == 205:
            translated = with_length(translated, b"content-length", length, at_the_end=code == 205)
    number = None if length is None else int(length)
    # Like ResponseHead(...), in less time.
    head = _new_tuple(ResponseHead, (code, translated, number, (), False))
    return _end_to_end(head, hop_by_hop) if hop_by_hop else head


def _end_to_end(head: ResponseHead, hop_by_hop: list[tuple[bytes, bytes]]) -> ResponseHead:
    """Return a head without the fields that ``Connection`` names, and with the dropped names."""
    governed = governed_fields(
        value.decode("latin-1") for name, value in hop_by_hop if name == b"connection"
    )
    kept: list[tuple[bytes, bytes]] = []
    dropped: set[str] = set()
    for item in head.headers:
        name = item[0].decode("ascii")
        if name in governed:
            dropped.add(name)
        else:
            kept.append(item)
    closes = "close" in governed
    for raw_name, raw_value in hop_by_hop:
        if not (closes and raw_name == b"connection" and raw_value.lower() == b"close"):
            dropped.add(raw_name.decode("ascii"))
    return head._replace(headers=kept, dropped=tuple(sorted(dropped)), closes=closes)


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
        WsgiAppError: It is not a native string, or contains a control character; names the header.
    """
    if type(value) is not str:
        raise WsgiAppError(name, f"value not of type str: {value!r:.80}")
    # A printable string has no control character; the search is for the rest of latin-1.
    if not value.isprintable() and _CONTROL.search(value):
        raise WsgiAppError(name, f"a control character in {value[:80]!r}")
    try:
        return value.strip(" ").encode("latin-1")
    except UnicodeEncodeError:
        raise WsgiAppError(name, f"a character beyond U+00FF in {value[:80]!r}") from None
