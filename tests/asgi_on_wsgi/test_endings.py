"""Every ending of a request, and what holds at each: the rows are `ENDINGS`, the columns the tests.

A request ends by itself, by an error of its application, by the server that leaves it or fails, by
a timeout, or because the adapter is closed. Whatever it was, and wherever it came:

* the application's task ends by itself, unless time is up for it;
* no task, no thread, no file, and no object of the request is left behind;
* the loop serves the next request;
* the server learns of the application's errors, and of nothing else;
* a log record says what happened, with method and path; a normal ending needs none.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_on_wsgi.apps import Event, Gate, body, receive_all, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError, UnavailableError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

BLOCK = b"x" * 1024
WINDOW = 4096  # bytes


# --- one request, and what is seen of it ----------------------------------------------------------


class Token:
    """Something that can be put into an environ and be referred to weakly."""


class Stage:
    """One request on its way to its end: its application, its server, and what was seen of them."""

    def __init__(self, ending: Ending, adapt: Adapt) -> None:
        self.gate = Gate()  # where the application stops
        self.called = Event()  # the application was
        self.ended = Event()  # the application has
        self.references: list[weakref.ref[Any]] = []  # to what must not outlive the request
        self.tasks: list[set[int]] = []  # before the request, and after it
        self.raised: type[BaseException] | None = None  # what the server was told
        self.raised_from: type[BaseException] | None = None
        self.body = b""
        self._ending = ending
        self.adapter = adapt(
            self._application,
            window_bytes=WINDOW,
            lifespan="off",
            offer_pathsend=True,
            **ending.adapter,
        )
        self.host = Host(**ending.host)
        self.host.environ |= {"PATH_INFO": "/ending", "test.token": Token()}
        self.refer_to(self.host.environ["test.token"])

    def refer_to(self, *items: Any) -> None:
        self.references += [weakref.ref(item) for item in items]

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ending":
            self.refer_to(send.__self__)  # type: ignore[attr-defined]
            self.called.set()
            try:
                await self._ending.app(self, receive, send)
            finally:
                self.ended.set()
        else:
            own = anyio.get_current_task().id
            self.tasks.append({task.id for task in anyio.get_running_tasks()} - {own})
            await send(start())
            await send(body(b"served"))

    def serve_another(self) -> None:
        """Serve a request; it comes after all that the loop had to do, and notes what is left."""
        host = Host(path="/another").serve(self.adapter)
        assert host.body == b"served"
        Host.all.remove(host)

    def let_go(self) -> None:
        """Forget the request, as a server does."""
        self.body = self.host.body
        self.host.check()
        Host.all.remove(self.host)
        self.host.environ = {}  # which refers to the host
        self.host.result = self.host._iterator = self.host.start_error = None
        del self.host


def play(ending: Ending, adapt: Adapt) -> Stage:
    """Serve a request to its ending, and wait until its application has ended."""
    stage = Stage(ending, adapt)
    stage.serve_another()
    try:
        ending.server(stage)
    except BaseException as exc:  # noqa: BLE001 - the server is told
        stage.raised = type(exc)
        stage.raised_from = None if exc.__cause__ is None else type(exc.__cause__)
    stage.gate.open()
    if ending.calls:
        stage.ended.happens()
    stage.let_go()
    if ending.server is not is_cut_off:
        stage.serve_another()
    return stage


# --- applications ---------------------------------------------------------------------------------

App = Callable[[Stage, Receive, Send], Awaitable[None]]


def sends(*messages: Any, then: type[BaseException] | None = None) -> App:
    """Return an application that sends these, stops at the gate for None, and may then raise."""

    async def app(stage: Stage, receive: Receive, send: Send) -> None:
        for message in messages:
            if message is None:
                await stage.gate()
            else:
                await send(message)
        if then is not None:
            raise then("of the application")

    return app


async def streams_on(stage: Stage, receive: Receive, send: Send) -> None:
    await send(start())
    while True:
        await send(body(BLOCK, more=True))


async def watches(stage: Stage, receive: Receive, send: Send) -> None:
    """As an event stream does."""
    await receive()
    await send(start())
    async with anyio.create_task_group() as group:

        async def stream() -> None:
            while True:
                await send(body(BLOCK, more=True))
                await anyio.lowlevel.checkpoint()

        group.start_soon(stream)
        assert (await receive())["type"] == "http.disconnect"
        group.cancel_scope.cancel()


async def reads(stage: Stage, receive: Receive, send: Send) -> None:
    messages = await receive_all(receive)
    if messages[-1]["type"] == "http.disconnect":
        raise ConnectionResetError("of the application")
    await send(start())
    await send(body(b"".join(message["body"] for message in messages)))


async def echoes(stage: Stage, receive: Receive, send: Send) -> None:
    await send(start())
    more = True
    while more:
        message: Any = await receive()
        more = message.get("more_body", False)
        await send(body(message.get("body", b""), more=more))


async def never_answers(stage: Stage, receive: Receive, send: Send) -> None:
    await anyio.sleep_forever()


async def never_ends(stage: Stage, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"a", more=True))
    await anyio.sleep_forever()


async def works_on(stage: Stage, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"a"))
    await anyio.sleep_forever()


async def asks_for_the_body(stage: Stage, receive: Receive, send: Send) -> None:
    await send(start())
    await send(body(b"a", more=True))
    await send(body(b"b", more=True))
    assert (await receive())["type"] == "http.disconnect"  # nobody has read for it


_receive: ContextVar[Any] = ContextVar("receive")


async def keeps_in_its_context_what_it_was_handed(
    stage: Stage, receive: Receive, send: Send
) -> None:
    _receive.set(receive)
    await send(start())
    await send(body(b"a"))


async def hints(stage: Stage, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.early_hint", "links": [b"</a>"]})
    await stage.gate()
    await send(start())
    await send(body(b"a"))


# --- what the server does -------------------------------------------------------------------------

Server = Callable[[Stage], None]


def serves(stage: Stage) -> None:
    stage.host.serve(stage.adapter)


def leaves_after(count: int, *, closes: bool = True) -> Server:
    """Return a server whose client leaves after so many blocks; or which forgets to close."""

    def server(stage: Stage) -> None:
        stage.host.call(stage.adapter)
        for _ in range(count):
            stage.host.next()
        if closes:
            stage.host.close()
        stage.host.result = stage.host._iterator = None

    return server


def fails_at_the_start(stage: Stage) -> None:
    stage.host.start_error = LookupError("of the server")
    serves(stage)


def is_cut_off(stage: Stage) -> None:
    """The adapter is closed before the application has ended, and does not wait for it."""
    served = stage.host.serve_in_thread(stage.adapter)
    stage.called.happens()
    if stage._ending.app is works_on:
        served.join()
    stage.adapter.close()
    served.join()


def _raises(headers: Any) -> None:
    raise BrokenPipeError("of the server")


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """One row.

    Attributes:
        app: The application.
        server: What the server does.
        raises: What it is told.
        raised_from: What that was raised from.
        response: What it got of the response's body.
        level: The highest of a log record; one for DEBUG need not be there. None if none is.
        host: Arguments for `Host`.
        adapter: Arguments for the adapter.
        calls: Whether the application is called.
    """

    app: App
    server: Server = serves
    raises: type[BaseException] | None = None
    raised_from: type[BaseException] | None = None
    response: bytes = b""
    level: int | None = None
    host: dict[str, Any] = field(default_factory=dict)
    adapter: dict[str, Any] = field(default_factory=dict)
    calls: bool = True


START, A, B, END = start(), body(b"a", more=True), body(b"b", more=True), body()
PATH = {"type": "http.response.pathsend", "path": __file__}
CONTENT = Path(__file__).read_bytes()
UPLOAD: dict[str, Any] = {"method": "POST", "body": [b"y" * 70_000, b"z" * 70_000]}
CHUNKED: dict[str, Any] = {
    "method": "POST",
    "length": None,
    "wsgi.input_terminated": True,
    "HTTP_TRANSFER_ENCODING": "chunked",
}

NORMAL: dict[str, Ending] = {
    "complete": Ending(sends(START, body(b"a")), response=b"a"),
    "streamed": Ending(sends(START, A, B, END), response=b"ab"),
    "streamed slowly": Ending(
        sends(START, A, B, None), leaves_after(2), response=b"ab", level=logging.INFO
    ),
    "background work": Ending(sends(START, body(b"a"), None), response=b"a"),
    "kept in the context": Ending(keeps_in_its_context_what_it_was_handed, response=b"a"),
    "HEAD": Ending(sends(START, A, B, END), host={"method": "HEAD"}),
    "an upload": Ending(reads, host=UPLOAD, response=b"".join(UPLOAD["body"])),
    "an echo": Ending(echoes, host=UPLOAD, response=b"".join(UPLOAD["body"])),
    "a file": Ending(sends(START, PATH), response=CONTENT),
    "a refused request": Ending(
        sends(), host={"CONTENT_LENGTH": "x"}, level=logging.INFO, calls=False,
        response=b"content-length: not a length in bytes: b'x'\n",
    ),
}  # fmt: skip


def _errors() -> Iterator[tuple[str, Ending]]:
    """Yield what an application may raise, wherever it may do so."""
    for kind in (ZeroDivisionError, ConnectionResetError, SystemExit, KeyboardInterrupt):
        wrapped = not issubclass(kind, Exception)
        row = Ending(
            sends(),
            raises=AsgiAppError if wrapped else kind,
            raised_from=kind if wrapped else None,
            level=logging.INFO,
        )
        logged = replace(row, raises=None, raised_from=None, level=logging.ERROR)
        for place, each in {
            "at once": replace(row, app=sends(then=kind)),
            "after the start": replace(row, app=sends(START, then=kind)),
            "after a part": replace(row, app=sends(START, A, then=kind), response=b"a"),
            "after the end": replace(logged, app=sends(START, A, END, then=kind), response=b"a"),
            "after the response": replace(
                logged, app=sends(START, body(b"a"), then=kind), response=b"a"
            ),
        }.items():
            yield f"{kind.__name__} {place}", each
    row = Ending(sends(), raises=AsgiAppError, level=logging.INFO)
    yield "it returns at once", row
    yield "it returns after the start", replace(row, app=sends(START))
    yield "it returns after a part", replace(row, app=sends(START, A), response=b"a")
    long = start(200, (b"content-length", b"1"))
    yield "a surplus", replace(row, app=sends(long, A, B), response=b"a")
    short = start(200, (b"content-length", b"2"))
    yield "a shortfall", replace(row, app=sends(short, A, END), response=b"a")
    yield "a bad message", replace(row, app=sends(START, A, START), response=b"a")
    yield "a missing file", replace(row, app=sends(START, {**PATH, "path": "/no/such"}))


def _departures() -> Iterator[tuple[str, Ending]]:
    """Yield how a server may leave, and where."""
    full = WINDOW // len(BLOCK)
    info = logging.INFO
    for how, closes in (("closes", True), ("forgets to close", False)):
        for count in (0, 1, full + 2):
            server = leaves_after(count, closes=closes)
            got = BLOCK * count
            yield (
                f"it {how} a stream after {count}",
                Ending(streams_on, server, response=got, level=info),
            )
            yield (
                f"it {how} a watched stream after {count}",
                Ending(watches, server, response=got, level=info),
            )
        for count in (0, 1):
            server = leaves_after(count, closes=closes)
            got = b"a" * count
            row = Ending(sends(START, A, None, B, END), server, response=got, level=info)
            yield f"it {how} while it computes, after {count}", row
            yield (
                f"it {how} before an error, after {count}",
                replace(
                    row, app=sends(START, A, None, then=ZeroDivisionError), level=logging.ERROR
                ),
            )
            yield (
                f"it {how} what is complete, after {count}",
                replace(row, app=sends(START, A, B, END, None)),
            )
        yield f"it {how} an echo", Ending(
            echoes, leaves_after(1, closes=closes), host=UPLOAD, level=info,
            response=UPLOAD["body"][0][:65536],
        )  # fmt: skip
        yield f"it {how} although the body is asked for", Ending(
            asks_for_the_body, leaves_after(1, closes=closes), host=UPLOAD, level=info,
            response=b"a",
        )  # fmt: skip
        if closes:  # else nobody but the collector closes the file
            yield f"it {how} a file", Ending(sends(START, PATH), leaves_after(0, closes=closes))


def _failures() -> Iterator[tuple[str, Ending]]:
    """Yield what the server, the client's upload, or the clock may do."""
    row = Ending(sends(START, A, None, B), fails_at_the_start, LookupError, level=logging.INFO)
    yield "start_response raises", row
    yield "start_response raises for a list", replace(row, app=sends(START, body(b"a")))
    yield "start_response raises for a file", replace(row, app=sends(START, PATH))
    yield (
        "early_hints raises",
        Ending(
            hints, raises=BrokenPipeError, host={"wsgi.early_hints": _raises}, level=logging.INFO
        ),
    )

    def reset() -> None:
        raise ConnectionResetError("of the server")

    for size in (5, 100_000):
        yield f"an upload of {size} bytes ends early", Ending(
            reads, raises=ConnectionResetError, level=logging.INFO,
            host={"method": "POST", "body": [b"abc"], "length": size},
        )  # fmt: skip
        yield f"an upload of {size} bytes fails", Ending(
            reads, raises=ConnectionResetError, level=logging.INFO,
            host={"method": "POST", "body": [b"abc", reset], "length": size},
        )  # fmt: skip
    yield "an upload is too large", Ending(
        reads, host={**CHUNKED, "body": [b"abc"]}, adapter={"max_body_size": 2},
        response=b"body: over the limit of 2 bytes\n", level=logging.ERROR,
    )  # fmt: skip
    timeout: dict[str, Any] = {"response_timeout": 0.02}
    yield (
        "no answer in time",
        Ending(never_answers, raises=AsgiAppError, adapter=timeout, level=logging.INFO),
    )
    yield (
        "no end in time",
        Ending(never_ends, raises=AsgiAppError, adapter=timeout, level=logging.INFO, response=b"a"),
    )
    closed = Ending(
        never_answers, is_cut_off, UnavailableError, level=logging.WARNING,
        adapter={"shutdown_timeout": 0},
    )  # fmt: skip
    yield "the adapter is closed before an answer", closed
    yield "the adapter is closed before the end", replace(closed, app=never_ends, response=b"a")
    yield (
        "the adapter is closed before the work is done",
        replace(closed, app=works_on, response=b"a", raises=None),
    )


