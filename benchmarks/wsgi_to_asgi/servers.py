"""The adapters on a real server, with a real client; and the same application on a WSGI server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.processes import gunicorn, uvicorn
from benchmarks.report import Cell, Section
from benchmarks.servers import TITLE, UNIT, measure_row
from benchmarks.wrk import INSTALL
from benchmarks.wsgi_to_asgi.contenders import CONTENDERS, THREADS

GUNICORN = "gunicorn gthread"
LIMIT = "called on the event loop"

_ROWS = [
    ("Flask", "flask", "flask_app", 20),
    ("Flask", "flask", "flask_app", 50),
    ("plain", "plain", "small", 20),
]
"""The application's name, the same in `served` and in `apps`, and the number of connections."""


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all rows; ``advance`` is told what was measured, and which part that is."""
    if shutil.which("wrk") is None:
        return Section(TITLE, "Not measured", {}, remarks=f"{INSTALL}.")
    rows = {}
    for title, name, attribute, connections in _ROWS:
        row = f"{title}, {connections} connections"
        rows[row] = _row(name, attribute, connections, quick=quick)
        advance(row, 1 / len(_ROWS))
    return Section(
        title=TITLE,
        unit=UNIT,
        rows=rows,
        remarks="The adapters are on Uvicorn (httptools, uvloop, one process). "
        f"{LIMIT.capitalize()!r} is the limit, not a choice: the same server calls the application "
        "without a thread, so that one slow request would stall all others. Gunicorn's column is "
        f"the application itself on one Gunicorn worker with {THREADS} threads. Only answers of "
        "status 2xx and 3xx count; beside them stands how many of all were errors.",
    )


def _row(name: str, attribute: str, connections: int, *, quick: bool) -> dict[str, Cell]:
    commands = {
        contender: uvicorn(f"benchmarks.wsgi_to_asgi.served:{name}_{contender}_{THREADS}")
        for contender in CONTENDERS
    }
    commands[LIMIT] = uvicorn(f"benchmarks.wsgi_to_asgi.served:{name}_limit")
    if find_spec("gunicorn"):
        commands[GUNICORN] = gunicorn(f"benchmarks.wsgi_to_asgi.apps:{attribute}", THREADS)
    return measure_row(commands, connections, quick=quick)
