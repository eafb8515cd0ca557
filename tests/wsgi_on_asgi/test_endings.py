"""Every ending of a request, and what holds at each: the rows are `ENDINGS`, the columns the tests.

A request ends by itself, by an error of its application, by the departure of its client, by the
cancellation of its task, or with its event loop. Each of these may come at any point of the work.
Whatever it was, and wherever it came:

* the iterable is closed exactly once, in the thread of the call;
* the worker's thread is back in the pool and serves the next request;
* no task, no thread, and no reference cycle is left behind;
* unless the server got a whole response, a log record at level info or above says what happened,
  with method and path;
* the event loop ran on while the application blocked;
* the server learns of the application's errors, and of nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import logging
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from gatebridge._concurrency import gate
from gatebridge._wsgi_on_asgi import request_on_loop
from gatebridge.errors import ClientDisconnected, WsgiAppError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    statistics_say,
)
from wsgi_on_asgi.host import HANG, Host, bury

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CLOSE-01")]

GATE = object()  # among the blocks, or for ``close()``: the application stops there
BLOCK = b"x" * 1024
WINDOW = 4096  # bytes


# --- one request, and what is seen of it ----------------------------------------------------------


class Token:
    """Something that can be put into an environ and be referred to weakly."""


class Stage:
    """One request on its way to its end: its application, its server, and what was seen of them.

    Args:
        ending: The row of the table.
        portal: The way to the loop, on which the application waits at each of its steps; None if
            the loop is to end before the application does.
    """

    def __init__(self, ending: Ending, portal: anyio.from_thread.BlockingPortal | None) -> None:
        self.gate = Gate()  # where the application stops
        self.afterwards = Gate()  # where its threads stop until the request is over
        self.busy = Gate()  # where the request stops that has the only thread
        self.calls = 0
        self.closes = 0
        self.entered: list[str] = []  # the steps of the application
        self.passed: list[str] = []  # those during which the loop ran on
        self.threads: set[int] = set()
        self.references: list[weakref.ref[Any]] = []  # to what must not outlive the request
        self.helpers: list[threading.Thread] = []  # that the application has started
        self.uncaught: list[type[BaseException]] = []  # in these
        self.raised: type[BaseException] | None = None  # what the server was told
        self.raised_from: type[BaseException] | None = None
        self.served = adapter(self._application(ending), threads=1, window_bytes=WINDOW)
        self.body = ending.body
        self.host = Host(*ending.body, path="/ending", **ending.host)
        self._portal = portal

    def enter(self, step: str) -> None:
        """Block the application until the event loop has run something else."""
        self.threads.add(threading.get_ident())
        self.entered.append(step)
        if self._portal is not None:
            self._portal.start_task_soon(anyio.lowlevel.checkpoint).result(HANG)
        self.passed.append(step)

    def refer_to(self, *items: Any) -> None:
        self.references += [weakref.ref(item) for item in items]

    def _application(self, ending: Ending) -> Any:
        def application(environ: Environ, start_response: Any) -> Any:
            if environ["PATH_INFO"] == "/ending":
                self.calls += 1
                environ["test.token"] = Token()
                self.refer_to(environ["test.token"])
                self.enter("call")
                return ending.app(self, environ, start_response)
            if environ["PATH_INFO"] == "/busy":
                self.busy()
            start_response("200 OK", [TEXT])
            return [b"served"]

        return application

    async def serve_next(self) -> Host:
        """Serve another request, which needs the one thread that there is."""
        host = Host(path="/next")
        await host.serve(self.served)
        return host


class Body(Blocks):
    """An iterable on a stage; see `Blocks`."""

    def __init__(self, stage: Stage, blocks: Iterable[Any], at_close: Any = None) -> None:
        super().__init__(source=blocks)
        self._stage = stage
        self._at_close = at_close
        stage.refer_to(self)

    def __next__(self) -> bytes:
        self._stage.enter("next")
        return _perform(super().__next__())

    def close(self) -> None:
        self._stage.closes += 1
        self._stage.enter("close")
        if self._at_close is GATE:
            self._stage.gate()
        else:
            _perform(self._at_close)


def _perform(step: Any) -> Any:
    """Raise a step that is an exception or a class of them; return any other."""
    if isinstance(step, type) and issubclass(step, BaseException):
        raise step("of the application")
    if isinstance(step, BaseException):
        try:
            raise step
        finally:
            del step  # no cycle through its traceback
    return step


# --- applications ---------------------------------------------------------------------------------

App = Callable[[Stage, Environ, Any], Any]


def streams(*blocks: Any, at_close: Any = None, endless: bool = False) -> App:
    """Return an application whose iterable gives these blocks; see `Body`."""

    def app(stage: Stage, environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        source = [stage.gate.yields(b"x") if block is GATE else block for block in blocks]
        rest = itertools.repeat(BLOCK) if endless else ()
        return Body(stage, itertools.chain(source, rest), at_close)

    return app


def gives_list(stage: Stage, environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"a", b"b"]


def generates(stage: Stage, environ: Environ, start_response: Any) -> Iterator[bytes]:
    """A generator's end is in its ``finally``: it has no other ``close``."""

    def generator() -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        try:
            for block in (b"a", b"b"):
                stage.enter("next")
                yield block
            stage.gate()
        finally:
            stage.closes += 1
            stage.enter("close")

    body = generator()
    stage.refer_to(body)
    return body


