"""Every adapter in one process, without a server: what an adapter itself costs."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.asgi_on_wsgi.apps import works
from benchmarks.asgi_on_wsgi.contenders import CONTENDERS, RawHop
from benchmarks.asgi_on_wsgi.host import check, serve
from benchmarks.inprocess import BATCH_LIMIT, FLOOR, Key, Results, in_one_process
from benchmarks.measure import Failure, Round, interleave
from benchmarks.report import Section
from benchmarks.works import Work, WrongAnswer
from gatebridge.types import ASGIApplication, WSGIApplication

CONCURRENCIES = {"alone": 1, "10 threads": 10}

_REMARKS = (
    "The raw hop is the floor of a response in one piece, without a translation and without an "
    "application: the server's thread reads the body, lets the event loop's thread release a lock "
    "by `call_soon_threadsafe`, and waits for that lock."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    names = [work.name for work in works(quick=quick)]
    return in_one_process(
        measure, names, list(CONCURRENCIES), _REMARKS, quick=quick, advance=advance
    )


def measure(loop: str, quick: bool) -> Iterator[tuple[Key, Results]]:  # noqa: FBT001
    """Measure each row on one loop, in a separate process."""
    logging.disable()  # contenders that fail do so thousands of times
    for work in works(quick=quick):
        for how in CONCURRENCIES:
            yield (work.name, how, loop), measure_row(work, loop, how, quick=quick)


def measure_row(
    work: Work[ASGIApplication],
    loop: str,
    how: str,
    *,
    quick: bool = False,
    rounds: int = 11,
    time_limit: float = 3,
) -> Results:
    """Measure all contenders at one work."""
    answer = work.answer()
    apps = {name: factory(work.app, loop) for name, factory in CONTENDERS.items()}
    if work.in_one_piece:
        apps = {FLOOR: RawHop(answer, loop), **apps}
    prepared: dict[str, Round] = {}
    results: Results = {}
    for name, app in apps.items():
        try:
            prepared[name] = prepare(app, work, len(answer), CONCURRENCIES[how], quick=quick)
        except Failure as failure:
            results[name] = failure
    gc.collect()
    measured = interleave(prepared, 2 if quick else rounds, 0 if quick else time_limit)
    return {name: measured.get(name) or results[name] for name in apps}


def prepare(
    app: WSGIApplication, work: Work[ASGIApplication], size: int, threads: int, *, quick: bool
) -> Round:
    """Check that the contender does the work, and return a round of a suitable length."""
    if not isinstance(app, RawHop):
        run_in_threads(partial(check, app, work), 1)
    batch = partial(_batch, app, work, size, threads)
    seconds, length = batch(1), 0.002 if quick else 0.08
    if seconds * threads < length:
        seconds = batch(max(1, int(length / 8 / (seconds * threads))))  # warm now
    return partial(batch, max(1, int(length / (seconds * threads))))


def _batch(
    app: WSGIApplication, work: Work[ASGIApplication], size: int, threads: int, count: int
) -> float:
    """Serve ``count`` requests in each of so many threads; return the seconds per request."""
    return run_in_threads(partial(serve, app, work, size, count), threads) / (count * threads)


def run_in_threads(function: Callable[[], object], threads: int) -> float:
    """Run to the end in so many threads at once, and return the seconds from the first to the last.

    What hangs is left behind: nothing ends a thread.
    """
    begins: list[float] = []
    ends: list[float] = []
    errors: list[Exception] = []
    together = threading.Barrier(threads)

    def run() -> None:
        together.wait()
        begins.append(time.perf_counter())
        try:
            function()
        except Exception as exc:  # noqa: BLE001 - raised below
            errors.append(exc)
        ends.append(time.perf_counter())

    workers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + BATCH_LIMIT
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            raise Failure("hangs")
    for error in errors:
        raise Failure("wrong" if isinstance(error, WrongAnswer) else "fails") from error
    return max(ends) - min(begins)
