"""Names of request headers: from ASGI to environ keys and back.

* ASGI names are lower-case bytes; environ keys are upper-case native strings.
* ``-`` and ``_`` are the same in an environ key. A name with ``_`` is dropped; otherwise any client
  could pose as the proxy that sets ``X-Forwarded-For``.

Source: RFC 3875 section 4.1.18.
"""

from __future__ import annotations

from functools import lru_cache

from gatebridge._translate.fields import TOKEN
from gatebridge.errors import RequestError

_HIDDEN = ""  # the environ key of a header that the application must not see

# Names that browsers, proxies and HTTP libraries send. Other names are translated once and kept in
# a bounded cache, so a client that invents names can neither fill the memory nor evict these; long
# ones are not cached.
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

# Not the tables themselves: in CPython 3.11, calling a method of an imported name is slow.
key_of_common_name = _KEY_OF_NAME.get
"""Returns the environ key of a header name; empty if it is hidden, None if it is rare."""
name_of_common_key = _NAME_OF_KEY.get
"""Returns the header name of an environ key; empty if it is hidden, None if the key is not that of
a header. For a rare key it returns its second argument."""


@lru_cache(maxsize=1024)
def key_of_rare_name(name: bytes) -> str:
    """Return the environ key for a header name in any case, or `_HIDDEN`."""
    lower = name.lower()
    if lower in _KEY_OF_NAME:
        return _KEY_OF_NAME[lower]
    if not TOKEN.fullmatch(lower):
        raise RequestError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
    if b"_" in lower:
        return _HIDDEN
    return "HTTP_" + lower.decode("ascii").upper().replace("-", "_")


@lru_cache(maxsize=1024)
def name_of_rare_key(key: str) -> bytes:
    """Return the header name for an environ key that starts with ``HTTP_``; empty if none fits."""
    name = key[5:].encode("utf-8", "replace").lower().replace(b"_", b"-")
    return name if TOKEN.fullmatch(name) else b""