def raises_in_call(kind: type[BaseException]) -> App:
    def app(stage: Stage, environ: Environ, start_response: Any) -> Any:
        return _perform(kind)

    return app


def raises_after_start_response(kind: type[BaseException]) -> App:
    def app(stage: Stage, environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return _perform(kind)

    return app


def raises_after_write(kind: type[BaseException]) -> App:
    def app(stage: Stage, environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])(b"a")
        return _perform(kind)

    return app


def reads(stage: Stage, environ: Environ, start_response: Any) -> Any:
    return [environ["wsgi.input"].read()]


def reads_and_waits(stage: Stage, environ: Environ, start_response: Any) -> Any:
    body = environ["wsgi.input"].read()
    stage.gate()
    start_response("200 OK", [TEXT])
    return [body]


def reads_in_next(stage: Stage, environ: Environ, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Body(stage, [environ["wsgi.input"].read])


def writes(stage: Stage, environ: Environ, start_response: Any) -> Any:
    write = start_response("200 OK", [TEXT])
    while True:
        write(BLOCK)


def waits_in_call(stage: Stage, environ: Environ, start_response: Any) -> Any:
    stage.gate()
    return streams(endless=True)(stage, environ, start_response)


def waits_in_call_of_list(stage: Stage, environ: Environ, start_response: Any) -> Any:
    stage.gate()
    return gives_list(stage, environ, start_response)


def waits_in_call_of_generator(stage: Stage, environ: Environ, start_response: Any) -> Any:
    stage.gate()  # and no more, once it is open
    return generates(stage, environ, start_response)


def starts_thread(work: Callable[[Environ, Any], object], *, at_once: bool) -> App:
    """Return an application with a thread of its own, which works during or after the request."""

    def app(stage: Stage, environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT])

        def run() -> None:
            if not at_once:
                stage.afterwards()
            work(environ, {"write": write, "start_response": start_response})

        stage.helpers.append(threading.Thread(target=run, name="of the application"))
        stage.helpers[-1].start()
        if at_once:
            stage.helpers[-1].join(HANG)
        return Body(stage, [b"a", b"b"], GATE)

    return app


def fails(environ: Environ, callables: Any) -> None:
    raise ZeroDivisionError("of a thread of the application")


def writes_more(environ: Environ, callables: Any) -> None:
    callables["write"](b"c")


def starts_again(environ: Environ, callables: Any) -> None:
    callables["start_response"]("500 Late", [TEXT])


