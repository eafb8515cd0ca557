"""What `AsgiToWsgi.close` does: with requests, background tasks, threads, and nobody to call it."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

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
from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge.errors import LifespanError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


# --- once, by whoever comes -----------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-05")
def test_closing_twice_does_nothing(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    adapter.close()
    assert app.events == []
    adapter.startup()
    adapter.close()
    adapter.close()
    assert app.events == ["startup", "shutdown"]


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06")
def test_two_threads_that_close_shut_down_once_and_both_wait(adapt: Adapt) -> None:
    begun, may_go_on = Event(), Event()
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        events.append("shutdown")
        begun.set()
        await awhile(may_go_on)
        events.append("complete")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = adapt(living(lifespan), shutdown_timeout=HANG)
    adapter.startup()

    def close() -> None:
        adapter.close()
        events.append("closed")

    threads = [Thread(close) for _ in range(4)]
    begun.happens()
    assert events == ["shutdown"]
    may_go_on.set()
    for thread in threads:
        thread.join()
    assert events == ["shutdown", "complete", *["closed"] * 4]


@pytest.mark.clause("A-LIFE-05")
def test_a_closed_adapter_refuses_requests_until_it_is_started_up_again(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    for _ in range(2):
        adapter.startup()
        Host().serve(adapter)
        adapter.close()
        with pytest.raises(UnavailableError, match="the adapter was closed"):
            adapter(Host().environ, lambda *args: print)
    assert app.events == ["startup", "request", "shutdown"] * 2


@pytest.mark.clause("A-LIFE-05")
def test_an_adapter_closed_before_its_first_use_refuses_requests(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    adapter.close()
    with pytest.raises(UnavailableError):
        adapter(Host().environ, lambda *args: print)
    assert app.events == []
    assert [t for t in threading.enumerate() if t.name.startswith("gatebridge")] == []


def test_the_with_statement_starts_up_and_closes(adapt: Adapt) -> None:
    app = Recorder()
    with adapt(app) as adapter:
        assert app.events == ["startup"]
        Host().serve(adapter)
    assert app.events == ["startup", "request", "shutdown"]
    with pytest.raises(ZeroDivisionError), adapter:
        _ = 1 / 0
    assert app.events[3:] == ["startup", "shutdown"]


@pytest.mark.clause("A-LIFE-05")
def test_an_adapter_that_is_forgotten_shuts_down(adapt: Adapt, anyio_backend: Any) -> None:
    """It was collected, and nobody closed it."""
    from gatebridge import AsgiToWsgi

    done = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        done.set()

    backend, options = anyio_backend
    adapter = AsgiToWsgi(living(lifespan), backend=backend, backend_options=options)
    reference = weakref.ref(adapter)
    Host().serve(adapter)
    (thread,) = [t for t in threading.enumerate() if t.name.startswith("gatebridge")]
    Host.all.clear()
    del adapter
    gc.collect()
    assert reference() is None
    done.happens()
    thread.join(HANG)
    assert not thread.is_alive()


@pytest.mark.clause("A-LIFE-07")
def test_a_failing_shutdown_of_a_forgotten_adapter_is_logged(
    caplog: pytest.LogCaptureFixture, anyio_backend: Any
) -> None:
    from gatebridge import AsgiToWsgi

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    backend, options = anyio_backend
    adapter = AsgiToWsgi(living(lifespan), backend=backend, backend_options=options)
    adapter.startup()
    (thread,) = [t for t in threading.enumerate() if t.name.startswith("gatebridge")]
    del adapter
    gc.collect()
    thread.join(HANG)
    assert not thread.is_alive()
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "lifespan.shutdown.failed: stuck")
    ]


def test_a_closed_adapter_keeps_nothing_of_its_sessions(adapt: Adapt) -> None:
    """However often it is opened and closed."""
    adapter = adapt(Recorder())
    sessions = []
    for _ in range(3):
        adapter.startup()
        sessions.append(weakref.ref(adapter._processes.get().session))
        adapter.close()
    gc.collect()
    assert [session() for session in sessions] == [None] * 3


# --- a shutdown that fails ------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-07", "A-LIFE-11")
@pytest.mark.parametrize(
    ("more", "reason"), [({"message": "stuck"}, "stuck"), ({}, "no reason given")]
)
def test_a_failing_shutdown_is_raised_when_all_is_released(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, more: dict[str, Any], reason: str
) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        await send({"type": "lifespan.shutdown.failed", **more})

    adapter = adapt(living(lifespan))
    adapter.startup()
    with pytest.raises(LifespanError) as caught:
        adapter.close()
    assert str(caught.value) == f"lifespan.shutdown.failed: {reason}"
    assert [t for t in threading.enumerate() if t.name.startswith("gatebridge")] == []
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", f"lifespan.shutdown.failed: {reason}")
    ]
    adapter.close()
    adapter.startup()
    with pytest.raises(LifespanError):
        adapter.close()


@pytest.mark.clause("A-LIFE-07")
def test_a_shutdown_that_raises_is_an_error(adapt: Adapt) -> None:
    error = RuntimeError("broken")

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        raise error

    adapter = adapt(living(lifespan))
    adapter.startup()
    with pytest.raises(LifespanError, match=r"raised RuntimeError\('broken'\)") as caught:
        adapter.close()
    assert caught.value.__cause__ is error


@pytest.mark.clause("A-LIFE-07")
def test_an_error_after_the_answer_to_shutdown_is_an_error(adapt: Adapt) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        raise RuntimeError("broken")

    adapter = adapt(living(lifespan))
    adapter.startup()
    with pytest.raises(LifespanError, match="broken"):
        adapter.close()


@pytest.mark.clause("A-LIFE-06")
def test_a_shutdown_that_takes_too_long_is_cancelled(adapt: Adapt) -> None:
    cleaned_up = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)
                cleaned_up.set()

    adapter = adapt(living(lifespan), shutdown_timeout=0.05)
    adapter.startup()
    with pytest.raises(LifespanError, match=r"no answer within 0\.05 seconds") as caught:
        adapter.close()
    assert caught.value.field == "lifespan.shutdown"
    assert cleaned_up.is_set()


@pytest.mark.clause("A-LIFE-06")
def test_cleaning_up_too_long_after_the_answer_is_cut_off_without_an_error(adapt: Adapt) -> None:
    cut_off = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        try:
            await anyio.sleep_forever()
        finally:
            cut_off.set()

    with adapt(living(lifespan), shutdown_timeout=0.05):
        pass
    assert cut_off.is_set()


# --- requests and background tasks ----------------------------------------------------------------


@pytest.mark.clause("D-36")
def test_a_background_task_does_not_hold_the_client(adapt: Adapt) -> None:
    """It runs on, and `close` waits for it before the shutdown."""
    may_end = Event()
    events: list[str] = []

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        await awhile(may_end)
        events.append("background")

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        events.append("shutdown")

    adapter = adapt(living(lifespan, respond), shutdown_timeout=HANG)
    for _ in range(3):
        assert Host().serve(adapter).body == b"ok"
    assert events == []
    closing = Thread(adapter.close)
    may_end.set()
    closing.join()
    assert events == ["background"] * 3 + ["shutdown"]


@pytest.mark.clause("D-36")
@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_background_task_that_takes_too_long_is_cancelled_and_logged(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    """By method and path; it is gone before the application shuts down."""
    begun = Event()
    events: list[str] = []

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            events.append("cancelled")

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        events.append("shutdown")

    adapter = adapt(living(lifespan, respond), shutdown_timeout=seconds)
    Host(b"x", method="POST", path="/mail").serve(adapter)
    begun.happens()
    adapter.close()
    assert events == ["cancelled", "shutdown"]
    assert warnings_of(caplog) == [
        f"still running {seconds:g} seconds after close() began, cut off: POST '/mail'"
    ]


@pytest.mark.clause("D-36")
def test_a_background_task_that_swallows_its_cancellation_is_left_behind(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatebridge._asgi_on_wsgi.session._GRACE_SECONDS", 0.05)
    begun, may_end = Event(), Event()

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        begun.set()
        with anyio.CancelScope(shield=True):
            while not may_end.is_set():
                try:
                    await anyio.sleep(0.01)
                except BaseException:  # noqa: BLE001, PERF203 - as asyncio cancels
                    continue

    adapter = adapt(respond, shutdown_timeout=0.05)
    other = adapt(Recorder())
    other.startup()  # so that the loop goes on
    Host(path="/stubborn").serve(adapter)
    begun.happens()
    adapter.close()
    assert warnings_of(caplog) == [
        "still running 0.05 seconds after close() began, cut off: GET '/stubborn'",
        "not ended by its cancellation: GET '/stubborn'",
    ]
    may_end.set()


@pytest.mark.clause("D-36")
def test_an_error_in_the_background_is_logged(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        raise RuntimeError("no mail server")

    adapter = adapt(respond)
    assert Host(path="/mail").serve(adapter).body == b"ok"
    adapter.close()
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert "GET '/mail'" in record.getMessage()
    assert "no mail server" in str(record.exc_info)


@pytest.mark.clause("A-LIFE-05")
def test_close_waits_for_a_response_that_streams(adapt: Adapt) -> None:
    """New requests are refused at once meanwhile."""
    events: list[str] = []
    refused, first_block_taken = Event(), Event()

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await awhile(refused)
        await send(body(b"b"))
        events.append("complete")

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        events.append("shutdown")

    adapter = adapt(living(lifespan, respond), shutdown_timeout=HANG)

    def serve() -> None:
        host = Host().call(adapter)
        assert host.next() == b"a"
        first_block_taken.set()
        assert (host.next(), host.next()) == (b"b", None)
        host.close()
        host.check()

    serving = Thread(serve)
    first_block_taken.happens()
    closing = Thread(adapter.close)
    while not adapter._processes.get().closed:
        pass
    for _ in range(2):
        with pytest.raises(UnavailableError, match="the adapter was closed"):
            adapter(Host().environ, lambda *args: print)
    refused.set()
    closing.join()
    serving.join()
    assert events == ["complete", "shutdown"]


@pytest.mark.clause("A-LIFE-05")
def test_close_cuts_off_a_response_that_streams_for_ever(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether its server takes the next block or not, it has an error, not a hang."""
    seen: list[BaseException] = []

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        try:
            await anyio.sleep_forever()
        except BaseException as exc:
            seen.append(exc)
            raise

    adapter = adapt(respond, shutdown_timeout=0.05)
    host = Host(path="/events").call(adapter)
    assert host.next() == b"a"
    adapter.close()
    assert len(seen) == 1
    with pytest.raises(
        UnavailableError, match=r"close\(\): cut the response off after shutdown_timeout"
    ):
        host.next()
    host.close()
    assert warnings_of(caplog) == [
        "still running 0.05 seconds after close() began, cut off: GET '/events'"
    ]


