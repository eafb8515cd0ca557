"""The adapters on real servers, with a real client; and what one would choose instead of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.loops import LOOPS
from benchmarks.processes import (
    cheroot,
    granian_asgi,
    granian_wsgi,
    gunicorn,
    uvicorn,
    waitress,
)
from benchmarks.report import Section
from benchmarks.servers import TITLE, Commands, Row, measure_rows
from benchmarks.wrk import INSTALL
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS, THREADS

LIMIT = "called on the event loop (limit)"
GUNICORN = "gunicorn gthread"
GRANIAN = "granian WSGI"
GRANIAN_ONE = "granian WSGI, 1 thread"

GRANIAN_THREADS = 8
ONE_PROCESSOR = f"Flask, 20 connections, {LOOPS[-1]}, one processor"

_APPS = {"Flask": ("flask", "flask_app"), "plain": ("plain", "small")}
"""The attributes of `served` and of `apps` that an application has."""

_REMARKS = (
    "The adapters are on Uvicorn (httptools, one process), on the event loop that the row names. "
    "In the row of Granian, gatebridge is on Granian's ASGI interface (uvloop) with "
    f"{GRANIAN_THREADS} threads, beside Granian's own WSGI interface with as many.\n\n"
    "In the row of one processor each server is kept on one, and the client may use the others.\n\n"
    "The limit is no choice: the same server calls the application on its event loop, without a "
    "thread, so that a request that waits stalls all others. No adapter may do that.\n\n"
    "The other columns have no adapter: the application itself on WSGI servers, in one process "
    f"with {THREADS} threads, and on Granian with a single one besides, which serves requests that "
    "wait one after the other. Only answers of status 2xx and 3xx count; beside them stands how "
    "many of all were errors."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section | dict[str, Section]:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    if shutil.which("wrk") is None:
        return Section(TITLE, "Not measured", {}, remarks=f"{INSTALL}.")
    return measure_rows(rows(quick=quick), _REMARKS, quick=quick, advance=advance)


def rows(*, quick: bool) -> list[Row]:
    """Return the rows; for a quick run, just enough to include every server."""
    kinds = [("Flask", 20)] if quick else [("Flask", 20), ("Flask", 50), ("plain", 20)]
    found = [
        Row(f"{app}, {connections} connections, {loop}", _on_uvicorn(app, loop), connections)
        for app, connections in kinds
        for loop in (LOOPS[-1:] if quick or connections == 50 else LOOPS)
    ]
    if hasattr(os, "sched_setaffinity") and not quick:
        found.append(Row(ONE_PROCESSOR, _on_one_processor("Flask"), 20))
    if find_spec("granian"):
        found.append(Row("Flask, 20 connections, Granian", _on_granian("Flask"), 20))
    return found


def _on_uvicorn(app: str, loop: str) -> Commands:
    name, attribute = _APPS[app]
    commands = {
        contender: uvicorn(f"benchmarks.wsgi_on_asgi.served:{name}_{contender}_{THREADS}", loop)
        for contender in CONTENDERS
    }
    commands[LIMIT] = uvicorn(f"benchmarks.wsgi_on_asgi.served:{name}_limit", loop)
    native = f"benchmarks.wsgi_on_asgi.apps:{attribute}"
    if find_spec("gunicorn"):
        commands[GUNICORN] = gunicorn(native, THREADS)
    if loop == LOOPS[-1]:  # they have no event loop; once is enough
        if find_spec("waitress"):
            commands["waitress"] = waitress(native, THREADS)
        if find_spec("cheroot"):
            commands["cheroot"] = cheroot(native, THREADS)
        if find_spec("granian"):
            commands[GRANIAN] = granian_wsgi(native, THREADS)
            commands[GRANIAN_ONE] = granian_wsgi(native, 1)
    return commands


def _on_one_processor(app: str) -> Commands:
    everywhere = _on_uvicorn(app, LOOPS[-1])
    alone = ("gatebridge", LIMIT, GUNICORN)
    return {
        name: ["benchmarks.on_one_processor", *everywhere[name]]
        for name in alone
        if name in everywhere
    }


def _on_granian(app: str) -> Commands:
    name, attribute = _APPS[app]
    served = f"benchmarks.wsgi_on_asgi.served:{name}"
    native = f"benchmarks.wsgi_on_asgi.apps:{attribute}"
    return {
        "gatebridge": granian_asgi(f"{served}_gatebridge_{GRANIAN_THREADS}"),
        LIMIT: granian_asgi(f"{served}_limit"),
        GRANIAN: granian_wsgi(native, GRANIAN_THREADS),
        GRANIAN_ONE: granian_wsgi(native, 1),
    }
