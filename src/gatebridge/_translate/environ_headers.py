"""Request headers for an environ: names, values, repeats, lengths.

A native string (PEP 3333) has one latin-1 character for each byte, whatever its encoding. Values
survive a round trip, the order between names does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from gatebridge._translate.fields import (
    CR,
    LF,
    NUL,
    declared_length,
    refuse_control_characters,
)
from gatebridge._translate.header_names import field_of_known_name, field_of_rare_name
from gatebridge._translate.remembered import remember
from gatebridge.errors import HostError, RequestError
from gatebridge.types import WSGIEnvironment

_logger = logging.getLogger("gatebridge")


def add_headers(  # noqa: C901, PLR0912 - each call costs, on the path of every request
    environ: WSGIEnvironment, headers: Iterable[Any], duplicate_limit: int | None = None
) -> None:
    """Add ``HTTP_*``, ``CONTENT_TYPE`` and ``CONTENT_LENGTH`` for the headers of a request.

    Args:
        environ: Without any of these keys yet.
        headers: ``(name, value)`` pairs of bytes, names in any case; iterated once.
        duplicate_limit: Times that a name may occur; None for any number.

    Raises:
        RequestError: A name is not a token or occurs too often, a value contains CR, LF or NUL, or
            values of a header that allows only one differ; the error names the header.
        HostError: An item is not a pair of bytes.

    Source: RFC 3875 section 4.1.18; PEP 3333 "environ Variables"; RFC 9110 sections 5.3 and 5.5.
    """
    try:
        items = list(headers)
    except TypeError:
        raise HostError("headers", f"not iterable: {type(headers).__name__}") from None
    unchecked: list[bytes] = []
    new_in: dict[bytes, str] | None = None
    new_value, new_text = b"", ""
    repeated: dict[str, list[str]] | None = None
    try:
        for name, value in items:
            key, known = field_of_known_name(name) or field_of_rare_name(name)
            if known is None or type(value) is not bytes:
                unchecked.append(value)
                if not key:
                    _logger.debug("request header %.80r is not passed to the application", name)
                    continue
                text = value.strip(b" \t").decode("latin-1")
            elif (text := known.get(value)) is None:
                unchecked.append(value)
                text = value.strip(b" \t").decode("latin-1")
                new_in, new_value, new_text = known, value, text
            if key in environ:
                if repeated is None:
                    repeated = {}
                repeated.setdefault(key, [environ[key]]).append(text)
            else:
                environ[key] = text
        # One search over all values is several times cheaper than one for each value.
        together = b"".join(unchecked)
    except (TypeError, ValueError, AttributeError) as exc:
        raise HostError("headers", _describe_bad_item(items)) from exc
    if LF in together or CR in together or NUL in together:
        refuse_control_characters(items)
    if new_in is not None:
        remember(new_in, new_value, new_text)
    if repeated is not None:
        _join_repeated(environ, repeated, duplicate_limit)
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        _settle_length(environ)


def _join_repeated(
    environ: WSGIEnvironment, repeated: dict[str, list[str]], limit: int | None
) -> None:
    for key, texts in repeated.items():
        if limit is not None and len(texts) > limit:
            raise RequestError(
                _shown_name(key), f"sent {len(texts)} times, over the limit of {limit}"
            )
        environ[key] = _join(key, texts)


def _settle_length(environ: WSGIEnvironment) -> None:
    """Keep one declared length, or none."""
    # The server has already removed the coding, so the application must not see it; and a coding
    # overrides any declared length (RFC 9112 section 6.3).
    coded = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
    declared = environ.pop("CONTENT_LENGTH", None)
    if declared is not None:
        length = declared_length([declared.encode("latin-1")])
        if not coded and length is not None:
            environ["CONTENT_LENGTH"] = length.decode("ascii")


def _shown_name(key: str) -> str:
    return key.removeprefix("HTTP_").replace("_", "-").lower()[:80]


def _join(key: str, texts: list[str]) -> str:
    """Return one value with the same meaning as the values of a repeated header."""
    if key == "HTTP_COOKIE":
        return "; ".join(texts)  # RFC 9113 section 8.2.3
    if key in ("HTTP_HOST", "CONTENT_TYPE"):
        distinct = {text.lower() if key == "HTTP_HOST" else text for text in texts}
        if len(distinct) > 1:
            raise RequestError(_shown_name(key), f"values differ: {texts!r:.200}")
        return texts[0]
    return ",".join(texts)


def _describe_bad_item(items: Iterable[Any]) -> str:
    for item in items:
        try:
            name, value = item
        except (TypeError, ValueError):
            name = value = None
        if not (isinstance(name, bytes) and isinstance(value, bytes)):
            return f"not a pair of bytes: {item!r:.80}"
    return "not an iterable of pairs of bytes"
