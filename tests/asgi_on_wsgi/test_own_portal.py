"""An adapter on the event loop of a portal that its user has opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

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
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.threads import Thread
from gatebridge import AsgiToWsgi
from gatebridge._asgi_on_wsgi.session import Phase
from gatebridge._concurrency.loop_handle import current_loop
from gatebridge.errors import LifespanError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


class Owner:
    """A thread with an event loop and its portal, which somebody stops."""

    def __init__(self, backend: str, options: dict[str, Any]) -> None:
        opened = Event()

        def run() -> None:
            anyio.run(main, backend=backend, backend_options=options)

        async def main() -> None:
            async with BlockingPortal() as self.portal:
                self.loop = current_loop().loop
                opened.set()
                await self.portal.sleep_until_stopped()

        self.thread = Thread(run)
        opened.happens()

    def stop(self, *, cancel: bool = False) -> None:
        """Stop the portal, and wait for the end of the loop."""
        self.portal.call(self.portal.stop, cancel)
        self.thread.join()


@pytest.fixture
def owner(anyio_backend: tuple[str, dict[str, Any]]) -> Iterator[Owner]:
    owner = Owner(*anyio_backend)
    yield owner
    try:
        owner.portal.start_task_soon(owner.portal.stop, True)
    except RuntimeError:
        pass  # stopped by the test
    owner.thread.join()


def no_loop_of_ours() -> None:
    assert [t for t in threading.enumerate() if t.name.startswith("gatebridge")] == []


@pytest.mark.clause("A-CORE-18", "A-LIFE-09")
def test_all_happens_on_the_loop_of_the_portal(owner: Owner) -> None:
    loops: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(current_loop().loop)
        if scope["type"] == "lifespan":
            await started(receive, send)
            await stopped(receive, send)
        else:
            await sending(start(), body(b"ok"))(scope, receive, send)

    with AsgiToWsgi(app, portal=owner.portal, lifespan="on") as adapter:
        for _ in range(2):
            assert Host().serve(adapter).body == b"ok"
        no_loop_of_ours()
    assert [loop is owner.loop for loop in loops] == [True] * 3


@pytest.mark.clause("A-CORE-18")
def test_closing_does_not_stop_the_portal(owner: Owner) -> None:
    app = Recorder()
    first, second = (AsgiToWsgi(app, portal=owner.portal) for _ in range(2))
    first.startup()
    second.startup()
    first.close()
    assert Host().serve(second).body == b"ok"
    second.close()
    assert owner.portal.call(anyio.sleep, 0) is None
    with first:
        assert Host().serve(first).body == b"ok"
    assert app.events.count("startup") == app.events.count("shutdown") == 3


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06")
@pytest.mark.parametrize("cancel", [False, True])
def test_a_portal_that_is_stopped_first_lets_the_application_shut_down(
    owner: Owner, cancel: bool
) -> None:
    """Also if its owner cancels all tasks, as at Ctrl-C; later calls are refused."""
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        assert await receive() == {"type": "lifespan.shutdown"}
        await anyio.sleep(0.02)
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    adapters = [AsgiToWsgi(living(lifespan), portal=owner.portal) for _ in range(2)]
    for adapter in adapters:
        Host().serve(adapter)
    owner.stop(cancel=cancel)
    assert events == ["shutdown"] * 2
    for adapter in adapters:
        with pytest.raises(UnavailableError, match="portal"):
            adapter.startup()
        with pytest.raises(UnavailableError, match="portal"):
            adapter(Host().environ, lambda *args: print)
        adapter.close()
        with pytest.raises(UnavailableError, match="closed"):
            adapter(Host().environ, lambda *args: print)
    assert events == ["shutdown"] * 2


@pytest.mark.clause("A-LIFE-05")
def test_a_portal_that_is_stopped_lets_responses_end(owner: Owner) -> None:
    events: list[str] = []
    first_block_taken, stopping = Event(), Event()

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await awhile(stopping)
        await send(body(b"b"))
        events.append("complete")

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await stopped(receive, send)
        events.append("shutdown")

    adapter = AsgiToWsgi(living(lifespan, respond), portal=owner.portal, shutdown_timeout=HANG)
    session = None

    def serve() -> None:
        host = Host().call(adapter)
        assert host.next() == b"a"
        first_block_taken.set()
        assert (host.next(), host.next()) == (b"b", None)
        host.close()

    serving = Thread(serve)
    first_block_taken.happens()
    session = adapter._processes.get().session
    assert session is not None
    stopper = Thread(owner.stop)
    while session.phase is Phase.OPEN:
        pass
    with pytest.raises(UnavailableError):
        adapter(Host().environ, lambda *args: print)
    stopping.set()
    stopper.join()
    serving.join()
    assert events == ["complete", "shutdown"]


@pytest.mark.clause("A-LIFE-05")
def test_a_portal_that_is_stopped_cuts_off_what_goes_on_for_ever(owner: Owner) -> None:
    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await anyio.sleep_forever()

    adapter = AsgiToWsgi(respond, portal=owner.portal, shutdown_timeout=0.05)
    host = Host().call(adapter)
    owner.stop()
    assert host.next() == b"a"
    with pytest.raises(UnavailableError):
        host.next()
    host.close()
    adapter.close()


@pytest.mark.clause("A-LIFE-07")
def test_a_portal_that_is_stopped_survives_a_failing_shutdown(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    adapter = AsgiToWsgi(living(lifespan), portal=owner.portal)
    adapter.startup()
    owner.stop()
    adapter.close()
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "lifespan.shutdown.failed: stuck")
    ]


@pytest.mark.clause("A-LIFE-05")
def test_a_portal_that_is_stopped_waits_for_a_close_under_way(owner: Owner) -> None:
    closing, may_go_on = Event(), Event()
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await receive()
        events.append("begun")
        closing.set()
        await awhile(may_go_on)
        events.append("ended")
        await send({"type": "lifespan.shutdown.complete"})

    adapter = AsgiToWsgi(living(lifespan), portal=owner.portal, shutdown_timeout=HANG)
    adapter.startup()
    closer = Thread(adapter.close)
    closing.happens()
    stopper = Thread(owner.stop)
    while owner.portal._event_loop_thread_id is not None:
        pass
    may_go_on.set()
    stopper.join()
    closer.join()
    assert events == ["begun", "ended"]


@pytest.mark.clause("A-LIFE-04")
def test_a_portal_that_is_stopped_during_the_startup_is_an_error(owner: Owner) -> None:
    begun, ended = Event(), Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            ended.set()

    adapter = AsgiToWsgi(living(lifespan), portal=owner.portal)
    starting = Thread(adapter.startup)
    begun.happens()
    owner.stop()
    with pytest.raises(UnavailableError, match="has ended"):
        starting.join()
    assert ended.is_set()


def test_a_portal_that_does_not_run_is_a_clear_error(owner: Owner) -> None:
    adapter = AsgiToWsgi(Recorder(), portal=owner.portal)
    owner.stop()
    with pytest.raises(UnavailableError, match="portal: takes no work: This portal is not running"):
        adapter.startup()
    adapter.close()


@pytest.mark.clause("A-LIFE-04")
def test_a_failing_startup_leaves_the_portal_as_it_was(owner: Owner) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(LifespanError), AsgiToWsgi(living(lifespan), portal=owner.portal):
        pass
    assert owner.portal.call(anyio.sleep, 0) is None


@pytest.mark.clause("D-48")
@pytest.mark.parametrize("which", ["call", "startup", "close"])
@pytest.mark.parametrize("where", ["lifespan", "request", "portal"])
def test_on_the_thread_of_the_portal_it_is_an_error_at_once(
    owner: Owner, which: str, where: str
) -> None:
    """In the lifespan while another thread holds the lock; before the first use, too."""
    tried: list[str] = []

    def attempt() -> None:
        calls = {
            "call": lambda: adapter(Host().environ, lambda *args: print),
            "startup": adapter.startup,
            "close": adapter.close,
        }
        with pytest.raises(UnavailableError, match="called on its own thread"):
            calls[which]()
        tried.append(where)

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if where == "lifespan":
            attempt()
        await send({"type": "lifespan.startup.complete"})
        await stopped(receive, send)

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if where == "request":
            attempt()
        await sending(start(), body(b"ok"))(scope, receive, send)

    adapter = AsgiToWsgi(living(lifespan, respond), portal=owner.portal, lifespan="on")
    if where == "portal":
        owner.portal.call(attempt)
    assert Host().serve(adapter).body == b"ok"
    adapter.close()
    assert tried == [where]


def test_the_portal_of_anyio_may_be_left_while_the_adapter_is_open(anyio_backend: Any) -> None:
    """`start_blocking_portal` waits for its tasks: ours end by themselves."""
    backend, options = anyio_backend
    app = Recorder()

    def run() -> None:
        with start_blocking_portal(backend, options) as portal:
            Host().serve(AsgiToWsgi(app, portal=portal))

    Thread(run).join()
    assert app.events == ["startup", "request", "shutdown"]
