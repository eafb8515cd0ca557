"""Names of request headers: from ASGI to environ keys and back.

* ASGI names are lower-case bytes; environ keys are upper-case native strings.
* ``-`` and ``_`` are the same in an environ key. A name with ``_`` is dropped; otherwise any client
  could pose as the proxy that sets ``X-Forwarded-For``.

Source: RFC 3875 section 4.1.18.
"""

from __future__ import annotations

from functools import lru_cache

from gatebridge._translate.fields import TOKEN
from gatebridge._translate.remembered import REQUEST_NAMES
from gatebridge._translate.text import MAX_REMEMBERED
from gatebridge.errors import RequestError

_MAX_NAMES = 1024  # common and rare ones; the rare ones are then forgotten
_HIDDEN = ""  # the environ key of a header that the application must not see

# Names that browsers, proxies and HTTP libraries send. Other names are translated once and kept,
# within bounds, so a client that invents names can neither fill the memory nor evict these; long
# ones are not kept.
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
# A key, and the native strings of values; None for a name whose values are not remembered.
_COMMON_FIELDS: dict[bytes, tuple[str, dict[bytes, str] | None]] = {
    name: (key, {} if name.decode() in REQUEST_NAMES else None)
    for name, key in _KEY_OF_NAME.items()
}
_NO_HEADERS = """
    GATEWAY_INTERFACE PATH_INFO PATH_TRANSLATED QUERY_STRING RAW_URI REMOTE_ADDR REMOTE_HOST
    REMOTE_PORT REQUEST_METHOD REQUEST_URI SCRIPT_NAME SERVER_NAME SERVER_PORT SERVER_PROTOCOL
    SERVER_SOFTWARE wsgi.errors wsgi.file_wrapper wsgi.input wsgi.input_terminated
    wsgi.multiprocess wsgi.multithread wsgi.run_once wsgi.url_scheme wsgi.version
""".split()
_FIELD_OF_NAME = dict(_COMMON_FIELDS)  # and rare ones
# A name, and the pairs to send on for values; None for a key that is not that of a header.
_FIELD_OF_KEY: dict[str, tuple[bytes, dict[str, tuple[bytes, bytes]] | None] | None] = {
    **dict.fromkeys(_NO_HEADERS),
    **{
        key: (name, {} if name.decode() in REQUEST_NAMES else None)
        for name, key in _KEY_OF_NAME.items()
    },
    "HTTP_PROXY": (b"", None),  # some hosts copy the process's variables into the environ
    "HTTP_CONTENT_TYPE": (b"", None),
    "HTTP_CONTENT_LENGTH": (b"", None),
}
del _FIELD_OF_KEY[_HIDDEN]

# Not the tables themselves: in CPython 3.11, calling a method of an imported name is slow.
field_of_known_name = _FIELD_OF_NAME.get
"""Returns the environ key of a header name, empty if it is hidden, and what is remembered of its
values; None if the name is rare and not yet known."""
field_of_common_key = _FIELD_OF_KEY.get
"""Returns the header name of an environ key, empty if it is hidden, and what is remembered of its
values; None if the key is not that of a header. For a rare key it returns its second argument."""


def field_of_rare_name(name: bytes) -> tuple[str, dict[bytes, str] | None]:
    """Return the field of a header name in any case, and remember it unless the name is long."""
    lower = name.lower()
    field = _COMMON_FIELDS.get(lower)
    if field is None:
        if not TOKEN.fullmatch(lower):
            raise RequestError(repr(name[:80]), "not a valid header name (RFC 9110 section 5.1)")
        hidden = b"_" in lower
        key = _HIDDEN if hidden else "HTTP_" + lower.decode("ascii").upper().replace("-", "_")
        field = key, None
    if type(name) is bytes and len(name) <= MAX_REMEMBERED:
        if len(_FIELD_OF_NAME) >= _MAX_NAMES:
            _FIELD_OF_NAME.clear()
            _FIELD_OF_NAME.update(_COMMON_FIELDS)
        _FIELD_OF_NAME[name] = field
    return field


@lru_cache(maxsize=1024)
def name_of_rare_key(key: str) -> bytes:
    """Return the header name for an environ key that starts with ``HTTP_``; empty if none fits."""
    name = key[5:].encode("utf-8", "replace").lower().replace(b"_", b"-")
    return name if TOKEN.fullmatch(name) else b""