@pytest.mark.clause("A-LIFE-05")
def test_close_cuts_off_a_request_that_has_no_answer_yet(adapt: Adapt) -> None:
    begun = Event()

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await anyio.sleep_forever()

    adapter = adapt(respond, shutdown_timeout=0.05)
    serving = Host().serve_in_thread(adapter)
    begun.happens()
    adapter.close()
    with pytest.raises(UnavailableError, match="cut the response off"):
        serving.join()
    Host.all[0].violations.clear()


@pytest.mark.clause("A-LIFE-05")
def test_a_request_that_found_the_session_before_it_was_closed_is_refused(adapt: Adapt) -> None:
    """It does not reach the application after its shutdown, on a loop that goes on."""
    app = Recorder()
    adapter, other = adapt(app), adapt(Recorder())
    other.startup()
    adapter.startup()
    session = adapter._processes.get().session
    adapter.close()
    adapter._processes.get().session = session
    with pytest.raises(UnavailableError, match="the adapter was closed"):
        adapter(Host().environ, lambda *args: print)
    adapter._processes.get().session = None
    assert app.events == ["startup", "shutdown"]


def test_a_shutdown_may_use_worker_threads(adapt: Adapt) -> None:
    threads: list[int] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        threads.append(await anyio.to_thread.run_sync(threading.get_ident))
        await send({"type": "lifespan.shutdown.complete"})

    with adapt(living(lifespan)):
        pass
    assert len(threads) == 1


def test_a_request_that_is_cut_off_before_it_starts_never_does(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's lifespan is over by then, though the loop still has another user."""
    monkeypatch.setattr("gatebridge._asgi_on_wsgi.session._GRACE_SECONDS", 0.01)
    late, closed, app = Event(), Event(), Recorder()
    call_soon = LoopHandle.call_soon

    def slow_call_soon(handle: LoopHandle, callback: Callable[[], None]) -> bool:
        if getattr(callback, "__func__", None) is Call.start:
            late.set()
            closed.happens()
        return call_soon(handle, callback)

    adapt(Recorder()).startup()
    adapter = adapt(app, shutdown_timeout=0)
    adapter.startup()
    monkeypatch.setattr(LoopHandle, "call_soon", slow_call_soon)
    served: list[Exception] = []

    def serve() -> None:
        try:
            Host().serve(adapter)
        except UnavailableError as exc:
            served.append(exc)

    thread = Thread(serve)
    late.happens()
    adapter.close()
    closed.set()
    thread.join()
    assert [str(error) for error in served] == [
        "close(): cut the response off after shutdown_timeout"
    ]
    assert app.events == ["startup", "shutdown"]
