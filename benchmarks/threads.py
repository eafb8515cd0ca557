"""How many threads: what each number gives, to applications that wait and to such that compute.

    python -m benchmarks.threads

It writes ``results/threads.md``, whose tables are in docs/how-to/threads.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, TypeAlias

import anyio.to_thread

from benchmarks.asgi_on_wsgi import host as wsgi_host
from benchmarks.asgi_on_wsgi.apps import small as asgi_small
from benchmarks.asgi_on_wsgi.inprocess import run_in_threads
from benchmarks.child import in_child
from benchmarks.measure import ratio
from benchmarks.report import Cell, Section, markdown
from benchmarks.works import BLOCK, Work, WrongAnswer
from benchmarks.wsgi_on_asgi.apps import small, stream, upload
from benchmarks.wsgi_on_asgi.host import Request, new_scope
from gatebridge import AsgiToWsgi, WsgiToAsgi, __version__
from gatebridge.types import (
    ASGIApplication,
    Message,
    Receive,
    Scope,
    Send,
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

RESULTS = Path(__file__).parent / "results"

SIZE = len(b"Hello, world!")
NAP = 0.005  # seconds that a task sleeps, to see how late it is woken
PATIENCE = 2.0  # seconds for one answer while clients stall

_PREFACE = """\
What a number of threads gives, as ratios: all numbers of threads are measured in turns, round by
round. A ratio is between two of the same round, and shown is the median over the rounds. There is
no server: {clients} clients in the process, each of which asks again as soon as it has its answer.

Measured by `python -m benchmarks.threads{options}`.{warning}"""


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        threads: The numbers of threads to compare; the first one is the yardstick.
        clients: How many ask at a time.
        rounds: How often.
        seconds: How long a round is, at least.
        wait: How many seconds an application waits, as for a database.
        compute: How many seconds an application computes.
        few: The number of threads while clients stall.
    """

    threads: tuple[int, ...] = (1, 4, 10, 40, 100)
    clients: int = 100
    rounds: int = 3
    seconds: float = 0.25
    wait: float = 0.020
    compute: float = 0.005
    few: int = 4


QUICK = Scale(threads=(1, 2), clients=4, rounds=1, seconds=0.01, wait=0.002, compute=0.0005, few=2)


class Figures(NamedTuple):
    """What one round has shown; times are in seconds.

    Attributes:
        rate: Requests per second.
        median: Of the times that a client has waited.
        percentile: The 95th of them.
        late: The 95th percentile of how late the event loop wakes a task that sleeps.
    """

    rate: float
    median: float
    percentile: float
    late: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, to see that all works")
    parser.add_argument("--output", type=Path, default=RESULTS, help="a folder for the report")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else Scale()
    units = calibrate(scale.compute)
    sections = [wsgi_to_asgi(scale, units), stalls(scale), asgi_to_wsgi(scale, units)]
    preface = _PREFACE.format(
        clients=scale.clients,
        options=" --quick" if arguments.quick else "",
        warning=" **A quick run: it shows that all works, and nothing else.**"
        if arguments.quick
        else "",
    )
    versions = {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()}, {os.cpu_count()} processors",
        "gatebridge": __version__,
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "threads.md"
    path.write_text(markdown("How many threads", preface, [], sections, versions), "utf-8")
    print(f"written: {os.path.relpath(path)}")


# --- what applications do -------------------------------------------------------------------------


def compute(units: int) -> int:
    """Compute in Python, as a template or a serialiser does: with the interpreter's lock held."""
    total = 0
    for number in range(units):
        total += number * number % 7
    return total


def calibrate(seconds: float) -> int:
    """Return how many units `compute` does in so many seconds, when it is alone."""
    units = 20_000
    taken = []
    for _ in range(20):
        begin = time.perf_counter()
        compute(units)
        taken.append(time.perf_counter() - begin)
    return max(1, round(units * seconds / min(taken)))


def wsgi_app(wait: float, units: int) -> WSGIApplication:
    """Return an application that waits, computes, and gives a small answer."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if wait:
            time.sleep(wait)
        compute(units)
        return small(environ, start_response)

    return app


def asgi_app(work: Callable[[], Awaitable[object]]) -> ASGIApplication:
    """Return an application that does some work and gives a small answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await work()
        await asgi_small(scope, receive, send)

    return app


# --- WsgiToAsgi -----------------------------------------------------------------------------------

# What a row says, and what it is a multiple of, with one thread.
_FIGURES: list[tuple[str, Callable[[Figures], float], Callable[[Figures], float]]] = [
    ("requests per second", attrgetter("rate"), attrgetter("rate")),
    ("median time", attrgetter("median"), attrgetter("median")),
    ("95th percentile", attrgetter("percentile"), attrgetter("median")),
    ("loop's delay", attrgetter("late"), attrgetter("late")),
]


