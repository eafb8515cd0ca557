"""``spool_bodies``: a body without a length is received before the application is called."""

from __future__ import annotations

import io
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gatebridge import LifespanManager
from gatebridge._wsgi_on_asgi import spool
from gatebridge.errors import ClientDisconnected, WsgiAppError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    body_app,
    end_adapters,
    result_app,
    statistics_say,
)
from wsgi_on_asgi.host import Host, request_messages

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("D-13", "W-IN-11")]

CHUNKED = (b"transfer-encoding", b"chunked")
WINDOW = 1000  # bytes: a larger body goes to disk
FULL = Path("/dev/full")

needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


class Disk:
    """Stands in for `tempfile`, and records the files.

    Attributes:
        files: All that were made.
        full: Whether they are on a disk that is full.
        before: Called before one is made, in the thread that makes it.
    """

    def __init__(self) -> None:
        self.files: list[Any] = []
        self.full = False
        self.before: Callable[[], object] = object

    def TemporaryFile(self) -> Any:  # noqa: N802 - the name there
        self.before()
        file = FULL.open("w+b") if self.full else tempfile.TemporaryFile()  # noqa: SIM115
        self.files.append(file)
        return file


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk; at the end of the test its files are closed, and nothing was called wrongly."""
    disk = Disk()
    monkeypatch.setattr(spool, "tempfile", disk)
    _wrong_calls.clear()
    yield disk
    assert end_adapters() == []
    assert all(file.closed for file in disk.files)
    assert _wrong_calls == []


def spooling(app: Any, **options: Any) -> Any:
    return adapter(app, **{"spool_bodies": True, "window_bytes": WINDOW, **options})


_wrong_calls: list[Environ] = []


def not_to_be_called(environ: Environ, start_response: Any) -> list[bytes]:
    _wrong_calls.append(environ)  # an error might go unnoticed in the thread
    start_response("200 OK", [TEXT])
    return []


def echo(environ: Environ, start_response: Any) -> list[bytes]:
    """Answer as Django, Bottle and CGI programs do: with so much of the body as was declared."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [TEXT])
    return [body]


def cuts(body: bytes) -> Iterator[list[bytes]]:
    """Yield a body, cut into messages in every way, with and without empty ones between."""
    for marks in product((False, True), repeat=len(body) - 1):
        parts = [body[:1]]
        for cut, byte in zip(marks, body[1:], strict=True):
            if cut:
                parts.append(b"")
            parts[-1] += bytes([byte])
        yield parts
        yield [*parts, b""]
        yield [b"", *(part for each in parts for part in (each, b""))]


async def environs_of(parts: list[bytes], options: dict[str, Any], **scope: Any) -> Environ:
    """Return the environ for a body in these parts, with what is read from its input."""
    environs: list[Environ] = []

    def app(environ: Environ) -> list[bytes]:
        environs.append({**environ, "wsgi.input": environ["wsgi.input"].read()})
        return []

    await Host(*parts, method="POST", **scope).serve(adapter(body_app(app), **options))
    (environ,) = environs
    for key in ("asgi.scope", "gatebridge.disconnected", "wsgi.errors"):
        del environ[key]
    return environ


# --- the environ, however the body was cut --------------------------------------------------------


@pytest.mark.clause("CGI-01", "W-ENV-06", "H-MSG-05")
@pytest.mark.parametrize("headers", [[], [CHUNKED], [CHUNKED, (b"content-length", b"2")]])
@pytest.mark.parametrize(
    ("options", "length"), [({"spool_bodies": True}, "5"), ({}, None)], ids=["spooled", "streamed"]
)
async def test_every_cut_of_a_body_gives_the_same_environ(
    options: dict[str, Any], length: str | None, headers: list[tuple[bytes, bytes]]
) -> None:
    expected = await environs_of([b"12345"], options, headers=headers)
    assert (expected.get("CONTENT_LENGTH"), expected["wsgi.input"]) == (length, b"12345")
    for parts in cuts(b"12345"):
        assert await environs_of(parts, options, headers=headers) == expected


