"""The lifespan protocol, answered for an application that does not know it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from gatebridge.errors import HostError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    body_app,
    endless,
    happens,
    result_app,
    shutdown_begins,
    statistics_say,
)
from wsgi_on_asgi.host import HANG, Host

pytestmark = pytest.mark.direction("w2a")

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Lifespan:
    """A server's part of the protocol."""

    def __init__(self, *messages: dict[str, Any], **scope: Any) -> None:
        self.scope = {"type": "lifespan", "asgi": {"version": "3.0"}, **scope}
        self.sent: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self._messages = list(messages)
        self._changed = anyio.Event()

    def shut_down(self) -> None:
        self._messages.append(SHUTDOWN)
        self._changed.set()

    async def receive(self) -> dict[str, Any]:
        while not self._messages:
            await self._changed.wait()
        return self._messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._changed.set()
        self._changed = anyio.Event()

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """Start up, and shut down after the block."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._run, app)
            with anyio.fail_after(HANG):
                while not self.sent:
                    await self._changed.wait()
            yield
            self.shut_down()

    async def _run(self, app: Any) -> None:
        with anyio.fail_after(HANG):
            await app(self.scope, self.receive, self.send)


@pytest.mark.clause("A-LIFE-12", "A-LIFE-01", "A-LIFE-11", "A-LIFE-10")
@pytest.mark.parametrize("scope", [{}, {"state": {}}, {"asgi": {}}, {"unknown": 1}])
async def test_both_events_are_answered_and_the_call_returns(scope: dict[str, Any]) -> None:
    lifespan = Lifespan(STARTUP, SHUTDOWN, **scope)
    with anyio.fail_after(HANG):
        await adapter(lambda *_: pytest.fail("called"))(
            lifespan.scope, lifespan.receive, lifespan.send
        )
    assert lifespan.sent == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert lifespan.scope.get("state", {}) == {}  # which is not the adapter's


@pytest.mark.clause("A-LIFE-12")
async def test_shutdown_is_not_answered_before_it_comes() -> None:
    lifespan = Lifespan(STARTUP)
    async with lifespan.running(adapter(result_app([b"x"]))):
        assert lifespan.sent == [{"type": "lifespan.startup.complete"}]


@pytest.mark.clause("A-LIFE-12")
async def test_shutdown_drains_the_pool() -> None:
    """It is complete only when a running request is, and no thread is left then."""
    gate = Gate()
    body = Blocks(gate.yields(b"a"), b"b")
    served = adapter(result_app(body))
    host = Host()
    lifespan = Lifespan(STARTUP)
    async with lifespan.running(served), host.background(served):
        await gate.reached()
        lifespan.shut_down()
        await anyio.wait_all_tasks_blocked()
        assert lifespan.sent == [{"type": "lifespan.startup.complete"}]
        gate.open()
    assert (host.error, host.body) == (None, b"ab")
    assert lifespan.sent[1:] == [{"type": "lifespan.shutdown.complete"}]
    assert served.statistics() == (0, 0, 0, 0)


@pytest.mark.clause("A-LIFE-12")
async def test_queued_requests_are_served_before_shutdown_is_complete() -> None:
    gate = Gate()
    served = adapter(body_app(lambda environ: [gate(b"x")]), threads=1)
    first, queued = Host(), Host()
    lifespan = Lifespan(STARTUP)
    async with lifespan.running(served), first.background(served):
        await gate.reached()
        async with queued.background(served):
            await statistics_say(served, waiting=1)
            lifespan.shut_down()
            await anyio.wait_all_tasks_blocked()
            gate.open()
    assert (first.body, queued.body) == (b"x", b"x")
    assert len(lifespan.sent) == 2


@pytest.mark.clause("A-LIFE-12", "D-50")
async def test_work_that_does_not_end_in_time_is_abandoned_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    served = adapter(body_app(lambda environ: [gate(b"x")]), shutdown_timeout=0)
    host = Host(path="/never/ends")
    lifespan = Lifespan(STARTUP)
    async with host.background(served):
        async with lifespan.running(served):
            await gate.reached()
        assert lifespan.sent[1:] == [{"type": "lifespan.shutdown.complete"}]
        assert "GET '/never/ends'" in caplog.text
        assert {record.levelname for record in caplog.records} == {"WARNING"}
        gate.open()
    assert (host.error, host.body) == (None, b"x")  # it was abandoned, not ended


@pytest.mark.clause("A-LIFE-12", "D-52", "H-STAT-09")
async def test_a_request_that_comes_during_shutdown_is_refused() -> None:
    gate = Gate()
    served = adapter(result_app(Blocks(gate.yields(b"a"))))
    running, late = Host(), Host()
    lifespan = Lifespan(STARTUP)
    async with lifespan.running(served), running.background(served):
        await gate.reached()
        lifespan.shut_down()
        await shutdown_begins(served)
        await late.serve(served)
        gate.open()
    assert late.status == 503
    assert b"retry-after" in dict(late.headers)
    assert running.body == b"a"


@pytest.mark.clause("A-LIFE-12", "W-CALL-03")
async def test_after_shutdown_requests_are_served_as_without_a_lifespan() -> None:
    served = adapter(result_app([b"x"]))
    async with Lifespan(STARTUP).running(served):
        pass
    host = Host()
    await host.serve(served)
    assert (host.status, host.body) == (200, b"x")


@pytest.mark.clause("A-LIFE-12", "W-CALL-03")
async def test_after_another_startup_requests_are_served_again() -> None:
    served = adapter(result_app([b"x"]))
    for _ in range(2):
        lifespan = Lifespan(STARTUP)
        async with lifespan.running(served):
            host = Host()
            await host.serve(served)
            assert (host.status, host.body) == (200, b"x")
        assert len(lifespan.sent) == 2


@pytest.mark.clause("A-LIFE-12")
async def test_one_of_two_lifespans_does_not_end_the_others_requests() -> None:
    """One instance may serve two event loops, or be mounted twice."""
    served = adapter(result_app([b"x"]))
    async with Lifespan(STARTUP).running(served):
        async with Lifespan(STARTUP).running(served):
            pass
        host = Host()
        await host.serve(served)
        assert host.status == 200


@pytest.mark.clause("A-LIFE-12")
async def test_without_a_lifespan_everything_works() -> None:
    host = Host()
    await host.serve(adapter(result_app([b"x"])))
    assert host.body == b"x"


@pytest.mark.clause("A-LIFE-12", "W-CLOSE-01")
async def test_a_stalled_download_ends_when_its_task_is_cancelled_at_shutdown() -> None:
    body = endless()
    served = adapter(result_app(body), window_bytes=4096)
    host = Host()
    host.stop_reading()
    async with Lifespan(STARTUP).running(served):
        async with host.background(served) as scope:
            await host.until(lambda: host.sent)
            scope.cancel()
        await happens(body.closed)
    assert served.statistics() == (0, 0, 0, 0)


@pytest.mark.clause("A-CORE-08")
@pytest.mark.parametrize(
    "messages",
    [[SHUTDOWN], [{"type": "http.request"}], [STARTUP, STARTUP], [STARTUP, {"type": ""}]],
)
async def test_an_event_out_of_order_is_the_servers_error(messages: list[Any]) -> None:
    lifespan = Lifespan(*messages)
    with pytest.raises(HostError), anyio.fail_after(HANG):
        await adapter(lambda *_: [])(lifespan.scope, lifespan.receive, lifespan.send)


@pytest.mark.clause("A-LIFE-10", "A-HTTP-13")
async def test_a_requests_state_is_left_alone() -> None:
    state = {"shared": object()}
    before = dict(state)
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ["asgi.scope"]["state"])
        start_response("200 OK", [TEXT])
        return []

    await Host(state=state).serve(adapter(app))
    assert seen[0] is state
    assert state == before


async def test_a_shutdown_that_is_cancelled_leaves_an_application_that_serves(
    anyio_backend: Any,
) -> None:
    gate, lifespan = Gate(), Lifespan(STARTUP)
    served = adapter(body_app(lambda environ: [gate(b"x")]))
    busy = Host()
    async with busy.background(served):
        await gate.reached()
        call = partial(served, lifespan.scope, lifespan.receive, lifespan.send)
        lifespan.shut_down()
        if anyio_backend[0] == "asyncio":  # as its servers do it, which no shield keeps off
            task = asyncio.ensure_future(call())
            await shutdown_begins(served)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await shutdown_begins(served)
                group.cancel_scope.cancel()
                gate.open()
        gate.open()
    host = Host()
    await host.serve(served)
    assert (busy.body, host.body) == (b"x", b"x")


@pytest.mark.clause("A-LIFE-12", "D-44")
async def test_a_loop_that_starts_as_the_last_other_one_shuts_down_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one waits for its requests; those of the new one are not refused meanwhile."""
    gate = Gate()
    served = adapter(
        body_app(lambda environ: [gate(b"x") if "wait" in environ["PATH_INFO"] else b"y"])
    )
    running, new = Host(path="/wait"), Host()
    first, second = Lifespan(STARTUP), Lifespan(STARTUP)
    drained = anyio.Event()

    async def run_sync(*arguments: Any) -> Any:
        monkeypatch.undo()

        async def drain() -> None:
            await anyio.to_thread.run_sync(*arguments)
            drained.set()

        async with second.running(served), anyio.create_task_group() as group:
            group.start_soon(drain)
            await anyio.wait_all_tasks_blocked()
            await new.serve(served)
            gate.open()
            await drained.wait()
        return []

    async with running.background(served):
        await gate.reached()
        monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
        async with first.running(served):
            pass
    assert drained.is_set()
    assert (new.status, new.body) == (200, b"y")
