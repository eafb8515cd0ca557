"""How long the event loop's thread is held up by the worker pool, while all workers compute."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from unittest.mock import patch

from benchmarks.loops import LOOPS, OnEachLoop
from benchmarks.report import Cell, Section
from benchmarks.threads import calibrate, compute, wsgi_app
from benchmarks.works import Work
from benchmarks.wsgi_on_asgi.contenders import THREADS
from benchmarks.wsgi_on_asgi.host import serve
from benchmarks.wsgi_on_asgi.inprocess import new_loop
from gatebridge import WsgiToAsgi
from gatebridge._concurrency.pool import Job, WorkerPool

COMPUTE = 0.001  # seconds of a request
LONGEST = "longest"

SUBMIT = "WorkerPool.submit"
SAME = "as much Python code"
YIELD = "time.sleep(0)"

_REMARKS = (
    f"{THREADS} clients in the process, {THREADS} worker threads, and an application that computes "
    f"for {COMPUTE * 1000:g} ms in Python. Measured on the event loop's thread at each request: "
    f"`{SUBMIT}`; *{SAME}*, a loop that takes as long as it does in the median, and that the "
    f"interpreter interrupts as it does any code; and `{YIELD}`, which lets another thread run and "
    "then waits for the interpreter's lock, as a wait for a lock would."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure on each loop; ``advance`` is called with what was measured, and its share."""
    rows: dict[str, dict[str, Cell]] = {}
    on_each_loop = OnEachLoop(measure, quick=quick, patience=60)
    for loop, (name, times) in on_each_loop:
        rows[f"{name}, {loop}"] = {
            "median": Cell(statistics.median(times) * 1000),
            "99.9th percentile": Cell(_percentile(times) * 1000),
            LONGEST: Cell(max(times) * 1000),
        }
        advance(f"{name}, {loop}", 1 / (3 * len(LOOPS)))
    return Section(
        title="The event loop's calls into the worker pool",
        unit="Milliseconds that a call takes while all workers compute; less is better",
        rows=rows,
        remarks=_REMARKS + on_each_loop.endings,
        drawn=False,
    )


def measure(loop_name: str, quick: bool) -> Iterator[tuple[str, list[float]]]:  # noqa: FBT001
    """Yield the seconds of all calls, by name of what was called; runs in a separate process."""
    work = Work("computes", wsgi_app(0, calibrate(COMPUTE)), lambda: b"Hello, world!")
    adapter = WsgiToAsgi(work.app, threads=THREADS)
    loop = new_loop(loop_name)
    asyncio.set_event_loop(loop)
    size, count = len(work.answer()), 3 if quick else 60

    async def ask() -> None:
        await asyncio.gather(*(serve(adapter, work, size, count) for _ in range(THREADS)))

    submit, times = WorkerPool.submit, dict[str, list[float]]()

    def note(name: str, begin: float) -> None:
        times.setdefault(name, []).append(time.perf_counter() - begin)

    def timed_submit(pool: WorkerPool, job: Job) -> bool:
        begin = time.perf_counter()
        starts_now = submit(pool, job)
        note(SUBMIT, begin)
        begin = time.perf_counter()
        compute(units)
        note(SAME, begin)
        begin = time.perf_counter()
        time.sleep(0)
        note(YIELD, begin)
        return starts_now

    units = 1
    with patch.object(WorkerPool, "submit", timed_submit):
        loop.run_until_complete(ask())  # starts the threads
        units = max(1, round(statistics.median(times[SUBMIT]) / 1e-6 * _units_per_microsecond()))
        times.clear()
        gc.collect()
        gc.freeze()  # the modules are the benchmark's, and a collection the interpreter's
        loop.run_until_complete(ask())
    yield from times.items()


def _percentile(times: list[float]) -> float:
    """Return the 99.9th percentile."""
    return statistics.quantiles(times, n=1000, method="inclusive")[-1]


def _units_per_microsecond() -> float:
    return calibrate(0.01) / 10_000
