"""The client leaves: the server closes the iterable early, or the request's body ends early.

The application is told by ``http.disconnect`` and by an `OSError` out of ``send``; it is not
cancelled, for it may have to clean up.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import logging
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_on_wsgi.apps import Event, Gate, body, http, receive_all, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from asgi_on_wsgi.threads import Thread
from gatebridge.errors import AsgiAppError, ClientDisconnected
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

GROUP: Any = getattr(builtins, "BaseExceptionGroup", None)  # from Python 3.11 on
if GROUP is None:
    GROUP = importlib.import_module("exceptiongroup").BaseExceptionGroup  # which anyio needs there

DISCONNECT = {"type": "http.disconnect"}


def beside_the_departure(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records, less that of the departure, which is always the first."""
    departure, *others = caplog.records
    assert departure.levelno == logging.INFO
    assert departure.message.endswith(": the client left before the end of the response")
    return others


def levels(caplog: pytest.LogCaptureFixture) -> set[int]:
    return {record.levelno for record in beside_the_departure(caplog)}


# --- while the response is taken ------------------------------------------------------------------


@pytest.mark.clause("D-30", "A-HTTP-29", "A-HTTP-32", "A-CORE-11", "W-CLOSE-02")
def test_receive_and_send_tell_that_the_client_left(adapt: Adapt) -> None:
    """Both, and again and again; each is an answer, not a wait."""
    gate, ended = Gate(), Event()
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"a", more=True))
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                seen.append(await receive())

            group.start_soon(watch)
            await gate()
        seen.append(await receive())
        for message in (body(b"b", more=True), body(b"b"), start(), {"type": "nonsense"}):
            with pytest.raises(ClientDisconnected) as caught:
                await send(message)
            seen.append(isinstance(caught.value, OSError))
        seen.append(await receive())
        ended.set()

    host = Host().call(adapt(app))
    gate.reached()
    assert host.next() == b"a"
    assert seen == []
    host.close()
    gate.open()
    ended.happens()
    assert seen == [DISCONNECT, DISCONNECT, True, True, True, True, DISCONNECT]


@pytest.mark.clause("D-30", "W-CLOSE-02")
def test_close_in_another_thread_ends_the_wait_for_a_block(adapt: Adapt) -> None:
    """Nothing else would: the application, once told, has nothing more to say."""
    waiting, told = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"a", more=True))
        await waiting()
        await receive()
        told.set()

    host = Host().call(adapt(app))
    assert host.next() == b"a"
    waiting.reached()
    rest: list[bytes | None] = []
    thread = Thread(lambda: rest.append(host.next()))
    waiting.open()
    host.close()
    thread.join()
    told.happens()
    assert rest == [None]


@pytest.mark.clause("D-30", "A-HTTP-29", "A-CORE-17", "W-BODY-15")
def test_a_send_that_waits_raises(adapt: Adapt) -> None:
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
        except ClientDisconnected:
            ended.set()

    Host().call(adapt(app, window_bytes=3000)).close()
    ended.happens()


def lets_it_out(error: OSError) -> None:
    raise error


def raises_from_it(error: OSError) -> None:
    raise ZeroDivisionError from error


def raises_from_what_was_raised_from_it(error: OSError) -> None:
    try:
        raise LookupError from error
    except LookupError as exc:
        raise ZeroDivisionError from exc


def raises_a_group(error: OSError) -> None:
    cause = ZeroDivisionError()
    cause.__cause__ = error
    raise GROUP("", [error, GROUP("", [cause])])


def is_cancelled(_: OSError) -> None:
    raise asyncio.CancelledError


