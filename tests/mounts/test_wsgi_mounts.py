"""WsgiMounts: dispatch, what changes in an environ, lifespans."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi, WsgiMounts
from gatebridge.errors import LifespanError, UnavailableError
from lifespan.host import WITHOUT_LIFESPAN, Living, respond


def named(name: str) -> Any:
    """Return an application that answers with its name, and where the request came to."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        text = f"{name} {environ['SCRIPT_NAME']} | {environ['PATH_INFO']}".encode("latin-1")
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]

    return app


def ask(app: Any, path: str = "/", **environ: Any) -> str:
    return Host(path=path, **environ).serve(app).body.decode()


_LOOPS = ("gatebridge-asyncio", "gatebridge-trio")


@pytest.fixture
def mounted() -> Iterator[Any]:
    """A function that makes mounts, which are closed at the end of the test."""
    made: list[WsgiMounts] = []

    def make(*arguments: Any) -> WsgiMounts:
        made.append(WsgiMounts(*arguments))
        return made[-1]

    yield make
    for mounts in made:
        mounts.close()
    assert [t.name for t in threading.enumerate() if t.name in _LOOPS] == []


# --- dispatch -------------------------------------------------------------------------------------


@pytest.mark.clause("D-43", "D-04")
@pytest.mark.parametrize(
    ("path", "script", "answer"),
    [
        ("/", "", "default  | /"),
        ("", "/site", "default /site | "),
        ("/apiary", "", "default  | /apiary"),
        ("/api", "", "api /api | "),
        ("/api/", "", "api /api | /"),
        ("/api/x/", "", "api /api | /x/"),
        ("/api//x", "", "api /api | //x"),
        ("/api/v2/x", "", "v2 /api/v2 | /x"),
        ("/caf\xc3\xa9/\xff", "", "café /caf\xc3\xa9 | /\xff"),
        ("/api/x", "/site", "api /site/api | /x"),
        ("/api/x", "/site/", "api /site/api | /x"),
        ("/api/api", "/api", "api /api/api | /api"),
        ("/asgi/x", "", "/asgi | /asgi/x"),
        ("/asgi", "/site", "/site/asgi | /site/asgi"),
    ],
)
def test_the_prefix_moves_into_script_name(
    mounted: Any, path: str, script: str, answer: str
) -> None:
    default, api, v2, cafe = (named(name) for name in ("default", "api", "v2", "caf\xe9"))
    app = mounted(default, {"/api": api, "/api/v2/": v2, "caf%C3%A9": cafe, "/asgi": respond})
    assert Host(path=path, SCRIPT_NAME=script).serve(app).body.decode("latin-1") == answer


def test_an_environ_without_path_goes_to_the_default(mounted: Any) -> None:
    def default(environ: Any, start_response: Any) -> list[bytes]:
        assert "PATH_INFO" not in environ
        start_response("204 No Content", [])
        return []

    Host(PATH_INFO=None, SCRIPT_NAME=None).serve(mounted(default, {"/a": respond}))


@pytest.mark.clause("W-BODY-14")
@pytest.mark.parametrize("path", ["/", "/a"])
def test_what_the_application_returns_is_handed_on_itself(mounted: Any, path: str) -> None:
    blocks = iter([b"1", b"2"])

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return blocks

    mounts = mounted(app, {"/a": app})
    assert mounts({"PATH_INFO": path}, lambda *_: None) is blocks


def test_an_application_of_neither_kind_is_named_by_its_prefix() -> None:
    with pytest.raises(TypeError, match="/api: app can be called without arguments"):
        WsgiMounts(respond, {"/api": lambda: None})  # type: ignore[dict-item]


def test_what_is_mounted_can_be_seen(mounted: Any) -> None:
    wsgi, own = named("wsgi"), AsgiToWsgi(respond)
    mounts = mounted(respond, {"a/": wsgi, "/own": own})
    assert isinstance(mounts.default, AsgiToWsgi)
    assert mounts.mounts == {"/a": wsgi, "/own": own}


