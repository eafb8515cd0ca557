"""LifespanManager: an application's lifespan, driven from outside."""

from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from gatebridge import LifespanManager
from gatebridge._lifespan import as_server
from gatebridge.errors import LifespanError
from lifespan.host import HANG, WITHOUT_LIFESPAN, Living, respond
from wsgi_on_asgi.host import Host


async def test_it_starts_the_application_gives_its_state_and_shuts_it_down() -> None:
    log: list[str] = []
    with anyio.fail_after(HANG):
        async with LifespanManager(Living("app", log, state={"database": 1})) as state:
            assert log == ["app startup"]
            assert state == {"database": 1}
    assert log == ["app startup", "app shutdown"]


@pytest.mark.clause("A-LIFE-08")
@pytest.mark.parametrize("app", WITHOUT_LIFESPAN)
async def test_an_application_without_a_lifespan_is_left_alone(app: Any) -> None:
    with anyio.fail_after(HANG):
        async with LifespanManager(app) as state:
            assert state == {}


async def test_it_is_an_application_whose_scopes_have_the_state() -> None:
    app = Living("app", [], state={"database": 1})
    manager = LifespanManager(app)
    async with manager:
        await Host().serve(manager)
        app.scopes[-1]["state"]["request"] = 2
        await Host().serve(manager)
        await Host(state={"own": 3}).serve(manager)
    assert app.states[1:] == [{"database": 1}, {"database": 1}, {"own": 3}]


async def test_a_given_state_is_the_applications() -> None:
    state = {"server": 0}
    app = Living("app", [], state={"app": 1})
    async with LifespanManager(app, state=state) as given:
        assert given is state
    assert app.states == [{"server": 0}]
    assert state == {"server": 0, "app": 1}


async def test_an_application_without_a_lifespan_leaves_a_given_state_as_it_was() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["half"] = 1
        raise NotImplementedError

    async with LifespanManager(app, state={"server": 0}) as state:
        assert state == {"server": 0}


@pytest.mark.parametrize(
    ("how", "when", "reason"),
    [
        ("fails", "startup", "app cannot"),
        ("fails", "shutdown", "app cannot"),
        ("raises", "shutdown", r"the application raised RuntimeError\('app at shutdown'\)"),
    ],
)
async def test_a_failure_is_raised_with_the_reason(how: str, when: str, reason: str) -> None:
    log: list[str] = []
    manager = LifespanManager(Living("app", log, **{how: when}))  # type: ignore[arg-type]
    with anyio.fail_after(HANG), pytest.raises(LifespanError, match=reason):
        async with manager:
            log.append("inside")
    assert ("inside" in log) == (when == "shutdown")


async def test_it_may_be_entered_again_after_a_startup_that_failed() -> None:
    log: list[str] = []
    manager = LifespanManager(Living("app", log, fails="startup"))
    for _ in range(2):
        with pytest.raises(LifespanError):
            await manager.__aenter__()
    assert log == ["app startup"] * 2


async def test_the_application_has_the_context_of_whoever_starts_it() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="default")
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set("the application's")

    variable.set("here")
    async with LifespanManager(app):
        assert seen == ["here"]
        assert variable.get() == "here"


@pytest.mark.parametrize("event", ["startup", "shutdown"])
async def test_an_application_that_takes_too_long_is_cancelled(event: str) -> None:
    cancelled = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
            if event == "shutdown":
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    timeouts: Any = {f"{event}_timeout": 0.01}
    with anyio.fail_after(HANG), pytest.raises(LifespanError, match=r"within 0\.01 seconds"):
        async with LifespanManager(app, **timeouts):
            pass
    assert cancelled.is_set()


async def test_the_shutdown_runs_although_the_block_raised() -> None:
    log: list[str] = []
    with anyio.fail_after(HANG), pytest.raises(KeyError):
        async with LifespanManager(Living("app", log)):
            raise KeyError
    assert log == ["app startup", "app shutdown"]


async def test_the_shutdown_runs_although_the_task_is_cancelled() -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await anyio.sleep(0.001)
        log.append("shut down")
        await send({"type": "lifespan.shutdown.complete"})

    with anyio.CancelScope() as scope:
        async with LifespanManager(app):
            scope.cancel()
            await anyio.sleep_forever()
    assert log == ["shut down"]


async def test_without_a_timeout_a_cancelled_task_does_not_wait_for_the_shutdown() -> None:
    ended = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            ended.set()

    with anyio.fail_after(HANG), anyio.CancelScope() as scope:
        async with LifespanManager(app, shutdown_timeout=None):
            scope.cancel()
    assert ended.is_set()


async def test_without_a_timeout_who_has_answered_does_not_hold_up_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(as_server, "_CLEANUP_SECONDS", 0.01)
    ended = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.fail_after(HANG):
        async with LifespanManager(app, shutdown_timeout=None):
            pass
    assert ended.is_set()


async def test_a_startup_whose_task_is_cancelled_ends_the_application() -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def enter(scope: anyio.CancelScope) -> None:
        with scope:
            await LifespanManager(app).__aenter__()

    scope = anyio.CancelScope()
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(enter, scope)
            await begun.wait()
            scope.cancel()
    assert ended.is_set()


async def test_it_may_be_left_in_another_task_and_entered_again() -> None:
    """As a fixture of pytest-asyncio is."""
    log: list[str] = []
    manager = LifespanManager(Living("app", log))

    async def leave() -> None:
        await manager.__aexit__(None, None, None)

    for _ in range(2):
        async with anyio.create_task_group() as group:
            group.start_soon(manager.__aenter__)
        with pytest.raises(RuntimeError, match="entered already"):
            await manager.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(leave)
    assert log == ["app startup", "app shutdown"] * 2


def test_it_works_in_asyncio_alone() -> None:
    log: list[str] = []

    async def main() -> None:
        manager = LifespanManager(Living("app", log))
        await asyncio.create_task(manager.__aenter__())
        await asyncio.create_task(manager.__aexit__(None, None, None))

    asyncio.run(main())
    assert log == ["app startup", "app shutdown"]


@pytest.mark.parametrize("name", ["startup_timeout", "shutdown_timeout"])
@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_timeout_is_no_negative_number(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=name):
        LifespanManager(respond, **{name: seconds})  # type: ignore[arg-type]


def test_a_wsgi_application_is_refused() -> None:
    """It would pass for one without a lifespan, and fail at its first request."""

    def app(environ: Any, start_response: Any) -> Any: ...

    with pytest.raises(TypeError, match=r"like a WSGI application: .* in WsgiToAsgi$"):
        LifespanManager(app)  # type: ignore[arg-type]


async def test_leaving_without_having_entered_is_an_error() -> None:
    manager = LifespanManager(Living("app", []))
    with pytest.raises(RuntimeError, match="not entered; use it with async with"):
        await manager.__aexit__(None, None, None)