def wsgi_to_asgi(scale: Scale, units: int) -> Section:
    """Measure throughput and times by the number of threads."""
    apps = {
        "waits": wsgi_app(scale.wait, 0),
        "both": wsgi_app(scale.wait, units),
        "computes": wsgi_app(0, units),
    }
    rows: dict[str, dict[str, Cell]] = {}
    for name, app in apps.items():
        served = {count: WsgiToAsgi(app, threads=count, idle_timeout=60) for count in scale.threads}
        measured: dict[int, list[Figures]] = {count: [] for count in scale.threads}
        for number in range(scale.rounds):
            _say(f"WsgiToAsgi, {name}: round {number + 1} of {scale.rounds}")
            for count, adapter in served.items():
                measured[count].append(asyncio.run(_ask(adapter, scale)))
        first = measured[scale.threads[0]]
        for what, figure, yardstick in _FIGURES:
            rows[f"{name}: {what}"] = _ratios(
                {count: list(map(figure, rounds)) for count, rounds in measured.items()},
                list(map(yardstick, first)),
            )
    _say("WsgiToAsgi: memory")
    rows["memory of the process"] = _memory(scale)
    return Section(
        title="WsgiToAsgi",
        unit="Requests per second as a multiple of those with one thread; more is better. Times as "
        "a multiple of the median with one thread, and the loop's delay as a multiple of that with "
        "one thread; less is better",
        rows=rows,
        remarks=f"The application waits {_milliseconds(scale.wait)}, as for a database; computes "
        f"{_milliseconds(scale.compute)}; or does both. Times are from the client's question to "
        "its answer, with the wait for a thread. The loop's delay is how late it wakes a task "
        "that sleeps, in 95 of 100 cases at most. Memory is the peak of a process with the "
        "application that waits.",
    )


async def _ask(app: ASGIApplication, scale: Scale) -> Figures:
    """Let all clients ask, and each twice at least.

    The first time of each does not count: all come at once, and nothing is in its way.
    """
    served, times = 0, []
    late: list[float] = []
    begin = time.perf_counter()

    async def client() -> None:
        nonlocal served
        asked = 0
        while asked < 2 or time.perf_counter() < begin + scale.seconds:
            taken = await _one(app)
            asked += 1
            if asked > 1:
                times.append(taken)
        served += asked

    async def watch() -> None:
        while True:
            asleep = time.perf_counter()
            await asyncio.sleep(NAP)
            late.append(time.perf_counter() - asleep - NAP)

    watcher = asyncio.ensure_future(watch())
    await asyncio.gather(*(client() for _ in range(scale.clients)))
    seconds = time.perf_counter() - begin
    await asyncio.sleep(2 * NAP)  # it has something to say, however short this was
    watcher.cancel()
    return Figures(
        served / seconds, statistics.median(times), _percentile(times), _percentile(late)
    )


def _percentile(times: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(times * 2, n=20)[-1]  # which takes two at least


async def _one(app: ASGIApplication) -> float:
    """Serve one request, in a task of its own as on a server; return the seconds."""
    request = Request(0)
    begin = time.perf_counter()
    await asyncio.ensure_future(app(new_scope(0, b""), request.receive, request.send))
    if request.status != 200 or request.size != SIZE:
        raise WrongAnswer(f"{request.status}, {request.size} bytes")
    return time.perf_counter() - begin


def _memory(scale: Scale) -> dict[str, Cell]:
    peaks = {
        count: next(iter(in_child(_peak_memory, scale, count, patience=60)))
        for count in scale.threads
    }
    first = peaks[scale.threads[0]]
    return {
        _threads(count): Cell(peak / first if peak and first else None)
        for count, peak in peaks.items()
    }


def _peak_memory(scale: Scale, threads: int) -> Iterator[int | None]:
    """Serve requests from so many threads; yield this process's peak in KiB, on Linux."""
    app = WsgiToAsgi(wsgi_app(scale.wait / 10, 0), threads=threads)
    asyncio.run(_ask(app, scale._replace(clients=scale.threads[-1], seconds=0)))
    # Not of getrusage, which counts what the parent had as well.
    status = Path("/proc/self/status")
    match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii")) if status.exists() else None
    yield int(match[1]) if match else None


# --- clients that stall ---------------------------------------------------------------------------


def stalls(scale: Scale) -> Section:
    """Measure small requests while other clients stall."""
    limits = {
        f"threads={scale.few}": None,
        f"threads={scale.few}, max_threads={scale.few}": scale.few,
    }
    rows: dict[str, dict[str, Cell]] = {}
    seen = ""
    for kind in ("downloads", "uploads"):
        row = rows[f"{scale.clients} stalled {kind}"] = {}
        for name, limit in limits.items():
            _say(f"stalled {kind}: {name}")
            app = _stalling_app(scale)
            calm, stalled = (
                WsgiToAsgi(app, threads=scale.few, max_threads=limit) for _ in range(2)
            )
            row[name], state = asyncio.run(_while_stalled(calm, stalled, kind, scale))
            seen = seen or state
    return Section(
        title="Clients that stall",
        unit=f"Median time of a request that waits {_milliseconds(scale.wait)}, as a multiple of "
        "that without the stalled clients; less is better",
        rows=rows,
        remarks="A stalled client takes nothing of a response of 16 MiB, or sends 64 KiB of 1 MiB. "
        f"With those of the first row, and no other request, `statistics()` gave `{seen}`.",
    )


def _stalling_app(scale: Scale) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/downloads":
                return stream(BLOCK, 256, environ, start_response)
            case "/uploads":
                return upload(environ, start_response)
            case _:
                time.sleep(scale.wait)
                return small(environ, start_response)

    return app


async def _while_stalled(
    calm: WsgiToAsgi, stalled: WsgiToAsgi, kind: str, scale: Scale
) -> tuple[Cell, str]:
    """Ask two adapters in turns, one of which has stalled clients."""
    clients = [asyncio.ensure_future(_stall(stalled, kind)) for _ in range(scale.clients)]
    try:
        # They stall, or wait for a thread.
        while sum(stalled.statistics()[2:]) < scale.clients:
            ended, _ = await asyncio.wait(clients, timeout=0.01)
            assert not ended, f"a client does not stall: {ended}"
        state = str(stalled.statistics())
        few = scale._replace(clients=scale.few)
        medians: dict[WsgiToAsgi, list[float]] = {calm: [], stalled: []}
        try:
            for _ in range(scale.rounds):
                for adapter, rounds in medians.items():
                    asking = _ask(adapter, few)
                    rounds.append((await asyncio.wait_for(asking, scale.seconds + PATIENCE)).median)
        except asyncio.TimeoutError:
            return Cell(note="no answer"), state
        return Cell(ratio(medians[stalled], medians[calm])), state
    finally:
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)


