"""A client that leaves a stream is no error of any ASGI framework that did nothing wrong."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import falcon.asgi
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.response import Stream
from quart import Quart
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from frameworks import django_site

assert django_site.settings.configured
pytestmark = pytest.mark.direction("a2w")


async def blocks() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 2000
        await anyio.lowlevel.checkpoint()


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def starlette(*middleware: Middleware, events: bool = False) -> Any:
    async def endpoint(request: Request) -> Response:
        return EventSourceResponse(blocks()) if events else StreamingResponse(blocks())

    return Starlette(routes=[Route("/", endpoint)], middleware=list(middleware))


def fastapi() -> Any:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> StreamingResponse:
        return StreamingResponse(blocks())

    return app


def quart() -> Any:
    app = Quart(__name__)

    @app.get("/")
    async def endpoint() -> AsyncIterator[bytes]:
        return blocks()

    return app


def litestar() -> Any:
    @get("/")
    async def endpoint() -> Stream:
        return Stream(blocks())

    return Litestar([endpoint], logging_config=None)


def falcon_app() -> Any:
    class Resource:
        async def on_get(self, _: Any, response: Any) -> None:
            response.stream = blocks()

    app = falcon.asgi.App()
    app.add_route("/", Resource())
    return app


async def _view(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(blocks())


class URLs:
    urlpatterns: ClassVar[Any] = [path("", _view)]


FRAMEWORKS: dict[str, Callable[[], Any]] = {
    "Starlette": starlette,
    "Starlette behind middleware": lambda: starlette(Middleware(Passing), Middleware(Passing)),
    "sse-starlette": lambda: starlette(events=True),
    "FastAPI": fastapi,
    "Quart": quart,
    "Litestar": litestar,
    "Falcon": falcon_app,
    "Django": ASGIHandler,
}


@pytest.mark.clause("A-CORE-12", "A-HTTP-30", "D-30")
# Django leaves the request's empty body to the collector where a send raises.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": False})], ids=["asyncio"])
@pytest.mark.parametrize("make", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_a_client_that_leaves_a_stream_is_no_error(
    adapt: Adapt, make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatebridge")
    with override_settings(ROOT_URLCONF=URLs, MIDDLEWARE=[]):
        adapter = adapt(make(), window_bytes=8000)
        host = Host().call(adapter)
        host.next()
        host.close()
        adapter.close()
    messages = [each.getMessage() for each in caplog.records if each.name == "gatebridge"]
    caplog.clear()
    gc.collect()
    assert messages in ([], ["GET '/': the client left before the end of the response"])