@pytest.mark.clause("CGI-01")
@pytest.mark.parametrize("parts", [[b""], [b"", b""], [b"", b"", b""]], ids=len)
@pytest.mark.parametrize(
    ("headers", "length"), [([], None), ([CHUNKED], "0"), ([(b"Transfer-Encoding", b"x")], "0")]
)
async def test_an_empty_body_has_a_length_only_if_the_request_has_a_body(
    parts: list[bytes], headers: list[tuple[bytes, bytes]], length: str | None
) -> None:
    environ = await environs_of(parts, {"spool_bodies": True}, headers=headers)
    assert (environ.get("CONTENT_LENGTH"), environ["wsgi.input"]) == (length, b"")


@pytest.mark.parametrize("size", [1, WINDOW, WINDOW + 1, 10 * WINDOW])
@pytest.mark.parametrize("part", [1, 7, 400, 5000])
async def test_a_body_of_any_size_arrives_whole(size: int, part: int, disk: Disk) -> None:
    body = (bytes(range(256)) * 40)[:size]
    parts = [body[at : at + part] for at in range(0, size, part)]
    host = Host(*parts, b"", method="POST", headers=[CHUNKED])
    await host.serve(spooling(echo))
    assert host.body == body
    assert len(disk.files) == (size > WINDOW)


@pytest.mark.clause("W-ENV-17")
@pytest.mark.parametrize("size", [WINDOW, WINDOW + 1])
async def test_the_input_is_a_seekable_file_in_memory_or_on_disk(size: int) -> None:
    seen: list[Any] = []

    def app(environ: Environ) -> list[bytes]:
        file = environ["wsgi.input"]
        on_disk = not isinstance(file, io.BytesIO)
        seen.append((on_disk, file.tell(), file.read(2), file.seek(0, io.SEEK_END)))
        if on_disk:
            assert file.fileno() >= 0
        return []

    host = Host(b"12", b"x" * (size - 2), method="POST", headers=[CHUNKED])
    await host.serve(spooling(body_app(app)))
    assert seen == [(size > WINDOW, 0, b"12", size)]


async def test_the_file_lasts_until_the_iterable_is_closed(disk: Disk) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"first "
        yield environ["wsgi.input"].read()

    host = Host(b"x" * 600, b"y" * 600, method="POST", headers=[CHUNKED])
    await host.serve(spooling(app))
    assert host.body == b"first " + b"x" * 600 + b"y" * 600
    assert len(disk.files) == 1


@pytest.mark.clause("W-FILE-05")
async def test_the_body_can_be_sent_back_as_a_file() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return environ["wsgi.file_wrapper"](environ["wsgi.input"])

    host = Host(b"x" * 600, b"y" * 600, method="POST", headers=[CHUNKED])
    await host.serve(spooling(app))
    assert host.body == b"x" * 600 + b"y" * 600


# --- when the application is called ---------------------------------------------------------------


@pytest.mark.clause("W-HTTP-02")
async def test_the_application_is_called_when_all_is_there_and_others_run_meanwhile() -> None:
    """The worker that spools counts as stalled: it waits for its client."""
    served = spooling(echo, threads=1, max_threads=2)
    slow = Host(b"12", open_end=True, method="POST", headers=[CHUNKED])
    async with slow.background(served):
        await statistics_say(served, stalled=1, running=0)
        other = Host(b"1", b"2", method="POST", headers=[CHUNKED])
        await other.serve(served)
        assert (other.body, slow.sent) == (b"12", [])
        slow.feed(*request_messages(b"3", b"45"))
    assert (slow.error, slow.body) == (None, b"12345")


