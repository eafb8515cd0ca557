"""The event loop that all adapters of a process share, and the threads around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio

from asgi_on_wsgi.apps import (
    Event,
    Recorder,
    awhile,
    body,
    http,
    living,
    sending,
    start,
    started,
    stopped,
)
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.threads import Thread
from gatebridge import AsgiToWsgi
from gatebridge._concurrency.loop_handle import current_loop
from gatebridge.errors import AsgiAppError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


def noting(loops: list[Any]) -> Any:
    """Return an application that notes the loop of its lifespan and of each request."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(current_loop().loop)
        if scope["type"] == "lifespan":
            await started(receive, send)
            await stopped(receive, send)
        else:
            await sending(start(), body(b"ok"))(scope, receive, send)

    return app


def background_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("gatebridge")]


# --- which loop -----------------------------------------------------------------------------------


@pytest.mark.clause("A-CORE-18", "A-LIFE-09")
def test_all_adapters_share_one_loop_for_all_they_do(adapt: Adapt) -> None:
    loops: list[Any] = []
    first, second = adapt(noting(loops)), adapt(noting(loops))
    for adapter in (first, second, first):
        Host().serve(adapter)
    assert len(loops) == 5
    assert len({id(loop) for loop in loops}) == 1
    assert len(background_threads()) == 1


@pytest.mark.clause("A-CORE-18")
def test_the_loop_is_that_of_the_backend(adapt: Adapt, anyio_backend: Any) -> None:
    found: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(sniffio.current_async_library())
        found.append(type(current_loop().loop).__module__.split(".")[0])
        await sending(start(), body())(scope, receive, send)

    Host().serve(adapt(app))
    backend, options = anyio_backend
    assert found == [backend, "uvloop" if options.get("use_uvloop") else backend]


@pytest.mark.clause("A-CORE-18")
def test_the_loop_is_one_of_asyncio_unless_the_user_asks_for_another() -> None:
    loops: list[Any] = []
    with AsgiToWsgi(noting(loops)) as adapter:
        Host().serve(adapter)
    assert isinstance(loops[0], asyncio.AbstractEventLoop)


@pytest.mark.clause("A-CORE-18")
def test_other_options_are_another_loop(adapt: Adapt) -> None:
    loops: list[Any] = []
    options: list[dict[str, Any]] = [
        {"backend": "asyncio", "backend_options": {}},
        {"backend": "asyncio", "backend_options": {"debug": False}},
        {"backend": "trio", "backend_options": {}},
        {"backend": "asyncio", "backend_options": {}},
    ]
    for arguments in options:
        Host().serve(adapt(noting(loops), lifespan="off", **arguments))
    assert loops[0] is loops[3]
    assert len({id(loop) for loop in loops}) == 3


@pytest.mark.clause("A-CORE-18")
def test_nothing_is_started_before_the_first_use(adapt: Adapt) -> None:
    threads = threading.active_count()
    adapters = [adapt(Recorder()), adapt(Recorder())]
    assert threading.active_count() == threads
    Host().serve(adapters[0])
    Host().serve(adapters[1])
    assert threading.active_count() == threads + 1


@pytest.mark.clause("A-LIFE-09")
def test_the_last_user_stops_the_loop(adapt: Adapt) -> None:
    first, second = adapt(Recorder()), adapt(Recorder())
    first.startup()
    second.startup()
    (thread,) = background_threads()
    first.close()
    assert Host().serve(second).body == b"ok"
    assert background_threads() == [thread]
    second.close()
    assert not thread.is_alive()


