"""The adapters' own responses: a line of plain text."""

from __future__ import annotations

from collections.abc import Iterable

from gatebridge._protocol.length import has_content
from gatebridge.types import HTTPResponseBodyMessage, HTTPResponseStartMessage


def plain_response(
    status: int, text: str, method: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> tuple[HTTPResponseStartMessage, HTTPResponseBodyMessage]:
    """Return the two messages of a complete response: one line of plain text.

    Args:
        status: 200 to 599.
        text: The line, without newline.
        method: The request's; a response to HEAD has no body.
        headers: Headers to send in addition to type and length.
    """
    body = f"{text}\n".encode("utf-8", "backslashreplace")
    start: HTTPResponseStartMessage = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ],
    }
    content = body if has_content(status, method) else b""
    return start, {"type": "http.response.body", "body": content, "more_body": False}
