"""Every adapter in one process, without a server: what either direction has of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from benchmarks.loops import LOOPS, OnEachLoop
from benchmarks.measure import Failure, ratio
from benchmarks.report import Cell, Section

FLOOR = "raw hop"

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
    """Measure all rows, on each loop in a separate process.

    Args:
        measure: What to run there.
        works: The works by name, in the order of the report.
        concurrencies: How many at once, in the same order.
        remarks: Sentences to read the numbers by.
        quick: Whether few rounds will do.
        advance: Called with what was measured, and its share.
    """
    results: dict[Key, Results] = {}
    share = 1 / (len(LOOPS) * len(works) * len(concurrencies))
    on_each_loop = OnEachLoop(measure, quick=quick, patience=20 * BATCH_LIMIT)
    for _, (key, row) in on_each_loop:
        results[key] = row
        advance(", ".join(key), share)

    def order_of(item: tuple[Key, Results]) -> tuple[int, int, int]:
        (work, how, loop), _ = item
        return works.index(work), concurrencies.index(how), LOOPS.index(loop)

    rows = {key: cells(row) for key, row in sorted(results.items(), key=order_of)}
    return Section(
        title="In one process",
        unit="Time per request as a multiple of gatebridge's; less is better",
        rows={", ".join(key): row for key, row in rows.items()},
        remarks=remarks + on_each_loop.endings,
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
