"""The clauses that tests are evidence for. They come from a file: none is known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_DIRECTIONS = {"w2a": ("w2a",), "a2w": ("a2w",), "both": ("w2a", "a2w"), "mid": ("mid",)}
_TESTED = {"yes": True, "-": False}


@dataclass(frozen=True)
class Clause:
    """A row of sections 1 to 7."""

    section: str
    id: str
    level: str
    directions: tuple[str, ...]
    tested: bool
    source: str
    requirement: str
    adapter: str


@dataclass(frozen=True)
class Decision:
    """A row of section 8. It needs no test: the clauses that refer to it do."""

    section: str
    id: str
    requirement: str  # the question
    choice: str
    reason: str
    level: str = ""
    directions: tuple[str, ...] = ("-",)
    tested: bool = False


Table = dict[str, Clause | Decision]


class Duty(NamedTuple):
    """What takes evidence: a clause in one of its directions, or a decision in none (``-``)."""

    id: str
    direction: str


def parse_clauses(text: str) -> Table:
    """Return every row of the Markdown tables by its id, in their order.

    Raises:
        ValueError: A row is malformed, or its id is taken; shows the row.
    """
    table: Table = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("Id", "---"):
            continue
        row = _row(section, cells)
        if row is None or row.id in table:
            raise ValueError(f"not a clause with an id of its own: {line}")
        table[row.id] = row
    return table


def _row(section: str, cells: list[str]) -> Clause | Decision | None:
    match cells:
        case [id_, level, dir_, tested, source, requirement, adapter] if (
            dir_ in _DIRECTIONS and tested in _TESTED
        ):
            directions = _DIRECTIONS[dir_]
            tested_ = _TESTED[tested]
            return Clause(section, id_, level, directions, tested_, source, requirement, adapter)
        case [id_, question, choice, reason]:
            return Decision(section, id_, question, choice, reason)
    return None
