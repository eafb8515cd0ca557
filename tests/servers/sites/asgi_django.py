"""The site in Django, behind ASGI; it has no lifespan, and is given one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import etag

from gatebridge import LifespanShim
from servers.gates import note, reach_async
from servers.sites import BLOCK, OPENED, PAGE, TAG, digest, joined, parts_of

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)


async def echo(request: HttpRequest, path: str) -> HttpResponse:
    response = JsonResponse(
        {
            "path": path,
            "query": request.GET["q"],
            "repeated": joined([request.headers.get("X-Repeated", "")]),
            "cookies": request.COOKIES,
        }
    )
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


async def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return JsonResponse(digest(file.chunks(), name=file.name))


async def body(request: HttpRequest) -> HttpResponse:
    return JsonResponse(digest(parts_of(request)))


@etag(lambda _: f'"{TAG}"')
async def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def blocks() -> AsyncIterator[str]:
        yield "first "
        await reach_async("stream")
        yield "last"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return StreamingHttpResponse(blocks(), content_type="application/octet-stream")


async def collect(request: HttpRequest) -> HttpResponse:
    gc.collect()
    return HttpResponse()


async def wait(request: HttpRequest) -> HttpResponse:
    await reach_async("wait")
    return HttpResponse("waited")


async def error(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("of the site")


async def state(request: Any) -> HttpResponse:
    return JsonResponse({"state": request.scope["state"]["opened"]})


tasks: set[asyncio.Task[None]] = set()


async def background(request: HttpRequest) -> HttpResponse:
    async def task() -> None:
        await reach_async("background")
        note("background ended")

    running = asyncio.create_task(task())
    tasks.add(running)
    running.add_done_callback(tasks.discard)
    return HttpResponse("accepted")


async def events(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            if number:
                await reach_async("events")
            yield f"data: {number}\n\n"

    return StreamingHttpResponse(lines(), content_type="text/event-stream")


urlpatterns = [
    path("echo/<path:path>", echo),
    path("form", form),
    path("upload", upload),
    path("body", body),
    path("page", page),
    path("stream", stream),
    path("endless", endless),
    path("collect", collect),
    path("wait", wait),
    path("error", error),
    path("state", state),
    path("background", background),
    path("events", events),
]


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[dict[str, str]]:
    note("startup")
    yield OPENED
    note("shutdown")


app = LifespanShim(get_asgi_application(), lifespan)
