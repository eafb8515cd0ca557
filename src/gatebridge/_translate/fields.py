"""Rules for HTTP's header fields in every translation: tokens, lengths, Connection.

Source: RFC 9110 sections 5.6.2, 7.6.1, 8.6 and 15.3; RFC 9112 section 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import AnyStr

from gatebridge.errors import AsgiAppError, GatebridgeError, RequestError, WsgiAppError

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name, to be used with ``fullmatch`` (RFC 9110 section 5.6.2)."""

_MAX_LENGTH_DIGITS = 19  # 2**63 - 1 bytes; int() of a longer text costs quadratic time
CR, LF, NUL = b"\r\n\0"  # as numbers: `in` finds them several times faster than bytes

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"trailers transfer-encoding upgrade".split()
)
"""Fields of one connection (RFC 9110 section 7.6.1, RFC 2616 section 13.5.1), lower-case."""

# Fields that an application's Connection header cannot make fields of the connection.
_NEVER_OPTIONS = {"", "content-length", "content-type", "set-cookie", "date"}


def refuse_control_characters(items: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise for the first value that contains CR, LF or NUL.

    Raises:
        RequestError: Names the header.
    """
    for name, value in items:
        if re.search(rb"[\r\n\0]", value):
            raise RequestError(name[:80].decode("latin-1"), f"CR, LF or NUL in {value[:80]!r}")


def declared_length(
    values: Sequence[bytes], error: type[GatebridgeError] = RequestError
) -> bytes | None:
    """Return the body length that a message declares, as the digits received.

    Args:
        values: Every ``content-length`` value, undecoded, in the order received.
        error: The class of the party at fault.

    Returns:
        One to nineteen ASCII digits, or None if the message declares no length.

    Raises:
        GatebridgeError: Of the class ``error``: values differ, or one is not a decimal number.

    Source: RFC 9110 section 8.6; RFC 9112 section 6.3.
    """
    if len(values) == 1 and values[0].isdigit() and len(values[0]) <= _MAX_LENGTH_DIGITS:
        return values[0]  # nearly every message with a length
    lengths = {item.strip(b" \t") for value in values for item in value.split(b",")}
    if not lengths:
        return None
    if len(lengths) > 1:
        raise error("content-length", f"values differ: {sorted(lengths)!r:.200}")
    (length,) = lengths
    # int() is laxer than the grammar: it takes b"+5" and b"1_0".
    if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
        raise error("content-length", f"not a length in bytes: {length[:40]!r}")
    return length


def governed_fields(connection: Iterable[str]) -> set[str]:
    """Return the fields, and other options such as ``close``, that values of Connection name."""
    options = {option.strip().lower() for value in connection for option in value.split(",")}
    return options - _NEVER_OPTIONS


def sent_length(
    status: int, declared: Sequence[bytes], error: type[WsgiAppError | AsgiAppError]
) -> bytes | None:
    """Return the digits of the one Content-Length to send, or None for none.

    Args:
        status: The response's.
        declared: Every ``content-length`` value of the application.
        error: The class of the application's errors.

    Raises:
        GatebridgeError: As `declared_length`.
    """
    length = declared_length(declared, error)
    # RFC 9110: no length on 204 (section 8.6), no content on 205 (section 15.3.6).
    if status in (204, 205):
        return None if status == 204 else b"0"
    return length


def with_length(
    headers: list[tuple[AnyStr, AnyStr]],
    field: AnyStr,
    length: AnyStr | None,
    *,
    at_the_end: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """Return headers with ``length`` as their Content-Length.

    Args:
        headers: Names in any case.
        field: ``content-length``, as bytes or text like the headers.
        length: In digits; None to remove the field.
        at_the_end: Whether to put the field at the end, even if there was none.
    """
    if length is not None and not at_the_end:
        return [(name, length if name.lower() == field else value) for name, value in headers]
    kept = [item for item in headers if item[0].lower() != field]
    if length is not None:
        kept.append((field, length))
    return kept