@pytest.mark.clause("D-30", "A-CORE-12", "A-HTTP-30")
@pytest.mark.parametrize(
    "reaction",
    [
        lets_it_out,
        raises_from_it,
        raises_from_what_was_raised_from_it,
        raises_a_group,
        is_cancelled,
    ],
)
def test_what_the_application_makes_of_it_is_logged_at_debug_level_only(
    adapt: Adapt, reaction: Callable[[OSError], None], caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = reacting(adapt, reaction, caplog)
    assert record.levelno == logging.DEBUG
    assert record.message == "GET '/left': the application ended after its client had disconnected"


def has_a_bug(error: OSError) -> None:
    try:
        raise error
    except OSError:
        undefined_name  # type: ignore[name-defined] # noqa: B018, F821


def has_a_bug_deeper(error: OSError) -> None:
    try:
        has_a_bug(error)
    except NameError as exc:
        raise LookupError from exc


def hides_it(error: OSError) -> None:
    try:
        raise error
    except OSError:
        raise ZeroDivisionError from None


def raises_another(_: OSError) -> None:
    raise ZeroDivisionError


def loses_another_connection(_: OSError) -> None:
    raise ConnectionResetError("of a database")


def raises_a_group_with_a_bug(error: OSError) -> None:
    raise GROUP("", [error, GROUP("", [ZeroDivisionError()])])


def raises_a_circle(_: OSError) -> None:
    first, second = ZeroDivisionError(), LookupError()
    first.__cause__, second.__cause__ = second, first
    raise first


@pytest.mark.clause("D-30", "A-CORE-12")
@pytest.mark.parametrize(
    "reaction",
    [
        has_a_bug,
        has_a_bug_deeper,
        hides_it,
        raises_another,
        loses_another_connection,
        raises_a_group_with_a_bug,
        raises_a_circle,
    ],
)
def test_a_bug_in_its_reaction_is_logged_as_an_error(
    adapt: Adapt, reaction: Callable[[OSError], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Although Python puts the disconnect into its context."""
    (record,) = reacting(adapt, reaction, caplog)
    assert record.levelno == logging.ERROR
    assert record.message == "GET '/left': the application raised after its client had disconnected"
    assert record.exc_info is not None


def reacting(
    adapt: Adapt, reaction: Callable[[OSError], None], caplog: pytest.LogCaptureFixture
) -> list[logging.LogRecord]:
    """Return the records of an application that reacts in this way to a `send` that raises."""
    caplog.set_level(logging.DEBUG, "gatebridge")

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
        except OSError as exc:
            reaction(exc)

    adapter = adapt(app, window_bytes=3000, lifespan="off")
    host = Host(path="/left").call(adapter)
    host.close()
    adapter.close()
    return beside_the_departure(caplog)


class ClientDisconnectedError(Exception):
    """Of a framework, as Quart's; not ours, and not chained to it."""


@pytest.mark.clause("D-30", "A-HTTP-32")
@pytest.mark.parametrize(
    ("error", "level"),
    [
        (ClientDisconnected("receive"), logging.DEBUG),
        (asyncio.CancelledError(), logging.DEBUG),
        (ClientDisconnectedError(), logging.DEBUG),
        (ConnectionError("of the app"), logging.ERROR),
        (OSError(28, "No space left on device"), logging.ERROR),
    ],
)
def test_what_it_raises_after_http_disconnect(
    adapt: Adapt, error: BaseException, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what means nothing but the disconnect is no error; nobody else would see the others."""
    caplog.set_level(logging.DEBUG, "gatebridge")

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"a", more=True))
        assert await receive() == DISCONNECT
        raise error

    adapter = adapt(app, lifespan="off")
    Host().call(adapter).close()
    adapter.close()
    assert levels(caplog) == {level}


@pytest.mark.clause("D-30")
def test_an_error_that_has_nothing_to_do_with_it_is_logged(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    """The application could not know that the client had left, and nobody else sees the error."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await gate()
        raise ZeroDivisionError("of the app")

    adapter = adapt(app, lifespan="off")
    host = Host(path="/left").call(adapter)
    gate.reached()
    host.close()
    gate.open()
    adapter.close()
    (record,) = beside_the_departure(caplog)
    assert record.levelno == logging.ERROR
    assert record.message == "GET '/left': the application raised after its client had disconnected"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.clause("D-30", "D-35")
def test_the_application_is_not_cancelled(adapt: Adapt, caplog: pytest.LogCaptureFixture) -> None:
    """And what it leaves out of its response is no error then."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    gate, cleaned = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await gate()
        await anyio.lowlevel.checkpoint()
        cleaned.set()

    adapter = adapt(app, lifespan="off")
    host = Host().call(adapter)
    gate.reached()
    host.close()
    gate.open()
    adapter.close()
    assert cleaned.is_set()
    assert beside_the_departure(caplog) == []


@pytest.mark.clause("D-33", "A-HTTP-29", "A-HTTP-32")
def test_send_raises_for_a_client_that_left_a_complete_response(adapt: Adapt) -> None:
    """It left before it had all of it; A-HTTP-29 wins over the no-op of D-33."""
    gate, ended = Gate(), Event()
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        await send(body(b"b", more=True))
        await send(body(b"c"))
        await send(body(b"ignored"))
        await gate()
        seen.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send(body(b"d"))
        ended.set()

    host = Host().call(adapt(app))
    gate.reached()
    assert host.next() == b"a"
    host.close()
    gate.open()
    ended.happens()
    assert seen == [DISCONNECT]


@pytest.mark.clause("A-HTTP-32")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_end_of_the_response_is_a_disconnect(adapt: Adapt, streamed: bool) -> None:
    """For ``receive``, also when the body of the request was never asked for."""
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        if streamed:
            await send(body(b"a", more=True))
        await send(body(b"b"))
        seen.extend([await receive(), await receive()])

    adapter = adapt(app)
    Host(b"not asked for", method="POST").serve(adapter)
    adapter.close()
    assert seen == [DISCONNECT, DISCONNECT]


# --- before the response is begun -----------------------------------------------------------------


@pytest.mark.clause("D-30", "A-HTTP-32", "A-HTTP-29")
def test_when_start_response_raises_the_application_sees_a_disconnect(adapt: Adapt) -> None:
    seen: list[Any] = []
    ended = Event()
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"a", more=True))
        await gate()
        seen.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send(body(b"b"))
        ended.set()

    host = Host()
    host.start_error = LookupError("of the server")
    with pytest.raises(LookupError, match="of the server"):
        host.call(adapt(app))
    gate.open()
    ended.happens()
    assert seen == [DISCONNECT]


SHORT: dict[str, tuple[list[Any], list[bytes]]] = {
    "at once": ([], []),
    "after a part": ([b"abc"], [b"abc"]),
    "by an OSError": ([b"abc", ConnectionResetError("of the server")], [b"abc"]),
    "at once by an OSError": ([TimeoutError("of the server")], []),
    "by an error of its own": ([b"abc", LookupError("of the server")], [b"abc"]),
}
short = pytest.mark.parametrize(("parts", "received"), SHORT.values(), ids=SHORT)
lengths = pytest.mark.parametrize("length", [5, 100_000])


@short
@lengths
@pytest.mark.clause("D-15", "CGI-18", "H-MSG-07", "D-30", "A-HTTP-32")
def test_a_body_that_ends_early_is_a_disconnect(
    adapt: Adapt, parts: list[Any], received: list[bytes], length: int
) -> None:
    """Never a message that looks like the end of the body. The application may still answer."""
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(await receive_all(receive))
        seen.extend([await receive(), await receive()])
        await sending(start(400), body(b"short"))(scope, receive, send)

    host = Host(parts, length=length, method="POST").serve(adapt(app))
    assert (host.code, host.body) == (400, b"short")
    requests = [{"type": "http.request", "body": part, "more_body": True} for part in received]
    assert seen == [*requests, DISCONNECT, DISCONNECT, DISCONNECT]


@pytest.mark.clause("D-15", "C-02")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_so_is_an_undeclared_one_whose_reading_fails(adapt: Adapt, method: str) -> None:
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(await receive_all(receive))
        await sending(start(400), body(b"short"))(scope, receive, send)

    environ: dict[str, Any] = {"wsgi.input_terminated": True}
    parts = [b"abc", ConnectionResetError("of the server")]
    Host(parts, length=None, method=method, **environ).serve(adapt(app))
    assert seen == [{"type": "http.request", "body": b"abc", "more_body": True}, DISCONNECT]


@pytest.mark.clause("D-35", "D-15")
@lengths
@pytest.mark.parametrize("begins", [False, True])
def test_then_the_application_owes_no_response(
    adapt: Adapt, begins: bool, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It broke no rule by leaving; the server is told that the client did."""
    caplog.set_level(logging.INFO, "gatebridge")

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive_all(receive)
        if begins:
            await send(start())
            await send(body(b"a", more=True))

    host = Host([b"abc"], length=length, method="POST")
    with pytest.raises(ClientDisconnected):
        host.serve(adapt(app, lifespan="off"))
    assert host.body == b"a" * begins
    assert {record.levelno for record in caplog.records} <= {logging.INFO}


@pytest.mark.clause("D-35")
@lengths
def test_it_does_owe_one_if_it_was_not_told(adapt: Adapt, length: int) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with pytest.raises(AsgiAppError):
        Host([b"abc"], length=length, method="POST").serve(adapt(app))


class ClientDisconnectedError(Exception):
    """Of a framework, as Quart's; not ours, and not chained to it."""


@pytest.mark.clause("D-30", "A-HTTP-32")
def test_closing_ends_a_wait_for_the_body(adapt: Adapt) -> None:
    """The thread that would have read it has left."""
    seen: list[Any] = []
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        seen.append(await receive())
        ended.set()

    host = Host(b"x" * 100_000, method="POST").call(adapt(app))
    host.close()
    ended.happens()
    assert seen == [DISCONNECT]
    assert host.input.sizes == []