def starts_again_with_error(environ: Environ, callables: Any) -> None:
    try:
        fails(environ, callables)
    except ZeroDivisionError:
        callables["start_response"]("500 Late", [TEXT], sys.exc_info())


def reads_more(environ: Environ, callables: Any) -> None:
    environ["wsgi.input"].read()


# --- what comes from outside ----------------------------------------------------------------------

Until = Callable[[Stage], Awaitable[None]]


async def queued(stage: Stage) -> None:
    await statistics_say(stage.served, running=1, waiting=1)


async def receiving(stage: Stage) -> None:
    await stage.host.until(lambda: stage.host.receives == 1)


async def stopped(stage: Stage) -> None:
    await stage.gate.reached()


async def stopped_and_watched(stage: Stage) -> None:
    """The whole request was received, and then there is a call of ``receive`` that waits."""
    await stage.gate.reached()
    await stage.host.until(lambda: stage.host.receives == max(len(stage.body), 1) + 1)


async def stopped_after_a_block(stage: Stage) -> None:
    await stage.host.until(lambda: "body" in stage.host.types)
    await stage.gate.reached()


async def closing(stage: Stage) -> None:
    """The client has its response, and all that the server has to say was received."""
    await stage.gate.reached()
    await stage.host.until(lambda: stage.host.complete)
    await anyio.wait_all_tasks_blocked()


async def sending_the_end(stage: Stage) -> None:
    """The last message is being sent."""
    await stage.gate.reached()
    await stage.host.until(lambda: stage.host.body == b"ab")
    stage.host.stop_reading()
    stage.gate.open()
    await stage.host.until(lambda: stage.host.complete)
    await anyio.wait_all_tasks_blocked()


async def stalled(stage: Stage) -> None:
    await statistics_say(stage.served, stalled=1, running=0)


def nothing(stage: Stage, scope: anyio.CancelScope) -> None:
    """Only the application goes on."""


