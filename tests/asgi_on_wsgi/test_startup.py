"""When an application starts up, how often, and what becomes of a startup that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from asgi_on_wsgi.apps import Event, Recorder, awhile, living, started, stopped
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.threads import Thread
from gatebridge import AsgiToWsgi
from gatebridge.errors import LifespanError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


def failing(message: dict[str, Any]) -> Any:
    """Return a lifespan that fails with this message."""

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(message)

    return lifespan


@pytest.mark.clause("A-LIFE-02", "A-LIFE-03")
def test_concurrent_first_requests_wait_for_one_startup(adapt: Adapt) -> None:
    """None is served before it is complete."""
    begun, may_go_on = Event(), Event()
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        events.append("startup")
        await receive()
        begun.set()
        await awhile(may_go_on)
        events.append("complete")
        await send({"type": "lifespan.startup.complete"})
        await stopped(receive, send)

    recorder = Recorder()

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        events.append("request")
        await recorder(scope, receive, send)

    adapter = adapt(living(lifespan, respond))
    all_there = threading.Barrier(21)

    def serve() -> None:
        all_there.wait(HANG)
        assert Host().serve(adapter).body == b"ok"

    threads = [Thread(serve) for _ in range(20)]
    all_there.wait(HANG)
    begun.happens()
    assert events == ["startup"]
    may_go_on.set()
    for thread in threads:
        thread.join()
    assert events == ["startup", "complete", *["request"] * 20]


@pytest.mark.clause("A-LIFE-04", "A-LIFE-11", "D-44")
@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"message": "no database"}, "no database"),
        ({"message": ""}, "no reason given"),
        ({}, "no reason given"),
        ({"message": None}, "no reason given"),
    ],
)
def test_a_failing_startup_is_the_same_error_for_all(
    adapt: Adapt, mode: str, more: dict[str, Any], reason: str
) -> None:
    """For each request and for ``startup``; the application is asked once."""
    app = Recorder()
    calls: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append("startup")
        await failing({"type": "lifespan.startup.failed", **more})(scope, receive, send)

    adapter = adapt(living(lifespan, app), lifespan=mode)
    errors: list[LifespanError] = []
    attempts: list[Callable[[], object]] = [
        adapter.startup,
        lambda: adapter(Host().environ, lambda *args: print),
        lambda: adapter(Host().environ, lambda *args: print),
        adapter.startup,
    ]
    for attempt in attempts:
        with pytest.raises(LifespanError) as caught:
            attempt()
        errors.append(caught.value)
    assert {str(error) for error in errors} == {f"lifespan.startup.failed: {reason}"}
    assert len({id(error) for error in errors}) == 4  # a traceback each
    assert calls == ["startup"]
    assert app.scopes == []


@pytest.mark.clause("A-LIFE-04")
def test_a_failing_startup_is_the_same_error_for_concurrent_first_requests(adapt: Adapt) -> None:
    calls: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append("startup")
        raise RuntimeError("no database")

    adapter = adapt(living(lifespan), lifespan="on")
    all_there = threading.Barrier(8)
    causes: list[Any] = []

    def serve() -> None:
        all_there.wait(HANG)
        with pytest.raises(LifespanError, match="no database") as caught:
            adapter(Host().environ, lambda *args: print)
        causes.append(caught.value.__cause__)

    for thread in [Thread(serve) for _ in range(8)]:
        thread.join()
    assert calls == ["startup"]
    assert [type(cause) for cause in causes] == [RuntimeError] * 8


@pytest.mark.clause("A-LIFE-04")
def test_after_close_a_failed_startup_may_be_tried_again(adapt: Adapt) -> None:
    outcomes = ["failed", "complete"]

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": f"lifespan.startup.{outcomes.pop(0)}"})
        if not outcomes:
            await stopped(receive, send)

    adapter = adapt(living(lifespan))
    with pytest.raises(LifespanError):
        adapter.startup()
    adapter.close()
    adapter.startup()
    assert Host().serve(adapter).body == b"ok"


@pytest.mark.clause("A-LIFE-04")
def test_the_with_statement_raises_a_failing_startup(adapt: Adapt) -> None:
    adapter = adapt(living(failing({"type": "lifespan.startup.failed", "message": "no"})))
    with pytest.raises(LifespanError, match="no"), adapter:
        pytest.fail("entered")


@pytest.mark.clause("A-LIFE-04")
@pytest.mark.parametrize("others", [False, True])
def test_an_application_may_clean_up_after_a_failed_startup(adapt: Adapt, others: bool) -> None:
    """Whether the loop goes on for another adapter or not."""
    cleaned_up = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        await failing({"type": "lifespan.startup.failed"})(scope, receive, send)
        await anyio.sleep(0.02)
        cleaned_up.set()

    if others:
        adapt(Recorder()).startup()
    with pytest.raises(LifespanError):
        adapt(living(lifespan)).startup()
    assert cleaned_up.is_set()


@pytest.mark.clause("A-LIFE-04")
@pytest.mark.parametrize("others", [False, True])
def test_an_application_that_failed_gets_no_further_event(adapt: Adapt, others: bool) -> None:
    """Its task does not stay for ever."""
    ended = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await failing({"type": "lifespan.startup.failed"})(scope, receive, send)
            await receive()
            pytest.fail("there was another event")
        finally:
            ended.set()

    if others:
        adapt(Recorder()).startup()
    with pytest.raises(LifespanError):
        adapt(living(lifespan)).startup()
    assert ended.is_set()


@pytest.mark.clause("A-LIFE-04")
def test_an_application_that_failed_and_does_not_end_is_ended(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatebridge._lifespan.as_server._CLEANUP_SECONDS", 0.01)
    ended = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await failing({"type": "lifespan.startup.failed"})(scope, receive, send)
            await anyio.sleep_forever()
        finally:
            ended.set()

    adapt(Recorder()).startup()
    with pytest.raises(LifespanError):
        adapt(living(lifespan)).startup()
    ended.happens()


@pytest.mark.clause("D-44")
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_startup_that_takes_too_long_is_cancelled(adapt: Adapt, mode: str) -> None:
    cleaned_up = Event()

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.02)
                cleaned_up.set()

    adapter = adapt(living(lifespan), lifespan=mode, startup_timeout=0.05)
    for _ in range(2):
        with pytest.raises(LifespanError, match=r"no answer within 0\.05 seconds") as caught:
            Host().serve(adapter)
        assert caught.value.field == "lifespan.startup"
    assert cleaned_up.is_set()


def test_a_startup_may_take_any_time(adapt: Adapt) -> None:
    with adapt(Recorder(), startup_timeout=None) as adapter:
        assert Host().serve(adapter).body == b"ok"


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
@pytest.mark.parametrize("name", ["startup_timeout", "response_timeout"])
def test_a_timeout_is_longer_than_nothing(name: str, seconds: float) -> None:
    arguments: dict[str, Any] = {name: seconds}
    with pytest.raises(ValueError, match=f"^{name} must be greater than 0, got {seconds}$"):
        AsgiToWsgi(Recorder(), **arguments)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("startup_timeout", "30", "an int, a float or None"),  # as out of the environment
        ("startup_timeout", True, "an int, a float or None"),
        ("response_timeout", "30", "an int, a float or None"),
        ("shutdown_timeout", "30", "an int or a float"),
        ("shutdown_timeout", None, "an int or a float"),
        ("window_bytes", 1e6, "an int"),
        ("window_bytes", None, "an int"),
        ("max_body_size", "30", "an int or None"),
        ("max_body_size", 1e6, "an int or None"),
        ("max_body_size", False, "an int or None"),
        ("max_message_size", 1e6, "an int or None"),
    ],
)
def test_a_number_of_another_type_is_refused(name: str, value: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be {kind}, got {value!r}$"):
        AsgiToWsgi(Recorder(), **{name: value})


def test_the_options_of_the_backend_are_a_mapping() -> None:
    with pytest.raises(
        TypeError, match=r"^backend_options must be a mapping or None, got \['a'\]$"
    ):
        AsgiToWsgi(Recorder(), backend_options=["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["no", 0, None])
def test_a_flag_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=f"^offer_pathsend must be a bool, got {value!r}$"):
        AsgiToWsgi(Recorder(), offer_pathsend=value)


@pytest.mark.parametrize("seconds", [1e7, 1e12, float("inf")])
def test_a_timeout_may_be_longer_than_a_thread_can_wait(adapt: Adapt, seconds: float) -> None:
    timeouts = {"startup_timeout": seconds, "response_timeout": seconds}
    adapter = adapt(Recorder(), shutdown_timeout=seconds, **timeouts)
    assert Host().serve(adapter).body == b"ok"
    adapter.close()


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_the_shutdown_timeout_is_not_negative(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"^shutdown_timeout must be at least 0, got {seconds}$"):
        AsgiToWsgi(Recorder(), shutdown_timeout=seconds)


def test_words_are_among_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"^lifespan must be 'auto', 'on' or 'off', got 'maybe'$"):
        AsgiToWsgi(Recorder(), lifespan="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^backend must be 'asyncio' or 'trio', got 'curio'$"):
        AsgiToWsgi(Recorder(), backend="curio")  # type: ignore[arg-type]


@pytest.mark.clause("A-CORE-16", "D-46")
def test_an_asgi_2_application_is_refused_with_advice() -> None:
    class Asgi2:
        def __init__(self, scope: Scope) -> None: ...

        async def __call__(self, receive: Receive, send: Send) -> None: ...

    def factory(scope: Scope) -> Any: ...

    for app in (Asgi2, factory):
        with pytest.raises(TypeError, match=r"ASGI 2 .*asgiref\.compatibility"):
            AsgiToWsgi(app)  # type: ignore[arg-type]


class NotAwaited:
    """As the classes of Flask and Starlette: it can be called with three arguments, too."""

    def __init__(self, name: Any = None, debug: Any = None, routes: Any = None) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


@pytest.mark.clause("D-46")
def test_what_is_no_asgi_application_is_refused() -> None:
    def wsgi(environ: Any, start_response: Any) -> Any: ...

    def none() -> None: ...

    def four(scope: Any, receive: Any, send: Any, more: Any) -> None: ...

    refused: list[tuple[Any, str]] = [
        (wsgi, "must be an ASGI application, but takes two arguments like a WSGI application: "),
        (AsgiToWsgi(Recorder()), "takes two arguments like a WSGI application: AsgiToWsgi"),
        (none, "without arguments: .*; if it is a factory, call it, and pass what it returns"),
        (four, r"takes neither \(scope, receive, send\) nor"),
        (Recorder, "is a class whose instances .*Recorder'>; create an instance, and use that"),
        (NotAwaited, "is a class whose instances .*NotAwaited'>; create an instance, and use that"),
        (partial(NotAwaited, 1), "is a class whose instances are neither awaited"),
        (3, "must be callable, got 3"),
    ]
    for app, text in refused:
        with pytest.raises(TypeError, match=text):
            AsgiToWsgi(app)


def test_an_application_whose_signature_is_not_known_is_taken() -> None:
    class App:
        __signature__ = "none"

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    AsgiToWsgi(App())


@pytest.mark.clause("A-CORE-18")
def test_a_loop_that_cannot_be_started_is_a_clear_error(adapt: Adapt) -> None:
    """Not remembered: what was missing may be installed."""

    def loop_factory() -> Any:
        raise OSError("no more files")

    failing = adapt(Recorder(), backend="asyncio", backend_options={"loop_factory": loop_factory})
    wrong = adapt(Recorder(), backend="trio", backend_options={"no_such_option": 1})
    for _ in range(2):
        with pytest.raises(OSError, match="no more files"):
            failing.startup()
        with pytest.raises(TypeError, match="no_such_option"):
            Host().serve(wrong)


def test_an_application_that_ends_the_loop_at_startup_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On asyncio, where a task of its own may raise SystemExit. The next one tries again."""
    calls: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        async def exit_() -> None:
            raise SystemExit(3)

        calls.append("startup")
        await receive()
        if len(calls) == 1:
            task = asyncio.create_task(exit_())
            await asyncio.sleep(HANG)
            task.cancel()
        await send({"type": "lifespan.startup.complete"})
        await stopped(receive, send)

    adapter = AsgiToWsgi(living(lifespan))
    with (
        caplog.at_level(logging.CRITICAL),
        pytest.raises(UnavailableError, match="event loop: has ended"),
    ):
        adapter.startup()
    assert Host().serve(adapter).body == b"ok"
    adapter.close()
    assert calls == ["startup"] * 2


def test_closing_waits_for_a_startup_under_way(adapt: Adapt) -> None:
    begun, may_go_on = Event(), Event()
    events: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await awhile(may_go_on)
        await started(receive, send)
        events.append("started")
        await stopped(receive, send)
        events.append("stopped")

    adapter = adapt(living(lifespan))
    starting = Thread(adapter.startup)
    begun.happens()
    closing = Thread(adapter.close)
    may_go_on.set()
    starting.join()
    closing.join()
    assert events == ["started", "stopped"]
