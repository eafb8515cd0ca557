"""The least that a WSGI server does for its application, the same for every contender."""

from __future__ import annotations

import hashlib
import io
import sys
from typing import Any

from benchmarks.works import BLOCK, Work, WrongAnswer
from gatebridge.types import ASGIApplication, WSGIApplication, WSGIEnvironment

_ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "192.0.2.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "203.0.113.7",
    "REMOTE_PORT": "53124",
    "HTTP_HOST": "shop.example.com",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.5",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
    "HTTP_COOKIE": "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


class Body:
    """A request's body: so many blocks, of which none is copied if it is read as it is."""

    __slots__ = ("_position", "_size")

    def __init__(self, blocks: int) -> None:
        self._size = blocks * len(BLOCK)
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._position
        size = left if size < 0 else min(size, left)
        start = self._position % len(BLOCK)
        self._position += size
        if start == 0 and size == len(BLOCK):
            return BLOCK
        return (BLOCK * (size // len(BLOCK) + 2))[start : start + size]


def new_environ(blocks: int, query: str = "") -> WSGIEnvironment:
    """Return the environ of a request whose body has so many blocks of 64 KiB."""
    environ = _ENVIRON.copy()
    environ["QUERY_STRING"] = query
    if blocks:
        environ["REQUEST_METHOD"] = "POST"
        environ["CONTENT_LENGTH"] = str(blocks * len(BLOCK))
        environ["wsgi.input"] = Body(blocks)
    else:
        environ["wsgi.input"] = io.BytesIO()
    return environ


class Response:
    """What the application gave to ``start_response``."""

    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = ""

    def start_response(self, status: str, *_: object) -> Any:  # noqa: ANN401 - see below
        self.status = status  # and nobody calls the write() that this should return


def check(app: WSGIApplication, work: Work[ASGIApplication]) -> None:
    """Serve one request and look at every byte of the answer.

    Raises:
        WrongAnswer: The answer is not the right one.
    """
    response, digest, size = Response(), hashlib.sha256(), 0
    blocks = app(new_environ(work.blocks, "check"), response.start_response)
    for block in blocks:
        digest.update(block)
        size += len(block)
    _close(blocks)
    answer = work.answer()
    if response.status != "200 OK" or size != len(answer):
        raise WrongAnswer(f"{response.status}, {size} of {len(answer)} bytes")
    if digest.digest() != hashlib.sha256(answer).digest():
        raise WrongAnswer("other bytes than the application's")


def serve(app: WSGIApplication, work: Work[ASGIApplication], size: int, count: int) -> None:
    """Serve one request after the other.

    Args:
        app: Who answers.
        work: What is asked for.
        size: How many bytes the right answer has.
        count: How many requests to serve.

    Raises:
        WrongAnswer: An answer is of the wrong status or length.
    """
    for _ in range(count):
        response, taken = Response(), 0
        blocks = app(new_environ(work.blocks), response.start_response)
        for block in blocks:
            taken += len(block)
        _close(blocks)
        if response.status != "200 OK" or taken != size:
            raise WrongAnswer(f"{response.status}, {taken} of {size} bytes")


def _close(blocks: object) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        close()
