"""``environ["gatebridge.disconnected"]``: an application that asks for its client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from gatebridge import disconnect_flag
from gatebridge._concurrency import gate
from gatebridge.errors import ClientDisconnected
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    happens,
    result_app,
    serve,
    statistics_say,
)
from wsgi_on_asgi.host import HANG, Host, bury

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("D-30", "A-HTTP-32")]

KEY = "gatebridge.disconnected"


def polling(flag: Any) -> bool:
    """Ask again and again, as a computation does between its steps."""
    for _ in range(HANG * 1000):
        if flag.is_set():
            return True
        threading.Event().wait(0.001)
    return False


def waiting(flag: Any) -> bool:
    return flag.wait(HANG)


def waiting_for_ever(flag: Any) -> bool:
    return flag.wait()


WAYS = pytest.mark.parametrize("ask", [polling, waiting, waiting_for_ever])


class Computing:
    """An application that asks whether its client is gone, before it answers."""

    def __init__(self, ask: Callable[[Any], bool]) -> None:
        self.ask = ask
        self.asked, self.answered = threading.Event(), threading.Event()
        self.answers: list[bool] = []

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        flag = environ[KEY]
        self.answers.append(flag.is_set())
        self.asked.set()
        self.answers.append(self.ask(flag))
        self.answered.set()
        start_response("200 OK", [TEXT])
        return [b"to nobody"]


@WAYS
async def test_it_is_set_when_the_client_leaves_during_the_call(ask: Any) -> None:
    app = Computing(ask)
    host = Host()
    async with host.background(adapter(app)):
        await happens(app.asked)
        host.disconnect()
    assert (app.answers, host.error, host.sent) == ([False, True], None, [])


@WAYS
async def test_it_is_set_when_the_client_leaves_between_blocks(ask: Any) -> None:
    answers: list[bool] = []

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        answers.append(environ[KEY].is_set())
        yield b"a"
        answers.append(ask(environ[KEY]))
        yield b"b"
        answers.append(False)

    host = Host()
    async with host.background(adapter(app)):
        await host.until(lambda: host.body == b"a")
        host.disconnect()
    assert (answers, host.error, host.body) == ([False, True], None, b"a")


@WAYS
async def test_it_is_set_when_the_client_leaves_while_it_still_sends(ask: Any) -> None:
    """What was received before can be read, the rest never."""
    app_error: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        asked()
        assert ask(environ[KEY])
        body = environ["wsgi.input"]
        app_error.append(body.read(4))
        with pytest.raises(ClientDisconnected):
            body.read()
        start_response("200 OK", [TEXT])
        return []

    asked = Gate()
    host = Host(b"part", method="POST", open_end=True)
    async with host.background(adapter(app)):
        await asked.reached()
        asked.open()
        host.disconnect()
    assert (app_error, host.error, host.sent) == ([b"part"], None, [])


async def test_who_asks_is_answered_at_once_and_may_wait_no_longer_than_wanted() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        flag = environ[KEY]
        answers = [
            flag.is_set(),
            flag.wait(0),
            flag.wait(-1),
            flag.wait(0.01),
            flag.wait(timeout=0),
        ]
        start_response("200 OK", [TEXT])
        return [str(answers).encode()]

    host = await serve(app)
    assert (host.body, host.complete) == (str([False] * 5).encode(), True)


async def test_nobody_receives_for_it_unless_it_is_asked() -> None:
    host = await serve(result_app([b"x"]))
    assert host.receives == 1


async def test_asking_makes_no_client_send_that_waits_for_100_continue() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        assert not environ[KEY].wait(0.01)
        received.append(host.receives)
        start_response("413 Content Too Large", [TEXT])
        return []

    received: list[int] = []
    headers = [(b"expect", b"100-continue"), (b"content-length", b"5")]
    host = Host(b"12345", method="POST", headers=headers)
    await host.serve(adapter(app))
    assert (received, host.status) == ([0], 413)


async def test_a_thread_that_waits_does_not_count() -> None:
    """So that many can wait for an event that is long in coming."""
    app = Computing(waiting)
    served = adapter(lambda *args: app(*args) if args[0]["PATH_INFO"] == "/wait" else plain(*args))
    plain = result_app([b"served"])
    served._pool._limit = 1
    host = Host(path="/wait")
    async with host.background(served):
        await statistics_say(served, stalled=1, running=0)
        other = Host()
        await other.serve(served)
        assert other.body == b"served"
        host.disconnect()
    assert app.answers == [False, True]


@pytest.mark.parametrize("body", [[b"x"], iter([b"x", b"y"])], ids=["list", "stream"])
@pytest.mark.parametrize("asks_before", [False, True])
@WAYS
async def test_it_is_set_when_the_request_is_over(body: Any, asks_before: bool, ask: Any) -> None:
    """A thread of the application that outlives its request shall not wait for ever."""
    answers: list[bool] = []
    started, done = threading.Event(), threading.Event()

    def work(flag: Any) -> None:
        if asks_before:
            assert not flag.is_set()
        started.set()
        answers.append(ask(flag))
        done.set()

    def app(environ: Environ, start_response: Any) -> Any:
        threading.Thread(target=work, args=(environ[KEY],), daemon=True).start()
        assert started.wait(HANG)
        start_response("200 OK", [TEXT])
        return body

    host = await serve(app)
    await happens(done)
    assert (answers, host.complete) == ([True], True)


@WAYS
async def test_it_is_set_when_the_call_is_cancelled(ask: Any) -> None:
    app = Computing(ask)
    host = Host()
    async with host.background(adapter(app)) as scope:
        await happens(app.asked)
        scope.cancel()
    await happens(app.answered)
    assert app.answers == [False, True]


@WAYS
def test_it_is_set_when_the_loop_has_ended(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nothing was cancelled."""
    monkeypatch.setattr(gate, "_LOOP_CHECK_SECONDS", 0.01)
    app = Computing(ask)
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Task[None]:
        host = Host()
        task = asyncio.create_task(adapter(app)(host.scope, host.receive, host.send))
        await happens(app.asked)
        return task

    task = loop.run_until_complete(start())
    loop.close()
    assert app.answered.wait(HANG)
    assert app.answers == [False, True]
    bury(task)