def client_reads_on(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.read_on()


def client_leaves(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.disconnect()


def send_fails(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.send_error = BrokenPipeError("of the server")


def disk_is_full(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.send_error = OSError(errno.ENOSPC, "No space left on device")


def receiving_fills_disk(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.receive_error = OSError(errno.ENOSPC, "No space left on device")
    stage.host.feed()


def receive_fails(stage: Stage, scope: anyio.CancelScope) -> None:
    stage.host.receive_error = ConnectionResetError("of the server")
    stage.host.feed()


def task_is_cancelled(stage: Stage, scope: anyio.CancelScope) -> None:
    scope.cancel()


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """One row.

    Attributes:
        app: The application.
        until: Returns when the request is where something happens to it.
        happens: What happens there, on the event loop.
        closes: How often ``close()`` is called: not without an iterable that has one.
        calls: How often the application is.
        raises: What the server is told.
        raised_from: What that was raised from.
        logged: Whether there is a log record.
        host: Arguments for `Host`.
        body: Parts of the request's body.
        uncaught: What a thread of the application fails with.
        response: The body of a response that is complete.
        client_reads: Whether each ``send`` returns.
        watched: Whether the client is watched from the start, not once the request has run a while.
    """

    app: App
    until: Until | None = None
    happens: Callable[[Stage, anyio.CancelScope], None] | None = None
    closes: int = 1
    calls: int = 1
    raises: type[BaseException] | None = None
    raised_from: type[BaseException] | None = None
    logged: bool = True
    host: dict[str, Any] = field(default_factory=dict)
    body: tuple[bytes, ...] = ()
    uncaught: type[BaseException] | None = None
    response: bytes | None = None
    client_reads: bool = True
    watched: bool = False


HEAD = {"method": "HEAD"}
UPLOAD: Any = {"host": {"method": "POST", "open_end": True}, "body": (b"part",)}

NORMAL: dict[str, Ending] = {
    "a list": Ending(gives_list, closes=0, response=b"ab", logged=False),
    "an iterable": Ending(streams(b"a", b"b", at_close=GATE), closing, nothing,
                          response=b"ab", logged=False),
    "a generator": Ending(generates, sending_the_end, client_reads_on,
                          response=b"ab", logged=False),
    "an empty iterable": Ending(streams(at_close=GATE), closing, nothing,
                                response=b"", logged=False),
    "HEAD of an endless iterable": Ending(streams(endless=True, at_close=GATE), closing, nothing,
                                          response=b"", logged=False, host=HEAD),
    "HEAD of a generator": Ending(generates, response=b"", logged=False, host=HEAD),
}  # fmt: skip


def _errors() -> Iterator[tuple[str, Ending]]:
    """Yield what an application may raise, wherever it may do so."""
    for kind, told in (
        (ZeroDivisionError, ZeroDivisionError),
        (SystemExit, WsgiAppError),
        (KeyboardInterrupt, WsgiAppError),
        (GeneratorExit, WsgiAppError),
        (StopIteration, WsgiAppError),
    ):
        raised_from = None if told is kind else kind
        row = Ending(gives_list, raises=told, raised_from=raised_from)
        places = {
            "in the call": replace(row, app=raises_in_call(kind), closes=0),
            "after start_response": replace(row, app=raises_after_start_response(kind), closes=0),
            "after write": replace(row, app=raises_after_write(kind), closes=0),
            "in the first block": replace(row, app=streams(kind)),
            "in a later block": replace(row, app=streams(b"a", b"b", kind)),
            "in close()": replace(row, app=streams(b"a", at_close=kind), response=b"a"),
        }
        if kind is StopIteration:  # out of an iterable it is no error
            del places["in the first block"], places["in a later block"]
        for place, each in places.items():
            yield f"{kind.__name__} {place}", each
        if kind is not StopIteration:
            both = streams(b"a", LookupError, at_close=kind)
            both_row = replace(row, app=both, raises=LookupError, raised_from=None)
            yield f"{kind.__name__} in close() after another error", both_row


ERRORS = dict(_errors())

# A thread of the application is not the adapter's: the interpreter reports what it raises.
THREADS: dict[str, Ending] = {
    f"a thread of the application {what}": Ending(
        starts_thread(work, at_once=at_once), closing, nothing, uncaught=kind, response=b"ab",
        logged=False, **more
    )
    for what, work, at_once, kind, more in (
        ("raises during the request", fails, True, ZeroDivisionError, {}),
        ("raises after the request", fails, False, ZeroDivisionError, {}),
        ("writes after the request", writes_more, False, WsgiAppError, {}),
        ("calls start_response after the request", starts_again, False, WsgiAppError, {}),
        ("reports an error after the request", starts_again_with_error, False, ZeroDivisionError,
         {}),
        ("reads after the request", reads_more, False, ClientDisconnected, UPLOAD),
    )
}  # fmt: skip

NOT_CALLED: Any = {"closes": 0, "calls": 0}
NO_OP_SEND = {"raises": False}
DEPARTURES: dict[str, Ending] = {
    # Before the application is called.
    "receiving": Ending(gives_list, receiving, client_leaves, **NOT_CALLED,
                        host={"open_end": True}),
    "queued": Ending(gives_list, queued, client_leaves, **NOT_CALLED),
    "queued with a generator": Ending(generates, queued, client_leaves, **NOT_CALLED),
    "queued with a body": Ending(reads, queued, client_leaves, **NOT_CALLED, **UPLOAD),
    # While it reads.
    "reading in the call": Ending(reads, stalled, client_leaves, closes=0, **UPLOAD),
    "reading in a block": Ending(reads_in_next, stalled, client_leaves, **UPLOAD),
    # While it computes.
    "in the call": Ending(waits_in_call, stopped, client_leaves),
    "in the call for a list": Ending(waits_in_call_of_list, stopped, client_leaves, closes=0),
    "in the long call for a list": Ending(waits_in_call_of_list, stopped_and_watched, client_leaves,
                                          closes=0, watched=True),
    "in the call after an upload": Ending(reads_and_waits, stopped_and_watched, client_leaves,
                                          closes=0, body=(b"a", b"b"), watched=True),
    "in the call for a generator": Ending(waits_in_call_of_generator, stopped, client_leaves),
    "before the first block": Ending(streams(GATE, endless=True), stopped, client_leaves),
    "between blocks": Ending(streams(b"a", GATE, endless=True), stopped_after_a_block,
                             client_leaves),
    # While it writes.
    "in a full window": Ending(streams(endless=True), stalled, client_leaves, client_reads=False),
    "in write()": Ending(writes, stalled, client_leaves, closes=0, client_reads=False),
}  # fmt: skip


def _outside() -> Iterator[tuple[str, Ending]]:
    """Yield what may come from outside, wherever the request may be."""
    for where, row in DEPARTURES.items():
        yield f"client leaves, {where}", row
        if row.calls and (row.watched or not row.body):
            # Nobody can notice that a response which soon is complete went nowhere.
            whole = row.app is waits_in_call_of_list and not row.watched
            yield (
                f"client leaves a send that does nothing, {where}",
                replace(row, host={**row.host, **NO_OP_SEND}, logged=not whole),
            )
        if row.until in (stopped, stopped_after_a_block):
            yield f"send fails, {where}", replace(row, happens=send_fails)
            yield (
                f"the server's disk is full, {where}",
                replace(row, happens=disk_is_full, raises=OSError),
            )
        if row.body and row.calls and not row.watched:
            yield (
                f"a disk is full before the server, {where}",
                replace(row, happens=receiving_fills_disk, raises=OSError),
            )
            yield f"receive fails, {where}", replace(row, happens=receive_fails)
        yield (
            f"cancelled, {where}",
            replace(row, happens=task_is_cancelled),
        )


OUTSIDE = dict(_outside())
ENDINGS = {**NORMAL, **ERRORS, **THREADS, **OUTSIDE}


# --- playing a row --------------------------------------------------------------------------------


async def play(ending: Ending) -> Stage:
    """Serve a request to its ending, and wait until nothing of it runs any more."""
    async with anyio.from_thread.BlockingPortal() as portal, AsyncExitStack() as stack:
        stage = Stage(ending, portal)
        stack.enter_context(_reports_of_threads(stage))
        stack.enter_context(_watching(ending))
        if not ending.client_reads:
            stage.host.stop_reading()
        if ending.until is queued:
            await stack.enter_async_context(_busy(stage))
        async with stage.host.background(stage.served) as scope:
            if ending.until is not None and ending.happens is not None:
                await ending.until(stage)
                ending.happens(stage, scope)
                if ending.happens is not task_is_cancelled:
                    if ending.watched:
                        await anyio.wait_all_tasks_blocked()
                    stage.gate.open()
        if ending.until is queued:
            assert stage.served.statistics().waiting == 0  # while the only thread is still busy
        if ending.happens is task_is_cancelled:
            assert stage.host.ended  # although the application may still be at work
            stage.gate.open()
        if error := stage.host.error:
            stage.raised, stage.raised_from = type(error), type(error.__cause__)
        stage.host.error = stage.host.send_error = stage.host.receive_error = error = None
        stage.busy.open()
        stage.afterwards.open()
        for thread in stage.helpers:
            await anyio.to_thread.run_sync(thread.join, HANG)
        await statistics_say(stage.served, running=0, stalled=0, waiting=0)
    return stage


@contextmanager
def _reports_of_threads(stage: Stage) -> Iterator[None]:
    """Keep what the interpreter says of a thread that failed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            threading, "excepthook", lambda report: stage.uncaught.append(report.exc_type)
        )
        yield


@contextmanager
def _watching(ending: Ending) -> Iterator[None]:
    """Have the client watched at once, or not before the response streams."""
    with pytest.MonkeyPatch.context() as patch:
        seconds = 0 if ending.watched else 3600
        patch.setattr(request_on_loop, "_UNWATCHED_SECONDS", seconds)
        yield


@asynccontextmanager
async def _busy(stage: Stage) -> AsyncIterator[None]:
    """Let another request have the only thread until its gate is opened."""
    busy = Host(path="/busy")
    async with busy.background(stage.served):
        await stage.busy.reached()
        yield
    assert busy.body == b"served"


every_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)


# --- the columns ----------------------------------------------------------------------------------


@pytest.mark.clause(
    "W-CALL-04",
    "W-ERR-03",
    "D-24",
    "D-27",
    "D-29",
    "D-30",
    "D-31",
    "D-50",
    "A-HTTP-31",
    "A-HTTP-33",
    "H-STAT-07",
)
@every_ending
async def test_the_iterable_is_closed_exactly_once(ending: Ending) -> None:
    """In the thread in which the application was called; and it is called once, or never."""
    stage = await play(ending)
    assert (stage.calls, stage.closes) == (ending.calls, ending.closes)
    assert len(stage.threads) == ending.calls
    assert threading.get_ident() not in stage.threads


@pytest.mark.clause("W-CALL-03", "W-CALL-04", "D-28", "D-30", "D-50")
@every_ending
async def test_the_thread_serves_the_next_request(ending: Ending) -> None:
    """There is only one thread, so that nothing would be served if it had not come back."""
    stage = await play(ending)
    host = await stage.serve_next()
    assert (host.status, host.body) == (200, b"served")
    await statistics_say(stage.served, threads=1, running=0, stalled=0, waiting=0)


@pytest.mark.clause("D-50")
@every_ending
async def test_no_task_and_no_thread_is_left(ending: Ending) -> None:
    """But for the one thread that waits for the next request."""
    tasks, threads = _tasks(), _threads()
    stage = await play(ending)
    assert _tasks() == tasks
    assert len(_threads() - threads) == stage.served.statistics().threads <= 1


def _tasks() -> set[int]:
    return {task.id for task in anyio.get_running_tasks()}


def _threads() -> set[threading.Thread]:
    """Return the threads of this process without those of anyio, which the test itself uses."""
    return {
        thread
        for thread in threading.enumerate()
        if not thread.name.lower().startswith(("anyio", "trio"))
    }


@every_ending
async def test_neither_environ_nor_iterable_outlives_the_request(
    ending: Ending, anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """They go at once, not at the next run of the collector of cycles.

    But where a task was cancelled: for asyncio anyio then leaves a cycle, of the error's traceback
    and a frame of its own (``TaskGroup._spawn.<locals>.task_done``).
    """
    caplog.set_level(logging.CRITICAL + 1, "gatebridge")  # a record keeps its error, and all of it
    gc.disable()
    gc.freeze()  # the collector shall look at this request only, which is quick
    try:
        stage = await play(ending)
        await stage.serve_next()  # the thread has let go of what it worked at
        if anyio_backend[0] == "asyncio" and (
            ending.raises or ending.happens in (send_fails, task_is_cancelled)
        ):
            gc.collect()
        assert len(stage.references) >= ending.calls
        assert [each for each in stage.references if each() is not None] == []
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.clause("D-55", "D-52")
@every_ending
async def test_a_record_names_the_request_and_what_ended_it(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a normal ending nothing is logged, and no record leaves the request out."""
    caplog.set_level(logging.INFO, "gatebridge")
    stage = await play(ending)
    method = stage.host.scope["method"]
    records = [record.getMessage() for record in caplog.records if record.name == "gatebridge"]
    assert bool(records) is ending.logged
    assert [each for each in records if method not in each or "/ending" not in each] == []
    if ending.raises is None:
        assert len(records) == ending.logged


@every_ending
async def test_the_event_loop_runs_on_while_the_application_blocks(ending: Ending) -> None:
    """In the call, in each block and in ``close()`` the application waits for the loop to turn."""
    stage = await play(ending)
    assert stage.passed == stage.entered
    assert ("call" in stage.passed, "close" in stage.passed) == (ending.calls, ending.closes)


@pytest.mark.clause(
    "W-ERR-01", "W-ERR-03", "A-CORE-10", "A-HTTP-21", "A-HTTP-31", "D-27", "D-28", "D-29", "D-30"
)
@every_ending
async def test_server_and_client_are_told_the_truth(ending: Ending) -> None:
    """The server of the application's errors only, the client of an end only if there was one.

    A departure or a cancellation is no error, whatever it made the application raise. What a thread
    of the application raises harms nobody.
    """
    stage = await play(ending)
    assert stage.raised is ending.raises
    if ending.raised_from is not None:
        assert stage.raised_from is ending.raised_from
    assert (stage.host.body if stage.host.complete else None) == ending.response
    assert stage.uncaught == ([ending.uncaught] if ending.uncaught else [])


# --- the loop itself ends -------------------------------------------------------------------------

UNDER_WAY = {
    where: row
    for where, row in DEPARTURES.items()
    if row.until not in (receiving, queued)  # there is nothing of them outside of the loop
}


class LoopError(Exception):
    """What ends a loop."""


@pytest.fixture(params=UNDER_WAY, ids=str)
def lost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ending:
    """A request that is under way when its loop ends."""
    monkeypatch.setattr(gate, "_LOOP_CHECK_SECONDS", 0.01)
    return UNDER_WAY[request.param]


@pytest.mark.clause("D-50")
def test_a_loop_that_ends_by_an_error_cancels_its_requests(
    lost: Ending, anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker goes on without it, to the next step of the application."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    stages: list[Stage] = []

    async def serve_until_error() -> None:
        async with anyio.create_task_group() as group:
            stage = Stage(lost, None)
            stages.append(stage)
            if not lost.client_reads:
                stage.host.stop_reading()
            group.start_soon(stage.host.serve, stage.served)
            assert lost.until is not None
            await lost.until(stage)
            raise LoopError

    backend, options = anyio_backend
    with pytest.raises(Exception, match=r"TaskGroup|nursery"):
        anyio.run(serve_until_error, backend=backend, backend_options=options)
    _outlives_its_loop(stages[0], lost, anyio_backend)
    assert [record.getMessage() for record in caplog.records] == [_name(stages[0]) + ": cancelled"]


@pytest.fixture(params=[pytest.param(False, id="asyncio"), pytest.param(True, id="uvloop")])
def new_event_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    if request.param:
        return pytest.importorskip("uvloop").new_event_loop  # type: ignore[no-any-return]
    return asyncio.new_event_loop


def test_a_loop_that_is_closed_without_a_word_frees_its_workers(
    lost: Ending,
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing was cancelled: the worker finds out by itself."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    loop = new_event_loop()

    async def start() -> tuple[Stage, asyncio.Task[None]]:
        stage = Stage(lost, None)
        if not lost.client_reads:
            stage.host.stop_reading()
        host = stage.host
        task = asyncio.create_task(stage.served(host.scope, host.receive, host.send))
        assert lost.until is not None
        await lost.until(stage)
        return stage, task

    stage, task = loop.run_until_complete(start())
    loop.close()
    _outlives_its_loop(stage, lost, ("asyncio", {}))
    bury(task)
    assert _name(stage) in caplog.text


def _name(stage: Stage) -> str:
    return f"{stage.host.scope['method']} '/ending'"


def _outlives_its_loop(stage: Stage, ending: Ending, backend: Any) -> None:
    """Let the application go on: it ends, and its thread serves the next request on a new loop."""
    stage.gate.open()
    assert stage.served._pool.close(HANG) == []
    stage.served._pool.open()
    assert (stage.calls, stage.closes) == (ending.calls, ending.closes)
    host = anyio.run(stage.serve_next, backend=backend[0], backend_options=backend[1])
    assert (host.status, host.body) == (200, b"served")
    assert stage.served._pool.close(HANG) == []
