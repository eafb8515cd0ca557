"""LifespanShim: a lifespan for an application that has none, and around one that has."""

from __future__ import annotations

import builtins
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import deepcopy
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gatebridge import LifespanShim, WsgiToAsgi
from gatebridge.errors import HostError
from lifespan.host import HANG, WITHOUT_LIFESPAN, LifespanHost, Living, respond
from wsgi_on_asgi.host import Host

DONE = ["startup.complete", "shutdown.complete"]
GROUP: Any = getattr(builtins, "BaseExceptionGroup", None)  # from Python 3.11 on


def context(log: list[str], mapping: Any = None, *, fails: str = "", sync: bool = False) -> Any:
    """Return a lifespan function that logs, and whose context manager gives a mapping."""

    def enter(app: Any) -> None:
        log.append("enter")
        if fails == "enter":
            raise OSError("no database")

    def leave() -> None:
        log.append("leave")
        if fails == "leave":
            raise OSError("not flushed")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[Any]:
        await anyio.lowlevel.checkpoint()
        enter(app)
        try:
            yield mapping
        finally:
            await anyio.lowlevel.checkpoint()
            leave()

    @contextmanager
    def sync_lifespan(app: Any) -> Iterator[Any]:
        enter(app)
        try:
            yield mapping
        finally:
            leave()

    return sync_lifespan if sync else lifespan


# --- for an application that has none -------------------------------------------------------------


@pytest.mark.clause("A-LIFE-14", "A-LIFE-08")
@pytest.mark.parametrize("app", WITHOUT_LIFESPAN)
async def test_it_answers_for_an_application_that_has_no_lifespan(app: Any) -> None:
    log: list[str] = []
    calls: list[str] = []

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["type"])
        await app(scope, receive, send)

    assert await LifespanHost().live(LifespanShim(counted, context(log))) == DONE
    assert calls == ["lifespan"]  # no second event reaches it
    assert log == ["enter", "leave"]


@pytest.mark.clause("A-LIFE-12")
async def test_it_answers_without_a_context_manager_too() -> None:
    assert await LifespanHost().live(LifespanShim(respond)) == DONE


async def test_it_gives_a_wsgi_application_a_state() -> None:
    environs: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    shim = LifespanShim(WsgiToAsgi(app), context([], {"database": 1}))
    async with LifespanHost().running(shim):
        await Host().serve(shim)
    assert environs[0]["asgi.scope"]["state"] == {"database": 1}


# --- around an application that has one -----------------------------------------------------------


@pytest.mark.parametrize("sync", [False, True])
async def test_it_runs_the_context_manager_around_the_application(sync: bool) -> None:
    log: list[str] = []
    app = Living("app", log)

    assert await LifespanHost().live(LifespanShim(app, context(log, sync=sync))) == DONE
    assert log == ["enter", "app startup", "app shutdown", "leave"]


async def test_the_mapping_joins_the_servers_state_before_the_application_starts() -> None:
    log: list[str] = []
    state = {"server": 0}
    app = Living("app", log, state={"app": 2})
    shim = LifespanShim(app, context(log, {"database": 1}))

    async with LifespanHost(state).running(shim):
        assert app.states == [{"server": 0, "database": 1}]
        assert state == {"server": 0, "database": 1, "app": 2}
        host = Host(state={"copy": 3})  # the server's part
        await host.serve(shim)
    assert app.scopes[-1] == host.scope
    assert app.scopes[-1] is not host.scope


@pytest.mark.clause("A-CORE-06")
async def test_where_the_server_has_no_state_each_request_has_a_copy_of_the_shims() -> None:
    app = Living("app", [], state={"app": 2})
    shim = LifespanShim(app, context([], {"database": 1}))

    async with LifespanHost().running(shim):
        host = Host()
        before = deepcopy(host.scope)
        await host.serve(shim)
        app.scopes[-1]["state"]["request"] = 3
        await Host().serve(shim)
    assert app.states[1:] == [{"database": 1, "app": 2}] * 2
    assert host.scope == before


