"""Request bodies without Content-Length: which frameworks read them, and what `to_asgi` does."""

from __future__ import annotations

import functools
import io
import sys
import warnings
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from gatebridge import AsgiMounts, AsgiToWsgi, to_asgi
from gatebridge._detect.undeclared_length import needs_length
from wsgi_on_asgi.apps import TEXT, Environ, Gate, adapter, ending
from wsgi_on_asgi.host import Host, request_messages

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("D-13")]

CHUNKED = [(b"host", b"example.org"), (b"transfer-encoding", b"chunked")]

Make = Callable[[], Any]


def bottle_app() -> Any:
    bottle = pytest.importorskip("bottle")
    app = bottle.Bottle()
    app.post("/", callback=lambda: bottle.request.body.read())
    return app


def cherrypy_app() -> Any:
    cherrypy = pytest.importorskip("cherrypy")
    cherrypy.config.update({"environment": "embedded"})  # no log on the screen

    class Root:
        @cherrypy.expose  # type: ignore[untyped-decorator, unused-ignore]
        def index(self) -> bytes:
            return bytes(cherrypy.request.body.read())

    return cherrypy.Application(Root(), "")


def django_app() -> Any:
    pytest.importorskip("django")
    from frameworks import django_site

    return django_site.application


def falcon_app() -> Any:
    falcon = pytest.importorskip("falcon")

    class Resource:
        def on_post(self, request: Any, response: Any) -> None:
            response.data = request.bounded_stream.read()  # as `request.media` does

    app = falcon.App()
    app.add_route("/", Resource())
    return app


def flask_app() -> Any:
    flask = pytest.importorskip("flask")
    app = flask.Flask("site")
    app.post("/")(lambda: flask.request.get_data())
    return app


def pyramid_app() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports cgi and pkg_resources
        config = pytest.importorskip("pyramid.config")
        response = pytest.importorskip("pyramid.response")
    with config.Configurator() as configurator:
        configurator.add_route("root", "/")
        configurator.add_view(lambda request: response.Response(request.body), route_name="root")
        return configurator.make_wsgi_app()


def plain_app() -> Any:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [TEXT])
        return [body]

    return app


FRAMEWORKS = [
    pytest.param(bottle_app, True, id="bottle"),
    pytest.param(cherrypy_app, True, id="cherrypy"),
    pytest.param(django_app, True, id="django"),
    pytest.param(falcon_app, True, id="falcon"),
    pytest.param(flask_app, False, id="flask"),
    pytest.param(pyramid_app, False, id="pyramid"),
    pytest.param(plain_app, True, id="plain"),
]


def path_of(make: Make) -> str:
    return "/sync" if make is django_app else "/"


@pytest.mark.parametrize(("make", "needs"), FRAMEWORKS)
def test_what_a_framework_reads_without_a_length(make: Make, needs: bool) -> None:
    """The table of `needs_length` rests on it."""
    app = make()
    assert needs_length(app) is needs
    for length, seen in ({}, not needs), ({"CONTENT_LENGTH": "4"}, True):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path_of(make), **length}
        environ |= {"wsgi.input": io.BytesIO(b"body"), "wsgi.input_terminated": True}
        setup_testing_defaults(environ)
        answer = b"".join(app(environ, lambda *_: None))
        assert answer.endswith(b"body") is seen


@pytest.mark.parametrize("parts", [[b"body"], [b"bo", b"dy"], [b"body", b""]], ids=str)
@pytest.mark.parametrize(("make", "needs"), FRAMEWORKS)
async def test_every_framework_sees_the_body_behind_to_asgi(
    make: Make, needs: bool, parts: list[bytes]
) -> None:
    host = Host(*parts, method="POST", path=path_of(make), headers=CHUNKED)
    await host.serve(ending(to_asgi(make())))
    assert host.body.endswith(b"body")


@pytest.mark.parametrize("parts", [[b"body"], [b"bo", b"dy"], [b"body", b""]], ids=str)
@pytest.mark.parametrize(("make", "needs"), FRAMEWORKS)
async def test_without_spooling_a_framework_sees_it_or_not_however_it_arrives(
    make: Make, needs: bool, parts: list[bytes]
) -> None:
    host = Host(*parts, method="POST", path=path_of(make), headers=CHUNKED)
    await host.serve(adapter(make()))
    assert host.body.endswith(b"body") is not needs


