"""The adapters on a real server, with a real client; and the same application on a WSGI server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec

from benchmarks.measure import Failure, Round, interleave, ratio
from benchmarks.processes import Server, gunicorn, served, uvicorn
from benchmarks.report import Cell, Panel, Section
from benchmarks.wrk import INSTALL, wrk
from benchmarks.wsgi_to_asgi.contenders import CONTENDERS, THREADS

GUNICORN = "gunicorn gthread"

_ROWS = [
    ("Flask", "flask", "flask_app", 20),
    ("Flask", "flask", "flask_app", 50),
    ("plain", "plain", "small", 20),
]
"""The application's name, the same in `served` and in `apps`, and the number of connections."""


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all rows; ``advance`` is told what was measured, and which part that is."""
    if shutil.which("wrk") is None:
        return Section("Over real servers", "Not measured", {}, remarks=f"{INSTALL}.")
    rows = {}
    for title, name, attribute, connections in _ROWS:
        row = f"{title}, {connections} connections"
        rows[row] = _row(name, attribute, connections, quick=quick)
        advance(row, 1 / len(_ROWS))
    return Section(
        title="Over real servers",
        unit="Requests per second as a multiple of gatebridge's; more is better",
        rows=rows,
        panels=[
            Panel("Over real servers", "requests per second, as a multiple of gatebridge's", rows)
        ],
        remarks="The adapters are on Uvicorn (httptools, uvloop, one process). The last column is "
        f"the application itself on one Gunicorn worker with {THREADS} threads. Only answers of "
        "status 2xx and 3xx count; beside them stands how many of all were errors.",
    )


def _row(name: str, attribute: str, connections: int, *, quick: bool) -> dict[str, Cell]:
    commands = {
        contender: uvicorn(f"benchmarks.wsgi_to_asgi.served:{name}_{contender}_{THREADS}")
        for contender in CONTENDERS
    }
    if find_spec("gunicorn"):
        commands[GUNICORN] = gunicorn(f"benchmarks.wsgi_to_asgi.apps:{attribute}", THREADS)
    rounds: dict[str, Round] = {}
    results: dict[str, list[float] | Failure] = {}
    bad: dict[str, list[float]] = {}  # which part of the answers was, in each round
    with ExitStack() as stack:
        for contender, command in commands.items():
            try:
                server = stack.enter_context(served(*command))
            except RuntimeError:
                results[contender] = Failure("does not answer")
            else:
                shares = bad[contender] = []
                rounds[contender] = _round(server, connections, shares, seconds=1 if quick else 3)
        results |= interleave(rounds, 1 if quick else 5, 600)
    reference = results["gatebridge"]
    assert isinstance(reference, list), "gatebridge does not answer"
    return {
        contender: _cell(results[contender], reference, bad.get(contender, []))
        for contender in commands
    }


def _round(server: Server, connections: int, bad: list[float], seconds: int) -> Round:
    def run_wrk() -> float:
        """Return the seconds per good answer."""
        answers = wrk(f"http://127.0.0.1:{server.port}/", connections, seconds)
        if not answers.good:
            raise Failure("answers nothing")
        bad.append(answers.bad / (answers.good + answers.bad))
        return answers.seconds / answers.good

    return run_wrk


def _cell(seconds: list[float] | Failure, reference: list[float], bad: list[float]) -> Cell:
    if isinstance(seconds, Failure):
        return Cell(note=str(seconds))
    share = sum(bad) / len(bad)
    note = f"{share:.0%} errors" if share >= 0.005 else ""
    return Cell(ratio(reference, seconds), note)
