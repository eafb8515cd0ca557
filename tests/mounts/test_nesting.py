"""Mounts within mounts, in all four directions, with applications of both kinds in them."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from websockets.sync.client import connect
from werkzeug.serving import make_server

from asgi_on_wsgi.host import Host as WsgiHost
from gatebridge import AsgiMounts, LifespanManager, WsgiMounts
from gatebridge.errors import LifespanError
from wsgi_on_asgi.host import HANG, http_scope
from wsgi_on_asgi.host import Host as AsgiHost

pytestmark = pytest.mark.clause("D-43")

KINDS = {"asgi": AsgiMounts, "wsgi": WsgiMounts}
NESTINGS = [
    pytest.param(outer, inner, id=f"{inner} in {outer}") for outer in KINDS for inner in KINDS
]
nested = pytest.mark.parametrize(("outer", "inner"), NESTINGS)


class Part:
    """An ASGI application that writes down its startup and its shutdown.

    Args:
        name: Its own, also a key of its state.
        log: Where to write.
        fails: ``"up"`` or ``"down"``, what it cannot do.
    """

    def __init__(self, name: str, log: list[str], fails: str = "") -> None:
        self.name, self.log, self.fails = name, log, fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        scope["written"] = "by the application"  # as Starlette does
        root, path = scope["root_path"], scope["path"]
        assert path.startswith(root)
        text = json.dumps([self.name, root, path[len(root) :], sorted(scope.get("state", "-"))])
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": text})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode(), "more_body": False})

    async def live(self, scope: Any, receive: Any, send: Any) -> None:
        for event in ("up", "down"):
            kind = (await receive())["type"]
            if event == self.fails:
                await send({"type": f"{kind}.failed", "message": f"{self.name} cannot"})
                return
            self.log.append(f"{self.name} {event}")
            scope["state"][self.name] = object()
            await send({"type": f"{kind}.complete"})


def wsgi_part(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(["wsgi", environ["SCRIPT_NAME"], environ["PATH_INFO"]]).encode()]


NAMES = ["root", "middle", "leaf", "second", "last"]
WHERE = {  # of each of them, as messages name it
    "root": "the default application",
    "middle": "/outer: the default application",
    "leaf": "/outer: /inner",
    "second": "/outer: /second",
    "last": "/last",
}


def tree(outer: str, inner: str, log: list[str], **fails: str) -> Any:
    """Return mounts in mounts; the keywords say which applications fail."""
    part = {name: Part(name, log, fails.get(name, "")) for name in NAMES}
    below = KINDS[inner](
        part["middle"],
        {"/inner": part["leaf"], "/second": part["second"], "/wsgi": wsgi_part},
    )
    return KINDS[outer](part["root"], {"/outer": below, "/last": part["last"], "/wsgi": wsgi_part})


async def live(mounts: Any) -> None:
    """Start and end the mounts."""
    with anyio.fail_after(HANG):
        if isinstance(mounts, WsgiMounts):
            await anyio.to_thread.run_sync(mounts.startup)
            await anyio.to_thread.run_sync(mounts.close)
        else:
            async with LifespanManager(mounts):
                pass


async def ask(mounts: Any, path: str) -> Any:
    """Return what the application at a path says."""
    if isinstance(mounts, WsgiMounts):
        host = WsgiHost(path=path.encode().decode("latin-1"))
        await anyio.to_thread.run_sync(partial(host.serve, mounts))
        return json.loads(host.body)
    asgi_host = AsgiHost(path=path, raw_path=path.encode())
    before = dict(asgi_host.scope)
    await asgi_host.serve(mounts)
    assert asgi_host.scope == before  # A-CORE-06
    return json.loads(asgi_host.body)


ANSWERS = [
    ("/", ["root", "", "/"]),
    ("/inner/x", ["root", "", "/inner/x"]),
    ("/outerx", ["root", "", "/outerx"]),
    ("/outer", ["middle", "/outer", ""]),
    ("/outer/", ["middle", "/outer", "/"]),
    ("/outer//inner/x", ["middle", "/outer", "//inner/x"]),
    ("/outer/innermost", ["middle", "/outer", "/innermost"]),
    ("/outer/last", ["middle", "/outer", "/last"]),
    ("/outer/inner", ["leaf", "/outer/inner", ""]),
    ("/outer/inner/", ["leaf", "/outer/inner", "/"]),
    ("/outer/inner/outer/inner", ["leaf", "/outer/inner", "/outer/inner"]),
    ("/outer/second/x", ["second", "/outer/second", "/x"]),
    ("/last/inner", ["last", "/last", "/inner"]),
    ("/wsgi/x", ["wsgi", "/wsgi", "/x"]),
    ("/outer/wsgi", ["wsgi", "/outer/wsgi", ""]),
    ("/outer/wsgi/", ["wsgi", "/outer/wsgi", "/"]),
    ("/outer/wsgi/x//y", ["wsgi", "/outer/wsgi", "/x//y"]),
]


@nested
@pytest.mark.clause("A-CORE-06")
async def test_each_application_has_its_paths_and_its_state(outer: str, inner: str) -> None:
    """A WSGI one has the prefix in ``SCRIPT_NAME``; states have keys of one application only."""
    mounts = tree(outer, inner, [])
    try:
        if isinstance(mounts, AsgiMounts):
            async with LifespanManager(mounts):
                said = [await ask(mounts, path) for path, _ in ANSWERS]
        else:
            said = [await ask(mounts, path) for path, _ in ANSWERS]
    finally:
        if isinstance(mounts, WsgiMounts):
            await anyio.to_thread.run_sync(mounts.close)
    assert said == [
        expected if expected[0] == "wsgi" else [*expected, [expected[0]]] for _, expected in ANSWERS
    ]


WEBSOCKETS = [
    ("/x", ["root", "", "/x", ["root"]]),
    ("/last/x", ["last", "/last", "/x", ["last"]]),
    ("/outer/inner/x", ["leaf", "/outer/inner", "/x", ["leaf"]]),
]


@pytest.mark.parametrize(("path", "expected"), WEBSOCKETS)
async def test_a_websocket_goes_where_a_request_goes(path: str, expected: list[Any]) -> None:
    mounts = tree("asgi", "asgi", [])
    scope = http_scope(type="websocket", path=path, subprotocols=[], method=None)
    before = dict(scope)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    with anyio.fail_after(HANG):
        async with LifespanManager(mounts):
            await mounts(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    assert json.loads(sent[1]["text"]) == expected
    assert scope == before


@pytest.mark.parametrize("inner", KINDS)
def test_a_websocket_of_a_wsgi_server_goes_there_too(inner: str) -> None:
    with tree("wsgi", inner, []) as mounts:
        server = make_server("127.0.0.1", 0, mounts, threaded=True)
        poll_seconds = 0.01
        thread = threading.Thread(target=server.serve_forever, args=(poll_seconds,), daemon=True)
        thread.start()
        try:
            for path, expected in WEBSOCKETS:
                url = f"ws://127.0.0.1:{server.server_port}{path}"
                with connect(url, open_timeout=HANG) as client:
                    assert json.loads(client.recv(HANG)) == expected
        finally:
            server.shutdown()
            thread.join(HANG)
            server.server_close()


@pytest.mark.clause("A-CORE-06")
@pytest.mark.parametrize("inner", KINDS)
async def test_requests_are_served_where_no_lifespan_runs(inner: str) -> None:
    """Without states then, except below `WsgiMounts`, which start by themselves."""
    mounts = tree("asgi", inner, [])
    try:
        said = [await ask(mounts, path) for path, _ in ANSWERS]
    finally:
        await live(mounts)  # a lifespan that comes late ends what has begun by itself
    assert [answer[:3] for answer in said] == [expected for _, expected in ANSWERS]
    below = [] if inner == "asgi" else ["middle", "leaf", "second"]
    assert {answer[0]: answer[3] for answer in said if answer[0] != "wsgi"} == {
        name: [name] if name in below else ["-"] for name in NAMES
    }


@nested
@pytest.mark.clause("A-LIFE-02", "A-LIFE-05")
async def test_all_start_once_in_order_and_end_in_reverse(outer: str, inner: str) -> None:
    log: list[str] = []
    mounts = tree(outer, inner, log)
    for _ in range(2):
        log.clear()
        await live(mounts)
        assert log == [f"{name} up" for name in NAMES] + [f"{name} down" for name in NAMES[::-1]]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bound_method_that_is_mounted_twice_starts_once(kind: str) -> None:
    log: list[str] = []
    part = Part("x", log)
    await live(KINDS[kind](part.__call__, {"/a": part.__call__, "/b": part.__call__}))
    assert log == ["x up", "x down"]


@pytest.mark.clause("A-LIFE-05")
async def test_wsgi_mounts_end_with_the_last_of_several_lifespans() -> None:
    """They are the same for all event loops, as two test clients of one application have them."""
    log: list[str] = []
    mounts = AsgiMounts(wsgi_part, {"/wsgi": WsgiMounts(wsgi_part, {"/x": Part("x", log)})})
    async with LifespanManager(mounts):
        async with LifespanManager(mounts):
            assert log == ["x up"]
        assert await ask(mounts, "/wsgi/x") == ["x", "/wsgi/x", "", ["x"]]
    assert log == ["x up", "x down"]


@nested
@pytest.mark.clause("A-LIFE-13", "A-LIFE-04")
@pytest.mark.parametrize("failing", NAMES)
async def test_a_failed_startup_ends_those_before_it(outer: str, inner: str, failing: str) -> None:
    log: list[str] = []
    mounts = tree(outer, inner, log, **{failing: "up"})
    with pytest.raises(LifespanError) as caught:
        await live(mounts)
    assert caught.value.reason == f"{WHERE[failing]}: {failing} cannot"
    before = NAMES[: NAMES.index(failing)]
    assert log == [f"{name} up" for name in before] + [f"{name} down" for name in before[::-1]]


@nested
@pytest.mark.clause("A-LIFE-07")
@pytest.mark.parametrize("failing", NAMES)
async def test_a_failed_shutdown_does_not_keep_the_others(
    outer: str, inner: str, failing: str
) -> None:
    log: list[str] = []
    mounts = tree(outer, inner, log, **{failing: "down"})
    with pytest.raises(LifespanError) as caught:
        await live(mounts)
    assert caught.value.reason == f"{WHERE[failing]}: {failing} cannot"
    assert log[5:] == [f"{name} down" for name in NAMES[::-1] if name != failing]


def test_close_goes_on_after_any_failure(caplog: pytest.LogCaptureFixture) -> None:
    """Also of an application that starts and ends, but is not of this library."""

    class Startable:
        def startup(self) -> None: ...
        def close(self) -> None:
            raise ZeroDivisionError

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...
        def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
            return wsgi_part(environ, start_response)

    log: list[str] = []
    mounts = WsgiMounts(Part("root", log), {"/startable": Startable()})
    mounts.startup()
    with pytest.raises(ZeroDivisionError):
        mounts.close()
    assert log == ["root up", "root down"]
    assert [record.message for record in caplog.records] == ["/startable: close() failed"]


@nested
@pytest.mark.clause("A-LIFE-07")
async def test_of_several_failed_shutdowns_the_first_is_told(outer: str, inner: str) -> None:
    log: list[str] = []
    mounts = tree(outer, inner, log, middle="down", leaf="down", root="down")
    with pytest.raises(LifespanError) as caught:
        await live(mounts)
    assert caught.value.reason == f"{WHERE['leaf']}: leaf cannot"
    assert log[5:] == ["last down", "second down"]
