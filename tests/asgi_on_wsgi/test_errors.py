"""Who sees which error: the rows of `translation.md` section 9 for `AsgiToWsgi`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_on_wsgi.apps import Event, Gate, Http, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError, GatebridgeError, HostError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

BEFORE: dict[str, list[Message]] = {
    "at once": [],
    "after the start": [start()],
}
AFTER: dict[str, list[Message]] = {
    "after a part": [start(), body(b"a", more=True)],
    "after an empty part": [start(), body(b"", more=True)],
    "after two parts": [start(), body(b"a", more=True), body(b"b", more=True)],
}
COMPLETE: dict[str, list[Message]] = {
    "after the response": [start(), body(b"a")],
    "after a streamed response": [start(), body(b"a", more=True), body(b"b")],
}


def raising(error: BaseException, messages: list[Message]) -> Http:
    """Return an application that raises the error after these messages."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(*messages)(scope, receive, send)
        raise error

    return app


def content(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


def where(table: dict[str, list[Message]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("messages", table.values(), ids=table)


# --- an exception of the application's ------------------------------------------------------------


@where(BEFORE)
@pytest.mark.clause("W-ERR-04", "A-CORE-10", "D-27", "D-26")
@pytest.mark.parametrize("kind", [ZeroDivisionError, OSError, RuntimeError, StopAsyncIteration])
def test_before_the_response_the_same_exception_is_raised(
    adapt: Adapt, messages: list[Message], kind: type[Exception]
) -> None:
    """``start_response`` was never called, so that the server can answer 500."""

    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            raise NotImplementedError
        return Raising(error, sending(*messages)(scope, receive, send))

    error = kind("of the app")
    host = Host()
    with pytest.raises(kind) as caught:
        host.serve(adapt(app))
    assert caught.value is error
    assert host.status is None


class Raising:
    """An awaitable, because a coroutine cannot raise `StopIteration` or `StopAsyncIteration`."""

    def __init__(self, error: BaseException, work: Any) -> None:
        self._error = error
        self._work = work

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        try:
            return self._work.send(value)
        except StopIteration:
            raise self._error from None

    def throw(self, *error: Any) -> Any:
        return self._work.throw(*error)


@where(AFTER)
@pytest.mark.clause("W-ERR-04", "A-CORE-10", "D-27")
def test_after_the_start_the_iterator_raises_it(adapt: Adapt, messages: list[Message]) -> None:
    """When the server has taken what was sent before; then it is at its end."""
    error = ZeroDivisionError("of the app")
    host = Host()
    with pytest.raises(ZeroDivisionError) as caught:
        host.serve(adapt(raising(error, messages)))
    assert caught.value is error
    assert (host.code, host.body) == (200, content(messages))
    assert next(host.result, None) is None


@where(COMPLETE)
@pytest.mark.clause("D-27", "D-36")
@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_after_the_response_it_is_logged(
    adapt: Adapt,
    messages: list[Message],
    kind: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The response is whole, and nobody else would see the error. The loop goes on."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    error = kind("of the app")
    adapter = adapt(raising(error, messages), lifespan="off")
    for _ in range(2):
        assert Host(path="/late").serve(adapter).body == content(messages)
    adapter.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    for record in caplog.records:
        assert (
            record.message == "GET '/late': the application raised after its response was complete"
        )
        assert record.exc_info is not None
        assert record.exc_info[1] is error


@where(BEFORE | AFTER)
@pytest.mark.clause("D-27")
def test_an_error_that_the_server_sees_is_not_logged_twice(
    adapt: Adapt, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    """The server logs it with its traceback; which request it was is told here."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    adapter = adapt(raising(ZeroDivisionError("of the app"), messages), lifespan="off")
    with pytest.raises(ZeroDivisionError):
        Host(path="/sum").serve(adapter)
    adapter.close()
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "GET '/sum'" in record.message
    assert "ZeroDivisionError" in record.message


FATAL: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": lambda: StopIteration("of the app"),
    "one of its own": lambda: Fatal("of the app"),
}


class Fatal(BaseException):
    """Of the application."""


@where(BEFORE | AFTER)
@pytest.mark.clause("D-28", "W-ERR-04")
@pytest.mark.parametrize("make", FATAL.values(), ids=FATAL)
def test_what_would_end_a_server_is_wrapped(
    adapt: Adapt, messages: list[Message], make: Callable[[], BaseException]
) -> None:
    """And the loop serves the next request."""
    error = make()

    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            raise NotImplementedError
        if scope["path"] == "/next":
            return sending(start(), body(b"next"))(scope, receive, send)
        return Raising(error, sending(*messages)(scope, receive, send))

    adapter = adapt(app)
    host = Host()
    with pytest.raises(AsgiAppError) as caught:
        host.serve(adapter)
    cause = caught.value.__cause__
    if isinstance(error, StopIteration):
        # Out of an awaitable that is the way to return, so that no exception is left.
        assert "StopIteration" in str(caught.value) or cause is None
    else:
        assert cause is error
    assert host.body == content(messages)
    assert Host(path="/next").serve(adapter).body == b"next"


@pytest.mark.clause("D-28")
def test_stop_iteration_out_of_the_call_itself_is_wrapped(adapt: Adapt) -> None:
    error = StopIteration("of the app")

    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        raise error

    with pytest.raises(AsgiAppError) as caught:
        Host().serve(adapt(app, lifespan="off"))
    assert caught.value.__cause__ is error


# --- an application that does not answer ----------------------------------------------------------


@where(BEFORE)
@pytest.mark.clause("D-35", "A-HTTP-21")
def test_an_application_that_returns_without_a_body_is_an_error(
    adapt: Adapt, messages: list[Message]
) -> None:
    host = Host()
    with pytest.raises(AsgiAppError) as caught:
        host.serve(adapt(sending(*messages)))
    missing = "http.response.body" if messages else "http.response.start"
    assert missing in str(caught.value)
    assert host.status is None


@where(AFTER)
@pytest.mark.clause("D-35", "A-HTTP-21")
def test_an_application_that_returns_without_the_final_message_is_an_error(
    adapt: Adapt, messages: list[Message]
) -> None:
    """What it sent would else look like all of it."""
    host = Host()
    with pytest.raises(AsgiAppError, match=r"http\.response\.body"):
        host.serve(adapt(sending(*messages)))
    assert host.body == content(messages)


@where(BEFORE | AFTER)
@pytest.mark.clause("D-35")
def test_so_is_one_that_takes_too_long(adapt: Adapt, messages: list[Message]) -> None:
    """With ``response_timeout``. Its task is cancelled."""
    cancelled = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await sending(*messages)(scope, receive, send)
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    host = Host()
    with pytest.raises(AsgiAppError, match="response_timeout"):
        host.serve(adapt(app, response_timeout=0.3))
    assert (host.status is None) == (not messages)  # a head alone goes out after a while
    assert host.body == content(messages)
    cancelled.happens()


def test_response_timeout_does_not_bound_background_work(adapt: Adapt) -> None:
    gate, done = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"x"))(scope, receive, send)
        await gate()
        done.set()

    adapter = adapt(app, response_timeout=0.001)
    # The timeout is short, so that a request may run into it; one at last does not.
    for _ in range(200):
        host = Host()
        try:
            host.serve(adapter)
        except AsgiAppError:
            continue
        break
    gate.reached()
    gate.open()
    done.happens()


@pytest.mark.clause("A-CORE-01", "W-ERR-04")
@pytest.mark.parametrize("result", [None, [b"x"], "text"])
def test_an_application_that_is_not_async_is_an_error(adapt: Adapt, result: Any) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        return result

    with pytest.raises(AsgiAppError, match="awaitable"):
        Host().serve(adapt(app, lifespan="off"))


# --- errors that are not the application's --------------------------------------------------------


@pytest.mark.clause("D-52", "H-STAT-07")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"CONTENT_LENGTH": "5a"}, "content-length"),
        ({"HTTP_X_EVIL": "a\r\nb"}, "x-evil"),
        ({"PATH_INFO": "no-slash"}, "path"),
    ],
)
def test_a_request_that_cannot_be_translated_is_answered_400(
    adapt: Adapt,
    environ: dict[str, str],
    names: str,
    method: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    calls: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)

    adapter = adapt(app, lifespan="off")
    host = Host(method=method, **environ).serve(adapter)  # type: ignore[arg-type]
    assert host.status == "400 Bad Request"
    assert host.header("content-type") == "text/plain; charset=utf-8"
    if method == "HEAD":
        assert host.result == []
    else:
        assert names in host.body.decode().lower()
        assert host.body.count(b"\n") == 1
        assert host.header("content-length") == str(len(host.body))
    assert calls == []
    (record,) = caplog.records
    assert record.levelno == logging.INFO


@pytest.mark.clause("D-52")
@pytest.mark.parametrize(
    "environ", [{"REQUEST_METHOD": ""}, {"HTTP_X": 5}, {"PATH_INFO": "/\u20ac"}]
)
def test_a_server_that_breaks_pep_3333_is_told_so(adapt: Adapt, environ: dict[str, Any]) -> None:
    host = Host(**environ)
    with pytest.raises(HostError):
        host.serve(adapt(sending(start(), body(b"x"))))
    assert host.status is None


@pytest.mark.clause("W-IN-07", "W-STR-04")
@pytest.mark.parametrize("size", [5, 100_000])
@pytest.mark.parametrize("gives", ["text", None, b"x" * 200_000])
def test_so_is_one_whose_input_does(adapt: Adapt, gives: Any, size: int) -> None:
    class Bad:
        def read(self, size: int) -> Any:
            return gives

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            if (await receive())["type"] == "http.disconnect":
                raise ConnectionError("of the app")

    host = Host(**{"wsgi.input": Bad(), "CONTENT_LENGTH": str(size)})  # type: ignore[arg-type]
    with pytest.raises(HostError, match=r"wsgi\.input"):
        host.serve(adapt(app))
    assert host.status is None


@pytest.mark.clause("D-52")
def test_a_closed_adapter_refuses(adapt: Adapt) -> None:
    adapter = adapt(sending(start(), body(b"x")))
    Host().serve(adapter)
    adapter.close()
    host = Host()
    with pytest.raises(UnavailableError) as caught:
        host.serve(adapter)
    assert isinstance(caught.value, GatebridgeError)
    assert host.status is None


@pytest.mark.clause("D-36")
@pytest.mark.parametrize("messages", [[], AFTER["after a part"]])
def test_a_request_that_close_cuts_off_raises(
    adapt: Adapt, messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    """After ``shutdown_timeout``, and a record says which request it was."""
    started = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(*messages)(scope, receive, send)
        started.set()
        await anyio.sleep_forever()

    adapter = adapt(app, shutdown_timeout=0, lifespan="off")
    host = Host(path="/cut")
    served = host.serve_in_thread(adapter)
    started.happens()
    adapter.close()
    with pytest.raises(UnavailableError):
        served.join()
    assert host.body == content(messages)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "GET '/cut'" in record.getMessage()


@pytest.mark.clause("D-36")
def test_background_work_that_close_cuts_off_is_named(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    started, cancelled = Event(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"x"))(scope, receive, send)
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    adapter = adapt(app, shutdown_timeout=0, lifespan="off")
    Host(path="/cut").serve(adapter)
    started.happens()
    adapter.close()
    assert cancelled.is_set()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "GET '/cut'" in record.message


@pytest.mark.clause("D-36")
def test_a_bug_in_its_reaction_to_being_cut_off_is_logged(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    started = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"x"))(scope, receive, send)
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            undefined_name  # type: ignore[name-defined] # noqa: B018, F821

    adapter = adapt(app, shutdown_timeout=0, lifespan="off")
    Host(path="/cut").serve(adapter)
    started.happens()
    adapter.close()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.message == "GET '/cut': the application raised after it was cancelled"
    assert record.exc_info is not None
    assert record.exc_info[0] is NameError
