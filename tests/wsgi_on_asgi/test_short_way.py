"""The short way of most requests, and the general one: the same cases have the same outcome.

A request leaves the short way when its application asks for the departure of its client, which
takes a channel to notice, and when its body comes in several messages.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gatebridge._concurrency.pool import WorkerPool
from gatebridge._wsgi_on_asgi import request_on_loop
from gatebridge._wsgi_on_asgi.job_in_thread import WorkerJob
from wsgi_on_asgi.apps import TEXT, Environ, adapter
from wsgi_on_asgi.host import HANG, Host

pytestmark = pytest.mark.direction("w2a")


def answers(result: Any, *headers: tuple[str, str], status: str = "200 OK") -> Any:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response(status, [TEXT, *headers])
        return result

    return app


def closing(environ: Environ, start_response: Any) -> Any:
    class Body(list[bytes]):
        def close(self) -> None:
            raise ValueError("close")

    start_response("200 OK", [TEXT])
    return Body([b"a"])


def generator(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"a"
    yield b"b"


class Framework:
    """What most frameworks return: an iterator that has to be closed."""

    def __init__(self, *blocks: bytes, fails: bool = False) -> None:
        self.blocks = iter(blocks)
        self.fails = fails

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self.blocks)

    def close(self) -> None:
        if self.fails:
            raise ValueError("close")


def framework(*blocks: bytes, length: str = "1", fails: bool = False) -> Any:
    def app(environ: Environ, start_response: Any) -> Framework:
        start_response("200 OK", [TEXT, ("Content-Length", length)])
        return Framework(*blocks, fails=fails)

    return app


def failing_generator(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"a"
    raise ValueError("b")


def raises(error: BaseException, *, started: bool) -> Any:
    def app(environ: Environ, start_response: Any) -> Any:
        if started:
            start_response("200 OK", [TEXT])
        raise error

    return app


def replaces(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    try:
        raise ValueError("late")
    except ValueError:
        start_response("500 Oops", [TEXT], sys.exc_info())
    return [b"oops"]


def twice(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    start_response("200 OK", [TEXT])
    return []


def writes(environ: Environ, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"a")
    return [b"b"]


def echoes(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [environ["wsgi.input"].read()]


CASES: dict[str, Any] = {
    "one block": answers([b"a"]),
    "blocks": answers([b"a", b"", b"b"]),
    "tuple": answers((b"a",)),
    "nothing": answers([]),
    "length": answers([b"abc"], ("Content-Length", "3")),
    "HEAD": answers([b"abc"]),
    "HEAD with length": answers([], ("Content-Length", "3")),
    "longer than declared": answers([b"abc"], ("Content-Length", "2")),
    "shorter than declared": answers([b"abc"], ("Content-Length", "4")),
    "no content": answers([b"abc"], status="204 No Content"),
    "not modified": answers([], ("Content-Length", "5"), status="304 Not Modified"),
    "reset content": answers([b"a"], status="205 Reset Content"),
    "hop by hop": answers([b"a"], ("Connection", "close"), ("X-A", "b")),
    "not bytes": answers(["a"]),
    "bytearray": answers([bytearray(b"a")]),
    "not iterable": answers(5),
    "bad status": answers([b"a"], status="OK"),
    "bad header": answers([b"a"], ("X A", "b")),
    "no start": lambda environ, start_response: [b"a"],
    "raises first": raises(ValueError("a"), started=False),
    "raises then": raises(ValueError("a"), started=True),
    "exits": raises(SystemExit(1), started=False),
    "stops": raises(StopIteration(), started=False),
    "replaces": replaces,
    "starts twice": twice,
    "writes": writes,
    "echoes": echoes,
    "framework": framework(b"a"),
    "framework, HEAD or empty": framework(length="0"),
    "framework, surplus": framework(b"a", b"b"),
    "framework, too short": framework(b"a", length="2"),
    "framework, two blocks": framework(b"a", b"b", length="2"),
    "framework, failing close": framework(b"a", fails=True),
    "generator": generator,
    "failing generator": failing_generator,
    "failing close": closing,
}


def watched(app: Any) -> Any:
    """Return an application that needs a channel before it begins."""

    def asking(environ: Environ, start_response: Any) -> Any:
        assert environ["gatebridge.disconnected"].is_set() is False
        return app(environ, start_response)

    return asking


WAYS: dict[str, tuple[Callable[[Any], Any], tuple[bytes, ...]]] = {
    "watched": (watched, (b"xyz",)),
    "body in parts": (lambda app: app, (b"xy", b"z")),
}


async def outcome(
    app: Any, body: tuple[bytes, ...], caplog: pytest.LogCaptureFixture, **host: Any
) -> dict[str, Any]:
    """Serve one request; return what the server got, and what was logged."""
    caplog.clear()
    served = Host(*body, **host)
    async with served.background(adapter(app)):
        pass
    parts = [message.get("body", b"") for message in served.sent]
    return {
        "types": list(dict.fromkeys(served.types)),
        "head": [message for message in served.sent if message["type"].endswith("start")],
        "body": b"".join(parts),
        "complete": served.complete,
        "error": (type(served.error), str(served.error)),
        "records": [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == "gatebridge"
        ],
    }


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
async def test_both_ways_have_the_same_outcome(
    case: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gatebridge")
    general, body = WAYS[way]
    method = "HEAD" if case.startswith("HEAD") else "GET"
    short = await outcome(CASES[case], (b"xyz",), caplog, method=method)
    assert await outcome(general(CASES[case]), body, caplog, method=method) == short


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ValueError("broken")])
@pytest.mark.parametrize("way", WAYS)
async def test_a_send_that_fails_has_the_same_outcome(
    error: Exception, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gatebridge")
    general, body = WAYS[way]
    outcomes = []
    for app, parts in ((CASES["one block"], (b"xyz",)), (general(CASES["one block"]), body)):
        caplog.clear()
        served = Host(*parts)
        served.send_error = error
        async with served.background(adapter(app)):
            pass
        records = [(record.levelname, record.getMessage()) for record in caplog.records]
        outcomes.append((served.sent, repr(served.error), records))
    assert outcomes[0] == outcomes[1]


async def test_a_response_that_becomes_whole_just_after_the_wait_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait for it has timed out, and the worker ends between the loop's two looks."""
    looked = threading.Event()
    take = WorkerJob.take_whole

    def take_before_the_end(job: WorkerJob) -> Any:
        taken = take(job)
        looked.set()
        for _ in range(HANG * 1000):
            if job.done:
                break
            threading.Event().wait(0.001)
        return taken

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        assert looked.wait(HANG)
        start_response("200 OK", [TEXT])
        return [b"a"]

    monkeypatch.setattr(request_on_loop, "_UNWATCHED_SECONDS", 0.01)
    monkeypatch.setattr(WorkerJob, "take_whole", take_before_the_end)
    host = Host()
    await host.serve(adapter(app))
    assert (host.body, host.complete) == (b"a", True)


async def test_the_rest_of_a_body_is_received_after_a_whole_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though the response was whole before the loop had handed over the request."""
    submit = WorkerPool.submit
    answered = threading.Event()

    class Body(Framework):
        def close(self) -> None:
            answered.set()
            rest.append(self.file.read())

    rest: list[bytes] = []

    def app(environ: Environ, start_response: Any) -> Body:
        start_response("200 OK", [TEXT, ("Content-Length", "1")])
        body = Body(b"a")
        body.file = environ["wsgi.input"]  # type: ignore[attr-defined]
        return body

    def submit_and_wait(pool: WorkerPool, job: Any) -> bool:
        starts_now = submit(pool, job)
        assert answered.wait(HANG)
        return starts_now

    monkeypatch.setattr(WorkerPool, "submit", submit_and_wait)
    host = Host(b"xy", b"z", method="POST")
    await host.serve(adapter(app))
    assert (host.body, rest) == (b"a", [b"xyz"])
