"""The site in Pyramid."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of


@view_config(route_name="echo", request_method="GET", renderer="json")
def echo(request: Request) -> dict[str, Any]:
    request.response.set_cookie("one", "1")
    request.response.set_cookie("two", "2")
    return {
        "path": request.matchdict["path"],
        "query": request.params["q"],
        "repeated": joined([request.headers.get("X-Repeated", "")]),
        "cookies": dict(request.cookies),
    }


@view_config(route_name="form", request_method="POST", renderer="json")
def form(request: Request) -> dict[str, str]:
    return dict(request.POST)


@view_config(route_name="upload", request_method="POST", renderer="json")
def upload(request: Request) -> dict[str, Any]:
    field = request.POST["file"]
    return digest(parts_of(field.file), name=field.filename)


@view_config(route_name="body", request_method="POST", renderer="json")
def body(request: Request) -> dict[str, Any]:
    return digest(parts_of(request.body_file))


@view_config(route_name="page", request_method="GET")
def page(request: Request) -> Response:
    return Response(PAGE, etag=TAG, conditional_response=True)


@view_config(route_name="stream", request_method="GET")
def stream(request: Request) -> Response:
    def blocks() -> Iterator[bytes]:
        yield b"first "
        reach("stream")
        yield b"last"

    return Response(app_iter=blocks(), content_type="text/plain")


@view_config(route_name="endless", request_method="GET")
def endless(request: Request) -> Response:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return Response(app_iter=blocks(), content_type="application/octet-stream")


@view_config(route_name="wait", request_method="GET", renderer="string")
def wait(request: Request) -> str:
    reach("wait")
    return "waited"


@view_config(route_name="error")
def error(request: Request) -> Response:
    raise RuntimeError("of the site")


with Configurator() as config:
    config.add_route("echo", "/echo/{path:.*}")
    for name in ("form", "upload", "body", "page", "stream", "endless", "wait", "error"):
        config.add_route(name, f"/{name}")
    config.scan(sys.modules[__name__])

app = config.make_wsgi_app()
