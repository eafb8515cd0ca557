"""A suite: all that is measured in one direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from benchmarks.inprocess import FLOOR
from benchmarks.report import Cell, Section, Target

Rows: TypeAlias = Mapping[str, Mapping[str, Cell]]


class Part(Protocol):
    """Measures one thing: a table named like the part, or several tables with other names."""

    def __call__(self, *, quick: bool, advance: Advance) -> Section | dict[str, Section]: ...


class Advance(Protocol):
    """Is told what was measured, and which part of the whole part it was."""

    def __call__(self, what: str, share: float, /) -> None: ...


@dataclass(frozen=True)
class Suite:
    """All that is measured in one direction, and what its report says of itself.

    Attributes:
        name: Of its files.
        title: Of its report.
        preface: How it was measured.
        packages: The distributions whose versions matter.
        parts: What is measured, by the name that the command line has for it.
        targets: The targets, by the name of the table that shows whether they are met.
    """

    name: str
    title: str
    preface: str
    packages: Sequence[str]
    parts: Mapping[str, Part]
    targets: Mapping[str, Callable[[Rows], Iterable[Target]]]

    def targets_of(self, sections: Mapping[str, Section]) -> list[Target]:
        """Return the targets whose tables were measured."""
        return [
            target
            for name, targets_of in self.targets.items()
            if name in sections
            for target in targets_of(sections[name].rows)
        ]


def number(rows: Rows, row: str, contender: str) -> float | None:
    return rows.get(row, {}).get(contender, Cell()).number


def inverse(number: float | None) -> float | None:
    return None if number is None else 1 / number


def hop_target(rows: Rows, row: str, most: float) -> Target:
    """Return the target for the time of a request as a multiple of the raw hop's."""
    text = f"{row}: at most {most} × the time of the raw hop"
    return Target(text, inverse(number(rows, row, FLOOR)), most)