ERRORS, DEPARTURES, FAILURES = dict(_errors()), dict(_departures()), dict(_failures())
ENDINGS = {**NORMAL, **ERRORS, **DEPARTURES, **FAILURES}

every_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)


# --- the columns ----------------------------------------------------------------------------------


@pytest.mark.clause(
    "W-ERR-04", "A-CORE-10", "A-HTTP-21", "W-CLOSE-02", "D-27", "D-28", "D-30", "D-35", "D-36"
)
@every_ending
def test_the_server_is_told_the_truth(ending: Ending, adapt: Adapt) -> None:
    stage = play(ending, adapt)
    assert stage.raised is ending.raises
    if ending.raised_from is not None:
        assert stage.raised_from is ending.raised_from
    assert stage.body == ending.response


@pytest.mark.clause("W-CALL-10", "W-CLOSE-02", "D-28", "D-30", "D-39")
@every_ending
def test_no_task_no_thread_and_no_file_is_left(ending: Ending, adapt: Adapt) -> None:
    """But for the loop, which serves the next request, and its own tasks."""
    with adapt(sends()):
        pass  # libuv opens a pipe for the process with its first loop
    threads, files = _threads(), _files()
    stage = play(ending, adapt)
    assert stage.tasks[0] == stage.tasks[-1]
    stage.adapter.close()
    assert _threads() == threads
    assert _files() == files


