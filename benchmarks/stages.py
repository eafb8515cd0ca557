"""What the stages of a request cost: an ablation, and the translations called alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch

from benchmarks.inprocess import BATCH_LIMIT, FLOOR, Results
from benchmarks.loops import LOOPS, OnEachLoop
from benchmarks.measure import Failure, Round, interleave, ratio
from benchmarks.report import Cell, Section

ROUNDS = 15
CALLS = 300

Measure: TypeAlias = Callable[[str, bool], Iterator[tuple[str, Results]]]
"""Measures on one loop, for a quick run or not; yields how many at once, and the results."""

_REMARKS = (
    "*Remembered*: during the measurement, the function is replaced by one that returns what it "
    "returned before (a dictionary as a copy), so that the difference is what it costs there. "
    "*Alone*: the function called in a loop, with nothing else. With a body: the 64 KiB echo, also "
    "as a multiple of the raw hop of the small response."
)


class Stage(NamedTuple):
    """A translation: where the adapter finds it, and how it is called alone.

    Attributes:
        name: Of the public function, or of the one that is nearest to it.
        owner: The module or the object that has it.
        attribute: Its name there.
        alone: Calls it with what a small request has.
    """

    name: str
    owner: object
    attribute: str
    alone: Callable[[], object]


class Replacement(NamedTuple):
    """A function that gives what another one gave, and where to put it."""

    owner: object
    attribute: str
    function: Callable[..., Any]


def remember(stage: Stage, serve: Callable[[], object]) -> Replacement:
    """Serve a request, and return what replaces the stage's function by what that returned.

    Raises:
        AttributeError: The owner has no such name.
        LookupError: Nothing calls it.
    """
    function: Callable[..., Any] = getattr(stage.owner, stage.attribute)
    results: list[Any] = []

    def record(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        result = function(*args, **options)
        results.append(result.copy() if isinstance(result, dict) else result)
        return result

    with patch.object(stage.owner, stage.attribute, record):
        serve()
    if not results:
        raise LookupError(f"{stage.name}: nothing calls {stage.attribute} of {stage.owner!r}")
    result = results[0]
    if isinstance(result, dict):
        return Replacement(stage.owner, stage.attribute, lambda *_, **__: result.copy())
    return Replacement(stage.owner, stage.attribute, lambda *_, **__: result)


def ablation(
    run: Round, serve: Callable[[], object], stages: Sequence[Stage], *, quick: bool
) -> dict[str, Round]:
    """Return the rounds: gatebridge unchanged, without each stage, without all, and each alone.

    Args:
        run: A round of gatebridge.
        serve: Serves one request.
        stages: What to leave out.
        quick: Whether few calls will do.
    """
    replacements = {stage.name: remember(stage, serve) for stage in stages}
    rounds = {"gatebridge": run}
    for name, replacement in replacements.items():
        rounds[f"gatebridge, {name} remembered"] = partial(_replaced, run, [replacement])
    rounds["gatebridge, both remembered"] = partial(_replaced, run, [*replacements.values()])
    for stage in stages:
        rounds[f"{stage.name} alone"] = partial(
            _seconds_per_call, stage.alone, 10 if quick else CALLS
        )
    return rounds


def _replaced(run: Round, replacements: Sequence[Replacement]) -> float:
    with ExitStack() as stack:
        for owner, attribute, function in replacements:
            stack.enter_context(patch.object(owner, attribute, function))
        return run()


def _seconds_per_call(function: Callable[[], object], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - begin) / calls


def measured(rounds: dict[str, Round], *, quick: bool) -> Results:
    return interleave(rounds, 2 if quick else ROUNDS, 0 if quick else 10)


def section(measure: Measure, *, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure on each loop in a separate process, and return the table."""
    rows: dict[str, dict[str, Cell]] = {}
    on_each_loop = OnEachLoop(measure, quick=quick, patience=5 * BATCH_LIMIT)
    for loop, (how, results) in on_each_loop:
        column = f"{how}, {loop}"
        floor = results[FLOOR]
        for name, seconds in results.items():
            rows.setdefault(name, {})[column] = _cell(seconds, floor)
        advance(column, 1 / (2 * len(LOOPS)))
    return Section(
        title="The stages of a small request",
        unit="Time as a multiple of the raw hop's; less is better",
        rows=rows,
        remarks=_REMARKS + on_each_loop.endings,
        drawn=False,
    )


def _cell(seconds: list[float] | Failure, floor: list[float] | Failure) -> Cell:
    if isinstance(seconds, Failure) or isinstance(floor, Failure):
        return Cell(note=str(seconds) if isinstance(seconds, Failure) else "")
    return Cell(ratio(seconds, floor))
