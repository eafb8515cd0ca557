"""Who sees which error: the rows of `translation.md` section 9, and the stream for the operator."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from gatebridge.errors import ClientDisconnected, HostError, WsgiAppError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    endless,
    result_app,
    serve,
    statistics_say,
)
from wsgi_on_asgi.host import HANG, Host, bury

pytestmark = pytest.mark.direction("w2a")


def raising_app(where: str, error: BaseException) -> Any:
    """Return an application that raises ``error`` at some point of its work."""

    def app(environ: Environ, start_response: Any) -> Any:
        if where == "at once":
            raise error
        write = start_response("200 OK", [TEXT])
        if where == "after start_response":
            raise error
        if where == "after write":
            write(b"x")
            raise error
        blocks = {"first block": [error], "empty block": [b"", error], "later": [b"x", error]}
        return Blocks(*blocks[where])

    return app


BEFORE_START = ["at once", "after start_response", "first block", "empty block"]
AFTER_START = ["after write", "later"]


@pytest.mark.clause("W-ERR-01", "A-CORE-10", "D-27")
@pytest.mark.parametrize("where", BEFORE_START)
async def test_before_the_start_the_same_exception_is_raised(where: str) -> None:
    """Nothing was sent, so that the server can log it and answer 500."""
    error = ZeroDivisionError("of the app")
    host = Host()
    with pytest.raises(ZeroDivisionError) as caught:
        await host.serve(adapter(raising_app(where, error)))
    assert caught.value is error
    assert host.sent == []


@pytest.mark.clause("W-ERR-01", "W-ERR-03", "A-CORE-10", "D-27", "A-HTTP-21")
@pytest.mark.parametrize("where", AFTER_START)
async def test_after_the_start_there_is_no_final_message_either(where: str) -> None:
    """The server then aborts the connection, and the client sees that something is missing."""
    error = ZeroDivisionError("of the app")
    host = Host()
    with pytest.raises(ZeroDivisionError) as caught:
        await host.serve(adapter(raising_app(where, error)))
    assert caught.value is error
    assert (host.status, host.body, host.complete) == (200, b"x", False)


@pytest.mark.clause("W-ERR-01", "D-27", "D-30")
@pytest.mark.parametrize("where", [*BEFORE_START, *AFTER_START])
@pytest.mark.parametrize("kind", [FileNotFoundError, ConnectionResetError, BrokenPipeError])
async def test_an_os_error_of_its_own_is_no_departure(kind: type[OSError], where: str) -> None:
    """For instance of its database."""
    error = kind("of the app")
    with pytest.raises(kind) as caught:
        await Host().serve(adapter(raising_app(where, error)))
    assert caught.value is error


@pytest.mark.clause("W-ERR-01", "D-27")
@pytest.mark.parametrize("where", ["at once", "later"])
async def test_an_applications_error_is_not_logged_twice(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the server that logs what leaves the call; which request it was is told here."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    with pytest.raises(ZeroDivisionError):
        await Host(path="/sum").serve(adapter(raising_app(where, ZeroDivisionError())))
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    phase = "before" if where == "at once" else "after"
    assert record.message == f"GET '/sum': ZeroDivisionError {phase} the response had begun"


@pytest.mark.clause("D-28")
@pytest.mark.parametrize("where", ["iteration", "close"])
async def test_a_cancellation_raised_by_an_application_cancels_nobody(where: str) -> None:
    """For instance from an event loop that it runs by itself."""

    class Body(Blocks):
        def close(self) -> None:
            super().close()
            if where == "close":
                raise asyncio.CancelledError

    last = asyncio.CancelledError() if where == "iteration" else b"y"
    with pytest.raises(WsgiAppError):
        await Host().serve(adapter(result_app(Body(b"x", last))))


class SendError(Exception):
    """A server's own."""


class ServersDisconnect(OSError):  # noqa: N818 - as servers name it
    """What a server defines, as the specification wants it: Uvicorn's ``ClientDisconnected``."""


DEPARTURES = [
    OSError("gone"),
    ServersDisconnect(),
    ServersDisconnect(errno.ECONNRESET, "gone"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ConnectionResetError(),
    ClientDisconnected("send"),
    OSError(errno.ENOTCONN, "not connected"),
    OSError(errno.ETIMEDOUT, "Connection timed out"),  # a TimeoutError
    OSError(errno.EHOSTUNREACH, "No route to host"),
]
FAILURES = [
    SendError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EACCES, "Permission denied"),
    OSError(errno.EMFILE, "Too many open files"),
    ServersDisconnect(errno.EIO, "I/O error"),
    FileNotFoundError(),
    TimeoutError(),
    io.UnsupportedOperation("not writable"),
]


