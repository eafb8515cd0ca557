"""Starlette behind `AsgiToWsgi`: its responses, its middleware, its lifespan."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from asgi_on_wsgi.apps import Event, Gate
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host

pytestmark = pytest.mark.direction("a2w")

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    return tmp_path


class Passing(BaseHTTPMiddleware):
    """A middleware that takes the response to pieces and puts it together again."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.passed = True
        response = await call_next(request)
        response.headers["x-passed"] = str(request.state.passed)
        return response


def site(endpoint: Any, *middleware: Any, methods: tuple[str, ...] = ("GET", "POST")) -> Starlette:
    route = Route("/", endpoint, methods=list(methods))
    return Starlette(routes=[route], middleware=list(middleware))


@pytest.mark.clause("A-HTTP-17")
def test_json_in_and_out(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        return JSONResponse({"is": await request.json(), "query": dict(request.query_params)})

    host = Host(b'{"a": 1}', method="POST", QUERY_STRING="b=2", CONTENT_TYPE="application/json")
    host.serve(adapt(site(endpoint)))
    assert host.body == b'{"is":{"a":1},"query":{"b":"2"}}'


def test_a_form_with_a_file_in_parts(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        async with request.form() as form:
            upload: Any = form["upload"]
            content = await upload.read()
            return PlainTextResponse(f"{form['name']} {upload.filename} {content == CONTENT}")

    head = (
        b'--limit\r\ncontent-disposition: form-data; name="name"\r\n\r\nvalue\r\n'
        b'--limit\r\ncontent-disposition: form-data; name="upload"; filename="a.bin"\r\n\r\n'
    )
    parts = [head[:50], head[50:], CONTENT[:70000], CONTENT[70000:], b"\r\n--limit--\r\n"]
    content_type = "multipart/form-data; boundary=limit"
    host = Host(parts, method="POST", CONTENT_TYPE=content_type).serve(adapt(site(endpoint)))
    assert host.body == b"value a.bin True"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_streamed_response(adapt: Adapt, wrapped: bool) -> None:
    """From an async and from a sync generator, which Starlette runs in a thread."""

    async def asynchronous() -> AsyncIterator[str]:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield f"{number} "

    def synchronous() -> Iterator[bytes]:
        for number in range(3, 6):
            yield b"%d " % number

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(synchronous() if request.query_params else asynchronous())

    adapter = adapt(site(endpoint, *([Middleware(Passing)] if wrapped else [])))
    assert Host().serve(adapter).body == b"0 1 2 "
    assert Host(QUERY_STRING="sync=1").serve(adapter).body == b"3 4 5 "


@pytest.mark.clause("D-39", "W-CLOSE-02")
@pytest.mark.parametrize("middleware", [(), (Middleware(Passing),)], ids=["bare", "wrapped"])
def test_a_file_is_sent_by_the_server(
    adapt: Adapt, folder: Path, middleware: tuple[Middleware, ...]
) -> None:
    async def endpoint(request: Request) -> Response:
        return FileResponse(folder / "file.bin")

    adapter = adapt(site(endpoint, *middleware), offer_pathsend=True)
    host = Host().offer_file_wrapper().serve(adapter)
    assert len(host.wrapped) == 1
    assert host.body == CONTENT
    host = Host().serve(adapter)  # which has no wrapper
    assert (host.body, host.header("content-length")) == (CONTENT, str(len(CONTENT)))


@pytest.mark.clause("D-39")
def test_a_file_may_have_a_relative_path(
    adapt: Adapt, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which Starlette sends on, although the extension wants an absolute one."""
    monkeypatch.chdir(folder)

    async def endpoint(request: Request) -> Response:
        return FileResponse("file.bin")

    assert Host().serve(adapt(site(endpoint), offer_pathsend=True)).body == CONTENT


@pytest.mark.clause("D-39")
def test_a_relative_path_does_not_block_the_loop(
    adapt: Adapt, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools that look for blocking calls on an event loop find none of ours."""
    monkeypatch.chdir(folder)
    asked: list[int] = []
    loops: list[int] = []

    def abspath(path: str) -> str:
        asked.append(threading.get_ident())
        return original(path)

    async def endpoint(request: Request) -> Response:
        loops.append(threading.get_ident())
        return FileResponse("file.bin")

    original = os.path.abspath
    monkeypatch.setattr(os.path, "abspath", abspath)
    assert Host().serve(adapt(site(endpoint), offer_pathsend=True)).body == CONTENT
    assert not set(loops) & set(asked)


@pytest.mark.parametrize(
    ("range_", "expected"),
    [
        ("bytes=10-19", CONTENT[10:20]),
        ("bytes=-5", CONTENT[-5:]),
        ("bytes=70000-", CONTENT[70000:]),
    ],
)
def test_a_range_of_a_file(adapt: Adapt, folder: Path, range_: str, expected: bytes) -> None:
    async def endpoint(request: Request) -> Response:
        return FileResponse(folder / "file.bin")

    adapter = adapt(site(endpoint), offer_pathsend=True)
    host = Host(headers={"range": range_}).offer_file_wrapper().serve(adapter)
    assert (host.code, host.body == expected, host.wrapped) == (206, True, [])
    assert host.header("content-length") == str(len(expected))


class Upper:
    """A middleware that knows the messages of the core specification, and no extension."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_upper(message: Any) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif message["type"] == "http.response.body":
                await send({**message, "body": message["body"].upper()})

        await self.app(scope, receive, send if scope["type"] != "http" else send_upper)


@pytest.mark.clause("D-39", "A-CORE-13")
@pytest.mark.parametrize("mounted", [False, True])
def test_a_file_passes_middleware_that_knows_no_extension(
    adapt: Adapt, tmp_path: Path, mounted: bool
) -> None:
    """As on Uvicorn. It would drop a file that is sent by its path, and with it the body."""
    (tmp_path / "text.txt").write_bytes(b"text" * 50_000)

    async def endpoint(request: Request) -> Response:
        return FileResponse(tmp_path / "text.txt")

    route: Any = Route("/text.txt", endpoint)
    if mounted:
        route = Mount("/", StaticFiles(directory=tmp_path))
    app = Starlette(routes=[route], middleware=[Middleware(Upper)])
    host = Host(path="/text.txt").offer_file_wrapper().serve(adapt(app))
    assert (host.code, host.body) == (200, b"TEXT" * 50_000)


@pytest.mark.clause("D-39", "A-CORE-13")
def test_a_file_is_compressed(adapt: Adapt, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"text" * 50_000)
    app = Starlette(
        routes=[Mount("/", StaticFiles(directory=tmp_path))],
        middleware=[Middleware(GZipMiddleware)],
    )
    host = Host(path="/text.txt", headers={"accept-encoding": "gzip"}).serve(adapt(app))
    assert host.header("content-encoding") == "gzip"
    assert gzip.decompress(host.body) == b"text" * 50_000


def test_static_files(adapt: Adapt, folder: Path) -> None:
    adapter = adapt(Starlette(routes=[Mount("/static", StaticFiles(directory=folder))]))
    host = Host(path="/static/file.bin").serve(adapter)
    assert (host.code, host.body == CONTENT) == (200, True)
    etag = host.header("etag")
    assert etag is not None
    host = Host(path="/static/file.bin", headers={"if-none-match": etag}).serve(adapter)
    assert (host.code, host.result) == (304, [])
    assert Host(path="/static/none").serve(adapter).code == 404
    assert Host(path="/static/../file.bin").serve(adapter).code == 404


@pytest.mark.clause("D-24")
def test_head_has_the_length_and_no_body(adapt: Adapt, folder: Path) -> None:
    adapter = adapt(Starlette(routes=[Mount("/", StaticFiles(directory=folder))]))
    host = Host(path="/file.bin", method="HEAD").serve(adapter)
    assert (host.result, host.header("content-length")) == ([], str(len(CONTENT)))


def test_a_session_and_its_cookies(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        request.session["count"] = request.session.get("count", 0) + 1
        response = PlainTextResponse(f"{request.session['count']} {sorted(request.cookies)}")
        response.set_cookie("first", "1")
        response.set_cookie("second", "2")
        return response

    adapter = adapt(site(endpoint, Middleware(SessionMiddleware, secret_key="secret")))
    host = Host().serve(adapter)
    cookies = [value for name, value in host.headers if name == "set-cookie"]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["first", "second", "session"]
    cookie = "; ".join(cookie.partition(";")[0] for cookie in cookies)
    host = Host(headers={"cookie": cookie}).serve(adapter)
    assert host.body == b"2 ['first', 'second', 'session']"


class CustomError(Exception):
    """Which the application has a handler for."""


@pytest.mark.clause("D-27")
def test_errors_are_handled_or_raised(adapt: Adapt, caplog: pytest.LogCaptureFixture) -> None:
    """One that Starlette answers 500 by itself it raises on, when the response is whole."""

    async def endpoint(request: Request) -> Response:
        kind = request.query_params["kind"]
        raise {
            "http": HTTPException(418, "teapot", {"x-tea": "green"}),
            "custom": CustomError("handled"),
            "other": ZeroDivisionError("not handled"),
        }[kind]

    async def handler(request: Request, exc: Exception) -> Response:
        return PlainTextResponse(str(exc), 400)

    app = Starlette(
        routes=[Route("/", endpoint)],
        exception_handlers={CustomError: handler},
        middleware=[Middleware(Passing)],
    )
    adapter = adapt(app)
    host = Host(QUERY_STRING="kind=http").serve(adapter)
    assert (host.code, host.body, host.header("x-tea")) == (418, b"teapot", "green")
    host = Host(QUERY_STRING="kind=custom").serve(adapter)
    assert (host.code, host.body, host.header("x-passed")) == (400, b"handled", "True")
    host = Host(QUERY_STRING="kind=other").serve(adapter)
    assert (host.status, host.body) == ("500 Internal Server Error", b"Internal Server Error")
    adapter.close()
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info and r.exc_info[1]] == [
        "not handled"
    ]


def test_gzip_and_cors(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        if request.query_params:
            return StreamingResponse(iter([CONTENT[:5000], CONTENT[5000:]]))
        return Response(CONTENT)

    cors = Middleware(CORSMiddleware, allow_origins=["http://a.example"], allow_methods=["GET"])
    adapter = adapt(site(endpoint, cors, Middleware(GZipMiddleware)))
    for query in ("", "stream=1"):
        headers = {"accept-encoding": "gzip", "origin": "http://a.example"}
        host = Host(headers=headers, QUERY_STRING=query).serve(adapter)
        assert host.header("content-encoding") == "gzip"
        assert host.header("access-control-allow-origin") == "http://a.example"
        assert gzip.decompress(host.body) == CONTENT
    preflight = {"origin": "http://a.example", "access-control-request-method": "GET"}
    host = Host(method="OPTIONS", headers=preflight).serve(adapter)
    assert (host.code, host.header("access-control-allow-methods")) == (200, "GET")


@pytest.mark.clause("D-36")
@pytest.mark.parametrize("middleware", [(), (Middleware(Passing),)], ids=["bare", "wrapped"])
def test_a_background_task_does_not_hold_the_client(
    adapt: Adapt, middleware: tuple[Middleware, ...]
) -> None:
    gate, done = Gate(), Event()

    async def task() -> None:
        await gate()
        done.set()

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("answered", background=BackgroundTask(task))

    adapter = adapt(site(endpoint, *middleware))
    assert Host().serve(adapter).body == b"answered"
    gate.reached()
    assert not done.is_set()
    gate.open()
    adapter.close()  # waits for it
    assert done.is_set()


@pytest.mark.clause("W-CLOSE-02", "D-36")
def test_a_server_that_counts_bytes_does_not_lose_a_background_task(adapt: Adapt) -> None:
    """BaseHTTPMiddleware sends the end of a body in a message of its own."""
    done = Event()

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("answered", background=BackgroundTask(done.set))

    host = Host().call(adapt(site(endpoint, Middleware(Passing))))
    assert host.next() == b"answered"
    host.close()
    done.happens()


@pytest.mark.clause("A-LIFE-10", "D-45")
def test_the_lifespan_and_its_state(adapt: Adapt) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        events.append("startup")
        yield {"connection": "of the pool", "seen": events}
        events.append("shutdown")

    async def endpoint(request: Request) -> Response:
        request.state.seen.append("request")
        request.state.connection += "!"  # in this request alone
        return PlainTextResponse(request.state.connection)

    app = Starlette(routes=[Route("/", endpoint)], lifespan=lifespan)
    with adapt(app, lifespan="on") as adapter:
        assert events == ["startup"]
        for _ in range(2):
            assert Host().serve(adapter).body == b"of the pool!"
    assert events == ["startup", "request", "request", "shutdown"]


@pytest.mark.clause("D-30")
@pytest.mark.parametrize("middleware", [(), (Middleware(Passing),)], ids=["bare", "wrapped"])
def test_server_sent_events_end_when_the_client_leaves(
    adapt: Adapt, middleware: tuple[Middleware, ...]
) -> None:
    """Starlette notices it by the error that the next event raises."""
    ended = Event()

    class Events:
        """No generator: Starlette would leave it to be collected, of which trio complains."""

        def __aiter__(self) -> Events:
            return self

        async def __anext__(self) -> str:
            await anyio.lowlevel.checkpoint()
            return "data: event\n\n"

    class EventsResponse(StreamingResponse):
        async def __call__(self, *args: Any) -> None:
            try:
                await super().__call__(*args)
            finally:
                ended.set()

    async def endpoint(request: Request) -> Response:
        return EventsResponse(Events(), media_type="text/event-stream")

    host = Host().call(adapt(site(endpoint, *middleware)))
    assert [host.next(), host.next()] == [b"data: event\n\n"] * 2
    host.close()
    ended.happens()


@pytest.mark.clause("D-26")
@pytest.mark.parametrize("middleware", [(), (Middleware(Passing),)], ids=["bare", "wrapped"])
def test_an_event_stream_opens_before_its_first_event(
    adapt: Adapt, middleware: tuple[Middleware, ...]
) -> None:
    gate = Gate()

    async def events() -> AsyncIterator[str]:
        await gate()
        yield "data: event\n\n"

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    host = Host().call(adapt(site(endpoint, *middleware)))
    assert host.header("content-type") == "text/event-stream; charset=utf-8"
    assert host.next() == b""
    gate.open()
    assert host.next() == b"data: event\n\n"
    assert host.next() is None
    host.close()


def test_a_client_that_leaves_in_the_body(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        try:
            await request.body()
        except ClientDisconnect:
            return PlainTextResponse("disconnected", 400)
        return PlainTextResponse("whole")

    host = Host([b"ab"], method="POST", length=5).serve(adapt(site(endpoint)))
    assert host.body == b"disconnected"


@pytest.mark.clause("D-04")
def test_urls_are_those_of_the_mount(adapt: Adapt) -> None:
    async def endpoint(request: Request) -> Response:
        return RedirectResponse(request.url_for("named", name="né"))

    app = Starlette(
        routes=[
            Route("/", endpoint),
            Route("/inner/{name}", endpoint, name="named"),
        ]
    )
    host = Host(SCRIPT_NAME="/mounted").serve(adapt(app))
    assert host.header("location") == "http://example.org/mounted/inner/n%C3%A9"
