"""Flask behind `WsgiToAsgi`, above all its ``async`` views, which asgiref runs in the worker."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import flask
import pytest

from wsgi_on_asgi.apps import Gate, adapter, statistics_say
from wsgi_on_asgi.host import Host, in_background

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CALL-02")]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def with_variable(app: Any, value: str) -> Any:
    """Return an ASGI middleware that sets the variable."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        variable.set(value)
        await app(scope, receive, send)
        assert variable.get() == value

    return middleware


async def test_an_async_view_has_an_event_loop_of_its_own() -> None:
    """Also where the server's loop is trio: it can sleep, and start tasks."""
    site = flask.Flask(__name__)

    @site.get("/")
    async def view() -> str:
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        numbers = await asyncio.gather(*[double(number) for number in range(3)])
        return f"{numbers} of {asyncio.get_running_loop().is_running()}"

    served = adapter(site)
    for _ in range(2):
        host = Host()
        await host.serve(served)
        assert (host.status, host.body) == (200, b"[0, 2, 4] of True")


async def test_an_async_view_is_in_the_requests_context() -> None:
    """With Flask's own proxies and the server's context; what is not async stays in one thread."""
    site = flask.Flask(__name__)
    threads: dict[str, int] = {}

    @site.before_request
    def before() -> None:
        threads["before"] = threading.get_ident()

    @site.before_request
    async def before_async() -> None:
        flask.g.seen = [variable.get()]

    @site.post("/<name>")
    async def view(name: str) -> str:
        await asyncio.sleep(0)
        flask.g.seen.append(variable.get())
        variable.set("set in the view")
        return f"{name} {flask.request.get_data(as_text=True)}"

    @site.after_request
    def after(response: flask.Response) -> flask.Response:
        flask.g.seen.append(variable.get())
        threads["after"] = threading.get_ident()
        response.headers["seen"] = ", ".join(flask.g.seen)
        return response

    host = Host(b"bo", b"dy", path="/name", method="POST", headers=[(b"content-length", b"4")])
    await host.serve(with_variable(adapter(site), "set outside"))
    assert host.body == b"name body"
    assert dict(host.headers)[b"seen"] == b"set outside, set outside, set in the view"
    assert len(set(threads.values())) == 1
    assert threads["after"] != threading.get_ident()


async def test_async_views_run_at_the_same_time() -> None:
    """Each waits for all others, so that none would end if one kept the server's loop."""
    gates = {f"/{number}": Gate() for number in range(4)}
    site = flask.Flask(__name__)

    @site.get("/<number>")
    async def view(number: str) -> str:
        await asyncio.sleep(0)
        await asyncio.to_thread(gates[f"/{number}"])
        return number

    served = adapter(site, threads=4)
    hosts = [Host(path=path) for path in gates]
    async with in_background(served, hosts):
        for gate in gates.values():
            await gate.reached()
        await statistics_say(served, running=4)
        for gate in gates.values():
            gate.open()
    assert [host.body for host in hosts] == [b"0", b"1", b"2", b"3"]


@pytest.mark.clause("W-CLOSE-01")
async def test_an_async_view_streams_in_its_context() -> None:
    site = flask.Flask(__name__)
    closes: list[str] = []

    @site.get("/<name>")
    async def view(name: str) -> flask.Response:
        variable.set(f"set for {name}")

        @flask.stream_with_context
        def blocks() -> Iterator[str]:
            try:
                yield flask.request.path
                yield f" {variable.get()}"
            finally:
                closes.append(flask.request.path)

        response = flask.Response(blocks())
        response.call_on_close(lambda: closes.append("response"))
        return response

    host = Host(path="/name")
    await host.serve(adapter(site))
    assert host.body == b"/name set for name"
    assert closes == ["/name", "response"]


@pytest.mark.clause("W-ERR-01")
@pytest.mark.parametrize("propagates", [True, False])
async def test_an_error_in_an_async_view(propagates: bool) -> None:
    """Flask answers 500 by itself, or lets it through to the server."""
    site = flask.Flask(__name__)
    site.config["PROPAGATE_EXCEPTIONS"] = propagates

    @site.get("/")
    async def view() -> str:
        await asyncio.sleep(0)
        raise ZeroDivisionError("of the view")

    host = Host()
    if propagates:
        with pytest.raises(ZeroDivisionError, match="of the view"):
            await host.serve(adapter(site))
    else:
        await host.serve(adapter(site))
        assert host.status == 500


@pytest.mark.clause("W-CLOSE-01", "D-30")
async def test_the_request_is_torn_down_when_the_client_leaves_a_stream() -> None:
    site = flask.Flask(__name__)
    ended = threading.Event()
    teardowns: list[str] = []

    @site.teardown_request
    def teardown(error: BaseException | None) -> None:
        teardowns.append(flask.request.path)

    @site.get("/endless")
    async def view() -> flask.Response:
        @flask.stream_with_context
        def blocks() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 1024
            finally:
                ended.set()

        return flask.Response(blocks())

    served = adapter(site)
    host = Host(path="/endless")
    async with host.background(served):
        await host.until(lambda: "body" in host.types)
        host.disconnect()
    await statistics_say(served, running=0, stalled=0)
    assert (host.error, ended.is_set(), set(teardowns)) == (None, True, {"/endless"})


@pytest.mark.clause("C-05", "A-LIFE-10")
async def test_lifespan_state_is_at_hand_in_a_view() -> None:
    site = flask.Flask(__name__)
    pool = object()
    seen: list[Any] = []

    @site.get("/")
    async def view() -> str:
        seen.append(flask.request.environ["asgi.scope"]["state"]["pool"])
        return ""

    await Host(state={"pool": pool}).serve(adapter(site))
    assert seen[0] is pool