def _threads() -> set[str]:
    """Return the threads of this process without those of anyio and trio, which wait for work."""
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if not name.lower().startswith(("anyio", "trio"))}


def _files() -> int:
    """Return how many there are open, where the system can tell."""
    directory = Path("/proc/self/fd")
    return len(os.listdir(directory)) if directory.exists() else 0  # noqa: PTH208


@every_ending
def test_nothing_of_the_request_outlives_it(
    ending: Ending, adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither environ nor exchange; they go at once, not at the next run of the collector."""
    caplog.set_level(logging.CRITICAL + 1, "gatebridge")  # a record keeps its error, and all of it
    gc.disable()
    gc.freeze()  # the collector shall look at this request only, which is quick
    try:
        stage = play(ending, adapt)
        if ending.app is watches or ending.server is is_cut_off:
            gc.collect()  # cancelled tasks, and their groups, have cycles of their own
        assert len(stage.references) == 1 + ending.calls
        assert [each for each in stage.references if each() is not None] == []
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.clause("A-CORE-12", "A-HTTP-30", "D-27", "D-30", "D-52", "D-55")
@every_ending
def test_a_record_names_the_request_and_what_ended_it(
    ending: Ending, adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    stage = play(ending, adapt)
    records = [record for record in caplog.records if record.name == "gatebridge"]
    highest = max((record.levelno for record in records), default=None)
    assert highest == ending.level or (highest, ending.level) == (None, logging.DEBUG)
    method = ending.host.get("method", "GET")
    for record in records:
        assert f"{method} '/ending'" in record.getMessage()
    assert stage.raised is ending.raises
