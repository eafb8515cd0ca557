"""The rules for the headers of a response that are the same in both directions.

Source: RFC 9110 sections 7.6.1 (Connection), 8.6 (Content-Length) and 15.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import AnyStr

from gatebridge._translate.headers import declared_length
from gatebridge.errors import AsgiAppError, WsgiAppError

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"trailers transfer-encoding upgrade".split()
)
"""Fields of one connection (RFC 9110 section 7.6.1, RFC 2616 section 13.5.1), lower-case."""

# Options of an application's Connection header that are never about the connection.
_NEVER_OPTIONS = {"", "content-length", "content-type", "set-cookie", "date"}


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
        declared: Every ``content-length`` value of the application's.
        error: The class of the application's errors.

    Raises:
        GatebridgeError: As `declared_length`.
    """
    length = declared_length(declared, error)
    if status == 204:
        return None  # section 8.6
    return b"0" if status == 205 else length  # section 15.3.6: no content


def with_length(
    status: int, headers: list[tuple[AnyStr, AnyStr]], field: AnyStr, length: AnyStr | None
) -> list[tuple[AnyStr, AnyStr]]:
    """Return headers with this Content-Length in place of another one.

    Args:
        status: The response's. For 205 it is added.
        headers: Names in any case.
        field: ``content-length``, as bytes or text like the headers.
        length: In digits, None for no such field.
    """
    if length is not None and status != 205:
        return [(name, length if name.lower() == field else value) for name, value in headers]
    kept = [item for item in headers if item[0].lower() != field]
    if length is not None:
        kept.append((field, length))
    return kept
