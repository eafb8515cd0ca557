"""A Django site without a database, in one module; importing it configures Django."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import django
from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    DEBUG_PROPAGATE_EXCEPTIONS=True,
    LOGGING_CONFIG=None,
    MIDDLEWARE=[f"{__name__}.thread_middleware", f"{__name__}.AsyncMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the tests",
    USE_TZ=True,
)
django.setup()

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
finished: list[int] = []  # threads in which requests were finished


def thread_middleware(get_response: Callable[[HttpRequest], Any]) -> Any:
    """Note the thread of a request; a synchronous middleware."""

    def middleware(request: HttpRequest) -> Any:
        request.thread = threading.get_ident()  # type: ignore[attr-defined]
        response = get_response(request)
        response["x-same-thread"] = str(threading.get_ident() == request.thread)  # type: ignore[attr-defined]
        response["x-variable"] = variable.get()
        return response

    return middleware


class AsyncMiddleware:
    """A middleware that is asynchronous only: Django adapts it, and what is inside of it."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> Any:
        await asyncio.sleep(0)
        response = await self.get_response(request)
        response["x-async"] = "yes"
        return response


def sync_view(request: HttpRequest) -> HttpResponse:
    same = threading.get_ident() == request.thread  # type: ignore[attr-defined]
    return HttpResponse(f"{variable.get()} {same} {request.body.decode()}")


async def async_view(request: HttpRequest) -> HttpResponse:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    numbers = await asyncio.gather(*[double(number) for number in range(3)])
    text = f"{variable.get()} {numbers} {request.body.decode()}"
    variable.set("set in the view")
    return HttpResponse(text)


async def thread_sensitive_view(request: HttpRequest) -> HttpResponse:
    """Call synchronous code as one has to call, for instance, the ORM."""
    thread = await sync_to_async(threading.get_ident, thread_sensitive=True)()
    value = await sync_to_async(variable.get)()
    return HttpResponse(f"{value} {thread == request.thread}")  # type: ignore[attr-defined]


async def streaming_view(request: HttpRequest) -> StreamingHttpResponse:
    def blocks() -> Iterator[str]:
        yield variable.get()
        yield f" {threading.get_ident() == request.thread}"  # type: ignore[attr-defined]

    return StreamingHttpResponse(blocks())


async def endless_view(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(lambda: b"x" * 1024, None))


async def failing_view(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise ZeroDivisionError("of the view")


def state_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.META["asgi.scope"]["state"]["name"])


urlpatterns = [
    path("sync", sync_view),
    path("async", async_view),
    path("thread", thread_sensitive_view),
    path("stream", streaming_view),
    path("endless", endless_view),
    path("fails", failing_view),
    path("state", state_view),
]


def _note_end(**_: Any) -> None:
    finished.append(threading.get_ident())


request_finished.connect(_note_end, weak=False)
application = get_wsgi_application()
