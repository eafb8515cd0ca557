"""AsgiMounts: dispatch, what changes in a scope, lifespans, states."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import anyio
import pytest

from gatebridge import AsgiMounts, LifespanManager, LifespanShim, WsgiMounts, WsgiToAsgi
from lifespan.host import HANG, WITHOUT_LIFESPAN, LifespanHost, Living, respond
from wsgi_on_asgi.host import Host

DONE = ["startup.complete", "shutdown.complete"]


def named(name: str) -> Any:
    """Return an application that answers with its name, and where the request came to."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        text = f"{name} {scope['root_path']} | {scope['path']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text, "more_body": False})

    return app


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    text = f"wsgi {environ['SCRIPT_NAME']} | {environ['PATH_INFO']}".encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]


async def ask(app: Any, path: str, **scope: Any) -> str:
    host = Host(path=path, **scope)
    await host.serve(app)
    return host.body.decode()


# --- dispatch -------------------------------------------------------------------------------------


@pytest.mark.clause("D-43")
@pytest.mark.parametrize(
    ("path", "root", "answer"),
    [
        ("/", "", "default  | /"),
        ("/apiary", "", "default  | /apiary"),
        ("/api", "", "api /api | /api"),
        ("/api/", "", "api /api | /api/"),
        ("/api/x", "", "api /api | /api/x"),
        ("/api/v2/x", "", "v2 /api/v2 | /api/v2/x"),
        ("/café/x", "", "café /café | /café/x"),
        ("/w", "", "wsgi /w | "),
        ("/w/", "", "wsgi /w | /"),
        ("/w/x/", "", "wsgi /w | /x/"),
        # The server has a root of its own, and leaves it in the path.
        ("/site/api/x", "/site", "api /site/api | /site/api/x"),
        ("/site/api/x", "/site/", "api /site/api | /site/api/x"),
        ("/site/api/x", "site", "api /site/api | /site/api/x"),
        ("/site/x", "/site", "default /site | /site/x"),
        ("/site/w/x", "/site", "wsgi /site/w | /x"),
        ("/api/api/x", "/api", "api /api/api | /api/api/x"),
        ("/api/x", "/api", "default /api | /api/x"),
        # Or takes it off.
        ("/api/x", "/site", "api /site/api | /site/api/x"),
        ("/siteed", "/site", "default /site | /siteed"),
    ],
)
async def test_the_prefix_moves_into_root_path(path: str, root: str, answer: str) -> None:
    app = AsgiMounts(
        named("default"),
        {"/api": named("api"), "/api/v2/": named("v2"), "caf%C3%A9": named("café"), "/w": wsgi},
    )
    async with LifespanHost().running(app):  # ends the threads
        assert await ask(app, path, root_path=root) == answer


@pytest.mark.clause("A-CORE-06", "D-43")
async def test_the_scope_is_copied_and_raw_path_stays() -> None:
    app = Living("app", [])
    host = Host(path="/api/ü", raw_path=b"/%61pi/%C3%BC")
    before = deepcopy(host.scope)

    await host.serve(AsgiMounts(respond, {"/api": app}))
    assert host.scope == before
    assert app.scopes == [{**before, "root_path": "/api"}]


@pytest.mark.clause("A-CORE-06")
async def test_what_is_not_mounted_goes_to_the_default_as_it_came() -> None:
    app = Living("app", [])
    mounts = AsgiMounts(app, {"/api": respond})
    host = Host(path="/")
    await host.serve(mounts)
    assert app.scopes == [host.scope]
    assert app.scopes[0] is not host.scope  # which it may write to


async def test_websockets_are_routed() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    async def nothing(*_: Any) -> Any: ...

    mounts = AsgiMounts(respond, {"/ws": app})
    scope = {"type": "websocket", "path": "/ws/chat", "root_path": ""}
    await mounts(scope, nothing, nothing)
    assert scopes == [{**scope, "root_path": "/ws"}]


async def test_another_protocol_goes_to_the_default() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    async def nothing(*_: Any) -> Any: ...

    await AsgiMounts(app, {"/ws": respond})({"type": "telegraph"}, nothing, nothing)
    assert scopes == [{"type": "telegraph"}]


