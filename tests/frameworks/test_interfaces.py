"""The applications of every framework, and what is put around them: told apart, and served.

Each factory gives an application of the kind that its table says, which answers ``GET /`` by
"hello". It imports its framework itself, so that one which is missing skips its own tests only.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from asgi_on_wsgi.host import Host as WsgiHost
from gatebridge import AsgiToWsgi, LifespanManager, WsgiToAsgi, interface, to_asgi, to_wsgi
from wsgi_on_asgi.host import Host as AsgiHost

pytestmark = pytest.mark.clause("W-CALL-02")

Factory = Callable[[], Any]

# --- WSGI -----------------------------------------------------------------------------------------


def flask_site() -> Any:
    flask = pytest.importorskip("flask")
    site = flask.Flask("site")
    site.get("/")(lambda: "hello")
    return site


def flask_method() -> Any:
    return flask_site().wsgi_app


def django_wsgi() -> Any:
    pytest.importorskip("django")
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    from frameworks import django_site

    def hello(request: HttpRequest) -> HttpResponse:
        return HttpResponse("hello")

    if not any(pattern.name == "hello" for pattern in django_site.urlpatterns):
        django_site.urlpatterns.append(path("", hello, name="hello"))
    return django_site.application


def falcon_wsgi() -> Any:
    falcon = pytest.importorskip("falcon")

    class Hello:
        def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

    site = falcon.App()
    site.add_route("/", Hello())
    return site


def pyramid_site() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports cgi and pkg_resources
        config = pytest.importorskip("pyramid.config").Configurator()
        from pyramid.response import Response
    config.add_route("hello", "/")
    config.add_view(lambda request: Response("hello"), route_name="hello")
    return config.make_wsgi_app()


def bottle_site() -> Any:
    bottle = pytest.importorskip("bottle")
    site = bottle.Bottle()
    site.get("/")(lambda: "hello")
    return site


def werkzeug_response() -> Any:
    return pytest.importorskip("werkzeug").Response("hello")


def werkzeug_request_application() -> Any:
    werkzeug = pytest.importorskip("werkzeug")
    return werkzeug.Request.application(lambda request: werkzeug.Response("hello"))


def proxy_fix() -> Any:
    return pytest.importorskip("werkzeug.middleware.proxy_fix").ProxyFix(flask_site())


def dispatcher() -> Any:
    module = pytest.importorskip("werkzeug.middleware.dispatcher")
    return module.DispatcherMiddleware(flask_site(), {"/admin": bottle_site()})


def white_noise() -> Any:
    return pytest.importorskip("whitenoise").WhiteNoise(flask_site())


def opentelemetry_wsgi() -> Any:
    module = pytest.importorskip("opentelemetry.instrumentation.wsgi")
    return module.OpenTelemetryMiddleware(flask_site())


def sentry_wsgi() -> Any:
    module = pytest.importorskip("sentry_sdk.integrations.wsgi")
    return module.SentryWsgiMiddleware(flask_site())


WSGI: list[Factory] = [
    *(flask_site, flask_method, django_wsgi, falcon_wsgi, pyramid_site),
    *(bottle_site, werkzeug_response, proxy_fix, dispatcher, white_noise),
    *(opentelemetry_wsgi, sentry_wsgi),
]


def name_of(factory: Factory) -> str:
    return factory.__name__


def serve_by_asgi(app: Any) -> AsgiHost:
    async def serve() -> AsgiHost:
        host = AsgiHost()
        async with LifespanManager(app):
            await host.serve(app)
        return host

    return asyncio.run(serve())


@pytest.mark.parametrize("factory", WSGI, ids=name_of)
def test_a_wsgi_application_is_told_and_served_by_asgi(factory: Factory) -> None:
    site = factory()
    assert interface(site) == "wsgi"
    assert to_wsgi(site) is site
    adapted = to_asgi(site)
    assert isinstance(adapted, WsgiToAsgi)
    host = serve_by_asgi(adapted)
    assert (host.status, host.body) == (200, b"hello")


# --- ASGI -----------------------------------------------------------------------------------------


def fastapi_site() -> Any:
    fastapi = pytest.importorskip("fastapi")
    from fastapi.responses import PlainTextResponse

    site = fastapi.FastAPI()

    @site.get("/", response_class=PlainTextResponse)
    async def hello() -> str:
        return "hello"

    return site


def starlette_response() -> Any:
    return pytest.importorskip("starlette.responses").PlainTextResponse("hello")


def starlette_endpoint() -> Any:
    from starlette.requests import Request

    class Hello(pytest.importorskip("starlette.endpoints").HTTPEndpoint):  # type: ignore[misc]
        async def get(self, request: Request) -> Any:
            return starlette_response()

    return Hello


def starlette_router() -> Any:
    routing = pytest.importorskip("starlette.routing")
    return routing.Router([routing.Route("/", starlette_endpoint())])


def starlette_site() -> Any:
    return pytest.importorskip("starlette.applications").Starlette(routes=starlette_router().routes)


def gzip() -> Any:
    return pytest.importorskip("starlette.middleware.gzip").GZipMiddleware(starlette_site())


def base_http() -> Any:
    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    module = pytest.importorskip("starlette.middleware.base")
    return module.BaseHTTPMiddleware(starlette_site(), dispatch)


def django_asgi() -> Any:
    django_wsgi()  # is the same site
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def falcon_asgi() -> Any:
    falcon = pytest.importorskip("falcon.asgi")

    class Hello:
        async def on_get(self, request: Any, response: Any) -> None:
            response.text = "hello"

    site = falcon.App()
    site.add_route("/", Hello())
    return site


def quart_site() -> Any:
    site = pytest.importorskip("quart").Quart("site")

    @site.get("/")
    async def hello() -> str:
        return "hello"

    return site


def quart_method() -> Any:
    return quart_site().asgi_app


def sanic_site() -> Any:
    sanic = pytest.importorskip("sanic")
    site = sanic.Sanic(f"site{len(sanic.Sanic._app_registry)}")

    @site.get("/")
    async def hello(request: Any) -> Any:
        return sanic.text("hello")

    return site


def litestar_site() -> Any:
    litestar = pytest.importorskip("litestar")

    @litestar.get("/", media_type="text/plain")  # type: ignore[untyped-decorator, unused-ignore]
    async def hello() -> str:
        return "hello"

    return litestar.Litestar([hello], logging_config=None)


def asgiref_around_flask() -> Any:
    return pytest.importorskip("asgiref.wsgi").WsgiToAsgi(flask_site())


def a2wsgi_around_flask() -> Any:
    return pytest.importorskip("a2wsgi").WSGIMiddleware(flask_site())


def proxy_headers() -> Any:
    module = pytest.importorskip("uvicorn.middleware.proxy_headers")
    return module.ProxyHeadersMiddleware(starlette_site())


def opentelemetry_asgi() -> Any:
    module = pytest.importorskip("opentelemetry.instrumentation.asgi")
    return module.OpenTelemetryMiddleware(starlette_site())


def sentry_asgi() -> Any:
    module = pytest.importorskip("sentry_sdk.integrations.asgi")
    return module.SentryAsgiMiddleware(starlette_site())


ASGI: list[Factory] = [
    *(fastapi_site, starlette_site, starlette_router, starlette_endpoint, starlette_response),
    *(gzip, base_http, django_asgi, falcon_asgi, quart_site, quart_method),
    *(sanic_site, litestar_site, asgiref_around_flask, a2wsgi_around_flask),
    *(proxy_headers, opentelemetry_asgi, sentry_asgi),
]


@pytest.mark.parametrize("factory", ASGI, ids=name_of)
def test_an_asgi_application_is_told_and_served_by_wsgi(factory: Factory) -> None:
    site = factory()
    assert interface(site) == "asgi"
    assert to_asgi(site) is site
    adapted = to_wsgi(site)
    assert isinstance(adapted, AsgiToWsgi)
    with adapted:
        host = WsgiHost().serve(adapted)
    assert (host.code, host.body) == (200, b"hello")


# --- neither --------------------------------------------------------------------------------------


def werkzeug_lint() -> Any:
    return pytest.importorskip("werkzeug.middleware.lint").LintMiddleware(flask_site())


def validator() -> Any:
    from wsgiref.validate import validator

    return validator(flask_site())


def wsgify() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports cgi
        dec = pytest.importorskip("webob.dec")
    return dec.wsgify(lambda request: "hello")


@pytest.mark.parametrize("factory", [werkzeug_lint, validator, wsgify], ids=name_of)
def test_what_takes_any_arguments_cannot_be_told_but_can_be_served(factory: Factory) -> None:
    site = factory()
    with pytest.raises(TypeError, match=r"may be ASGI or WSGI: .*; put it into a function of"):
        interface(site)

    def chosen(environ: Any, start_response: Any) -> Any:
        return site(environ, start_response)

    assert interface(chosen) == "wsgi"
    for adapted in (to_asgi(chosen), WsgiToAsgi(site)):
        host = serve_by_asgi(adapted)
        assert (host.status, host.body) == (200, b"hello")


@pytest.mark.parametrize("factory", ASGI, ids=name_of)
def test_an_asgi_application_is_refused_by_the_adapter_for_wsgi(factory: Factory) -> None:
    """Each request would be an error about a missing argument."""
    with pytest.raises(TypeError, match=r"^app must be a WSGI application, but "):
        WsgiToAsgi(factory())


@pytest.mark.parametrize("factory", WSGI, ids=name_of)
def test_a_wsgi_application_is_refused_by_the_adapter_for_asgi(factory: Factory) -> None:
    with pytest.raises(TypeError, match=r"^app must be an ASGI application, but "):
        AsgiToWsgi(factory())


@pytest.mark.parametrize(
    "name",
    [
        *("flask.Flask", "bottle.Bottle", "falcon.App", "fastapi.FastAPI"),
        *("starlette.applications.Starlette", "quart.Quart", "litestar.Litestar"),
        *("django.core.handlers.wsgi.WSGIHandler", "django.core.handlers.asgi.ASGIHandler"),
    ],
)
@pytest.mark.parametrize("adapter", [WsgiToAsgi, AsgiToWsgi])
def test_the_class_of_a_framework_is_refused(adapter: type, name: str) -> None:
    module, _, cls = name.rpartition(".")
    with pytest.raises(TypeError, match=r"^app (is a class whose instances|takes neither)"):
        adapter(getattr(pytest.importorskip(module), cls))
