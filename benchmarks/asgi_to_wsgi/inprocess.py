"""Every adapter in one process, without a server: what an adapter itself costs."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from benchmarks.asgi_to_wsgi.apps import works
from benchmarks.asgi_to_wsgi.contenders import CONTENDERS, RawHop
from benchmarks.asgi_to_wsgi.host import check, serve
from benchmarks.measure import Failure, Round, interleave
from benchmarks.works import Work, WrongAnswer
from gatebridge.types import ASGIApplication, WSGIApplication

FLOOR = "raw hop"
LOOPS = [name for name in ("asyncio", "uvloop") if find_spec(name)]
CONCURRENCIES = {"alone": 1, "10 threads": 10}

BATCH_LIMIT = 60.0  # seconds without an end, after which a round is said to hang

Key = tuple[str, str, str]
"""The work, how many at once, and the loop."""
Results = dict[str, list[float] | Failure]


def measure(loop: str, quick: bool) -> Iterator[tuple[Key, Results]]:  # noqa: FBT001
    """Measure each row on one loop; runs in a process of its own."""
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
    rounds: int = 15,
    time_limit: float = 6,
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
            prepared[name] = _prepare(app, work, len(answer), CONCURRENCIES[how], quick=quick)
        except Failure as failure:
            results[name] = failure
    gc.collect()
    measured = interleave(prepared, 2 if quick else rounds, 0 if quick else time_limit)
    return {name: measured.get(name) or results[name] for name in apps}


def _prepare(
    app: WSGIApplication, work: Work[ASGIApplication], size: int, threads: int, *, quick: bool
) -> Round:
    """Check that the contender does the work, and return a round of a suitable length."""
    if not isinstance(app, RawHop):
        _run(partial(check, app, work), 1)
    batch = partial(_batch, app, work, size, threads)
    seconds, length = batch(1), 0.002 if quick else 0.08
    if seconds * threads < length:
        seconds = batch(max(1, int(length / 8 / (seconds * threads))))  # warm now
    return partial(batch, max(1, int(length / (seconds * threads))))


def _batch(
    app: WSGIApplication, work: Work[ASGIApplication], size: int, threads: int, count: int
) -> float:
    """Serve ``count`` requests in each of so many threads; return the seconds per request."""
    return _run(partial(serve, app, work, size, count), threads) / (count * threads)


def _run(function: Callable[[], None], threads: int) -> float:
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
