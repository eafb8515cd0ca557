"""The site in Django, run as WSGI; one module, which configures Django when it is imported."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import etag, require_POST, require_safe

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the tests",
)


@require_safe
def echo(request: HttpRequest, path: str) -> HttpResponse:
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


@require_POST
def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    file = request.FILES["file"]
    return JsonResponse(digest(file.chunks(), name=file.name))


@require_POST
def body(request: HttpRequest) -> HttpResponse:
    return JsonResponse(digest(parts_of(request)))


@require_safe
@etag(lambda request: f'"{TAG}"')
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


@require_safe
def stream(request: HttpRequest) -> StreamingHttpResponse:
    def blocks() -> Iterator[str]:
        yield "first "
        reach("stream")
        yield "last"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


@require_safe
def endless(request: HttpRequest) -> StreamingHttpResponse:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield BLOCK
        finally:
            note("left")

    return StreamingHttpResponse(blocks(), content_type="application/octet-stream")


@require_safe
def wait(request: HttpRequest) -> HttpResponse:
    reach("wait")
    return HttpResponse("waited")


def error(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("of the site")


urlpatterns = [
    path("echo/<path:path>", echo),
    path("form", form),
    path("upload", upload),
    path("body", body),
    path("page", page),
    path("stream", stream),
    path("endless", endless),
    path("wait", wait),
    path("error", error),
]

app = get_wsgi_application()
