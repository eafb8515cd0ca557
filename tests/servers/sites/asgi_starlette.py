"""The site in Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest_async, joined


async def echo(request: Request) -> Response:
    response = JSONResponse(
        {
            "path": request.path_params["path"],
            "query": request.query_params["q"],
            "repeated": joined(request.headers.getlist("x-repeated")),
            "cookies": request.cookies,
        }
    )
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def parts_of(file: Any) -> AsyncIterator[bytes]:
    while part := await file.read(65536):
        yield part


async def upload(request: Request) -> Response:
    async with request.form() as fields:
        file: Any = fields["file"]
        return JSONResponse(await digest_async(parts_of(file), name=file.filename))


async def body(request: Request) -> Response:
    return JSONResponse(await digest_async(request.stream()))


async def page(request: Request) -> Response:
    tag = f'"{TAG}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return HTMLResponse(PAGE, headers={"etag": tag})


async def stream(request: Request) -> Response:
    async def blocks() -> AsyncIterator[str]:
        yield "first "
        await reach_async("stream")
        yield "last"

    return StreamingResponse(blocks(), media_type="text/plain")


async def endless(request: Request) -> Response:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return StreamingResponse(blocks(), media_type="application/octet-stream")


async def wait(request: Request) -> Response:
    await reach_async("wait")
    return Response("waited")


async def error(request: Request) -> Response:
    raise RuntimeError("of the site")


async def state(request: Request) -> Response:
    return JSONResponse({"state": request.state.opened})


async def background(request: Request) -> Response:
    async def task() -> None:
        await reach_async("background")
        note("background ended")

    return Response("accepted", background=BackgroundTask(task))


async def events(request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            if number:
                await reach_async("events")
            yield f"data: {number}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, str]]:
    note("startup")
    yield OPENED
    note("shutdown")


app = Starlette(
    routes=[
        Route("/echo/{path:path}", echo),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/body", body, methods=["POST"]),
        Route("/page", page),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/wait", wait),
        Route("/error", error),
        Route("/state", state),
        Route("/background", background, methods=["POST"]),
        Route("/events", events),
    ],
    lifespan=lifespan,
)
