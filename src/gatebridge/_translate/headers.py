"""Request headers: ASGI header lists to environ keys and back; names, values, repeats, lengths.

Pure functions: no thread, no event loop, no I/O. What this module rests on:

* ASGI names are lower-case bytes in the order received; environ keys are upper-case native strings,
  one per name. Values survive a round trip, the order between names does not.
* A native string (PEP 3333) holds one latin-1 character per byte, whatever the bytes mean.
* ``-`` and ``_`` fall together in an environ key. A name with ``_`` is dropped, or any client could
  pose as the proxy that sets ``X-Forwarded-For``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from gatebridge._translate.text import MAX_REMEMBERED, bytes_from_native
from gatebridge.errors import GatebridgeError, HostError, RequestError
from gatebridge.types import WSGIEnvironment

_logger = logging.getLogger("gatebridge")

HeaderList = Sequence[tuple[bytes, bytes]]

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A field name, to be used with ``fullmatch`` (RFC 9110 section 5.6.2)."""

_MAX_LENGTH_DIGITS = 19  # 2**63 - 1 bytes; int() of a longer text costs quadratic time
_CR, _LF, _NUL = b"\r\n\0"  # as numbers, which `in` finds several times faster than bytes
_UNKNOWN = b"?"  # in place of the header name of an environ key
_HIDDEN = ""  # the environ key of a header that the application shall not see

# Names that browsers, proxies and HTTP libraries send. Others are translated once and remembered in
# a bounded cache, so that a client that invents names can neither fill the memory nor evict these;
# long ones are not remembered.
_COMMON_NAMES = """
    accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method authorization cache-control cdn-loop cf-connecting-ip cf-ray
    connection content-disposition content-encoding content-language content-md5 cookie date dnt
    downlink early-data ect expect forwarded from host http2-settings if-match if-modified-since
    if-none-match if-range if-unmodified-since keep-alive last-event-id max-forwards origin pragma
    priority proxy-authorization range referer rtt save-data sec-ch-ua sec-ch-ua-mobile
    sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc
    sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version te
    traceparent tracestate trailer transfer-encoding true-client-ip upgrade
    upgrade-insecure-requests user-agent via x-amzn-trace-id x-client-ip x-correlation-id
    x-csrf-token x-csrftoken x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix
    x-forwarded-proto x-forwarded-scheme x-forwarded-server x-http-method-override x-real-ip
    x-request-id x-requested-with x-scheme
""".split()

_KEY_OF_NAME = {
    **{name.encode(): "HTTP_" + name.upper().replace("-", "_") for name in _COMMON_NAMES},
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
    b"proxy": _HIDDEN,  # it would become HTTP_PROXY, which HTTP libraries obey
}
_NO_HEADERS = """
    GATEWAY_INTERFACE PATH_INFO PATH_TRANSLATED QUERY_STRING RAW_URI REMOTE_ADDR REMOTE_HOST
    REMOTE_PORT REQUEST_METHOD REQUEST_URI SCRIPT_NAME SERVER_NAME SERVER_PORT SERVER_PROTOCOL
    SERVER_SOFTWARE wsgi.errors wsgi.file_wrapper wsgi.input wsgi.input_terminated
    wsgi.multiprocess wsgi.multithread wsgi.run_once wsgi.url_scheme wsgi.version
""".split()
_NAME_OF_KEY: dict[str, bytes | None] = {
    **dict.fromkeys(_NO_HEADERS),
    **{key: name for name, key in _KEY_OF_NAME.items() if key != _HIDDEN},
    "HTTP_PROXY": b"",  # some hosts copy the process's variables into the environ
    "HTTP_CONTENT_TYPE": b"",
    "HTTP_CONTENT_LENGTH": b"",
}


@lru_cache(maxsize=1024)
def _key_of_rare_name(name: bytes) -> str:
    """Return the environ key for a header name of any case, or `_HIDDEN`."""
    lower = name.lower()
    if lower in _KEY_OF_NAME:
        return _KEY_OF_NAME[lower]
    if not TOKEN.fullmatch(lower):
        raise RequestError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
    if b"_" in lower:
        return _HIDDEN
    return "HTTP_" + lower.decode("ascii").upper().replace("-", "_")


@lru_cache(maxsize=1024)
def _name_of_rare_key(key: str) -> bytes:
    """Return the header name for an environ key that starts with ``HTTP_``; empty if none fits."""
    name = key[5:].encode("utf-8", "replace").lower().replace(b"_", b"-")
    return name if TOKEN.fullmatch(name) else b""


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
        return values[0]  # nearly every message that has one
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


# --- ASGI to environ ------------------------------------------------------------------------------


