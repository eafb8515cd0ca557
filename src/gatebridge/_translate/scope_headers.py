"""Request headers for a scope: names, values, lengths."""

from __future__ import annotations

import logging

from gatebridge._translate.fields import (
    CR,
    LF,
    NUL,
    declared_length,
    refuse_control_characters,
    with_length,
)
from gatebridge._translate.header_names import field_of_common_key, name_of_rare_key
from gatebridge._translate.remembered import remember
from gatebridge._translate.text import MAX_REMEMBERED, bytes_from_native
from gatebridge.errors import HostError
from gatebridge.types import WSGIEnvironment

_logger = logging.getLogger("gatebridge")

_RARE: tuple[bytes, None] = b"?", None  # in place of the field of an environ key


def headers_from_environ(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    """Return the request's headers, lower-case, in the environ's order.

    Raises:
        RequestError: A value contains CR, LF or NUL, or ``CONTENT_LENGTH`` is not a length.
        HostError: A value is not a native string; the error names the key.

    Source: RFC 3875 section 4.1.18; ASGI HTTP 2.5 "HTTP Connection Scope".
    """
    try:
        headers = _headers_of(environ)
    except (AttributeError, TypeError, UnicodeEncodeError):
        for key, value in environ.items():
            if type(key) is not str:
                raise HostError(repr(key)[:80], "a key that is not a str") from None
            if field_of_common_key(key) or key[:5] == "HTTP_":
                bytes_from_native(key, value)  # raises for the culprit
        raise  # pragma: no cover - the culprit is among the headers
    if environ.get("CONTENT_LENGTH"):
        declared = [value for name, value in headers if name == b"content-length"]
        length = declared_length(declared)
        if "HTTP_TRANSFER_ENCODING" in environ:
            length = None  # a coding overrides it (RFC 9112 section 6.3)
        if declared != [length]:
            return with_length(headers, b"content-length", length)
    return headers


def _headers_of(  # noqa: C901 - each call costs, on the path of every request
    environ: WSGIEnvironment,
) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    unchecked: list[bytes] = []
    new_in: dict[str, tuple[bytes, bytes]] | None = None
    new_value, new_item = "", (b"", b"")
    for key, value in environ.items():
        field = field_of_common_key(key, _RARE)
        if field is None:
            continue
        name, known = field
        if known is not None and type(value) is str:
            item = known.get(value)
            if item is not None:
                headers.append(item)
                continue
        elif field is _RARE:
            if key[:5] != "HTTP_":
                continue
            short = len(key) <= MAX_REMEMBERED
            name = name_of_rare_key(key) if short else name_of_rare_key.__wrapped__(key)
        if not name:
            _logger.debug("environ key %.80r is not passed on as a header", key)
            continue
        raw = value.encode("latin-1").strip(b" \t")
        if raw or key[:5] == "HTTP_":  # an empty CONTENT_TYPE or CONTENT_LENGTH means absent
            item = name, raw
            headers.append(item)
            unchecked.append(raw)
            if known is not None and type(value) is str:
                new_in, new_value, new_item = known, value, item
    together = b"".join(unchecked)
    if LF in together or CR in together or NUL in together:
        refuse_control_characters(headers)
    if new_in is not None:
        remember(new_in, new_value, new_item)
    return headers