async def _stall(app: WsgiToAsgi, kind: str) -> None:
    """Be a client that takes nothing, or that sends the first part of its body and no more."""
    scope = {**new_scope(16 if kind == "uploads" else 0, b""), "path": f"/{kind}"}
    scope["raw_path"] = scope["path"].encode()
    request = Request(1 if kind == "uploads" else 0)

    async def receive() -> Message:
        message = await request.receive()
        return {**message, "more_body": kind == "uploads"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await app(scope, receive, send)


# --- AsgiToWsgi -----------------------------------------------------------------------------------


def asgi_to_wsgi(scale: Scale, units: int) -> Section:
    """Measure throughput by the number of the server's threads."""
    wait, computing = _milliseconds(scale.wait), _milliseconds(scale.compute)

    async def hold_the_loop() -> None:
        time.sleep(scale.wait)  # noqa: ASYNC251 - the mistake that is measured

    async def compute_on_the_loop() -> None:
        compute(units)

    apps = {
        f"`await`s {wait}": asgi_app(partial(asyncio.sleep, scale.wait)),
        f"waits {wait} in a thread": asgi_app(
            partial(anyio.to_thread.run_sync, time.sleep, scale.wait)
        ),
        f"waits {wait} on the loop": asgi_app(hold_the_loop),
        f"computes {computing} on the loop": asgi_app(compute_on_the_loop),
    }
    rows: dict[str, dict[str, Cell]] = {}
    for name, app in apps.items():
        rates: dict[int, list[float]] = {count: [] for count in scale.threads}
        with AsgiToWsgi(app, lifespan="off") as adapter:
            for number in range(scale.rounds):
                _say(f"AsgiToWsgi, {name}: round {number + 1} of {scale.rounds}")
                for count, rounds in rates.items():
                    rounds.append(_ask_in_threads(adapter, count, scale))
        rows[name] = _ratios(rates, rates[scale.threads[0]])
    return Section(
        title="AsgiToWsgi",
        unit="Requests per second as a multiple of those with one thread of the server; more is "
        "better",
        rows=rows,
        remarks="Each of the server's threads serves one request after the other. In a thread: by "
        "`anyio.to_thread.run_sync`, as FastAPI and Starlette do for a `def` endpoint.",
    )


def _ask_in_threads(app: WSGIApplication, threads: int, scale: Scale) -> float:
    """Return the requests per second that so many threads of a server have served."""
    work = Work("small", app, lambda: b"")
    served: list[int] = []
    deadline = time.perf_counter() + scale.seconds

    def serve() -> None:
        count = 0
        while count < 1 or time.perf_counter() < deadline:
            wsgi_host.serve(app, work, SIZE, 1)  # type: ignore[arg-type]
            count += 1
        served.append(count)

    seconds = run_in_threads(serve, threads)
    return sum(served) / seconds


# --- the report -----------------------------------------------------------------------------------

Rounds: TypeAlias = dict[int, list[float]]


def _ratios(rounds: Rounds, reference: list[float]) -> dict[str, Cell]:
    return {_threads(count): Cell(ratio(one, reference)) for count, one in rounds.items()}


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:g} ms"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