@pytest.mark.clause("A-HTTP-31", "D-30")
@pytest.mark.parametrize("error", DEPARTURES, ids=repr)
@pytest.mark.parametrize("result", ["list", "stream"])
async def test_an_os_error_of_a_connection_from_send_is_a_departure(
    error: OSError, result: str
) -> None:
    body = endless()
    host = Host()
    host.send_error = error
    app = result_app([b"x"] if result == "list" else body)
    with anyio.fail_after(5):
        await adapter(app)(host.scope, host.receive, host.send)
    assert body.closes == (result == "stream")


@pytest.mark.clause("A-HTTP-31", "A-CORE-10", "D-30", "W-CLOSE-01")
@pytest.mark.parametrize("error", FAILURES, ids=repr)
@pytest.mark.parametrize("result", ["list", "stream"])
async def test_any_other_error_from_send_is_raised(error: Exception, result: str) -> None:
    body = endless()
    host = Host()
    host.send_error = error
    with pytest.raises(type(error)) as caught:
        await host.serve(adapter(result_app([b"x"] if result == "list" else body)))
    assert caught.value is error
    assert body.closes == (result == "stream")


@pytest.mark.clause("D-30", "D-52")
async def test_an_answer_that_cannot_be_sent_is_the_servers_error_and_has_a_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gatebridge")
    host = Host(path="/odd", headers=[(b"bad name", b"x")])
    host.send_error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        await host.serve(adapter(result_app([])))
    assert caplog.messages == ["GET '/odd': OSError before it was answered 400"]


@pytest.mark.clause("A-HTTP-31", "D-30")
async def test_a_connection_error_from_the_first_receive_is_a_departure() -> None:
    host = Host(open_end=True)
    host.receive_error = ConnectionResetError()
    with anyio.fail_after(5):
        await adapter(lambda *_: pytest.fail("called"))(host.scope, host.receive, host.send)
    assert host.sent == []


@pytest.mark.clause("D-50", "W-ERR-01")
async def test_an_error_after_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """There is nobody left to raise it to."""
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        gate()
        raise ZeroDivisionError("of the app")

    served = adapter(app)
    host = Host(path="/cancelled")
    async with host.background(served) as scope:
        await gate.reached()
        scope.cancel()
    gate.open()
    await statistics_say(served, running=0)
    assert "ZeroDivisionError: of the app" in caplog.text
    assert "/cancelled" in caplog.text


@pytest.mark.clause("D-30")
async def test_an_error_of_its_own_is_raised_although_the_client_left() -> None:
    """Only what the departure caused is silent."""
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"x"
        gate()
        raise ZeroDivisionError("of the app")

    host = Host()
    async with host.background(adapter(app)):
        await gate.reached()
        host.disconnect()
        gate.open()
    assert isinstance(host.error, ZeroDivisionError)


@pytest.mark.clause("A-CORE-08")
async def test_an_invalid_event_during_a_response_is_the_servers_error() -> None:
    gate = Gate()
    body = Blocks(b"a", gate.yields(b"b"), *[b"c"] * 5)
    host = Host()
    async with host.background(adapter(result_app(body))):
        await gate.reached()
        host.feed({"type": "http.unknown"})
        await host.until(lambda: host.receives == 2)
        gate.open()
    assert isinstance(host.error, HostError)
    assert (body.closes, host.complete) == (1, False)


# --- wsgi.errors ----------------------------------------------------------------------------------


def write_errors(*texts: str) -> Any:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        errors = environ["wsgi.errors"]
        for text in texts:
            errors.write(text)
        errors.writelines(["and ", "lines"])
        errors.flush()
        errors.close()
        errors.write(".")
        start_response("200 OK", [TEXT])
        return []

    return app


@pytest.mark.clause("W-IN-09", "W-ENV-18", "D-49")
async def test_errors_go_to_stderr_as_it_is_at_that_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = adapter(write_errors("text "))
    later = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", later)
        await Host().serve(served)
    await Host().serve(served)
    assert later.getvalue() == "text and lines."
    assert not later.closed
    assert capsys.readouterr().err == "text and lines."


@pytest.mark.clause("W-IN-09", "D-49")
async def test_errors_go_to_a_stream_given(capsys: pytest.CaptureFixture[str]) -> None:
    given = io.StringIO()
    await Host().serve(adapter(write_errors("text "), errors=given))
    assert (given.getvalue(), given.closed) == ("text and lines.", False)
    assert capsys.readouterr().err == ""


@pytest.mark.clause("W-IN-10", "D-49")
@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", r"a\xe4\u4e2d\ud800 "), ("latin-1", "a\xe4\\u4e2d\\ud800 "),
     ("utf-8", "a\xe4\u4e2d\\ud800 ")],
)  # fmt: skip
async def test_any_text_can_be_written(encoding: str, written: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, write_through=True)
    await Host().serve(adapter(write_errors("a\xe4\u4e2d\ud800 "), errors=stream))
    assert raw.getvalue().decode(encoding) == f"{written}and lines."


