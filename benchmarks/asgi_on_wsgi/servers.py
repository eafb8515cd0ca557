"""The adapters on a real server, with a real client; and the same application on an ASGI server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.asgi_on_wsgi.contenders import CONTENDERS
from benchmarks.loops import LOOPS
from benchmarks.processes import gunicorn, uvicorn
from benchmarks.report import Section
from benchmarks.servers import TITLE, Commands, Row, measure_rows
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

_REMARKS = (
    f"The adapters are on one Gunicorn worker with {THREADS} threads (gthread), with {LOOPS[-1]} "
    "as event loop. The last columns have no adapter: a plain WSGI application with the same "
    "answer on the same server, and what one would choose instead, the ASGI application itself on "
    "Uvicorn (httptools, uvloop, one process). Only answers of status 2xx and 3xx count; beside "
    "them stands how many of all were errors."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section | dict[str, Section]:
    """Measure all rows; ``advance`` is called with what was measured, and its share."""
    if shutil.which("wrk") is None:
        return Section(TITLE, "Not measured", {}, remarks=f"{INSTALL}.")
    if not find_spec("gunicorn"):
        return Section(TITLE, "Not measured", {}, remarks="Gunicorn is not installed.")
    rows = [
        Row(f"{title}, {connections} connections", _commands(name, attribute), connections)
        for title, name, attribute, connections in (_ROWS[:1] if quick else _ROWS)
    ]
    return measure_rows(rows, _REMARKS, quick=quick, advance=advance)


def _commands(name: str, attribute: str) -> Commands:
    commands = {
        contender: gunicorn(
            f"benchmarks.asgi_on_wsgi.served:{name}_{contender}_{LOOPS[-1]}", THREADS
        )
        for contender in CONTENDERS
    }
    if name == "plain":
        commands[GUNICORN] = gunicorn("benchmarks.asgi_on_wsgi.served:wsgi_small", THREADS)
    if find_spec("uvicorn"):
        commands[UVICORN] = uvicorn(f"benchmarks.asgi_on_wsgi.apps:{attribute}")
    return commands
