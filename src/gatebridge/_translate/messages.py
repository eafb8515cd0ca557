"""The contents of an ASGI request's and its response's messages, checked.

Source: ASGI HTTP 2.5; ASGI extensions ``http.response.early_hint``, ``http.response.pathsend``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gatebridge._translate.head_from_asgi import WsgiHead, asgi_header_value, head_from_asgi
from gatebridge.errors import AsgiAppError, HostError


def type_of(message: object) -> str:
    """Return the type of a message.

    Raises:
        AsgiAppError: It is not a mapping, or has no ``type`` of type str.
    """
    if type(message) is not dict and not isinstance(message, Mapping):  # the latter is slow
        raise AsgiAppError("message", f"not a dict: {message!r:.80}")
    kind = cast("Mapping[str, object]", message).get("type")
    if not isinstance(kind, str):
        raise AsgiAppError("type", f"missing, or not a str: {kind!r:.80}")
    return kind


def head_of(message: Mapping[str, Any]) -> WsgiHead:
    """Return the head in ``http.response.start``.

    Raises:
        AsgiAppError: It breaks the specification; names the status, the header or the key.
    """
    if "status" not in message:
        raise AsgiAppError("status", "missing in http.response.start")
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
        AsgiAppError: The links are not bytes-like, or contain control characters.
    """
    links: Any = message.get("links", ())
    try:
        values = [asgi_header_value("link", link) for link in links]
    except TypeError:
        raise AsgiAppError("links", f"not an iterable of bytes: {links!r:.80}") from None
    return [("Link", value.decode("latin-1")) for value in values]


def path_of(message: Mapping[str, Any]) -> str:
    """Return the path of ``http.response.pathsend``.

    The extension requires an absolute path, but Starlette's ``FileResponse`` sends its argument
    unchanged. Making it absolute would be a system call on the event loop.

    Raises:
        AsgiAppError: It is not a path.
    """
    path: Any = message.get("path")
    if not isinstance(path, str) or not path:
        raise AsgiAppError("path", f"not the path of a file to send: {path!r:.200}")
    return path


def part_of(message: Any) -> tuple[bytes, bool] | None:  # noqa: ANN401 - a server may return anything
    """Return the body of ``http.request`` and whether more follows; None for ``http.disconnect``.

    Raises:
        HostError: It is neither, or its body is not bytes.
    """
    try:
        get = message.get
        kind, body, more_body = get("type"), get("body", b""), get("more_body", False)
    except AttributeError:
        raise HostError("receive", f"not a message: {message!r:.80}") from None
    if kind != "http.request":
        if kind == "http.disconnect":
            return None
        raise HostError("type", f"neither http.request nor http.disconnect: {kind!r:.80}")
    if not isinstance(body, bytes):
        raise HostError("body", f"not bytes: {type(body).__name__}")
    return body, bool(more_body)
