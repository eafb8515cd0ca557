"""The WebSocket handshake in a WSGI environ: how to recognize it, and its fields.

Source: RFC 6455 sections 4.1 and 4.2.1.
"""

from __future__ import annotations

import base64
import binascii
import re

from gatebridge._translate.fields import TOKEN
from gatebridge._translate.text import bytes_from_native
from gatebridge.errors import RequestError
from gatebridge.types import WSGIEnvironment

_PROTOCOL = re.compile(r"HTTP/1\.[1-9]")  # HTTP/2 and HTTP/3 have no Upgrade


def is_handshake(environ: WSGIEnvironment) -> bool:
    """Return whether the request asks for a WebSocket in the form that RFC 6455 requires.

    Key and version are not checked. A request with a body is not a handshake: the body has not been
    read yet, and would be mistaken for frames.
    """
    return (
        environ.get("REQUEST_METHOD") == "GET"
        and "websocket" in _options(environ, "HTTP_UPGRADE")
        and "upgrade" in _options(environ, "HTTP_CONNECTION")
        and bool(environ.get("HTTP_HOST"))
        and (
            _PROTOCOL.fullmatch(str(environ.get("SERVER_PROTOCOL"))) is not None
            or "eventlet.input" in environ  # that server always says HTTP/1.0
        )
        and environ.get("CONTENT_LENGTH") in (None, "", "0")
        and "HTTP_TRANSFER_ENCODING" not in environ
    )


def handshake_key(environ: WSGIEnvironment) -> bytes:
    """Return the key of a handshake, from which the answer is derived.

    Raises:
        RequestError: 400 for a missing or invalid key or a missing version, 426 for a version other
            than 13.
    """
    version = str(environ.get("HTTP_SEC_WEBSOCKET_VERSION", "")).strip(" \t")
    if version and version != "13":
        error = RequestError("sec-websocket-version", f"not 13: {version!r:.80}")
        error.status = 426
        raise error
    if not version:
        raise RequestError("sec-websocket-version", "missing")
    key = str(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")).strip(" \t")
    try:
        length = len(base64.b64decode(key.encode("ascii"), validate=True))
    except (UnicodeEncodeError, binascii.Error):
        length = 0
    if length != 16:
        raise RequestError("sec-websocket-key", f"not 16 bytes in base64: {key!r:.80}")
    return key.encode("ascii")


def offered_subprotocols(environ: WSGIEnvironment) -> list[str]:
    """Return the offered subprotocols, in the client's order of preference, without invalid ones.

    Raises:
        HostError: The header is not a native string.
    """
    key = "HTTP_SEC_WEBSOCKET_PROTOCOL"
    items = bytes_from_native(key, environ.get(key) or "").split(b",")
    names = [item.strip(b" \t") for item in items]
    return [name.decode("ascii") for name in names if TOKEN.fullmatch(name)]


def _options(environ: WSGIEnvironment, key: str) -> set[str]:
    return {option.strip(" \t").lower() for option in str(environ.get(key, "")).split(",")}