@pytest.mark.clause("A-LIFE-09")
def test_a_loop_that_was_stopped_is_followed_by_another(adapt: Adapt) -> None:
    loops: list[Any] = []
    adapter = adapt(noting(loops), lifespan="off")
    for _ in range(2):
        adapter.startup()
        Host().serve(adapter)
        adapter.close()
    assert loops[0] is not loops[1]


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.clause("C-16", "A-CORE-18")
def test_many_threads_at_once(adapt: Adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread per request; ``ASGI_THREADS`` does not matter."""
    monkeypatch.setenv("ASGI_THREADS", "1")
    counts: set[int] = set()
    shared: set[int] = set()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        counts.add(threading.active_count())
        shared.add(threading.get_ident())
        message = await receive()
        await send(start())
        await send(body(scope["path"].encode() + b" ", more=True))
        await send(body(message["body"]))

    adapter = adapt(app)
    before = threading.active_count()
    all_there = threading.Barrier(50)

    def serve(number: int) -> None:
        all_there.wait(HANG)
        for request in range(50):
            path = f"/{number}/{request}"
            host = Host(path.encode(), method="POST", path=path)
            assert host.serve(adapter).body == f"{path} {path}".encode()

    threads = [Thread(lambda number=number: serve(number)) for number in range(50)]  # type: ignore[misc]
    for thread in threads:
        thread.join(60)
    assert len(shared) == 1
    assert max(counts) <= before + len(threads) + 1
    assert threading.active_count() == before + 1


@pytest.mark.clause("C-16")
def test_as_many_requests_run_at_once_as_the_server_has_threads(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGI_THREADS", "1")
    all_there: list[anyio.Event] = []
    waiting: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not waiting:
            all_there.append(anyio.Event())
        waiting.append(scope["path"])
        if len(waiting) == 30:
            all_there[0].set()
        with anyio.fail_after(HANG):
            await all_there[0].wait()
        await sending(start(), body(b"ok"))(scope, receive, send)

    adapter = adapt(app)
    for serving in [Host().serve_in_thread(adapter) for _ in range(30)]:
        assert serving.join().body == b"ok"


# --- the loop's own thread ------------------------------------------------------------------------


def calls_of(adapter: AsgiToWsgi) -> list[Callable[[], object]]:
    def call() -> object:
        return adapter(Host().environ, lambda *args: print)

    return [call, adapter.startup, adapter.close]


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(UnavailableError, match="called on its own thread"):
        call()


@pytest.mark.clause("D-48")
@pytest.mark.parametrize("which", [0, 1, 2], ids=["call", "startup", "close"])
@pytest.mark.parametrize("state", ["same", "another", "unused"])
def test_on_the_thread_of_its_own_loop_it_is_an_error_at_once(
    adapt: Adapt, which: int, state: str
) -> None:
    """Through the same adapter, through another one of this loop, and at that one's first use."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        refused(calls_of(adapter if state == "same" else other)[which])
        await sending(start(), body(b"refused"))(scope, receive, send)

    adapter, other = adapt(app), adapt(Recorder())
    if state == "another":
        other.startup()
    assert Host().serve(adapter).body == b"refused"
    assert Host().serve(other).body == b"ok"  # it did no harm


@pytest.mark.clause("D-48")
@pytest.mark.parametrize("which", [0, 1, 2], ids=["call", "startup", "close"])
@pytest.mark.parametrize("event", ["startup", "shutdown"])
def test_in_its_own_lifespan_it_is_an_error_at_once(adapt: Adapt, which: int, event: str) -> None:
    """While another thread holds the lock, and waits for this one."""
    tried: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        for name in ("startup", "shutdown"):
            await receive()
            if event == name:
                refused(calls_of(adapter)[which])
                tried.append(name)
            await send({"type": f"lifespan.{name}.complete"})

    adapter = adapt(living(lifespan), lifespan="on")
    with adapter:
        assert Host().serve(adapter).body == b"ok"
    assert tried == [event]


@pytest.mark.clause("D-48")
@pytest.mark.parametrize("which", [0, 1, 2], ids=["call", "startup", "close"])
def test_while_another_adapter_starts_up_it_is_an_error_at_once(adapt: Adapt, which: int) -> None:
    """A request of the first on the loop that the second one's startup waits for."""
    begun, tried = Event(), Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await awhile(tried)
        await started(receive, send)
        await stopped(receive, send)

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await awhile(begun)
        refused(calls_of(other)[which])
        tried.set()
        await sending(start(), body(b"refused"))(scope, receive, send)

    adapter, other = adapt(app), adapt(living(lifespan), lifespan="on")
    adapter.startup()
    starting = Thread(other.startup)
    assert Host().serve(adapter).body == b"refused"
    starting.join()


@pytest.mark.clause("D-48")
def test_an_application_may_call_an_adapter_in_a_worker_thread(adapt: Adapt) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        host = await anyio.to_thread.run_sync(lambda: Host().serve(other))
        await sending(start(), body(host.body))(scope, receive, send)

    adapter, other = adapt(app), adapt(sending(start(), body(b"inner")))
    assert Host().serve(adapter).body == b"inner"


@pytest.mark.clause("D-48")
def test_on_the_thread_of_another_loop_it_works(adapt: Adapt) -> None:
    adapter = adapt(Recorder())

    async def main() -> bytes:
        return Host().serve(adapter).body

    assert asyncio.run(main()) == b"ok"


# --- a loop that is ended by an error -------------------------------------------------------------


@pytest.mark.parametrize("use_uvloop", [False, True])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_task_that_ends_the_loop_is_an_error_for_all_who_wait(
    caplog: pytest.LogCaptureFixture, error: BaseException, use_uvloop: bool
) -> None:
    """Asyncio lets these two out of any task. The next request has a new loop, a new lifespan."""
    pytest.importorskip("uvloop") if use_uvloop else None
    events: list[str] = []
    waiting: list[str] = []
    all_there = Event()

    async def raise_() -> None:
        raise error

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        events.append("startup")
        await started(receive, send)
        try:
            await stopped(receive, send)
            events.append("shutdown")
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ok":
            await sending(start(), body(b"ok"))(scope, receive, send)
            return
        if scope["path"] == "/streams":
            await send(start())
            await send(body(b"a", more=True))
        waiting.append(scope["path"])
        if len(waiting) == 5:
            all_there.set()
        await awhile(all_there)
        if scope["path"] == "/end":
            task = asyncio.create_task(raise_())
            tasks.append(task)
        await asyncio.sleep(HANG)

    tasks: list[Any] = []
    options = {"use_uvloop": use_uvloop}
    adapter = AsgiToWsgi(living(lifespan, respond), backend_options=options)
    other = AsgiToWsgi(living(lifespan), backend_options=options)
    other.startup()
    (thread,) = background_threads()
    host = Host(path="/streams").call(adapter)
    paths = ["/waits", "/waits", "/waits", "/end"]
    for serving in [Host(path=path).serve_in_thread(adapter) for path in paths]:
        with pytest.raises((UnavailableError, AsgiAppError)):
            serving.join()
    assert host.next() == b"a"
    with pytest.raises((UnavailableError, AsgiAppError)):
        host.next()
    host.close()
    thread.join(HANG)  # what comes while the loop is just ending has an error as well
    for each in (adapter, other):
        assert Host(path="/ok").serve(each).body == b"ok"
    assert len(background_threads()) == 1
    adapter.close()
    other.close()
    assert sorted(events) == ["cancelled"] * 2 + ["shutdown"] * 2 + ["startup"] * 4
    assert events.index("cancelled") > 1
    assert background_threads() == []
    (record,) = [r for r in caplog.records if r.levelname == "CRITICAL"]
    assert record.getMessage() == "the event loop was ended by an error"
    assert [task.exception() for task in tasks] == [error]
    Host.all.clear()


def test_closing_after_the_loop_has_ended_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def exit_() -> None:
        raise SystemExit(3)

    tasks: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.create_task(exit_()))
        await asyncio.sleep(HANG)

    adapter = AsgiToWsgi(app)
    with pytest.raises((UnavailableError, AsgiAppError)):
        adapter(Host().environ, lambda *args: print)
    adapter.close()
    assert background_threads() == []
    assert isinstance(tasks[0].exception(), SystemExit)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_request_that_raises_what_ends_a_process_ends_itself_only(
    adapt: Adapt, error: BaseException
) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/exit":
            raise error
        await sending(start(), body(b"ok"))(scope, receive, send)

    adapter = adapt(app)
    with pytest.raises(AsgiAppError) as caught:
        adapter(Host(path="/exit").environ, lambda *args: print)
    assert caught.value.__cause__ is error
    assert Host().serve(adapter).body == b"ok"