@pytest.mark.clause("D-31")
async def test_a_body_with_a_declared_length_is_streamed() -> None:
    called = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        called()
        return echo(environ, start_response)

    headers = [(b"content-length", b"5")]
    host = Host(b"12", open_end=True, method="POST", headers=headers)
    async with host.background(spooling(app)):
        await called.reached()
        host.feed(*request_messages(b"345"))
        called.open()
    assert (host.error, host.body) == (None, b"12345")


@pytest.mark.clause("D-32", "W-HTTP-01")
async def test_a_client_that_waits_for_100_continue_is_asked_for_the_body() -> None:
    host = Host(b"12", b"345", method="POST", headers=[CHUNKED, (b"expect", b"100-continue")])
    await host.serve(spooling(echo))
    assert host.body == b"12345"


@pytest.mark.clause("H-MSG-10", "D-15")
@pytest.mark.parametrize("parts", [[b"123456"], [b"123", b"456"], [b"123456", b""]])
async def test_a_body_over_the_limit_is_413_and_the_application_is_not_called(
    parts: list[bytes],
) -> None:
    host = Host(*parts, method="POST", headers=[CHUNKED])
    await host.serve(spooling(not_to_be_called, max_body_size=5))
    assert host.status == 413


@pytest.mark.clause("H-MSG-10", "D-13", "D-15")
async def test_without_a_limit_of_its_own_a_spooled_body_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatebridge._wsgi_on_asgi.request_on_loop._SPOOLED_BYTES", 5)
    host = Host(b"123", b"456", method="POST", headers=[CHUNKED])
    await host.serve(spooling(not_to_be_called))
    assert host.status == 413


# --- endings --------------------------------------------------------------------------------------


@pytest.mark.clause("D-30", "W-CALL-04")
@pytest.mark.parametrize("received", [b"1", b"x" * (WINDOW + 1)], ids=["in memory", "on disk"])
async def test_a_client_that_leaves_before_the_end_calls_nothing(received: bytes) -> None:
    served = spooling(not_to_be_called)
    host = Host(received, open_end=True, method="POST", headers=[CHUNKED])
    async with host.background(served):
        await statistics_say(served, stalled=1)
        host.disconnect()
    assert (host.error, host.sent) == (None, [])


@pytest.mark.clause("D-30", "W-CALL-04")
async def test_a_client_that_leaves_while_its_request_is_queued_calls_nothing() -> None:
    gate = Gate()
    paths: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        gate()
        return echo(environ, start_response)

    served = spooling(app, threads=1)
    first = Host(path="/first")
    queued = Host(b"1", open_end=True, path="/queued", method="POST", headers=[CHUNKED])
    async with first.background(served):
        await gate.reached()
        async with queued.background(served):
            await statistics_say(served, waiting=1)
            queued.disconnect()
        gate.open()
    assert (paths, queued.error, first.error) == (["/first"], None, None)


@pytest.mark.clause("D-50", "W-CALL-04")
@pytest.mark.parametrize("received", [b"1", b"x" * (WINDOW + 1)], ids=["in memory", "on disk"])
async def test_a_cancelled_request_calls_nothing(received: bytes) -> None:
    served = spooling(not_to_be_called)
    host = Host(received, open_end=True, method="POST", headers=[CHUNKED])
    async with host.background(served) as scope:
        await statistics_say(served, stalled=1)
        scope.cancel()
    assert host.sent == []


@pytest.mark.clause("D-50", "W-CALL-04")
async def test_a_request_cancelled_while_the_disk_is_written_calls_nothing(disk: Disk) -> None:
    """The whole body is there by then."""
    writes = Gate()

    disk.before = writes
    host = Host(b"x" * 10, b"x" * WINDOW, method="POST", headers=[CHUNKED])
    async with host.background(spooling(not_to_be_called)) as scope:
        await writes.reached()
        scope.cancel()
    writes.open()
    assert host.sent == []


