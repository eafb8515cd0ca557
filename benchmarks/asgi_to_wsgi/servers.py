"""The adapters on a real server, with a real client; and the same application on an ASGI server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.asgi_to_wsgi.contenders import CONTENDERS
from benchmarks.inprocess import LOOPS
from benchmarks.processes import gunicorn, uvicorn
from benchmarks.report import Cell, Section
from benchmarks.servers import TITLE, UNIT, measure_row
from benchmarks.wrk import INSTALL

GUNICORN = "WSGI on Gunicorn"
UVICORN = "ASGI on Uvicorn"
THREADS = 40

_ROWS = [
    ("plain", "plain", "small", 20),
    ("Starlette", "starlette", "starlette_app", 20),
    ("Starlette", "starlette", "starlette_app", 50),
]
"""The application's name, the same in `served` and in `apps`, and the number of connections."""


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all rows; ``advance`` is told what was measured, and which part that is."""
    if shutil.which("wrk") is None:
        return Section(TITLE, "Not measured", {}, remarks=f"{INSTALL}.")
    if not find_spec("gunicorn"):
        return Section(TITLE, "Not measured", {}, remarks="Gunicorn is not installed.")
    rows = {}
    for title, name, attribute, connections in _ROWS:
        row = f"{title}, {connections} connections"
        rows[row] = _row(name, attribute, connections, quick=quick)
        advance(row, 1 / len(_ROWS))
    return Section(
        title=TITLE,
        unit=UNIT,
        rows=rows,
        remarks=f"The adapters are on one Gunicorn worker with {THREADS} threads (gthread), with "
        f"{LOOPS[-1]} as event loop. The last columns have no adapter: a plain WSGI application "
        "with the same answer on the same server, and the ASGI application itself on Uvicorn "
        "(httptools, uvloop, one process). Only answers of status 2xx and 3xx count; beside them "
        "stands how many of all were errors.",
    )


def _row(name: str, attribute: str, connections: int, *, quick: bool) -> dict[str, Cell]:
    commands = {
        contender: gunicorn(
            f"benchmarks.asgi_to_wsgi.served:{name}_{contender}_{LOOPS[-1]}", THREADS
        )
        for contender in CONTENDERS
    }
    if name == "plain":
        commands[GUNICORN] = gunicorn("benchmarks.asgi_to_wsgi.served:wsgi_small", THREADS)
    if find_spec("uvicorn"):
        commands[UVICORN] = uvicorn(f"benchmarks.asgi_to_wsgi.apps:{attribute}")
    return measure_row(commands, connections, quick=quick)
