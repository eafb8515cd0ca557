"""How the application is called, and what the server is given."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import pytest

from asgi_on_wsgi.apps import Event, Gate, Recorder, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG, Host
from gatebridge import AsgiToWsgi
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


# --- what the server is given ---------------------------------------------------------------------


@pytest.mark.clause("W-CALL-05", "W-CALL-07", "W-CALL-13", "W-BODY-06", "D-26")
def test_a_complete_response_is_a_list_of_one_block(adapt: Adapt) -> None:
    """`Host` objects to a call of ``write``, and to ``start_response`` called in any other way."""
    host = Host().serve(adapt(sending(start(), body(b"hello"))))
    assert host.result == [b"hello"]
    assert (host.status, host.headers) == ("200 OK", [("content-type", "text/plain")])


@pytest.mark.clause("W-CALL-05", "D-26")
def test_an_empty_response_is_an_empty_list(adapt: Adapt) -> None:
    assert Host().serve(adapt(sending(start(), body()))).result == []


@pytest.mark.clause("W-CALL-05", "W-CALL-07", "W-CALL-13", "W-BODY-06")
def test_a_streamed_response_is_an_iterator(adapt: Adapt) -> None:
    parts = [body(b"a", more=True), body(b"", more=True), body(b"b", more=True), body(b"c")]
    host = Host().serve(adapt(sending(start(), *parts)))
    assert host.blocks == [b"a", b"b", b"c"]


@pytest.mark.clause("W-CALL-05", "W-CALL-07", "D-26")
@pytest.mark.parametrize("first", [b"", b"a"])
def test_a_response_under_way_is_begun_before_the_iterator_is_returned(
    adapt: Adapt, first: bytes
) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(first, more=True))
        await gate()
        await send(body(b"b"))

    host = Host().call(adapt(app))
    gate.reached()
    assert host.status == "200 OK"
    assert callable(host.result.close)
    gate.open()
    blocks = []
    while (block := host.next()) is not None:
        blocks.append(block)
    host.close()
    assert blocks == [first, b"b"]  # at an empty one, servers send the headers


@pytest.mark.clause("W-CALL-10", "W-CLOSE-02")
@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_the_iterator_need_not_be_consumed(adapt: Adapt, taken: int, how: str) -> None:
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(start())
            while True:
                await send(body(b"x" * 1024, more=True))
        finally:
            ended.set()

    host = Host().call(adapt(app, window_bytes=4096))
    for _ in range(taken):
        assert host.next() == b"x" * 1024
    if how == "closed":
        host.close()
    else:
        host.result = host._iterator = None
        gc.collect()
    ended.happens()


@pytest.mark.clause("W-CLOSE-02")
@pytest.mark.parametrize("parts", [(b"a",), (b"a", b"b"), (b"a", b"b", b"c")])
def test_close_may_be_called_often_and_at_any_time(adapt: Adapt, parts: tuple[bytes, ...]) -> None:
    messages = [body(part, more=True) for part in parts[:-1]]
    adapter = adapt(sending(start(), *messages, body(parts[-1])))
    for taken in range(len(parts) + 1):
        host = Host().call(adapter)
        for _ in range(taken):
            host.next()
        host.close()
        host.close()
        if type(host.result) is not list:
            assert next(host.result, None) is None
            assert next(host.result, None) is None


@pytest.mark.clause("W-CLOSE-02", "D-36")
def test_close_does_not_wait_for_the_application(adapt: Adapt) -> None:
    gate, ended = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await gate()
        ended.set()

    host = Host().call(adapt(app))
    gate.reached()
    host.close()
    assert not ended.is_set()
    gate.open()
    ended.happens()


@pytest.mark.clause("D-36", "A-HTTP-26", "W-CLOSE-02")
@pytest.mark.parametrize("streamed", [False, True])
def test_work_after_the_response_does_not_hold_the_client(adapt: Adapt, streamed: bool) -> None:
    gate, done = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        if streamed:
            await send(body(b"a", more=True))
        await send(body(b"b"))
        await gate()
        done.set()

    adapter = adapt(app, shutdown_timeout=HANG)
    host = Host().serve(adapter)
    assert host.body == (b"ab" if streamed else b"b")
    gate.reached()
    assert not done.is_set()
    gate.open()
    adapter.close()
    assert done.is_set()


# --- how the application is called ----------------------------------------------------------------


@pytest.mark.clause("A-CORE-01", "W-CALL-03", "A-CORE-02")
def test_each_request_calls_the_application_once(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    for path in ("/a", "/b"):
        assert Host(path=path).serve(adapter).body == b"ok"
    assert [scope["path"] for scope in app.scopes] == ["/a", "/b"]
    assert [type(scope) for scope in app.scopes] == [dict, dict]
    assert app.scopes[0] is not app.scopes[1]


@pytest.mark.clause("A-CORE-01")
def test_the_arguments_are_positional(adapt: Adapt) -> None:
    async def app(a: Any, b: Any, c: Any, /) -> None:
        if a["type"] != "http":
            raise NotImplementedError
        await c(start())
        await c(body(b"x"))

    assert Host().serve(adapt(app)).body == b"x"


@pytest.mark.clause("A-CORE-01")
def test_what_the_application_returns_is_ignored_with_a_record(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        await send(start())
        await send(body(b"x"))
        return ["of the app"]

    adapter = adapt(app, lifespan="off")
    assert Host(path="/returns").serve(adapter).body == b"x"
    adapter.close()
    (message,) = caplog.messages
    assert "returned" in message
    assert "GET '/returns'" in message


@pytest.mark.clause("A-CORE-01")
def test_any_awaitable_will_do(adapt: Adapt) -> None:
    class Call:
        def __init__(self, *arguments: Any) -> None:
            self._arguments = arguments

        def __await__(self) -> Any:
            return sending(start(), body(b"x"))(*self._arguments).__await__()

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[Any]:
        return Call(scope, receive, send)

    assert Host().serve(adapt(app)).body == b"x"


@pytest.mark.clause("W-CALL-03")
def test_many_server_threads_at_once_do_not_meet(adapt: Adapt) -> None:
    """All requests are in the application at the same time, and each gets its own response."""
    count = 8
    arrived = threading.Barrier(count)
    all_there = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await anyio.to_thread.run_sync(arrived.wait, HANG)
        all_there.set()
        await send(start(200, (b"x-path", scope["path"].encode())))
        await send(body(message["body"], more=True))
        await send(body(scope["path"].encode()))

    adapter = adapt(app)
    hosts = [Host(f"{number},".encode(), path=f"/{number}") for number in range(count)]
    for served in [host.serve_in_thread(adapter) for host in hosts]:
        served.join()
    all_there.happens()
    assert [host.body for host in hosts] == [b"%d,/%d" % (i, i) for i in range(count)]
    assert [host.header("x-path") for host in hosts] == [f"/{i}" for i in range(count)]


@pytest.mark.clause("C-16")
def test_no_environment_variable_sets_a_number_of_threads(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGI_THREADS", "1")
    gates = {"/a": Gate(), "/b": Gate()}

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gates[scope["path"]]()
        await sending(start(), body(b"x"))(scope, receive, send)

    adapter = adapt(app)
    with Host(path="/a").serve_in_thread(adapter), Host(path="/b").serve_in_thread(adapter):
        for gate in gates.values():
            gate.reached()
        for gate in gates.values():
            gate.open()


@pytest.mark.clause("A-CORE-18")
def test_all_requests_run_on_one_loop(adapt: Adapt, anyio_backend: tuple[str, Any]) -> None:
    loops: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(_current_loop(anyio_backend[0]))
        await sending(start(), body(b"x"))(scope, receive, send)

    adapters = adapt(app), adapt(app)
    for adapter in (*adapters, *adapters):
        with Host().serve_in_thread(adapter):
            pass
    assert len(loops) == 4
    assert all(loop is loops[0] for loop in loops)


@pytest.mark.clause("A-CORE-18")
def test_the_loop_is_one_of_asyncio_by_default() -> None:
    loops: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await sending(start(), body(b"x"))(scope, receive, send)

    with AsgiToWsgi(app) as adapter:
        Host().serve(adapter)
    assert len(loops) == 1


def _current_loop(backend: str) -> Any:
    if backend == "asyncio":
        return asyncio.get_running_loop()
    import trio

    return trio.lowlevel.current_trio_token()


@pytest.mark.clause("A-HTTP-17", "A-CORE-18", "D-51")
def test_the_request_message_comes_without_a_body(adapt: Adapt) -> None:
    received: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        await send(start())
        await send(body(b"x"))

    host = Host().serve(adapt(app))
    assert received == [{"type": "http.request", "body": b"", "more_body": False}]
    assert host.input.sizes == []


# --- applications of another kind -----------------------------------------------------------------


class Asgi2Class:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


def asgi2_function(scope: Any) -> Callable[[Any, Any], Awaitable[None]]:
    return Asgi2Class(scope)


@pytest.mark.clause("A-CORE-16", "D-46")
@pytest.mark.parametrize("app", [Asgi2Class, asgi2_function])
def test_an_asgi_2_application_is_refused(app: Any) -> None:
    with pytest.raises(TypeError, match=r"asgiref\.compatibility"):
        AsgiToWsgi(app)


@pytest.mark.clause("A-CORE-16", "D-46")
def test_what_is_no_application_is_refused() -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        return []

    for app in (wsgi, None, "module:app"):
        with pytest.raises(TypeError):
            AsgiToWsgi(app)  # type: ignore[arg-type]
