"""The site in Bottle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bottle import Bottle, HTTPResponse, request, response

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of

app = Bottle()


@app.get("/echo/<path:path>")
def echo(path: str) -> dict[str, Any]:
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return {
        "path": path,
        "query": request.query.getunicode("q"),
        "repeated": joined([request.get_header("X-Repeated", "")]),
        "cookies": dict(request.cookies.decode()),
    }


@app.post("/form")
def form() -> dict[str, str]:
    return dict(request.forms.decode())


@app.post("/upload")
def upload() -> dict[str, Any]:
    part = request.files["file"]
    return digest(parts_of(part.file), name=part.raw_filename)


@app.post("/body")
def body() -> dict[str, Any]:
    return digest(parts_of(request.body))


@app.get("/page")
def page() -> str | HTTPResponse:
    tag = f'"{TAG}"'
    if request.get_header("If-None-Match") == tag:
        return HTTPResponse(status=304, ETag=tag)
    response.set_header("ETag", tag)
    return PAGE


@app.get("/stream")
def stream() -> Iterator[str]:
    response.content_type = "text/plain; charset=utf-8"
    yield "first "
    reach("stream")
    yield "last"


@app.get("/endless")
def endless() -> Iterator[bytes]:
    response.content_type = "application/octet-stream"
    try:
        while True:
            yield BLOCK
    finally:
        note("left")


@app.get("/wait")
def wait() -> str:
    reach("wait")
    return "waited"


@app.get("/error")
def error() -> str:
    raise RuntimeError("of the site")
