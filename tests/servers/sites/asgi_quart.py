"""The site in Quart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, current_app, jsonify, make_response, request

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest, digest_async, joined, parts_of

app = Quart(__name__)


@app.while_serving
async def lifespan() -> AsyncIterator[None]:
    note("startup")
    current_app.config.from_mapping(OPENED=OPENED["opened"])
    yield
    note("shutdown")


@app.get("/echo/<path:path>")
async def echo(path: str) -> Response:
    response = jsonify(
        path=path,
        query=request.args["q"],
        repeated=joined(request.headers.getlist("X-Repeated")),
        cookies=request.cookies,
    )
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.post("/form")
async def form() -> dict[str, str]:
    return dict(await request.form)


@app.post("/upload")
async def upload() -> dict[str, Any]:
    file = (await request.files)["file"]
    return digest(parts_of(file.stream), name=file.filename)


@app.post("/body")
async def body() -> dict[str, Any]:
    return await digest_async(request.body)


@app.get("/page")
async def page() -> Response:
    response = await make_response(PAGE)
    response.set_etag(TAG)
    return await response.make_conditional(request)


@app.get("/stream")
async def stream() -> Response:
    async def blocks() -> AsyncIterator[str]:
        yield "first "
        await reach_async("stream")
        yield "last"

    return Response(blocks(), mimetype="text/plain")


@app.get("/endless")
async def endless() -> Response:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return Response(blocks(), mimetype="application/octet-stream")


@app.get("/wait")
async def wait() -> str:
    await reach_async("wait")
    return "waited"


@app.get("/error")
async def error() -> str:
    raise RuntimeError("of the site")


@app.get("/state")
async def state() -> dict[str, str]:
    return {"state": current_app.config["OPENED"]}


async def task() -> None:
    await reach_async("background")
    note("background ended")


@app.post("/background")
async def background() -> str:
    current_app.add_background_task(task)
    return "accepted"


@app.get("/events")
async def events() -> Response:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            if number:
                await reach_async("events")
            yield f"data: {number}\n\n"

    response = await make_response(lines(), {"Content-Type": "text/event-stream"})
    response.timeout = None
    return response
