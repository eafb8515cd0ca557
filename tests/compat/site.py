"""Applications of both kinds, each mounted in the other's as projects do; imported by servers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import flask
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from gatebridge.compat import ASGIMiddleware, WSGIMiddleware

flask_app = flask.Flask("flask_app")


@flask_app.route("/")
def hello() -> dict[str, str]:
    request = flask.request
    return {"hello": request.args.get("name", "World"), "prefix": request.script_root}


@flask_app.route("/length", methods=["POST"])
def length() -> dict[str, Any]:
    scope = flask.request.environ["asgi.scope"]
    return {"length": len(flask.request.get_data()), "scope": scope["type"]}


asgi = FastAPI()


@asgi.get("/v2")
def read_main() -> dict[str, str]:
    return {"message": "Hello World"}


asgi.mount("/v1", WSGIMiddleware(flask_app))

startups: list[int] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    startups.append(os.getpid())
    yield


api = FastAPI(lifespan=lifespan)


@api.get("/")
async def where(request: Request) -> dict[str, Any]:
    return {
        "own loop": asyncio.get_running_loop() is application.loop,
        "own startup": startups == [os.getpid()],
        "path": request.scope["wsgi_environ"]["PATH_INFO"],
    }


@api.post("/length")
async def measure(request: Request) -> int:
    return len(await request.body())


@api.get("/stream")
async def stream() -> StreamingResponse:
    async def blocks() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0)

    return StreamingResponse(blocks(), media_type="text/event-stream")


application = ASGIMiddleware(api, 5.0)