async def test_after_the_lifespan_and_without_one_there_is_no_state() -> None:
    app = Living("app", [])
    shim = LifespanShim(app, context([], {"database": 1}))
    await Host().serve(shim)
    await LifespanHost().live(shim)
    await Host().serve(shim)
    assert [each for each in app.scopes if each["type"] == "http" and "state" in each] == []


async def test_the_lifespan_function_is_given_the_application() -> None:
    given: list[Any] = []

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        given.append(app)
        yield

    await LifespanHost().live(LifespanShim(respond, lifespan))
    assert given == [respond]


async def test_a_sync_context_manager_does_not_hold_the_event_loop() -> None:
    here = threading.get_ident()
    threads: list[int] = []

    @contextmanager
    def lifespan(app: Any) -> Iterator[None]:
        threads.append(threading.get_ident())
        yield
        threads.append(threading.get_ident())

    assert await LifespanHost().live(LifespanShim(respond, lifespan)) == DONE
    assert len(threads) == 2
    assert here not in threads


async def test_it_lives_again_after_its_end() -> None:
    log: list[str] = []
    shim = LifespanShim(Living("app", log), context(log))
    for _ in range(2):
        assert await LifespanHost().live(shim) == DONE
    assert log == ["enter", "app startup", "app shutdown", "leave"] * 2


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-13")
@pytest.mark.parametrize("sync", [False, True])
async def test_a_context_manager_that_fails_at_startup_is_reported(
    sync: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    host = LifespanHost()
    shim = LifespanShim(Living("app", log), context(log, fails="enter", sync=sync))

    assert await host.live(shim) == ["startup.failed"]
    assert host.reason == "OSError: no database"
    assert log == ["enter"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


@pytest.mark.clause("A-LIFE-13")
async def test_an_application_that_fails_to_start_ends_the_context_manager() -> None:
    log: list[str] = []
    host = LifespanHost()
    shim = LifespanShim(Living("app", log, fails="startup"), context(log))

    assert await host.live(shim) == ["startup.failed"]
    assert host.reason == "app cannot"
    assert log == ["enter", "app startup", "leave"]


@pytest.mark.parametrize("sync", [False, True])
async def test_a_context_manager_that_fails_at_shutdown_is_reported(sync: bool) -> None:
    log: list[str] = []
    host = LifespanHost()
    shim = LifespanShim(Living("app", log), context(log, fails="leave", sync=sync))

    assert await host.live(shim) == ["startup.complete", "shutdown.failed"]
    assert host.reason == "OSError: not flushed"
    assert log == ["enter", "app startup", "app shutdown", "leave"]


@pytest.mark.parametrize("how", ["fails", "raises"])
async def test_an_application_that_fails_to_shut_down_ends_the_context_manager(how: str) -> None:
    log: list[str] = []
    host = LifespanHost()
    shim = LifespanShim(Living("app", log, **{how: "shutdown"}), context(log))  # type: ignore[arg-type]

    assert await host.live(shim) == ["startup.complete", "shutdown.failed"]
    assert host.reason in (
        "app cannot",
        "the application raised RuntimeError('app at shutdown')",
    )
    assert log == ["enter", "app startup", "app shutdown", "leave"]


async def test_what_would_end_the_process_is_reported_and_raised() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise SystemExit(3)
        yield

    host = LifespanHost()
    assert await host.live(LifespanShim(respond, lifespan)) == ["startup.failed"]
    assert host.reason == "SystemExit: 3"
    assert isinstance(host.error, SystemExit)


class Abort(BaseException):
    """Neither an error nor the end of a task."""


@pytest.mark.clause("A-LIFE-13")
async def test_no_exception_of_a_startup_passes_for_an_application_without_lifespan() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise Abort
        yield

    host = LifespanHost()
    assert await host.live(LifespanShim(respond, lifespan)) == ["startup.failed"]
    assert isinstance(host.error, Abort)


@asynccontextmanager
async def suppressing(app: Any) -> AsyncIterator[None]:
    """Be a lifespan that lets nothing out."""
    with suppress(BaseException):
        yield


async def test_a_context_manager_that_suppresses_does_not_hide_why_nothing_started() -> None:
    host = LifespanHost()
    shim = LifespanShim(Living("app", [], fails="startup"), suppressing)

    assert await host.live(shim) == ["startup.failed"]
    assert host.reason == "app cannot"


async def test_nothing_is_complete_that_was_cancelled_and_the_context_manager_suppressed() -> None:
    host = LifespanHost()
    async with host.running(LifespanShim(respond, suppressing)):
        host.cancel_scope.cancel()
    assert host.answers == ["startup.complete"]
    assert host.error is None


async def test_a_failure_between_startup_and_shutdown_is_logged_and_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fails, ended = anyio.Event(), anyio.Event()

    async def fail() -> None:
        await fails.wait()
        raise OSError("the connection is lost")

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            yield

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await LifespanShim(respond, lifespan)(scope, receive, send)
        finally:
            ended.set()

    host = LifespanHost()
    async with host.running(app):
        fails.set()
        with anyio.fail_after(HANG):
            await ended.wait()
    assert host.answers == ["startup.complete"]
    assert host.error is not None
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is host.error


@pytest.mark.parametrize(
    ("lifespan", "reason"),
    [
        (lambda app: 3, "must return a context manager, got 3; decorate a generator function with"),
        (context([], mapping=[1]), "must yield None or a mapping, got [1]"),
    ],
)
async def test_what_is_no_lifespan_is_named(lifespan: Any, reason: str) -> None:
    host = LifespanHost()
    assert await host.live(LifespanShim(respond, lifespan)) == ["startup.failed"]
    assert reason in host.reason


def a_wsgi_application(environ: Any, start_response: Any) -> Any: ...


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((3,), "^app must be callable, got 3$"),
        ((respond, 3), "^lifespan must be callable, got 3$"),
        ((respond, 0), "^lifespan must be callable, got 0$"),
        ((a_wsgi_application,), "takes two arguments like a WSGI application: .* in WsgiToAsgi$"),
    ],
)
def test_what_is_no_application_or_no_function_is_refused(arguments: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        LifespanShim(*arguments)


# --- the server -----------------------------------------------------------------------------------


async def test_a_cancelled_lifespan_leaves_the_application_and_the_context_manager() -> None:
    log: list[str] = []
    host = LifespanHost()
    left = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        finally:
            log.append("app left")
            left.set()

    async with host.running(LifespanShim(app, context(log, sync=True))):
        host.cancel_scope.cancel()
        with anyio.fail_after(HANG):
            await left.wait()
    assert log == ["enter", "app left", "leave"]
    assert host.answers == ["startup.complete"]


@pytest.mark.skipif(GROUP is None, reason="has no exception groups of its own")
async def test_a_cancellation_is_no_failure_in_a_group_either() -> None:
    """As a nursery of trio makes one."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as exc:
            raise GROUP("", [exc]) from None
        yield

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with anyio.CancelScope() as scope, suppress(GROUP):
        await LifespanShim(respond, lifespan)({"type": "lifespan"}, receive, send)
    assert sent == []


async def test_a_lifespan_that_is_cancelled_as_it_ends_leaves_the_context_manager() -> None:
    log: list[str] = []
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        event = next(events)
        if event == "lifespan.shutdown":
            scope.cancel()
        return {"type": event}

    async def send(message: Any) -> None:
        log.append(message["type"])

    with anyio.CancelScope() as scope:
        await LifespanShim(respond, context(log, sync=True))({"type": "lifespan"}, receive, send)
    assert log[:3] == ["enter", "lifespan.startup.complete", "leave"]


async def test_a_server_that_sends_another_message_is_told() -> None:
    log: list[str] = []
    messages = ["lifespan.startup", "lifespan.startup"]

    async def receive() -> Any:
        return {"type": messages.pop()}

    async def send(message: Any) -> None:
        assert message == {"type": "lifespan.startup.complete"}

    shim = LifespanShim(respond, context(log))
    with anyio.fail_after(HANG), pytest.raises(HostError, match=r"not lifespan\.shutdown"):
        await shim({"type": "lifespan"}, receive, send)
    assert log == ["enter", "leave"]
