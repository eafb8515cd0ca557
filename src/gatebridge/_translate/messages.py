"""The messages that an ASGI application sends: what each holds, checked.

Source: ASGI HTTP 2.5; ASGI WebSocket 2.5; ASGI extensions ``http.response.early_hint``,
``http.response.pathsend``; RFC 6455.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

from gatebridge._translate.response import WsgiHead, asgi_header_value, head_from_asgi
from gatebridge.errors import AsgiAppError


def type_of(message: object) -> str:
    """Return the type of a message.

    Raises:
        AsgiAppError: It is no mapping, or has no ``type`` that is a str.
    """
    if type(message) is not dict and not isinstance(message, Mapping):  # the latter is slow
        raise AsgiAppError("message", f"not a dict: {message!r:.80}")
    kind = cast("Mapping[str, object]", message).get("type")
    if not isinstance(kind, str):
        raise AsgiAppError("type", f"missing, or not a str: {kind!r:.80}")
    return kind


def head_of(message: Mapping[str, Any]) -> WsgiHead:
    """Return what ``http.response.start`` says.

    Raises:
        AsgiAppError: It breaks the specification; names the status, the header or the key.
    """
    if "status" not in message:
        raise AsgiAppError("status", "missing in http.response.start")
    if message.get("trailers"):
        raise AsgiAppError("trailers", "WSGI cannot carry them, and the scope does not offer them")
    headers = message.get("headers")
    return head_from_asgi(message["status"], () if headers is None else headers)


def body_of(message: Mapping[str, Any]) -> bytes:
    """Return the body of ``http.response.body``.

    Raises:
        AsgiAppError: It is not bytes-like.
    """
    body = message.get("body", b"")
    if type(body) is bytes:
        return body
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise AsgiAppError("body", f"not bytes: {type(body).__name__}")
    return bytes(cast("bytes", body))


def links_of(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers of ``http.response.early_hint``, for ``wsgi.early_hints``.

    Raises:
        AsgiAppError: The links are not bytes-like, or hold control characters.
    """
    links: Any = message.get("links", ())
    try:
        values = [asgi_header_value("link", link) for link in links]
    except TypeError:
        raise AsgiAppError("links", f"not an iterable of bytes: {links!r:.80}") from None
    return [("Link", value.decode("latin-1")) for value in values]


def path_of(message: Mapping[str, Any]) -> str:
    """Return the absolute path of ``http.response.pathsend``.

    Raises:
        AsgiAppError: It is none.
    """
    path: Any = message.get("path")
    if not isinstance(path, str) or not os.path.isabs(path):  # noqa: PTH117
        raise AsgiAppError("path", f"not an absolute path: {path!r:.200}")
    return path


# --- WebSocket ------------------------------------------------------------------------------------

_OF_THE_HANDSHAKE = ("sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol")
_NEVER_SENT = (1005, 1006, 1015)  # RFC 6455 section 7.4.1
_MAX_REASON_BYTES = 123  # a control frame has 125, and two are the code's


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
            raise AsgiAppError(name, "the server's to send, not among the headers")
        if name.lower() != "content-length":  # never in a 1xx response (RFC 9110 section 8.6)
            kept.append((name, value))
    return subprotocol, kept


def data_of(message: Mapping[str, Any]) -> tuple[str | bytes, int]:
    """Return what ``websocket.send`` sends, and its length in bytes.

    Raises:
        AsgiAppError: Not exactly one of ``bytes`` and ``text`` is given, or of the wrong type.
    """
    text: Any = message.get("text")
    data: Any = message.get("bytes")
    if (text is None) == (data is None):
        raise AsgiAppError("websocket.send", "not exactly one of bytes and text is given")
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
        raise AsgiAppError("code", f"not one that may be sent: {code!r:.80}")
    reason: Any = message.get("reason")
    if reason is None:
        reason = ""
    length = len(_utf8("reason", reason))
    if length > _MAX_REASON_BYTES:
        raise AsgiAppError("reason", f"{length} bytes, more than {_MAX_REASON_BYTES}")
    return int(code), reason


def _utf8(field: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise AsgiAppError(field, f"not a str: {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise AsgiAppError(field, f"not encodable as UTF-8: {text!r:.80}") from None
