"""What the stages of a request cost in `AsgiToWsgi`."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import stages, translation
from benchmarks.asgi_on_wsgi.apps import PLAIN, works
from benchmarks.asgi_on_wsgi.contenders import CONTENDERS, RawHop
from benchmarks.asgi_on_wsgi.host import new_environ, serve
from benchmarks.asgi_on_wsgi.inprocess import CONCURRENCIES, prepare
from benchmarks.inprocess import FLOOR, Results
from benchmarks.report import Section
from benchmarks.stages import Stage
from gatebridge import environ_from_scope, scope_from_environ
from gatebridge._asgi_on_wsgi import adapter as adapter_module
from gatebridge._translate import messages
from gatebridge._translate.head_from_asgi import head_from_asgi

SCOPE, HEAD = "scope_from_environ", "head_from_asgi"


def stages_of() -> list[Stage]:
    """Return what is replaced, all in one place: these names are not public."""
    headers = [*PLAIN, (b"content-length", b"13")]
    return [
        Stage(HEAD, messages, "head_from_asgi", partial(head_from_asgi, 200, headers)),
        Stage(
            SCOPE, adapter_module, "scope_from_environ", partial(scope_from_environ, new_environ(0))
        ),
    ]


def run(*, quick: bool, advance: Callable[[str, float], None]) -> dict[str, Section]:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    return {
        "stages": stages.section(measure, quick=quick, advance=advance),
        "translation": translation.section(
            {
                SCOPE: (scope_from_environ, _new_environ, translation.REQUEST_HEADERS),
                HEAD: (partial(head_from_asgi, 200), _new_headers, translation.RESPONSE_HEADERS),
            },
            quick=quick,
        ),
    }


def measure(loop: str, quick: bool) -> Iterator[tuple[str, Results]]:  # noqa: FBT001
    """Measure on one loop, in a separate process."""
    found = {work.name: work for work in works(quick=quick)}
    work, echo = found["small"], found["64 KiB echo"]
    size, answer = len(work.answer()), echo.answer()
    factory = CONTENDERS["gatebridge"]
    adapter, echoing = factory(work.app, loop), factory(echo.app, loop)
    for how, threads in CONCURRENCIES.items():
        make = partial(prepare, threads=threads, quick=quick)
        rounds = {FLOOR: make(RawHop(work.answer(), loop), work, size)}
        rounds |= stages.ablation(
            make(adapter, work, size),
            partial(serve, adapter, work, size, 1),
            stages_of(),
            quick=quick,
        )
        rounds[f"{FLOOR}, with a body"] = make(RawHop(answer, loop), echo, len(answer))
        rounds["gatebridge, with a body"] = make(echoing, echo, len(answer))
        gc.collect()
        yield how, stages.measured(rounds, quick=quick)


def _new_environ(*, new: bool) -> dict[str, Any]:
    """Return an environ of strings that no other has: the adapter itself remembers some."""
    scope: Any = translation.new_scope(new=new)
    return {
        key: value.encode("latin-1").decode("latin-1") if isinstance(value, str) else value
        for key, value in environ_from_scope(scope).items()
    }


def _new_headers(*, new: bool) -> translation.Pairs:
    return translation.fresh(translation.RESPONSE_HEADERS, new=new)
