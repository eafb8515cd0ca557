"""The ASGI applications that are measured."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.works import BLOCK, KIB, Work
from gatebridge.types import ASGIApplication, Receive, Scope, Send

PLAIN = [(b"content-type", b"text/plain")]


async def _index(request: Request) -> JSONResponse:
    return JSONResponse({"message": f"Hello, {request.query_params.get('name', 'world')}!"})


starlette_app = Starlette(routes=[Route("/", _index)])


async def small(scope: Scope, receive: Receive, send: Send) -> None:
    _require_http(scope)
    await _answer(send, b"Hello, world!")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    _require_http(scope)
    parts = []
    more = True
    while more:
        message: Any = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    await _answer(send, b"".join(parts))


async def stream(block: bytes, count: int, scope: Scope, receive: Receive, send: Send) -> None:
    _require_http(scope)
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    for _ in range(count):
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer how long the body was, or its SHA-256 if the query asks for a check."""
    _require_http(scope)
    digest = hashlib.sha256() if scope["query_string"] == b"check" else None
    size = 0
    more = True
    while more:
        message: Any = await receive()
        size += len(message["body"])
        if digest is not None:  # it would take longer than most adapters do
            digest.update(message["body"])
        more = message["more_body"]
    answer = f"{size:064d}" if digest is None else digest.hexdigest()
    await _answer(send, answer.encode())


async def _answer(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*PLAIN, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _require_http(scope: Scope) -> None:
    """Refuse a lifespan, as the specification lets an application do that has none."""
    if scope["type"] != "http":
        raise ValueError(f"not a request: {scope['type']}")


def works(*, quick: bool) -> list[Work[ASGIApplication]]:
    """Return what is measured; the bodies that are large only in name, for a quick run."""
    many, large = (10, 4) if quick else (1000, 512)
    return [
        Work("small", small, lambda: b"Hello, world!", in_one_piece=True),
        Work("Starlette", starlette_app, lambda: b'{"message":"Hello, world!"}', in_one_piece=True),
        Work("64 KiB echo", echo, lambda: BLOCK, blocks=1, in_one_piece=True),
        Work("1000 × 1 KiB", partial(stream, KIB, many), lambda: KIB * many),
        Work("512 × 64 KiB", partial(stream, BLOCK, large), lambda: BLOCK * large),
        Work(
            "32 MiB upload",
            upload,
            lambda: hashlib.sha256(BLOCK * large).hexdigest().encode(),
            blocks=large,
        ),
    ]