@pytest.mark.clause("D-02", "D-43")
def test_an_encoded_slash_that_the_server_left_in_the_path(mounted: Any) -> None:
    """As Cheroot does: a WSGI application gets what the server gave, an ASGI application a path."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scopes.append(scope)
        await respond(scope, receive, send)

    mounts = mounted(named("default"), {"/asgi": app, "/wsgi": named("wsgi")})
    ask(mounts, "/asgi/a%2Fb", REQUEST_URI="/asgi/a%2fb")
    assert (scopes[0]["root_path"], scopes[0]["path"]) == ("/asgi", "/asgi/a/b")
    assert scopes[0]["raw_path"] == b"/asgi/a%2fb"
    assert ask(mounts, "/wsgi/a%2Fb", REQUEST_URI="/wsgi/a%2fb") == "wsgi /wsgi | /a%2Fb"


# --- lifespans ------------------------------------------------------------------------------------

STARTUPS = ["default startup", "b startup", "a startup"]
SHUTDOWNS = ["a shutdown", "b shutdown", "default shutdown"]


def living(log: list[str], **fails: str) -> tuple[Any, dict[str, Any]]:
    """Return applications with lifespans; one of them is mounted twice."""
    default, b, a = (Living(name, log, fails=fails.get(name, "")) for name in ("default", "b", "a"))
    return default, {"/b": b, "/a": a, "/b2": b, "/w": named("w")}


@pytest.mark.clause("A-LIFE-02", "A-LIFE-05")
@pytest.mark.direction("a2w")
def test_all_lifespans_run_in_order_and_end_in_reverse(mounted: Any) -> None:
    log: list[str] = []
    with mounted(*living(log)) as app:
        assert log == STARTUPS
        for path in ("/", "/a", "/b", "/b2", "/w"):
            ask(app, path)
    assert log == STARTUPS + SHUTDOWNS


@pytest.mark.parametrize("path", ["/", "/a", "/w"])
def test_the_first_request_of_any_application_starts_all(mounted: Any, path: str) -> None:
    log: list[str] = []
    app = mounted(*living(log))
    for _ in range(2):
        ask(app, path)
    assert log == STARTUPS


def test_first_requests_at_once_start_all_once(mounted: Any) -> None:
    log: list[str] = []
    app = mounted(*living(log))
    serving = [Host(path="/w").serve_in_thread(app) for _ in range(5)]
    for each in serving:
        each.join()
    assert log == STARTUPS


def test_mounts_within_mounts_start_with_them(mounted: Any) -> None:
    log: list[str] = []
    inner = mounted(named("w"), {"/deep": Living("deep", log)})
    with mounted(Living("default", log), {"/inner": inner}) as app:
        assert ask(app, "/inner/deep/x") == "/inner/deep | /inner/deep/x"
    assert log == ["default startup", "deep startup", "deep shutdown", "default shutdown"]


def test_an_adapter_of_ones_own_starts_with_them(mounted: Any) -> None:
    log: list[str] = []
    with mounted(named("w"), {"/own": AsgiToWsgi(Living("own", log), backend="trio")}):
        assert log == ["own startup"]
    assert log == ["own startup", "own shutdown"]


@pytest.mark.parametrize("app", WITHOUT_LIFESPAN)
def test_applications_without_a_lifespan_are_no_failure(mounted: Any, app: Any) -> None:
    with mounted(app, {"/a": app}) as mounts:
        ask(mounts, "/a")


@pytest.mark.clause("A-LIFE-13")
@pytest.mark.parametrize(
    ("failing", "where", "begun"),
    [("default", "the default application", 1), ("b", "/b", 2), ("a", "/a", 3)],
)
def test_a_failing_startup_stops_those_that_have_started(
    mounted: Any, failing: str, where: str, begun: int
) -> None:
    log: list[str] = []
    app = mounted(*living(log, **{failing: "startup"}))
    expected = STARTUPS[:begun] + SHUTDOWNS[len(SHUTDOWNS) - begun + 1 :]

    for act in (app.startup, lambda: ask(app, "/w"), lambda: ask(app, "/a"), app.startup):
        with pytest.raises(LifespanError, match=f"^lifespan.startup.failed: {where}: {failing} c"):
            act()
        assert log == expected


def test_after_close_a_failed_startup_can_be_tried_again(mounted: Any) -> None:
    log: list[str] = []
    default, mounts = living(log, a="startup")
    app = mounted(default, mounts)
    with pytest.raises(LifespanError):
        app.startup()
    app.close()
    log.clear()
    mounts["/a"]._fails = ""
    app.startup()
    assert log == STARTUPS


def test_an_error_that_is_not_the_applications_is_raised_each_time(mounted: Any) -> None:
    log: list[str] = []

    def no_loop() -> Any:
        raise OSError("no loop")

    own = AsgiToWsgi(respond, backend_options={"loop_factory": no_loop})
    app = mounted(Living("default", log), {"/own": own})
    for _ in range(2):
        with pytest.raises(OSError, match="no loop"):
            ask(app)
    assert log == ["default startup", "default shutdown"] * 2


def test_a_failing_shutdown_is_raised_after_all_are_shut_down(mounted: Any) -> None:
    log: list[str] = []
    app = mounted(*living(log, b="shutdown", a="shutdown"))
    app.startup()
    with pytest.raises(LifespanError, match="/a: a cannot"):
        app.close()
    assert log == STARTUPS + SHUTDOWNS
    app.close()


def test_after_close_asgi_applications_are_refused_until_startup(mounted: Any) -> None:
    log: list[str] = []
    app = mounted(*living(log))
    ask(app, "/a")
    app.close()
    with pytest.raises(UnavailableError, match="closed"):
        ask(app, "/a")
    assert ask(app, "/w") == "w /w | "
    assert log == STARTUPS + SHUTDOWNS
    app.startup()
    ask(app, "/a")
    assert log == (STARTUPS + SHUTDOWNS) + STARTUPS


def test_mounts_that_were_closed_before_any_request_start_nothing(mounted: Any) -> None:
    log: list[str] = []
    app = mounted(*living(log))
    app.close()
    assert ask(app, "/w") == "w /w | "
    with pytest.raises(UnavailableError, match="closed"):
        ask(app, "/a")
    assert log == []


def test_a_call_from_its_own_startup_is_refused_rather_than_hang(mounted: Any) -> None:
    errors: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for act in (lambda: ask(mounts), mounts.startup, mounts.close):
            with pytest.raises(UnavailableError, match=r"^event loop") as refused:
                act()
            errors.append(refused.value)

    mounts = mounted(named("default"), {"/a": app})
    mounts.startup()
    assert len(errors) == 3
