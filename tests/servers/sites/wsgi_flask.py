"""The site in Flask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify, make_response, request

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of

app = Flask(__name__)


@app.get("/echo/<path:path>")
def echo(path: str) -> Response:
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
def form() -> dict[str, str]:
    return dict(request.form)


@app.post("/upload")
def upload() -> dict[str, Any]:
    file = request.files["file"]
    return digest(parts_of(file.stream), name=file.filename)


@app.post("/body")
def body() -> dict[str, Any]:
    return digest(parts_of(request.stream))


@app.get("/page")
def page() -> Response:
    response = make_response(PAGE)
    response.set_etag(TAG)
    return response.make_conditional(request)


@app.get("/stream")
def stream() -> Response:
    def blocks() -> Iterator[str]:
        yield "first "
        reach("stream")
        yield "last"

    return Response(blocks(), mimetype="text/plain")


@app.get("/endless")
def endless() -> Response:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return Response(blocks(), mimetype="application/octet-stream")


@app.get("/wait")
def wait() -> str:
    reach("wait")
    return "waited"


@app.get("/error")
def error() -> str:
    raise RuntimeError("of the site")
