"""The contents of the messages that an ASGI application sends on a WebSocket, checked.

Source: ASGI WebSocket 2.5; RFC 6455.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gatebridge._translate.head_from_asgi import head_from_asgi
from gatebridge.errors import AsgiAppError

_OF_THE_HANDSHAKE = ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol")
_NEVER_SENT = (1005, 1006, 1015)  # RFC 6455 section 7.4.1
_MAX_REASON_BYTES = 123  # a control frame has 125 bytes, two of them for the code


def acceptance_of(
    message: Mapping[str, Any], offered: Sequence[str]
) -> tuple[str | None, list[tuple[str, str]]]:
    """Return the subprotocol and the headers of ``websocket.accept``.

    Args:
        message: The message.
        offered: The subprotocols that the client offers.

    Raises:
        AsgiAppError: The client did not offer the subprotocol, or a header is not allowed.
    """
    subprotocol: Any = message.get("subprotocol")
    if subprotocol is not None and subprotocol not in offered:
        raise AsgiAppError("subprotocol", f"not offered by the client: {subprotocol!r:.80}")
    headers = message.get("headers")
    kept: list[tuple[str, str]] = []
    for name, value in head_from_asgi(200, () if headers is None else headers).headers:
        if name.lower() in _OF_THE_HANDSHAKE:
            raise AsgiAppError(name, "only the server sends it, not websocket.accept")
        if name.lower() != "content-length":  # never in a 1xx response (RFC 9110 section 8.6)
            kept.append((name, value))
    return subprotocol, kept


def data_of(message: Mapping[str, Any]) -> tuple[str | bytes, int]:
    """Return the data of ``websocket.send``, and its length in bytes.

    Raises:
        AsgiAppError: Neither or both of ``bytes`` and ``text`` are given, or of the wrong type.
    """
    text: Any = message.get("text")
    data: Any = message.get("bytes")
    if (text is None) == (data is None):
        raise AsgiAppError("websocket.send", "has both bytes and text, or neither")
    if text is not None:
        return text, len(_utf8("text", text))
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise AsgiAppError("bytes", f"not bytes: {type(data).__name__}")
    raw = bytes(cast("bytes", data))
    return raw, len(raw)


def close_of(message: Mapping[str, Any]) -> tuple[int, str]:
    """Return the code and the reason of ``websocket.close``.

    Raises:
        AsgiAppError: The code may not be sent (RFC 6455 section 7.4), or the reason is too long.
    """
    code: Any = message.get("code", 1000)
    if not isinstance(code, int) or not 1000 <= code <= 4999 or code in _NEVER_SENT:
        raise AsgiAppError("code", f"not one that websocket.close may have: {code!r:.80}")
    reason: Any = message.get("reason")
    if reason is None:
        reason = ""
    length = len(_utf8("reason", reason))
    if length > _MAX_REASON_BYTES:
        raise AsgiAppError("reason", f"{length} bytes, over the limit of {_MAX_REASON_BYTES}")
    return int(code), reason


def _utf8(field: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise AsgiAppError(field, f"not a str: {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise AsgiAppError(field, f"not encodable as UTF-8: {text!r:.80}") from None
