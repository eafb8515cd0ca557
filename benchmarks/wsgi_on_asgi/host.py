"""The least that an ASGI server does for its application, the same for every contender."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from benchmarks.works import BLOCK, Work, WrongAnswer
from gatebridge.types import ASGIApplication, Message, WSGIApplication

HEADERS = [
    (b"host", b"shop.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"cookie", b"session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
]


def new_scope(blocks: int, query: bytes) -> dict[str, Any]:
    """Return the scope of a request whose body has so many blocks of 64 KiB."""
    length = [(b"content-length", str(blocks * len(BLOCK)).encode())] if blocks else []
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "POST" if blocks else "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": query,
        "root_path": "",
        "headers": HEADERS + length,
        "client": ("203.0.113.7", 53124),
        "server": ("192.0.2.1", 8000),
    }


class Request:
    """One request: ``receive`` and ``send``, and what was sent.

    As on a server, whoever receives after the body waits until the response is complete.
    """

    __slots__ = ("_block", "_blocks", "_completed", "complete", "digest", "size", "status")

    def __init__(self, blocks: int, *, hashed: bool = False) -> None:
        self._block = BLOCK if blocks else b""
        self._blocks = max(blocks, 1)  # messages to come
        self._completed: asyncio.Future[None] | None = None
        self.digest = hashlib.sha256() if hashed else None
        self.status = 0
        self.size = 0
        self.complete = False

    async def receive(self) -> Message:
        if self._blocks:
            self._blocks -= 1
            return {"type": "http.request", "body": self._block, "more_body": self._blocks > 0}
        if not self.complete:
            self._completed = asyncio.get_running_loop().create_future()
            await self._completed
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        body = message.get("body", b"")
        self.size += len(body)
        if self.digest is not None:
            self.digest.update(body)
        if not message.get("more_body", False):
            self.complete = True
            if self._completed is not None and not self._completed.done():
                self._completed.set_result(None)


async def check(app: ASGIApplication, work: Work[WSGIApplication]) -> None:
    """Serve one request and look at every byte of the answer.

    Raises:
        WrongAnswer: The answer is not the right one.
    """
    request = Request(work.blocks, hashed=True)
    await app(new_scope(work.blocks, b"check"), request.receive, request.send)
    answer = work.answer()
    if request.status != 200 or not request.complete or request.size != len(answer):
        raise WrongAnswer(f"{request.status}, {request.size} of {len(answer)} bytes")
    assert request.digest is not None
    if request.digest.digest() != hashlib.sha256(answer).digest():
        raise WrongAnswer("other bytes than the application's")


async def serve(app: ASGIApplication, work: Work[WSGIApplication], size: int, count: int) -> None:
    """Serve one request after the other, each in a task of its own as on a server.

    Args:
        app: Who answers.
        work: What is asked for.
        size: How many bytes the right answer has.
        count: How many requests to serve.

    Raises:
        WrongAnswer: An answer is of the wrong status or length.
    """
    create_task: Any = asyncio.get_running_loop().create_task  # an Awaitable is a coroutine here
    scope = new_scope(work.blocks, b"")
    for _ in range(count):
        request = Request(work.blocks)
        await create_task(app(scope.copy(), request.receive, request.send))
        if request.status != 200 or request.size != size:
            raise WrongAnswer(f"{request.status}, {request.size} of {size} bytes")
