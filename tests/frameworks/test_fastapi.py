"""FastAPI behind `AsgiToWsgi`: what it adds to Starlette, as an application uses it."""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Request,
    UploadFile,
)
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel
from starlette.responses import Response

from asgi_on_wsgi.apps import Event, Gate
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi

pytestmark = pytest.mark.direction("a2w")

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


class Item(BaseModel):
    name: str
    price: float


def post_json(adapter: AsgiToWsgi, value: object, **environ: Any) -> Host:
    content = json.dumps(value).encode()
    host = Host(content, method="POST", CONTENT_TYPE="application/json", **environ)
    return host.serve(adapter)


@pytest.mark.clause("A-HTTP-17")
def test_a_model_in_and_out(adapt: Adapt) -> None:
    app = FastAPI()

    @app.post("/{number}")
    async def create(number: int, item: Item, query: str = "none") -> dict[str, Any]:
        return {"number": number, "item": item, "query": query}

    adapter = adapt(app)
    host = post_json(adapter, {"name": "a", "price": "1.5"}, path="/7", QUERY_STRING="query=q")
    expected = {"number": 7, "item": {"name": "a", "price": 1.5}, "query": "q"}
    assert json.loads(host.body) == expected
    host = post_json(adapter, {"name": "a"}, path="/7")
    assert (host.code, json.loads(host.body)["detail"][0]["loc"]) == (422, ["body", "price"])
    assert Host(path="/7").serve(adapter).code == 405


def test_a_form_with_files(adapt: Adapt) -> None:
    app = FastAPI()

    @app.post("/")
    async def upload(
        name: Annotated[str, Form()], small: Annotated[bytes, File()], large: UploadFile
    ) -> dict[str, Any]:
        return {"name": name, "small": len(small), "large": len(await large.read())}

    parts: list[bytes] = []
    for disposition, content in (
        (b'name="name"', b"value"),
        (b'name="small"; filename="a"', b"abc"),
        (b'name="large"; filename="b"', b"x" * 2_000_000),  # over a megabyte: in a file
    ):
        parts += [b"--limit\r\ncontent-disposition: form-data; ", disposition, b"\r\n\r\n"]
        parts += [content, b"\r\n"]
    host = Host(
        [*parts, b"--limit--\r\n"],
        method="POST",
        CONTENT_TYPE="multipart/form-data; boundary=limit",
    ).serve(adapt(app))
    assert json.loads(host.body) == {"name": "value", "small": 3, "large": 2_000_000}


@pytest.mark.parametrize("fails", [False, True])
def test_dependencies_that_clean_up(adapt: Adapt, fails: bool) -> None:
    """Sync ones in a thread and async ones, in the right order, also when the endpoint fails."""
    app = FastAPI()
    events: list[str] = []

    async def outer() -> AsyncIterator[str]:
        events.append("outer")
        try:
            yield "of outer"
        finally:
            events.append("outer ends")

    needs_outer = Depends(outer)

    def inner(value: str = needs_outer) -> Iterator[str]:
        events.append("inner")
        try:
            yield f"inner {value}"
        except HTTPException as exc:
            events.append(f"inner sees {exc.status_code}")
            raise
        finally:
            events.append("inner ends")

    needs_inner = Depends(inner)

    @app.get("/")
    def endpoint(value: str = needs_inner) -> str:
        if fails:
            raise HTTPException(409, "conflict")
        return value

    adapter = adapt(app)
    host = Host().serve(adapter)
    adapter.close()
    assert host.body == (b'{"detail":"conflict"}' if fails else b'"inner of outer"')
    sees = ["inner sees 409"] if fails else []
    assert events == ["outer", "inner", *sees, "inner ends", "outer ends"]


@pytest.mark.clause("A-CORE-16")
def test_sync_endpoints_run_in_threads_of_their_own(adapt: Adapt) -> None:
    """They block no other request, and see the context of the server's thread."""
    app = FastAPI()
    arrived = [Event(), Event()]
    threads: set[int] = set()

    @app.get("/{number}")
    def endpoint(number: int) -> str:
        threads.add(threading.get_ident())
        arrived[number].set()
        arrived[1 - number].happens()  # neither would end if they took turns
        return variable.get()

    adapter = adapt(app)
    token = variable.set("set by the server")
    with Host(path="/0").serve_in_thread(adapter) as first:
        host = Host(path="/1").serve(adapter)
    variable.reset(token)
    assert (host.body, first.host.body) == (b'"set by the server"', b'"default"')
    assert len(threads) == 2
    assert threading.get_ident() not in threads


@pytest.mark.clause("D-36")
def test_background_tasks_do_not_hold_the_client(adapt: Adapt) -> None:
    """One after the other, async and sync, after the response."""
    app = FastAPI()
    gate = Gate()
    done: list[str] = []

    async def asynchronous() -> None:
        await gate()
        done.append("async")

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(asynchronous)
        tasks.add_task(done.append, "sync")
        return "answered"

    adapter = adapt(app)
    assert Host().serve(adapter).body == b'"answered"'
    gate.reached()
    assert done == []
    gate.open()
    adapter.close()
    assert done == ["async", "sync"]


@pytest.mark.clause("A-LIFE-10", "D-45")
def test_the_lifespan_begins_with_the_first_request(adapt: Adapt) -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("startup")
        yield {"name": "of the lifespan"}
        events.append("shutdown")

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def endpoint(request: Request) -> str:
        events.append("request")
        return str(request.state.name)

    adapter = adapt(app)
    assert events == []
    for _ in range(2):
        assert Host().serve(adapter).body == b'"of the lifespan"'
    adapter.close()
    assert events == ["startup", "request", "request", "shutdown"]


@pytest.mark.clause("D-27")
def test_errors(adapt: Adapt, caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.exception_handler(KeyError)
    async def handler(request: Request, exc: KeyError) -> Response:
        return PlainTextResponse(f"no {exc.args[0]}", 404)

    @app.get("/handled")
    async def handled() -> None:
        raise KeyError("thing")

    @app.get("/late")
    async def late() -> Response:
        def blocks() -> Iterator[bytes]:
            yield b"first"
            raise ZeroDivisionError("late")

        return StreamingResponse(blocks())

    adapter = adapt(app)
    host = Host(path="/handled").serve(adapter)
    assert (host.code, host.body) == (404, b"no thing")
    host = Host(path="/late")
    with pytest.raises(ZeroDivisionError, match="late"):
        host.serve(adapter)
    assert host.body == b"first"


def test_middleware_around_a_stream(adapt: Adapt) -> None:
    app = FastAPI()

    @app.middleware("http")
    async def middleware(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-method"] = request.method
        return response

    @app.get("/")
    async def endpoint() -> Response:
        return StreamingResponse(iter([b"a" * 300_000, b"b" * 300_000]))

    host = Host().serve(adapt(app))
    assert host.body == b"a" * 300_000 + b"b" * 300_000
    assert host.header("x-method") == "GET"


@pytest.mark.clause("D-04")
def test_the_documentation_knows_where_it_is_mounted(adapt: Adapt) -> None:
    adapter = adapt(FastAPI(title="Mounted"))
    host = Host(path="/docs", SCRIPT_NAME="/api").serve(adapter)
    assert b"/api/openapi.json" in host.body
    host = Host(path="/openapi.json", SCRIPT_NAME="/api").serve(adapter)
    assert json.loads(host.body)["servers"] == [{"url": "/api"}]
