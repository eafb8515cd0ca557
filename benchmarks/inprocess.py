"""Every adapter in one process, without a server: what either direction has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TypeAlias

from benchmarks.child import ChildEnded, in_child
from benchmarks.measure import Failure, ratio
from benchmarks.report import Cell, Section

FLOOR = "raw hop"
LOOPS = [name for name in ("asyncio", "uvloop") if find_spec(name)]

BATCH_LIMIT = 60.0  # seconds without an end, after which a round is said to hang

Key: TypeAlias = tuple[str, str, str]
"""The work, how many at once, and the loop."""
Results: TypeAlias = dict[str, list[float] | Failure]
Measure: TypeAlias = Callable[[str, bool], Iterator[tuple[Key, Results]]]
"""Measures each row on one loop, for a quick run or not."""


def in_one_process(
    measure: Measure,
    works: Sequence[str],
    concurrencies: Sequence[str],
    remarks: str,
    *,
    quick: bool,
    advance: Callable[[str, float], None],
) -> Section:
    """Measure all rows, on each loop in a process of its own.

    Args:
        measure: What to run there.
        works: The works by name, in the order of the report.
        concurrencies: How many at once, likewise.
        remarks: Sentences to read the numbers by.
        quick: Whether few rounds will do.
        advance: Is told what was measured, and which part that is.
    """
    results: dict[Key, Results] = {}
    share = 1 / (len(LOOPS) * len(works) * len(concurrencies))
    ended_early = ""
    for loop in LOOPS:
        try:
            for key, row in in_child(measure, loop, quick, patience=20 * BATCH_LIMIT):
                results[key] = row
                advance(", ".join(key), share)
        except ChildEnded as ended:
            ended_early += f" On {loop} the measuring ended early: {ended}."

    def order_of(item: tuple[Key, Results]) -> tuple[int, int, int]:
        (work, how, loop), _ = item
        return works.index(work), concurrencies.index(how), LOOPS.index(loop)

    rows = {key: cells(row) for key, row in sorted(results.items(), key=order_of)}
    return Section(
        title="In one process",
        unit="Time per request as a multiple of gatebridge's; less is better",
        rows={", ".join(key): row for key, row in rows.items()},
        remarks=remarks + ended_early,
    )


def cells(row: Results) -> dict[str, Cell]:
    """Return each contender's ratio to gatebridge, or what it did instead of the work."""
    reference = row.get("gatebridge")
    return {
        name: Cell(note=str(seconds))
        if isinstance(seconds, Failure)
        else Cell(ratio(seconds, reference) if isinstance(reference, list) else None)
        for name, seconds in row.items()
    }
