"""What the event loop asks of the server's thread, which is the only one that touches the server.

The tasks of one request go through a queue; the thread answers by callbacks on the loop.
"""

from __future__ import annotations

from io import BufferedReader
from typing import NamedTuple, TypeAlias

from gatebridge._translate.head_from_asgi import WsgiHead

Part: TypeAlias = tuple[bytes, bool]
"""A part of the request's body, and whether more follows."""


class Begin(NamedTuple):
    """Begin the response: its head, its first block or all of it, whether more follows."""

    head: WsgiHead
    body: bytes | BufferedReader
    more: bool


class ReadPart(NamedTuple):
    """Read the request's body up to this part, counted from 1, and deliver it to the call."""

    number: int


class OpenFile(NamedTuple):
    """Open the file that is the response's body."""

    head: WsgiHead
    path: str


class HeadSent(NamedTuple):
    """Wait for a body no longer than usual: the application has sent its head."""


class EarlyHints(NamedTuple):
    """Send these headers in a 103 response, unless the response has begun."""

    links: list[tuple[str, str]]


Task: TypeAlias = Begin | bytes | BaseException | ReadPart | HeadSent | OpenFile | EarlyHints | None
"""One of the above; or a block to yield, an error to raise, None for the end of the response."""
