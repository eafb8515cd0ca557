"""Every adapter in one process, without a server: what an adapter itself costs."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from benchmarks.inprocess import BATCH_LIMIT, FLOOR, Key, Results, in_one_process
from benchmarks.measure import Failure, Round, interleave
from benchmarks.report import Section
from benchmarks.works import Work, WrongAnswer
from benchmarks.wsgi_on_asgi.apps import works
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS, THREADS, RawHop
from benchmarks.wsgi_on_asgi.host import check, serve
from gatebridge.types import ASGIApplication, WSGIApplication

CONCURRENCIES = {"alone": 1, "20 concurrent": 20}

_REMARKS = (
    "The raw hop is the floor of a response in one piece: to a worker thread and back, without a "
    "translation and without an application."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    names = [work.name for work in works(quick=quick)]
    return in_one_process(
        measure, names, list(CONCURRENCIES), _REMARKS, quick=quick, advance=advance
    )


def measure(loop_name: str, quick: bool) -> Iterator[tuple[Key, Results]]:  # noqa: FBT001
    """Measure each row on one loop, in a separate process."""
    logging.disable()  # contenders that fail do so thousands of times
    loop = new_loop(loop_name)
    asyncio.set_event_loop(loop)
    for work in works(quick=quick):
        answer = work.answer()
        apps = {name: factory(work.app, THREADS) for name, factory in CONTENDERS.items()}
        if work.in_one_piece:
            apps = {FLOOR: RawHop(answer, THREADS), **apps}
        for how, concurrency in CONCURRENCIES.items():
            rounds: dict[str, Round] = {}
            results: Results = {}
            for name, app in apps.items():
                try:
                    rounds[name] = prepare(loop, app, work, len(answer), concurrency, quick=quick)
                except Failure as failure:
                    results[name] = failure
            gc.collect()
            measured = interleave(rounds, 2 if quick else 11, 0 if quick else 3)
            yield (
                (work.name, how, loop_name),
                {name: measured.get(name) or results[name] for name in apps},
            )


def prepare(
    loop: asyncio.AbstractEventLoop,
    app: ASGIApplication,
    work: Work[WSGIApplication],
    size: int,
    concurrency: int,
    *,
    quick: bool,
) -> Round:
    """Check that the contender does the work, and return a round of a suitable length."""
    if not isinstance(app, RawHop):
        run_on(loop, check(app, work))
    batch = partial(_batch, loop, app, work, size, concurrency)
    seconds, length = batch(1), 0.002 if quick else 0.08
    if seconds * concurrency < length:
        seconds = batch(1)  # the first one started threads
    return partial(batch, max(1, int(length / (seconds * concurrency))))


def _batch(
    loop: asyncio.AbstractEventLoop,
    app: ASGIApplication,
    work: Work[WSGIApplication],
    size: int,
    concurrency: int,
    count: int,
) -> float:
    """Serve ``count`` requests for each of so many clients; return the seconds per request."""

    async def clients() -> None:
        await asyncio.gather(*(serve(app, work, size, count) for _ in range(concurrency)))

    begin = time.perf_counter()
    run_on(loop, clients())
    return (time.perf_counter() - begin) / (count * concurrency)


def run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or not at all: what hangs is left behind, it may not take a cancellation."""
    task = loop.create_task(coroutine)
    loop.run_until_complete(asyncio.wait({task}, timeout=BATCH_LIMIT))
    if not task.done():
        raise Failure("hangs")
    try:
        task.result()
    except WrongAnswer as exc:
        raise Failure("wrong") from exc
    except Exception as exc:
        raise Failure("fails") from exc


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop  # not on every platform

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()
