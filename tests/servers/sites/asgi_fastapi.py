"""The site in FastAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import BackgroundTasks, Cookie, FastAPI, Form, Header, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel
from starlette.responses import Response

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest_async, joined


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
    note("startup")
    yield OPENED
    note("shutdown")


app = FastAPI(lifespan=lifespan, openapi_url=None)


class Cookies(BaseModel):
    a: str | None = None
    b: str | None = None


@app.get("/echo/{path:path}")
async def echo(
    path: str,
    q: str,
    response: Response,
    cookies: Annotated[Cookies, Cookie()],
    x_repeated: Annotated[list[str], Header()] = [],  # noqa: B006 - FastAPI copies it
) -> dict[str, Any]:
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return {
        "path": path,
        "query": q,
        "repeated": joined(x_repeated),
        "cookies": cookies.model_dump(exclude_none=True),
    }


@app.post("/form")
async def form(name: Annotated[str, Form()], text: Annotated[str, Form()]) -> dict[str, str]:
    return {"name": name, "text": text}


@app.post("/upload")
async def upload(file: UploadFile) -> dict[str, Any]:
    async def parts() -> AsyncIterator[bytes]:
        while part := await file.read(65536):
            yield part

    return await digest_async(parts(), name=file.filename)


@app.post("/body")
async def body(request: Request) -> dict[str, Any]:
    return await digest_async(request.stream())


@app.api_route("/page", methods=["GET", "HEAD"])
async def page(if_none_match: Annotated[str | None, Header()] = None) -> Response:
    headers = {"ETag": f'"{TAG}"'}
    if if_none_match == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(PAGE, headers=headers)


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def blocks() -> AsyncIterator[str]:
        yield "first "
        await reach_async("stream")
        yield "last"

    return StreamingResponse(blocks(), media_type="text/plain")


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return StreamingResponse(blocks(), media_type="application/octet-stream")


@app.get("/wait", response_class=PlainTextResponse)
async def wait() -> str:
    await reach_async("wait")
    return "waited"


@app.get("/error")
async def error() -> None:
    raise RuntimeError("of the site")


@app.get("/state")
async def state(request: Request) -> JSONResponse:
    return JSONResponse({"state": request.state.opened})


async def task() -> None:
    await reach_async("background")
    note("background ended")


@app.post("/background", response_class=PlainTextResponse)
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(task)
    return "accepted"


@app.get("/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[int]:
    for number in range(3):
        if number:
            await reach_async("events")
        yield number
