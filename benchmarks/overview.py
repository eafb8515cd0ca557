"""The chart of the README: both directions at a glance."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.asgi_on_wsgi.contenders import CONTENDERS as ASGI_TO_WSGI
from benchmarks.report import Cell, Section
from benchmarks.suite import inverse
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS as WSGI_TO_ASGI

TITLE = "Each adapter beside gatebridge"
UNIT = (
    "Time per request as a multiple of gatebridge's; right of 1 is slower. Every application that "
    "is measured on real servers (on uvloop), and every work in one process, alone, on asyncio"
)
_ADAPTERS = {*WSGI_TO_ASGI, *ASGI_TO_WSGI}
_ALONE = ", alone, asyncio"
_NOT_SHOWN = (", asyncio", ", one processor", ", Granian")  # of the rows over real servers


def rows_of(sections: Mapping[str, Mapping[str, Section]]) -> dict[str, dict[str, Cell]]:
    """Return the rows of all adapters alone on asyncio, and of those on real servers with uvloop.

    The rule picks the rows, not their results.

    Args:
        sections: What was measured, by the name of the part, by the title of the direction.
    """
    rows = {}
    for title, parts in sections.items():
        arrow = f"{title.split()[0]} → {title.split()[3]}"
        if "servers" in parts:
            for row, cells in parts["servers"].rows.items():
                if row.endswith(_NOT_SHOWN):
                    continue
                rows[f"{arrow}: {row.removesuffix(', uvloop')}"] = {
                    name: Cell(inverse(cell.number), cell.note)
                    for name, cell in cells.items()
                    if name in _ADAPTERS
                }
        if "inprocess" in parts:
            for row, cells in parts["inprocess"].rows.items():
                if row.endswith(_ALONE):
                    rows[f"{arrow}: {row.removesuffix(_ALONE)}"] = {
                        name: cell for name, cell in cells.items() if name in _ADAPTERS
                    }
    return rows