def add_headers(  # noqa: C901 - each call costs, on the path of every request
    environ: WSGIEnvironment, headers: Iterable[Any], duplicate_limit: int | None = None
) -> None:
    """Add ``HTTP_*``, ``CONTENT_TYPE`` and ``CONTENT_LENGTH`` for the headers of a request.

    Args:
        environ: Without any of these keys yet.
        headers: ``(name, value)`` pairs of bytes, names in any case; iterated once.
        duplicate_limit: How often a name may come, or None.

    Raises:
        RequestError: A name is no token or comes too often, a value holds CR, LF or NUL, or values
            of a header that allows only one differ; the error names the header.
        HostError: An item is not a pair of bytes.

    Source: RFC 3875 section 4.1.18; PEP 3333 "environ Variables"; RFC 9110 sections 5.3 and 5.5.
    """
    try:
        items = headers if isinstance(headers, (list, tuple)) else list(headers)
    except TypeError:
        raise HostError("headers", f"not iterable: {type(headers).__name__}") from None
    values: list[bytes] = []
    repeated: dict[str, list[str]] = {}
    try:
        for name, value in items:
            values.append(value)
            key = _KEY_OF_NAME.get(name)
            if key is None:
                short = len(name) <= MAX_REMEMBERED
                key = _key_of_rare_name(name) if short else _key_of_rare_name.__wrapped__(name)
            if not key:
                _logger.debug("request header %.80r is not passed to the application", name)
                continue
            text = value.strip(b" \t").decode("latin-1")
            if key in environ:
                repeated.setdefault(key, [environ[key]]).append(text)
            else:
                environ[key] = text
        # One search over all values is several times cheaper than one for each.
        together = b"".join(values)
    except (TypeError, ValueError, AttributeError) as exc:
        raise HostError("headers", _describe_bad_item(items)) from exc
    if _LF in together or _CR in together or _NUL in together:
        _refuse_control_characters(items)
    for key, texts in repeated.items():
        if duplicate_limit is not None and len(texts) > duplicate_limit:
            raise RequestError(
                _shown_name(key), f"sent {len(texts)} times, over the limit of {duplicate_limit}"
            )
        environ[key] = _join(key, texts)
    if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        _settle_length(environ)


def _settle_length(environ: WSGIEnvironment) -> None:
    """Leave one declared length, or none."""
    # The coding is already removed, so that the application must not see it; and where there is
    # one, it overrides any declared length (RFC 9112 section 6.3).
    coded = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
    declared = environ.pop("CONTENT_LENGTH", None)
    if declared is not None:
        length = declared_length([declared.encode("latin-1")])
        if not coded and length is not None:
            environ["CONTENT_LENGTH"] = length.decode("ascii")


def _shown_name(key: str) -> str:
    return key.removeprefix("HTTP_").replace("_", "-").lower()[:80]


def _join(key: str, texts: list[str]) -> str:
    """Return one value of the same meaning for the values of a repeated header."""
    if key == "HTTP_COOKIE":
        return "; ".join(texts)  # RFC 9113 section 8.2.3
    if key in ("HTTP_HOST", "CONTENT_TYPE"):
        distinct = {text.lower() if key == "HTTP_HOST" else text for text in texts}
        if len(distinct) > 1:
            raise RequestError(_shown_name(key), f"values differ: {texts!r:.200}")
        return texts[0]
    return ",".join(texts)


def _refuse_control_characters(items: HeaderList) -> None:
    for name, value in items:
        if re.search(rb"[\r\n\0]", value):
            raise RequestError(name[:80].decode("latin-1"), f"CR, LF or NUL in {value[:80]!r}")


def _describe_bad_item(items: Iterable[Any]) -> str:
    for item in items:
        try:
            name, value = item
        except (TypeError, ValueError):
            name = value = None
        if not (isinstance(name, bytes) and isinstance(value, bytes)):
            return f"not a pair of bytes: {item!r:.80}"
    return "not an iterable of pairs of bytes"


# --- environ to ASGI ------------------------------------------------------------------------------


def headers_from_environ(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    """Return the request's headers, lower-case, in the environ's order.

    Raises:
        RequestError: A value holds CR, LF or NUL, or ``CONTENT_LENGTH`` is no length.
        HostError: A value is not a native string; the error names the key.

    Source: RFC 3875 section 4.1.18; ASGI HTTP 2.5 "HTTP Connection Scope".
    """
    try:
        return _headers_from_environ(environ)
    except (AttributeError, TypeError, UnicodeEncodeError):
        for key, value in environ.items():
            if type(key) is not str:
                raise HostError(repr(key)[:80], "a key that is not a str") from None
            if _NAME_OF_KEY.get(key) or key[:5] == "HTTP_":
                bytes_from_native(key, value)  # raises for the culprit
        raise  # pragma: no cover - the culprit is among the headers


def _headers_from_environ(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        name = _NAME_OF_KEY.get(key, _UNKNOWN)
        if name is None:
            continue
        if name is _UNKNOWN:
            if key[:5] != "HTTP_":
                continue
            short = len(key) <= MAX_REMEMBERED
            name = _name_of_rare_key(key) if short else _name_of_rare_key.__wrapped__(key)
        if not name:
            _logger.debug("environ key %.80r is not passed on as a header", key)
            continue
        raw = value.encode("latin-1").strip(b" \t")
        if raw or key[:5] == "HTTP_":  # an empty CONTENT_TYPE or CONTENT_LENGTH means absent
            headers.append((name, raw))
    together = b"".join([value for _, value in headers])
    if _LF in together or _CR in together or _NUL in together:
        _refuse_control_characters(headers)
    if environ.get("CONTENT_LENGTH"):
        return _with_one_length(headers, coded="HTTP_TRANSFER_ENCODING" in environ)
    return headers


def _with_one_length(
    headers: list[tuple[bytes, bytes]], *, coded: bool
) -> list[tuple[bytes, bytes]]:
    """Return the headers with the declared length checked, and without it under a coding."""
    length = declared_length([value for name, value in headers if name == b"content-length"])
    if length is None or coded:  # a coding overrides it (RFC 9112 section 6.3)
        return [item for item in headers if item[0] != b"content-length"]
    return [(name, length if name == b"content-length" else value) for name, value in headers]