@WAYS
async def test_it_is_set_when_the_client_leaves_after_it_has_everything(ask: Any) -> None:
    """A long ``close()`` may want to know, although nothing is lost and nothing is logged."""
    answers: list[bool] = []

    class Asking(Blocks):
        def __init__(self, flag: Any) -> None:
            super().__init__(b"x")
            self._flag = flag

        def close(self) -> None:
            answers.append(ask(self._flag))
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, ("Content-Length", "1")])
        return Asking(environ[KEY])

    host = await serve(app)  # this host says that the client has left once it was sent everything
    assert (answers, host.body, host.complete) == ([True], b"x", True)


class LateHost(Host):
    """Tells that the client has left only when the test lets it."""

    def __init__(self, **scope: Any) -> None:
        super().__init__(**scope)
        self.may_tell = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        message = await super().receive()
        if message["type"] == "http.disconnect":
            await self.may_tell.wait()
        return message


async def test_who_waits_in_close_goes_on_when_the_client_leaves() -> None:
    """Long before the worker would look by itself whether there is still a loop."""
    answers: list[bool] = []

    class Waiting(Blocks):
        def __init__(self, flag: Any) -> None:
            super().__init__(b"x")
            self._flag = flag

        def close(self) -> None:
            answers.append(self._flag.wait(HANG / 2))
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, ("Content-Length", "1")])
        return Waiting(environ[KEY])

    served = adapter(app)
    host = LateHost()
    async with host.background(served):
        await host.until(lambda: host.complete)
        await statistics_say(served, stalled=1)
        host.may_tell.set()
    assert (answers, host.error, host.body) == ([True], None, b"x")


@WAYS
async def test_who_asks_only_after_the_request_is_told_so(ask: Any) -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        kept.append(environ[KEY])
        start_response("200 OK", [TEXT])
        return [b"x"]

    await serve(app)
    assert await anyio.to_thread.run_sync(ask, kept[0]) is True


async def test_the_function_returns_the_flag_of_the_request() -> None:
    flags: list[bool] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        flags.append(disconnect_flag(environ) is environ[KEY])
        start_response("200 OK", [TEXT])
        return [b""]

    await serve(app)
    assert flags == [True]


def test_elsewhere_the_function_returns_a_flag_that_is_not_set() -> None:
    """As under a framework's test client, or on a WSGI server."""
    flag = disconnect_flag({})
    assert flag.is_set() is False
    assert flag.wait(0) is False
    assert disconnect_flag({}) is not flag