@pytest.mark.clause("A-LIFE-12", "W-CALL-04")
async def test_a_body_that_does_not_come_holds_up_no_shutdown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gatebridge")
    served = spooling(not_to_be_called, shutdown_timeout=0)
    host = Host(b"x" * (WINDOW + 1), open_end=True, method="POST", headers=[CHUNKED])
    async with host.background(served):
        await statistics_say(served, stalled=1)
        async with LifespanManager(served):
            pass
        host.disconnect()
    assert host.sent == []
    assert caplog.messages == [
        "still running 0 seconds after shutdown began, abandoned: POST '/'",
        "POST '/': the client left before the application was called",
    ]


@pytest.mark.clause("W-ERR-01")
@pytest.mark.parametrize(
    ("error", "late"),
    [
        (ValueError("no"), False),
        (ValueError("no"), True),
        (KeyboardInterrupt(), False),
        (KeyboardInterrupt(), True),
        (StopIteration(), False),
    ],
)
async def test_the_file_is_closed_whatever_the_application_raises(
    error: BaseException, late: bool, disk: Disk
) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        if not late:
            raise error
        start_response("200 OK", [TEXT])
        return Blocks(b"x", error)

    host = Host(b"x" * 600, b"y" * 600, method="POST", headers=[CHUNKED])
    with pytest.raises(ValueError if isinstance(error, ValueError) else WsgiAppError):
        await host.serve(spooling(app))
    assert len(disk.files) == 1


@needs_full_disk
@pytest.mark.parametrize("size", [WINDOW + 1, 100 * WINDOW], ids=["at the end", "at once"])
async def test_a_full_disk_is_an_error_of_the_server_and_calls_nothing(
    size: int, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's own error: a small body is written only when all of it is there."""
    caplog.set_level(logging.INFO, "gatebridge")

    disk.full = True
    host = Host(b"x" * 10, b"x" * (size - 10), method="POST", headers=[CHUNKED])
    with pytest.raises(OSError, match="No space left on device"):
        await host.serve(spooling(not_to_be_called))
    assert len(disk.files) == 1
    assert caplog.messages == ["POST '/': OSError before the response had begun"]


@needs_full_disk
def test_a_full_disk_does_not_hide_that_the_client_left(disk: Disk) -> None:
    """To close the file is to write what is buffered."""

    class Body:
        parts = [b"x" * 10, b"x" * 10]  # noqa: RUF012 - used up by the only test

        def read1(self) -> bytes:
            if self.parts:
                return self.parts.pop()
            raise ClientDisconnected("wsgi.input")

    disk.full = True
    with pytest.raises(ClientDisconnected):
        spool.spool(Body(), 10)
    assert len(disk.files) == 1


async def test_a_directory_that_cannot_be_written_is_an_error_of_the_server(disk: Disk) -> None:
    def none() -> Any:
        raise FileNotFoundError(2, "No usable temporary directory found")

    disk.before = none
    host = Host(b"x" * 10, b"x" * WINDOW, method="POST", headers=[CHUNKED])
    with pytest.raises(FileNotFoundError):
        await host.serve(spooling(not_to_be_called))


@pytest.mark.clause("A-CORE-08")
async def test_a_server_that_breaks_the_protocol_meanwhile_calls_nothing() -> None:
    served = spooling(not_to_be_called)
    host = Host(b"1", open_end=True, method="POST", headers=[CHUNKED])
    async with host.background(served):
        await statistics_say(served, stalled=1)
        host.feed({"type": "http.nothing"})
    assert type(host.error).__name__ == "HostError"


async def test_the_disk_is_written_in_the_worker_s_thread(disk: Disk) -> None:
    """And not on the event loop, which a slow disk would stop."""
    threads: list[threading.Thread] = []

    disk.before = lambda: threads.append(threading.current_thread())
    host = Host(b"x" * WINDOW, b"x" * WINDOW, method="POST", headers=[CHUNKED])
    await host.serve(spooling(result_app([b"x"])))
    (thread,) = threads
    assert thread is not threading.main_thread()
