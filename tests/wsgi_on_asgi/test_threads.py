"""The thread that a request runs in, and the numbers about threads."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gatebridge._wsgi_on_asgi import request_on_loop
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, body_app, statistics_say
from wsgi_on_asgi.host import Host, in_background

pytestmark = pytest.mark.direction("w2a")

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
local = threading.local()


@pytest.mark.clause("W-CLOSE-01", "W-CALL-03")
async def test_a_request_stays_in_one_thread_and_one_context() -> None:
    """Call, iteration and close; what it sets is there until its end."""
    seen: list[Any] = []

    class Body(Blocks):
        def __next__(self) -> bytes:
            seen.append((threading.get_ident(), variable.get(), local.value))
            return super().__next__()

        def close(self) -> None:
            seen.append((threading.get_ident(), variable.get(), local.value))
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        local.value = environ["PATH_INFO"]
        variable.set(environ["PATH_INFO"])
        start_response("200 OK", [TEXT])
        return Body(b"a", b"b")

    served = adapter(app)
    for path in ("/1", "/2"):
        seen.clear()
        await Host(path=path).serve(served)
        assert len(seen) == 4
        assert {each[1:] for each in seen} == {(path, path)}
        assert len({each[0] for each in seen}) == 1
        assert threading.get_ident() != seen[0][0]


@pytest.mark.clause("W-HTTP-06", "W-ENV-19")
async def test_with_one_thread_calls_never_overlap() -> None:
    """From the call to ``close``, also while a client stalls."""
    active: list[str] = []
    overlaps: list[list[str]] = []

    class Body(Blocks):
        def close(self) -> None:
            active.pop()
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        active.append(environ["PATH_INFO"])
        overlaps.append(list(active))
        start_response("200 OK", [TEXT])
        return Body(*[b"x" * 1000] * 100)

    served = adapter(app, threads=1, window_bytes=4096)
    stalled, others = Host(path="/stalled"), [Host(path=f"/{number}") for number in range(3)]
    stalled.stop_reading()
    async with stalled.background(served):
        await stalled.until(lambda: stalled.sent)
        async with in_background(served, others):
            await statistics_say(served, waiting=3, stalled=1)
            assert [host.sent for host in others] == [[], [], []]
            stalled.read_on()
    assert [len(host.body) for host in (stalled, *others)] == [100_000] * 4
    assert [len(each) for each in overlaps] == [1, 1, 1, 1]


@pytest.mark.clause("W-HTTP-06")
async def test_no_more_applications_run_at_a_time_than_threads() -> None:
    gates = {f"/{number}": Gate() for number in range(4)}
    served = adapter(body_app(lambda environ: [gates[environ["PATH_INFO"]](b"x")]), threads=2)
    hosts = [Host(path=path) for path in gates]
    async with hosts[0].background(served), hosts[1].background(served):
        await gates["/0"].reached()
        await gates["/1"].reached()
        async with hosts[2].background(served):
            await statistics_say(served, waiting=1)
            async with hosts[3].background(served):
                await statistics_say(served, threads=2, running=2, stalled=0, waiting=2)
                gates["/0"].open()
                await gates["/2"].reached()  # in the order in which they came
                await statistics_say(served, threads=2, running=2, stalled=0, waiting=1)
                for gate in gates.values():
                    gate.open()
    assert [host.body for host in hosts] == [b"x"] * 4
    await statistics_say(served, threads=2, running=0, stalled=0, waiting=0)


async def test_the_statistics_tell_a_stalled_client() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        while True:
            yield b"x" * 1000

    served = adapter(app, window_bytes=4096)
    assert served.statistics() == (0, 0, 0, 0)
    host = Host()
    host.stop_reading()
    async with host.background(served):
        await host.until(lambda: host.sent)
        await statistics_say(served, threads=1, running=0, stalled=1, waiting=0)
        host.disconnect()
    await statistics_say(served, threads=1, running=0, stalled=0, waiting=0)


class NamedApp:
    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        return [threading.current_thread().name.encode()]


@pytest.mark.parametrize(("options", "name"), [({}, "NamedApp"), ({"name": "reports"}, "reports")])
async def test_threads_are_named_after_the_application(options: Any, name: str) -> None:
    host = Host()
    await host.serve(adapter(NamedApp(), **options))
    assert re.fullmatch(rf"gatebridge-{name}-\d+", host.body.decode())


@pytest.mark.clause("C-16")
async def test_the_number_of_threads_is_an_argument_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGI_THREADS", "1")
    gates = {f"/{number}": Gate() for number in range(5)}
    served = adapter(body_app(lambda environ: [gates[environ["PATH_INFO"]](b"x")]))
    hosts = [Host(path=path) for path in gates]
    async with in_background(served, hosts):
        await statistics_say(served, running=5)
        for gate in gates.values():
            gate.open()


@pytest.mark.clause("D-31", "D-30")
@pytest.mark.parametrize("moment", [0, 60])
async def test_who_waits_for_a_thread_is_watched_after_a_moment(
    moment: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most that wait are served in less, and a watch would cost more than they do."""
    monkeypatch.setattr(request_on_loop, "_UNWATCHED_SECONDS", moment)
    gate = Gate()
    served = adapter(body_app(lambda environ: [gate() if environ["PATH_INFO"] == "/busy" else b""]))
    served._pool._limit = served._pool._max_threads = 1
    busy, waiting = Host(path="/busy"), Host(path="/waiting")
    async with busy.background(served):
        await gate.reached()
        async with waiting.background(served):
            await statistics_say(served, waiting=1)
            if not moment:
                await waiting.until(lambda: waiting.receives == 2)
            gate.open()
    assert (waiting.status, waiting.receives) == (200, 1 if moment else 2)


@pytest.mark.clause("D-31", "D-30", "A-HTTP-33")
async def test_who_waited_for_a_moment_and_streams_is_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_on_loop, "_UNWATCHED_SECONDS", 60)
    gate, block = Gate(), Blocks(source=iter(lambda: b"x", None))
    served = adapter(
        body_app(lambda environ: [gate()] if environ["PATH_INFO"] == "/busy" else block)
    )
    served._pool._limit = served._pool._max_threads = 1
    busy, streaming = Host(path="/busy"), Host(path="/streaming", raises=False)
    async with busy.background(served):
        await gate.reached()
        async with streaming.background(served):
            await statistics_say(served, waiting=1)
            gate.open()
            await streaming.until(lambda: "body" in streaming.types)
            streaming.disconnect()
    assert (streaming.error, block.closes) == (None, 1)
