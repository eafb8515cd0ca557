"""Real servers with a real client: what either direction has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from benchmarks.measure import Failure, Round, interleave, ratio
from benchmarks.processes import Server, served
from benchmarks.report import Cell
from benchmarks.wrk import wrk

TITLE = "Over real servers"
UNIT = "Requests per second as a multiple of gatebridge's; more is better"


def measure_row(
    commands: Mapping[str, Sequence[str]], connections: int, *, quick: bool
) -> dict[str, Cell]:
    """Run `served` with the arguments of every contender, and ask the servers in turns."""
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
                rounds[contender] = _round(server, connections, shares, seconds=1 if quick else 2)
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