@pytest.mark.clause("D-49")
async def test_errors_are_dropped_where_there_is_no_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ``pythonw``, and for some services."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        host = await serve(write_errors("text"))
    assert host.status == 200


@pytest.mark.parametrize("message", [None, {"type": "http.trailers"}, {"type": None}])
async def test_a_servers_error_before_the_call_has_a_record(
    message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    host = Host(path="/odd")
    host._messages = [message]
    with pytest.raises(HostError):
        await host.serve(adapter(lambda *_: pytest.fail("called")))
    assert caplog.messages == ["GET '/odd': HostError before the response had begun"]


async def test_a_scope_that_is_none_has_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    with pytest.raises(HostError):
        await Host(path="/odd", headers=5).serve(adapter(lambda *_: pytest.fail("called")))
    assert caplog.messages == ["GET '/odd': HostError before the application was called"]


async def test_cancelled_while_a_whole_response_is_sent_it_has_a_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    host = Host(path="/cancelled")
    host.stop_reading()
    served = adapter(result_app([b"x"]))
    async with host.background(served) as scope:
        await host.until(lambda: "start" in host.types)
        await statistics_say(served, running=0)
        scope.cancel()
    assert caplog.messages == ["GET '/cancelled': cancelled"]


def test_a_loop_closed_while_a_request_is_received_leaves_it_in_peace() -> None:
    """Its coroutine is ended outside of any loop."""
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Task[None]:
        host = Host(open_end=True)
        task = asyncio.create_task(adapter(result_app([]))(host.scope, host.receive, host.send))
        await host.until(lambda: host.receives)
        return task

    task = loop.run_until_complete(start())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    coroutine.close()  # raises what leaves the coroutine


@pytest.mark.clause("D-30", "W-CALL-04")
def test_who_waits_for_a_thread_when_the_loop_is_closed_is_never_called() -> None:
    gate, calls = Gate(), []
    loop = asyncio.new_event_loop()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        gate()
        start_response("200 OK", [TEXT])
        return []

    served = adapter(app, threads=1)

    async def start() -> list[asyncio.Task[None]]:
        hosts = [Host(path=path) for path in ("/busy", "/queued")]
        tasks = [asyncio.create_task(served(host.scope, host.receive, host.send)) for host in hosts]
        await statistics_say(served, running=1, waiting=1)
        await gate.reached()  # a job counts as running before its thread comes
        return tasks

    tasks = loop.run_until_complete(start())
    loop.close()
    gate.open()
    assert served._pool.close(HANG) == []
    assert calls == ["/busy"]
    for task in tasks:
        bury(task)


def test_an_error_after_the_loop_was_closed_has_a_record(caplog: pytest.LogCaptureFixture) -> None:
    """Though the call that would raise it is still there, and waits for ever."""
    gate = Gate()
    loop = asyncio.new_event_loop()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"a"
        gate()
        raise ZeroDivisionError("of the app")

    served = adapter(app)

    async def start() -> asyncio.Task[None]:
        host = Host(path="/closed")
        host.stop_reading()
        task = asyncio.create_task(served(host.scope, host.receive, host.send))
        await gate.reached()
        await host.until(lambda: "start" in host.types)
        return task

    task = loop.run_until_complete(start())
    loop.close()
    gate.open()
    assert served._pool.close(HANG) == []
    assert "ZeroDivisionError: of the app" in caplog.text
    assert "/closed" in caplog.text
    bury(task)


@pytest.mark.clause("D-30")
async def test_who_reads_in_close_what_the_client_never_sends_hears_that_it_left() -> None:
    """It has its response, and need not send the rest."""
    errors: list[type[BaseException]] = []

    class Reading(Blocks):
        def __init__(self, body: Any) -> None:
            super().__init__(b"x")
            self._body = body

        def close(self) -> None:
            try:
                self._body.read()
            except OSError as exc:
                errors.append(type(exc))
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, ("Content-Length", "1")])
        return Reading(environ["wsgi.input"])

    host = Host(b"part", method="POST", open_end=True)
    await host.serve(adapter(app))
    assert (errors, host.body, host.complete) == ([ClientDisconnected], b"x", True)


async def test_the_record_of_a_departure_names_what_the_application_made_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        gate()
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            raise LookupError from exc
        return []

    host = Host(b"part", method="POST", open_end=True)
    async with host.background(adapter(app)):
        await gate.reached()
        host.disconnect()
        gate.open()
    left = "the client left before the end of the response"
    assert caplog.messages == [f"POST '/': {left}; the application raised LookupError"]


async def test_a_client_that_left_was_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    host = Host(path="/odd", headers=[(b"bad name", b"x")])
    host.disconnect()
    await host.serve(adapter(result_app([])))
    assert caplog.messages == ["GET '/odd': the client left before it was answered 400"]
