"""The site in Sanic, which is an ASGI application where it does not run its own server."""

from __future__ import annotations

from urllib.parse import unquote

from sanic import HTTPResponse, Request, Sanic, html, json, text
from sanic.response import empty

from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest, digest_async, joined

app = Sanic("site")


@app.before_server_start
async def startup(app: Sanic) -> None:
    note("startup")
    app.ctx.opened = OPENED["opened"]


@app.after_server_stop
async def shutdown(app: Sanic) -> None:
    note("shutdown")


@app.get("/echo/<path:path>")
async def echo(request: Request, path: str) -> HTTPResponse:
    response = json(
        {
            "path": unquote(path),  # by itself, Sanic does that to a single segment only
            "query": request.args.get("q"),
            "repeated": joined(request.headers.getall("X-Repeated", [])),
            "cookies": {name: request.cookies.get(name) for name in request.cookies},
        }
    )
    response.add_cookie("one", "1", secure=False)
    response.add_cookie("two", "2", secure=False)
    return response


@app.post("/form")
async def form(request: Request) -> HTTPResponse:
    return json({name: request.form.get(name) for name in request.form})


@app.post("/upload")
async def upload(request: Request) -> HTTPResponse:
    file = request.files.get("file")
    return json(digest([file.body], name=file.name))


@app.post("/body", stream=True)
async def body(request: Request) -> HTTPResponse:
    return json(await digest_async(request.stream))  # its read() hangs after the last part


@app.route("/page", methods=["GET", "HEAD"])
async def page(request: Request) -> HTTPResponse:
    headers = {"ETag": f'"{TAG}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return empty(status=304, headers=headers)
    return html(PAGE, headers=headers)


@app.get("/stream")
async def stream(request: Request) -> None:
    response = await request.respond(content_type="text/plain")
    await response.send("first ")
    await reach_async("stream")
    await response.send("last")
    await response.eof()


@app.get("/endless")
async def endless(request: Request) -> None:
    response = await request.respond(content_type="application/octet-stream")
    try:
        while True:
            await response.send(BLOCK)
    finally:
        note("left")


@app.get("/wait")
async def wait(request: Request) -> HTTPResponse:
    await reach_async("wait")
    return text("waited")


@app.get("/error")
async def error(request: Request) -> HTTPResponse:
    raise RuntimeError("of the site")


@app.get("/state")
async def state(request: Request) -> HTTPResponse:
    return json({"state": request.app.ctx.opened})


async def task() -> None:
    await reach_async("background")
    note("background ended")


@app.post("/background")
async def background(request: Request) -> HTTPResponse:
    request.app.add_task(task())
    return text("accepted")


@app.get("/events")
async def events(request: Request) -> None:
    response = await request.respond(content_type="text/event-stream")
    for number in range(3):
        if number:
            await reach_async("events")
        await response.send(f"data: {number}\n\n")
    await response.eof()
