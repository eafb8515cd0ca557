"""What a large body costs in memory: what either direction has of it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.child import ChildEnded, in_child
from benchmarks.report import Cell, Section
from benchmarks.works import BLOCK

CEILING = 700.0  # MiB above idle, at which a contender is stopped
PATIENCE = 60.0  # seconds for one contender and direction
STALL = 2.0  # seconds

_PROCESS = Path("/proc/self")


def with_a_stalled_peer(
    measure: Callable[[str, str, int, float], Iterator[Cell]],
    contenders: Iterable[str],
    remarks: str,
    *,
    quick: bool,
    advance: Callable[[str, float], None],
) -> Section:
    """Measure all contenders at a download and an upload, each in a process of its own.

    Args:
        measure: What to run there, with the contender, the direction, a number of blocks, and how
            many seconds the peer stalls.
        contenders: By name.
        remarks: Sentences to read the numbers by.
        quick: Whether small bodies will do.
        advance: Is told what was measured, and which part that is.
    """
    title = "Memory with a stalled peer"
    if not _PROCESS.exists():
        return Section(title, "Not measured", {}, remarks="This part needs Linux: /proc.")
    size, blocks, stall = ("16 MiB", 256, 0.1) if quick else ("1 GiB", 16384, STALL)
    names, directions = list(contenders), ("download", "upload")
    rows: dict[str, dict[str, Cell]] = {}
    for direction in directions:
        row = f"{size} {direction}"
        cells = rows[row] = {}
        for name in names:
            try:
                (cells[name],) = in_child(
                    measure, name, direction, blocks, stall, patience=PATIENCE
                )
            except ChildEnded:
                cells[name] = Cell(note="hangs")
            advance(f"{row}, {name}", 1 / (len(directions) * len(names)))
    return Section(
        title=title,
        unit="MiB above the idle process, at the peak; less is better",
        rows=rows,
        remarks=f"{remarks} Who takes more than {CEILING:g} MiB is stopped there.",
    )


def above_idle(serve: Callable[[], object]) -> Cell:
    """Return how much memory it takes at the peak to serve one request."""
    forget_peak()
    idle = peak()
    ends: list[Cell] = []

    def run() -> None:
        try:
            serve()
        except Exception:  # noqa: BLE001 - whatever it is, it is the result
            ends.append(Cell(note="fails"))
        else:
            ends.append(Cell(peak() - idle))

    threading.Thread(target=run, daemon=True).start()
    while not ends:
        time.sleep(0.02)
        if peak() - idle > CEILING:
            ends.append(Cell(CEILING, or_more=True))
    return ends[0]


def new_block() -> bytes:
    """Return a block in memory of its own, all of it written to."""
    return BLOCK[:32768] + BLOCK[32768:]


def forget_peak(process: Path = _PROCESS) -> None:
    """Let the peak of a process be from now on."""
    with suppress(OSError):
        (process / "clear_refs").write_text("5")


def peak(process: Path = _PROCESS) -> float:
    """Return the most memory that a process has had resident, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1024
