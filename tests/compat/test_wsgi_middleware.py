"""`WSGIMiddleware`, `WsgiToAsgi` and `build_environ` of `gatebridge.compat`."""

from __future__ import annotations

import inspect
import io
import threading
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import anyio.to_thread
import pytest

from asgi_on_wsgi.apps import Event
from gatebridge import compat
from gatebridge.compat import WSGIMiddleware, WsgiToAsgi, build_environ
from gatebridge.types import StartResponse, WSGIEnvironment
from wsgi_on_asgi.apps import ending
from wsgi_on_asgi.host import HANG, Host, http_scope, in_background


def saying(text: str) -> Any:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    return app


async def serve(app: Any, **scope: Any) -> Host:
    host = Host(**scope)
    await host.serve(ending(app))
    return host


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("a2wsgi", "WSGIMiddleware"),
        ("starlette.middleware.wsgi", "WSGIMiddleware"),
        ("asgiref.wsgi", "WsgiToAsgi"),
        ("starlette.middleware.wsgi", "build_environ"),
    ],
)
def test_the_arguments_are_those_of_the_origin(origin: str, name: str) -> None:
    pytest.importorskip(origin.partition(".")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette's is deprecated
        theirs = getattr(import_module(origin), name)
    wanted = [(each.name, each.default) for each in inspect.signature(theirs).parameters.values()]
    offered = inspect.signature(getattr(compat, name)).parameters.values()
    assert [(each.name, each.default) for each in offered][: len(wanted)] == wanted


async def test_connexion_puts_a_middleware_around_the_application() -> None:
    served = WSGIMiddleware(saying("plain"))
    assert (await serve(served)).body == b"plain"

    class Middleware:
        def __init__(self, app: Any, mark: str) -> None:
            self.app, self.mark = app, mark

        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            return [*self.app(environ, start_response), self.mark.encode()]

    served.app = Middleware(served.app, mark=" and more")
    assert (await serve(served)).body == b"plain and more"


async def test_modal_has_threads_on_demand() -> None:
    before = set(threading.enumerate())
    served = WSGIMiddleware(saying("ok"), workers=10000, send_queue_size=1)
    assert set(threading.enumerate()) <= before
    assert (await serve(served)).body == b"ok"
    assert served.statistics().threads == 1


def test_too_few_workers_are_named() -> None:
    with pytest.raises(ValueError, match=r"^workers must be at least 1, got 0$"):
        WSGIMiddleware(saying("ok"), workers=0)


async def test_one_worker_serves_one_request_at_a_time() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [str(environ["wsgi.multithread"]).encode()]

    assert (await serve(WSGIMiddleware(app, 1))).body == b"False"
    assert (await serve(WSGIMiddleware(app))).body == b"True"


class Slow:
    """A WSGI application whose GET a test lets go on."""

    def __init__(self) -> None:
        self.called, self.go_on = Event(), Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            self.called.set()
            self.go_on.happens()
        start_response("200 OK", [])
        return [b"served"]


@pytest.mark.parametrize("wait", [True, False], ids=["wait", "no wait"])
async def test_galaxy_shuts_the_executor_down(wait: bool) -> None:
    slow = Slow()
    served = WSGIMiddleware(slow)
    haltables = [("WSGI Middleware threadpool", served.executor.shutdown)]
    host = Host()
    async with in_background(served, [host]):
        await anyio.to_thread.run_sync(slow.called.happens)
        if wait:
            async with anyio.create_task_group() as group:
                for _, halt in haltables:
                    group.start_soon(anyio.to_thread.run_sync, halt)
                await refused(served)
                slow.go_on.set()
        else:
            served.executor.shutdown(wait=False, cancel_futures=True)
            await refused(served)
            slow.go_on.set()
    assert host.body == b"served"
    if wait:
        assert served.statistics().threads == 0


async def refused(served: WSGIMiddleware) -> None:
    """Wait until a new request is refused."""
    with anyio.fail_after(HANG):
        while (await serve(served, method="HEAD")).status != 503:
            pass


async def test_asgirefs_subclasses_find_their_application() -> None:
    class Named(WsgiToAsgi):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert self.wsgi_application is app
            await super().__call__(scope, receive, send)

    app = saying("ok")
    served = Named(wsgi_application=app)
    assert (await serve(served)).body == b"ok"
    app = served.wsgi_application = saying("new")
    assert (await serve(served)).body == b"new"


@pytest.mark.parametrize(
    ("arguments", "count", "status"),
    [((), 100, 200), ((), 101, 400), ((2,), 3, 400), ((0,), 1000, 200), ((None,), 1000, 200)],
)
async def test_asgiref_limits_how_often_a_header_comes(
    arguments: Any, count: int, status: int
) -> None:
    headers = [(b"host", b"example.org"), *[(b"x-repeated", b"value")] * count]
    host = await serve(WsgiToAsgi(saying("ok"), *arguments), headers=headers)
    assert host.status == status


def test_build_environ_of_the_least_scope() -> None:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/app/päth",
        "root_path": "/app",
        "query_string": b"a=1",
        "headers": [(b"content-length", b"7"), (b"x-name", b"1"), (b"x-name", b"2")],
        "server": ("example.org", 8000),
    }
    environ = build_environ(scope, b"content")
    assert environ["wsgi.input"].read() == b"content"
    assert environ["asgi.scope"] is scope
    assert {key: environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")} == {
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/päth".encode().decode("latin-1"),
        "QUERY_STRING": "a=1",
    }
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.org", "8000")
    assert (environ["CONTENT_LENGTH"], environ["HTTP_X_NAME"]) == ("7", "1,2")


def test_build_environ_of_a_file() -> None:
    file = io.BytesIO(b"content")
    assert build_environ(http_scope(), file)["wsgi.input"] is file
