"""Real servers with a real client: what either direction has of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, TypeAlias

from benchmarks.measure import Failure, Round, interleave, ratio
from benchmarks.processes import Server, started
from benchmarks.report import Cell, Section
from benchmarks.wrk import wrk

TITLE = "Over real servers"
UNIT = "Requests per second as a multiple of gatebridge's; more is better"
LATENCY_TITLE = "99th percentile of the time per request, over real servers"
LATENCY_UNIT = "As a multiple of gatebridge's; less is better"

Commands: TypeAlias = Mapping[str, Sequence[str]]
"""The arguments of `started` for each contender."""


class _Seen(NamedTuple):
    """What the runs of wrk saw of one contender, in order."""

    bad: list[float]  # which part of the answers
    percentiles: list[float]


class Row(NamedTuple):
    """A row to measure.

    Attributes:
        name: In the report.
        commands: What to ask.
        connections: How many ask at a time.
    """

    name: str
    commands: Commands
    connections: int


def measure_rows(
    rows: Sequence[Row], remarks: str, *, quick: bool, advance: Callable[[str, float], None]
) -> dict[str, Section]:
    """Measure all rows, and return the tables of requests per second and of the slowest answers."""
    rates, latencies = {}, {}
    for row in rows:
        rates[row.name], latencies[row.name] = _measure_row(row, quick=quick)
        advance(row.name, 1 / len(rows))
    return {
        "servers": Section(TITLE, UNIT, rates, remarks),
        "latency": Section(
            LATENCY_TITLE,
            LATENCY_UNIT,
            latencies,
            "From the same runs: one of 100 requests takes longer.",
            drawn=False,
        ),
    }


def _measure_row(row: Row, *, quick: bool) -> tuple[dict[str, Cell], dict[str, Cell]]:
    rounds: dict[str, Round] = {}
    results: dict[str, list[float] | Failure] = {}
    seen: dict[str, _Seen] = {}
    with ExitStack() as stack:
        servers = {
            contender: stack.enter_context(started(*command))
            for contender, command in row.commands.items()
        }
        for contender, server in servers.items():
            try:
                server.wait_until_it_answers()
            except RuntimeError:
                results[contender] = Failure("does not answer")
            else:
                seen[contender] = _Seen([], [])
                rounds[contender] = _round(server, row.connections, seen[contender])
        if not quick:
            interleave(rounds, 1, 0)  # the first one warms up
            for bad, percentiles in seen.values():
                bad.clear()
                percentiles.clear()
        results |= interleave(rounds, 1 if quick else 5, 600)
    reference = results["gatebridge"]
    assert isinstance(reference, list), "gatebridge does not answer"
    return (
        {name: _rate(results[name], reference, seen.get(name)) for name in row.commands},
        {
            name: _latency(results[name], seen["gatebridge"], seen.get(name))
            for name in row.commands
        },
    )


def _round(server: Server, connections: int, seen: _Seen) -> Round:
    def run_wrk() -> float:
        """Return the seconds per good answer."""
        answers = wrk(f"http://127.0.0.1:{server.port}/", connections, seconds=1)
        if not answers.good:
            raise Failure("answers nothing")
        seen.bad.append(answers.bad / (answers.good + answers.bad))
        seen.percentiles.append(answers.percentile)
        return answers.seconds / answers.good

    return run_wrk


def _rate(seconds: list[float] | Failure, reference: list[float], seen: _Seen | None) -> Cell:
    if isinstance(seconds, Failure) or seen is None:
        return Cell(note=str(seconds))
    share = sum(seen.bad) / len(seen.bad)
    note = f"{share:.0%} errors" if share >= 0.005 else ""
    return Cell(ratio(reference, seconds), note)


def _latency(seconds: list[float] | Failure, reference: _Seen, seen: _Seen | None) -> Cell:
    if isinstance(seconds, Failure) or seen is None:
        return Cell(note=str(seconds))
    return Cell(ratio(seen.percentiles, reference.percentiles))
