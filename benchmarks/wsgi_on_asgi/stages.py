"""What the stages of a request cost in `WsgiToAsgi`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import stages, translation
from benchmarks.inprocess import FLOOR, Results
from benchmarks.report import Section
from benchmarks.stages import Stage
from benchmarks.wsgi_on_asgi.apps import PLAIN, works
from benchmarks.wsgi_on_asgi.contenders import THREADS, RawHop
from benchmarks.wsgi_on_asgi.host import new_scope, serve
from benchmarks.wsgi_on_asgi.inprocess import CONCURRENCIES, new_loop, prepare, run_on
from gatebridge import WsgiToAsgi, environ_from_scope
from gatebridge._translate.head_from_wsgi import head_from_wsgi
from gatebridge._wsgi_on_asgi import call_in_thread

ENVIRON, HEAD = "environ_from_scope", "head_from_wsgi"


def stages_of(adapter: WsgiToAsgi) -> list[Stage]:
    """Return what is replaced, all in one place: these names are not public."""
    headers = [*PLAIN, ("Content-Length", "13")]
    scope: Any = new_scope(0, b"")
    return [
        Stage(HEAD, call_in_thread, "head_from_wsgi", partial(head_from_wsgi, "200 OK", headers)),
        Stage(ENVIRON, adapter, "_environ_from", partial(environ_from_scope, scope)),
    ]


def run(*, quick: bool, advance: Callable[[str, float], None]) -> dict[str, Section]:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    return {
        "stages": stages.section(measure, quick=quick, advance=advance),
        "translation": translation.section(
            {
                ENVIRON: (
                    environ_from_scope,
                    translation.new_scope,
                    translation.REQUEST_HEADERS,
                ),
                HEAD: (
                    partial(head_from_wsgi, "200 OK"),
                    _new_headers,
                    translation.RESPONSE_HEADERS,
                ),
            },
            quick=quick,
        ),
    }


def measure(loop_name: str, quick: bool) -> Iterator[tuple[str, Results]]:  # noqa: FBT001
    """Measure on one loop, in a separate process."""
    loop = new_loop(loop_name)
    asyncio.set_event_loop(loop)
    found = {work.name: work for work in works(quick=quick)}
    work = found["small"]
    size = len(work.answer())
    adapter = WsgiToAsgi(work.app, threads=THREADS)

    def serve_one() -> None:
        run_on(loop, serve(adapter, work, size, 1))

    for how, concurrency in CONCURRENCIES.items():
        make = partial(prepare, loop, concurrency=concurrency, quick=quick)
        rounds = {FLOOR: make(RawHop(work.answer(), THREADS), work, size)}
        gatebridge = make(adapter, work, size)
        rounds |= stages.ablation(gatebridge, serve_one, stages_of(adapter), quick=quick)
        echo = found["64 KiB echo"]
        answer = echo.answer()
        hop, echoing = RawHop(answer, THREADS), WsgiToAsgi(echo.app, threads=THREADS)
        rounds[f"{FLOOR}, with a body"] = make(hop, echo, len(answer))
        rounds["gatebridge, with a body"] = make(echoing, echo, len(answer))
        gc.collect()
        yield how, stages.measured(rounds, quick=quick)


def _new_headers(*, new: bool) -> list[tuple[str, str]]:
    return translation.native(translation.fresh(translation.RESPONSE_HEADERS, new=new))
