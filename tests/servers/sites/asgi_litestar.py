"""The site in Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, State, UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest_async, joined


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    note("startup")
    app.state.update(OPENED)
    yield
    note("shutdown")


@get("/echo/{path:path}")
async def echo(path: str, q: str, request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    return Response(
        {
            "path": path.removeprefix("/"),
            "query": q,
            "repeated": joined(request.headers.getall("x-repeated", [])),
            "cookies": request.cookies,
        },
        cookies=[Cookie("one", value="1"), Cookie("two", value="2")],
    )


@post("/form", status_code=200)
async def form(
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> dict[str, str]:
    return data


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, UploadFile], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    async def parts() -> AsyncIterator[bytes]:
        while part := await data["file"].read(65536):
            yield part

    return await digest_async(parts(), name=data["file"].filename)


@post("/body", status_code=200)
async def body(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return await digest_async(request.stream())


@route("/page", http_method=["GET", "HEAD"], media_type=MediaType.HTML)
async def page(request: Request[Any, Any, Any]) -> Response[str]:
    headers = {"ETag": f'"{TAG}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response("", status_code=304, headers=headers)
    return Response(PAGE, headers=headers)


@get("/stream")
async def stream() -> Stream:
    async def blocks() -> AsyncIterator[str]:
        yield "first "
        await reach_async("stream")
        yield "last"

    return Stream(blocks(), media_type=MediaType.TEXT)


@get("/endless")
async def endless() -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return Stream(blocks(), media_type="application/octet-stream")


@get("/wait", media_type=MediaType.TEXT)
async def wait() -> str:
    await reach_async("wait")
    return "waited"


@get("/error")
async def error() -> None:
    raise RuntimeError("of the site")


@get("/state")
async def state_(state: State) -> dict[str, str]:
    return {"state": state.opened}


async def task() -> None:
    await reach_async("background")
    note("background ended")


@post("/background", media_type=MediaType.TEXT)
async def background() -> Response[str]:
    return Response("accepted", background=BackgroundTask(task))


@get("/events")
async def events() -> ServerSentEvent:
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            if number:
                await reach_async("events")
            yield number

    return ServerSentEvent(numbers())


app = Litestar(
    route_handlers=[
        *(echo, form, upload, body, page, stream, endless, wait, error),
        *(state_, background, events),
    ],
    lifespan=[lifespan],
    openapi_config=None,
)