def test_an_application_of_neither_kind_is_named_by_its_prefix() -> None:
    with pytest.raises(TypeError, match="/api: app can be called without arguments"):
        AsgiMounts(respond, {"/api": lambda: None})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="the default application: app must be callable"):
        AsgiMounts(3, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("mounts", [[("/a", respond)], None, "/a"])
@pytest.mark.parametrize("cls", [AsgiMounts, WsgiMounts])
def test_mounts_are_a_mapping(cls: Any, mounts: Any) -> None:
    with pytest.raises(TypeError, match=r"^mounts must be a mapping of prefixes to applications, "):
        cls(wsgi, mounts)


def test_what_is_mounted_can_be_seen() -> None:
    mounts = AsgiMounts(wsgi, {"api/": respond})
    assert isinstance(mounts.default, WsgiToAsgi)
    assert mounts.mounts == {"/api": respond}


# --- lifespans ------------------------------------------------------------------------------------


async def test_all_lifespans_run_in_order_and_end_in_reverse() -> None:
    log: list[str] = []
    b = Living("b", log)
    app = AsgiMounts(
        Living("default", log), {"/b": b, "/a": Living("a", log), "/b2": b, "/w": wsgi}
    )

    assert await LifespanHost().live(app) == DONE
    assert log == [
        *("default startup", "b startup", "a startup"),
        *("a shutdown", "b shutdown", "default shutdown"),
    ]


@pytest.mark.clause("A-LIFE-14", "A-LIFE-08")
@pytest.mark.parametrize("app", WITHOUT_LIFESPAN)
async def test_applications_without_a_lifespan_are_no_failure(app: Any) -> None:
    log: list[str] = []
    mounts = AsgiMounts(app, {"/a": app, "/b": Living("b", log)})
    assert await LifespanHost().live(mounts) == DONE
    assert log == ["b startup", "b shutdown"]


async def test_the_lifespans_below_a_wsgi_application_run_too() -> None:
    log: list[str] = []
    below = WsgiMounts(wsgi, {"/deep": Living("deep", log)})
    app = AsgiMounts(Living("default", log), {"/below": below})
    async with LifespanHost().running(app):
        assert log == ["default startup", "deep startup"]
        assert await ask(app, "/below/deep/x") == "/below/deep | /below/deep/x"
    assert log[2:] == ["deep shutdown", "default shutdown"]


@pytest.mark.clause("A-LIFE-13")
@pytest.mark.parametrize("failing", range(3))
async def test_a_failing_startup_stops_those_that_have_started(failing: int) -> None:
    log: list[str] = []
    names = ["default", "a", "b"]
    default, a, b = (
        Living(name, log, fails="startup" if number == failing else "")
        for number, name in enumerate(names)
    )
    host = LifespanHost()

    assert await host.live(AsgiMounts(default, {"/a": a, "/b": b})) == ["startup.failed"]
    where = ["the default application", "/a", "/b"][failing]
    assert host.reason == f"{where}: {names[failing]} cannot"
    assert log == [
        *(f"{name} startup" for name in names[: failing + 1]),
        *(f"{name} shutdown" for name in reversed(names[:failing])),
    ]


@pytest.mark.clause("A-LIFE-13")
async def test_the_first_failure_is_the_reason_and_the_others_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    a, b = Living("a", log, fails="shutdown"), Living("b", log, fails="startup")
    host = LifespanHost()
    assert await host.live(AsgiMounts(respond, {"/a": a, "/b": b})) == ["startup.failed"]
    assert host.reason == "/b: b cannot"
    assert caplog.messages == ["/a: lifespan.shutdown.failed: a cannot"]


async def test_a_failing_shutdown_is_reported_and_the_others_are_shut_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log: list[str] = []
    a, b, c = (Living(name, log, fails="shutdown") for name in "abc")
    host = LifespanHost()
    assert await host.live(AsgiMounts(a, {"/b": b, "/c": c})) == [DONE[0], "shutdown.failed"]
    assert host.reason == "/c: c cannot"
    assert log[3:] == ["c shutdown", "b shutdown", "a shutdown"]
    assert caplog.messages == [
        "/b: lifespan.shutdown.failed: b cannot",
        "the default application: lifespan.shutdown.failed: a cannot",
    ]


def leaving(name: str, log: list[str]) -> Any:
    """Return an application that logs when its lifespan is left, however that comes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            log.append(name)

    return app


async def test_a_cancelled_lifespan_leaves_all() -> None:
    log: list[str] = []
    host = LifespanHost()
    async with host.running(AsgiMounts(leaving("default", log), {"/a": leaving("a", log)})):
        host.cancel_scope.cancel()
    assert log == ["a", "default"]


async def test_a_startup_that_is_cancelled_leaves_those_that_have_started() -> None:
    log: list[str] = []
    starting = anyio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        starting.set()
        try:
            await anyio.sleep_forever()
        finally:
            log.append("slow")

    host = LifespanHost()
    app = AsgiMounts(leaving("default", log), {"/slow": slow})
    async with anyio.create_task_group() as group:
        group.start_soon(host.live, app)
        with anyio.fail_after(HANG):
            await starting.wait()
        host.cancel_scope.cancel()
    assert host.answers == []
    assert log == ["slow", "default"]


# --- states ---------------------------------------------------------------------------------------


async def test_each_application_has_a_state_of_its_own_beside_the_servers() -> None:
    server = {"server": 0, "x": "server"}
    default = Living("default", [], state={"x": "default"})
    a, b = (Living(name, [], state={"x": name}) for name in "ab")
    app = AsgiMounts(default, {"/a": a, "/b": b})

    async with LifespanHost(server).running(app):
        for path in ("/", "/a", "/b"):
            await ask(app, path, state={"server": 1, "request": 2, "x": "server"})
    assert server == {"server": 0, "x": "server"}
    for each, name in ((default, "default"), (a, "a"), (b, "b")):
        lifespan, request = each.states
        assert lifespan == {"server": 0, "x": "server"}
        assert request == {"server": 1, "request": 2, "x": name}


async def test_a_state_is_there_although_the_server_has_none() -> None:
    default, a = Living("default", [], state={"x": 1}), Living("a", [])
    app = AsgiMounts(default, {"/a": a})
    async with LifespanHost().running(app):
        for path in ("/", "/a"):
            await ask(app, path)
        default.scopes[-1]["state"]["y"] = 2
        await ask(app, "/")
    assert default.states[1:] == [{"x": 1}] * 2
    assert a.states[1:] == [{}]


async def test_lifespans_of_one_loop_may_overlap() -> None:
    app = Living("app", [], state={"x": 1})
    mounts = AsgiMounts(app, {})
    first, second = LifespanManager(mounts), LifespanManager(mounts)
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    await ask(mounts, "/")
    assert app.scopes[-1]["state"] == {"x": 1}
    await second.__aexit__(None, None, None)
    await ask(mounts, "/")
    assert "state" not in app.scopes[-1]


async def test_without_a_lifespan_there_is_no_state() -> None:
    app = Living("app", [])
    mounts = AsgiMounts(respond, {"/a": app})
    await LifespanHost().live(mounts)
    await ask(mounts, "/a")
    assert "state" not in app.scopes[-1]


async def test_an_application_that_adds_nothing_has_the_requests_own_state() -> None:
    """As a middleware outside expects that looks at it after the request."""
    app = Living("app", [])
    mounts = AsgiMounts(respond, {"/a": app})
    state: dict[str, Any] = {}
    async with LifespanHost({}).running(mounts):
        await ask(mounts, "/a", state=state)
    assert app.scopes[-1]["state"] is state


def test_each_event_loop_has_a_lifespan_and_a_state_of_its_own() -> None:
    app = Living("app", [], state={"list": None})
    mounts = LifespanShim(AsgiMounts(app, {}))

    async def main() -> None:
        async with LifespanManager(mounts):
            await ask(mounts, "/")

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(main, backend=backend)
    assert app.states[1::2] == [{"list": None}] * 3
