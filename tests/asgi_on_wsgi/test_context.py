"""What a request carries with it into the application: its context, and the server's environ."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from asgi_on_wsgi.apps import Gate, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from asgi_on_wsgi.threads import Thread
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("W-CALL-03")]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def serve_with(value: str, host: Host, adapter: Any) -> contextvars.Context:
    """Serve a request in a context with this value, and return the context as it is then."""
    context = contextvars.copy_context()
    context.run(variable.set, value)
    context.run(host.serve, adapter)
    return context


def test_the_context_of_the_server_flows_in(adapt: Adapt) -> None:
    """Into the application, its tasks and its threads, and into what it does afterwards."""
    seen: list[str] = []
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def note() -> None:
            seen.append(variable.get())

        await note()
        async with anyio.create_task_group() as group:
            group.start_soon(note)
        seen.append(await anyio.to_thread.run_sync(variable.get))
        await send(start())
        await send(body(b"a", more=True))
        await note()
        await send(body(b"b"))
        await gate()
        await note()

    adapter = adapt(app)
    serve_with("of the server", Host(), adapter)
    gate.reached()
    gate.open()
    adapter.close()
    assert seen == ["of the server"] * 5


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_server_within_another_event_loop_does_no_harm(adapt: Adapt, kind: str) -> None:
    """It may have left a note of its kind in the context of the server's thread."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.lowlevel.checkpoint()
        await sending(start(), body(b"slept"))(scope, receive, send)

    adapter, host = adapt(app), Host()

    async def main() -> None:
        context = contextvars.copy_context()
        Thread(lambda: context.run(host.serve, adapter)).join()

    anyio.run(main, backend=kind)
    assert host.body == b"slept"


def test_what_the_application_sets_stays_with_the_request(adapt: Adapt) -> None:
    seen: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        variable.set("of the app")
        await sending(start(), body(b"x", more=True), body())(scope, receive, send)
        seen.append(variable.get())

    adapter = adapt(app)
    context = serve_with("of the server", Host(), adapter)
    assert context[variable] == "of the server"
    Host().serve(adapter)
    adapter.close()
    assert sorted(seen) == ["default", "of the app", "of the app", "of the server"]


def test_each_of_many_requests_has_its_own_context(adapt: Adapt) -> None:
    """Also the first one, which starts the loop: its context is not that of the loop."""
    arrived = threading.Barrier(4)
    seen: dict[str, list[str]] = {}

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        values = seen[scope["path"]] = [variable.get()]
        await anyio.to_thread.run_sync(arrived.wait, 5)
        values.append(variable.get())
        await sending(start(), body(b"x"))(scope, receive, send)

    adapter = adapt(app)
    paths = [f"/{number}" for number in range(4)]
    threads = [
        threading.Thread(target=serve_with, args=(path, Host(path=path), adapter), daemon=True)
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert seen == {path: [path, path] for path in paths}


def test_the_lifespan_has_no_requests_context(adapt: Adapt) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await sending(start(), body(b"x"))(scope, receive, send)

    serve_with("of the first request", Host(), adapt(app))
    assert seen == ["default", "of the first request"]


@pytest.mark.clause("C-06", "D-18")
def test_the_environ_is_reachable_from_the_scope(adapt: Adapt) -> None:
    """The very object, with whatever the server has put into it."""
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["wsgi_environ"])
        await sending(start(), body(b"x"))(scope, receive, send)

    host = Host(**{"server.key": object()})  # type: ignore[arg-type]
    host.serve(adapt(app))
    assert seen[0] is host.environ


@pytest.mark.clause("D-18")
def test_the_servers_callables_are_not(adapt: Adapt) -> None:
    scopes: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(start(), body(b"x"))(scope, receive, send)

    host = Host().serve(adapt(app))
    values = [*scopes[0].values(), *scopes[0]["extensions"].values(), *host.environ.values()]
    assert host._start_response not in values
    assert set(scopes[0]) == {
        "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "root_path",
        "query_string", "headers", "client", "server", "state", "extensions", "wsgi_environ",
    }  # fmt: skip