@pytest.mark.clause("D-31")
async def test_flask_is_called_before_all_of_the_body_is_there() -> None:
    flask = pytest.importorskip("flask")
    app, called = flask.Flask("site"), Gate()

    @app.post("/")
    def page() -> bytes:
        called()
        return bytes(flask.request.get_data())

    host = Host(b"bo", open_end=True, method="POST", headers=CHUNKED)
    async with host.background(ending(to_asgi(app))):
        await called.reached()
        host.feed(*request_messages(b"dy"))
        called.open()
    assert (host.error, host.body) == (None, b"body")


async def test_an_application_that_is_mounted_sees_the_body() -> None:
    mounts = AsgiMounts(plain_app(), {"/mounted": plain_app()})
    for path, served in ("/", mounts.default), ("/mounted", mounts.mounts["/mounted"]):
        ending(served)  # type: ignore[type-var]
        host = Host(b"bo", b"dy", method="POST", path=path, headers=CHUNKED)
        await host.serve(mounts)
        assert host.body == b"body"


# --- middleware -----------------------------------------------------------------------------------


def proxy_fix(app: Any) -> Any:
    return pytest.importorskip("werkzeug.middleware.proxy_fix").ProxyFix(app)


def white_noise(app: Any) -> Any:
    return pytest.importorskip("whitenoise").WhiteNoise(app)


def sentry(app: Any) -> Any:
    return pytest.importorskip("sentry_sdk.integrations.wsgi").SentryWsgiMiddleware(app)


def open_telemetry(app: Any) -> Any:
    module = pytest.importorskip("opentelemetry.instrumentation.wsgi")
    return module.OpenTelemetryMiddleware(app)


def all_of_them(app: Any) -> Any:
    return proxy_fix(white_noise(sentry(open_telemetry(app))))


def inside_of_flask(app: Any) -> Any:
    """As Flask's documentation has it for middleware."""
    outer = flask_app()
    outer.wsgi_app = proxy_fix(app.wsgi_app if hasattr(app, "wsgi_app") else app)
    return outer


@pytest.mark.parametrize(
    "wrap",
    [proxy_fix, white_noise, sentry, open_telemetry, all_of_them, inside_of_flask],
)
def test_known_middleware_changes_nothing(wrap: Callable[[Any], Any]) -> None:
    assert needs_length(wrap(django_app())) is True
    assert needs_length(wrap(flask_app())) is False


def test_an_asgi_application_in_an_adapter_is_left_to_stream() -> None:
    """As an application in both adapters, one around the other, is."""

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...

    assert needs_length(AsgiToWsgi(asgi_app)) is False


def test_a_method_and_a_subclass_of_flask_read_without_a_length() -> None:
    flask = pytest.importorskip("flask")
    app = type("Site", (flask.Flask,), {})("site")
    assert needs_length(app) is False
    assert needs_length(app.wsgi_app) is False


def test_applications_that_dispatch_may_need_the_length() -> None:
    """Django may be below a Flask that does not."""
    dispatcher = pytest.importorskip("werkzeug.middleware.dispatcher").DispatcherMiddleware
    app = flask_app()
    app.wsgi_app = dispatcher(app.wsgi_app, {"/django": plain_app()})
    assert needs_length(app) is True
    assert needs_length(dispatcher(flask_app(), {})) is True


class Middleware:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        raise AssertionError("called")

    def wsgi_app(self, environ: Environ, start_response: Any) -> Any:
        raise AssertionError("called")


def test_unknown_middleware_may_need_the_length_and_is_not_called() -> None:
    app = flask_app()
    wrapped = Middleware(app)
    functions = [wrapped, wrapped.wsgi_app, functools.wraps(app)(lambda *_: wrapped(*_))]
    assert [needs_length(each) for each in functions] == [True, True, True]


def test_middleware_around_itself_is_no_endless_search() -> None:
    wrapped = proxy_fix(None)
    wrapped.app = wrapped
    assert needs_length(wrapped) is True


def test_no_framework_is_imported_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flask", "pyramid", "werkzeug", "whitenoise", "sentry_sdk"):
        for module in [each for each in sys.modules if each.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
    assert needs_length(plain_app()) is True
