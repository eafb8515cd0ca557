"""The lifespan protocol as the application sees it, its modes and its state."""

from __future__ import annotations

import contextvars
import logging
from typing import Any

import anyio
import anyio.lowlevel
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
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError, LifespanError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


def silent(scope: Scope, receive: Receive, send: Send) -> Any:
    """A lifespan that returns at once, without a word."""
    return anyio.lowlevel.checkpoint()


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("no lifespan here")


# --- the protocol ---------------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-01", "D-47")
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_the_scope_of_the_lifespan(adapt: Adapt, mode: str) -> None:
    scopes: list[Any] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append({**scope, "state": dict(scope["state"])})
        await started(receive, send)
        await stopped(receive, send)

    adapt(living(lifespan), lifespan=mode).startup()
    asgi = {"version": "3.0", "spec_version": "2.0"}
    assert scopes == [{"type": "lifespan", "asgi": asgi, "state": {}}]


@pytest.mark.clause("A-LIFE-02", "A-LIFE-03", "A-LIFE-05")
def test_startup_comes_before_the_first_request_and_shutdown_after_the_last(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    Host().serve(adapter)
    Host().serve(adapter)
    adapter.close()
    assert app.events == ["startup", "request", "request", "shutdown"]


@pytest.mark.clause("A-LIFE-02")
def test_startup_may_come_long_before_the_first_request(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    assert app.events == []
    adapter.startup()
    assert app.events == ["startup"]
    adapter.startup()
    Host().serve(adapter)
    assert app.events == ["startup", "request"]


@pytest.mark.clause("A-LIFE-06")
def test_close_waits_until_the_application_has_cleaned_up(adapt: Adapt) -> None:
    """After its answer, too."""
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        assert await receive() == {"type": "lifespan.shutdown"}
        await anyio.sleep(0.02)
        events.append("shut down")
        await send({"type": "lifespan.shutdown.complete"})
        await anyio.sleep(0.02)
        events.append("cleaned up")

    with adapt(living(lifespan)):
        pass
    assert events == ["shut down", "cleaned up"]


@pytest.mark.clause("A-LIFE-05")
def test_an_application_that_asks_for_a_third_event_is_ended(adapt: Adapt) -> None:
    """It does not hold up the end; the specification's own example would not return otherwise."""
    ended = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
        finally:
            ended.set()

    adapter = adapt(living(lifespan), shutdown_timeout=1000)
    adapter.startup()
    adapter.close()
    assert ended.is_set()


@pytest.mark.clause("A-LIFE-05")
@pytest.mark.parametrize("extra", ["lifespan.startup.complete", "lifespan.shutdown.complete"])
def test_an_answer_without_a_question_is_refused(adapt: Adapt, extra: str) -> None:
    errors: list[AsgiAppError] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        with pytest.raises(AsgiAppError, match=f"nothing is to be answered: {extra!r}") as caught:
            await send({"type": extra})
        errors.append(caught.value)
        await stopped(receive, send)

    with adapt(living(lifespan)):
        pass
    assert [error.field for error in errors] == ["type"]


def test_an_answer_before_the_question_is_refused(adapt: Adapt) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    with pytest.raises(LifespanError, match="nothing is to be answered"):
        adapt(living(lifespan), lifespan="on").startup()


@pytest.mark.parametrize(
    "kind", ["lifespan.shutdown.complete", "http.response.start", "lifespan.startup", None]
)
def test_a_wrong_answer_is_refused_and_may_be_made_good(adapt: Adapt, kind: str | None) -> None:
    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(AsgiAppError, match=r"type: not an answer to lifespan\.startup"):
            await send({"type": kind} if kind else {})
        await send({"type": "lifespan.startup.complete"})
        await stopped(receive, send)

    with adapt(living(lifespan), lifespan="on"):
        pass


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-08", "D-44", "D-45")
@pytest.mark.parametrize("lifespan", [silent, raising])
def test_auto_goes_on_without_a_lifespan(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, lifespan: Any
) -> None:
    """With an empty state, a record for those who look closely, and no event at the end."""
    scopes: list[Scope] = []

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(start(), body(b"ok"))(scope, receive, send)

    with caplog.at_level(logging.DEBUG, "gatebridge"), adapt(living(lifespan, respond)) as adapter:
        for _ in range(2):
            assert Host().serve(adapter).body == b"ok"
    assert [scope["state"] for scope in scopes] == [{}, {}]
    what = "returned" if lifespan is silent else "raised RuntimeError('no lifespan here')"
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("DEBUG", f"the application {what} without an answer to lifespan.startup")
    ]


@pytest.mark.clause("A-LIFE-08", "D-44")
def test_an_application_that_raised_at_startup_gets_no_further_event(adapt: Adapt) -> None:
    received: list[Any] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        raise RuntimeError("unsupported")

    with adapt(living(lifespan)) as adapter:
        Host().serve(adapter)
    assert received == [{"type": "lifespan.startup"}]


@pytest.mark.clause("A-LIFE-10", "D-45")
def test_what_a_failed_lifespan_put_into_the_state_is_not_kept(adapt: Adapt) -> None:
    scopes: list[Scope] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["half"] = "done"
        raise RuntimeError("unsupported")

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(start(), body())(scope, receive, send)

    Host().serve(adapt(living(lifespan, respond)))
    assert scopes[0]["state"] == {}


@pytest.mark.clause("A-LIFE-08", "D-44")
@pytest.mark.parametrize("lifespan", [silent, raising, lambda scope, receive, send: None])
def test_on_demands_a_lifespan(adapt: Adapt, lifespan: Any) -> None:
    adapter = adapt(living(lifespan), lifespan="on")
    with pytest.raises(LifespanError) as caught:
        adapter.startup()
    assert caught.value.field == "lifespan.startup"
    if lifespan is silent:
        assert (
            caught.value.reason
            == "the application returned without an answer; lifespan='auto' allows that"
        )
        assert caught.value.__cause__ is None
    elif lifespan is raising:
        assert "raised RuntimeError('no lifespan here') without an answer" in caught.value.reason
        assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.clause("A-LIFE-08")
def test_an_application_that_is_no_coroutine_function_is_told_so_by_on(adapt: Adapt) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        return None

    with pytest.raises(LifespanError, match="not awaitable: NoneType"):
        adapt(app, lifespan="on").startup()


@pytest.mark.clause("D-44", "D-45", "A-HTTP-13")
def test_off_calls_no_lifespan_and_gives_no_state(adapt: Adapt) -> None:
    app = Recorder()
    with adapt(app, lifespan="off") as adapter:
        Host().serve(adapter)
    assert app.events == ["request"]
    assert "state" not in app.scopes[0]


@pytest.mark.clause("D-44")
@pytest.mark.parametrize("error", [None, RuntimeError("gone"), SystemExit(3)])
def test_a_lifespan_that_ends_early_is_logged_and_gets_no_shutdown(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, error: BaseException | None
) -> None:
    ending, ended = Event(), Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await awhile(ending)
        ended.set()
        if error is not None:
            raise error

    with adapt(living(lifespan), lifespan="on") as adapter:
        Host().serve(adapter)
        ending.set()
        ended.happens()
        assert Host().serve(adapter).body == b"ok"
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.getMessage() == "the lifespan ended before lifespan.shutdown"
    assert record.name == "gatebridge"
    assert record.exc_info is None or record.exc_info[1] is error


# --- state ----------------------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-10", "A-HTTP-13")
def test_each_request_has_a_shallow_copy_of_the_state(adapt: Adapt) -> None:
    shared: list[str] = []
    states: list[Any] = []
    lifespan_state: list[Any] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["shared"] = shared
        lifespan_state.append(scope["state"])
        await started(receive, send)
        await stopped(receive, send)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(dict(scope["state"]))
        scope["state"]["mine"] = scope["path"]
        scope["state"]["shared"].append(scope["path"])
        await sending(start(), body())(scope, receive, send)

    with adapt(living(lifespan, respond)) as adapter:
        Host(path="/1").serve(adapter)
        Host(path="/2").serve(adapter)
    assert states == [{"shared": shared}, {"shared": shared}]
    assert shared == ["/1", "/2"]
    assert lifespan_state == [{"shared": shared}]


@pytest.mark.clause("A-LIFE-10")
def test_what_the_lifespan_adds_later_is_seen_by_later_requests(adapt: Adapt) -> None:
    going_on, gone_on = Event(), Event()
    states: list[Any] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await started(receive, send)
        await awhile(going_on)
        scope["state"]["late"] = True
        gone_on.set()
        await stopped(receive, send)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(scope["state"])
        await sending(start(), body())(scope, receive, send)

    with adapt(living(lifespan, respond)) as adapter:
        Host().serve(adapter)
        going_on.set()
        gone_on.happens()
        Host().serve(adapter)
    assert states == [{}, {"late": True}]


@pytest.mark.clause("A-LIFE-10")
def test_a_new_lifespan_has_a_new_state(adapt: Adapt) -> None:
    states: list[Any] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(dict(scope["state"]))
        scope["state"]["old"] = True
        await started(receive, send)
        await stopped(receive, send)

    adapter = adapt(living(lifespan))
    for _ in range(2):
        with adapter:
            pass
    assert states == [{}, {}]


# --- context --------------------------------------------------------------------------------------


def test_the_context_of_the_first_request_does_not_leak_into_the_lifespan(adapt: Adapt) -> None:
    """Whoever comes first: what lives as long as the process has a context of its own."""
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await started(receive, send)
        await stopped(receive, send)
        seen.append(variable.get())

    @http
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await sending(start(), body())(scope, receive, send)

    def first() -> None:
        variable.set("of the request")
        adapter = adapt(living(lifespan, respond))
        Host().serve(adapter)
        adapter.close()

    contextvars.copy_context().run(first)
    assert seen == ["default", "of the request", "default"]
