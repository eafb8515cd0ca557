"""The result as tables: what is shown on the terminal, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Cell:
    """One result.

    Attributes:
        number: A ratio, or mebibytes; None if there is none.
        note: Words instead of the number, or beside it.
        or_more: Whether measuring was stopped at this number.
    """

    number: float | None = None
    note: str = ""
    or_more: bool = False

    def __str__(self) -> str:
        if self.number is None:
            return self.note or "-"
        return f"{self.text} ({self.note})" if self.note else self.text

    @property
    def text(self) -> str:
        """The number alone."""
        number = "" if self.number is None else number_text(self.number)
        return f"> {number}" if self.or_more else number


def number_text(number: float) -> str:
    """Return a number with as many digits as mean something: two or three."""
    if number < 0.095:
        return f"{number:.2g}"
    if number < 9.95:
        return f"{number:.2f}" if number < 1.995 else f"{number:.1f}"
    return f"{number:,.0f}"


@dataclass(frozen=True)
class Section:
    """Rows of one kind: a table of the report.

    Attributes:
        title: What was measured.
        unit: What the numbers are, and which are better.
        rows: The cells by contender, by the name of the work.
        remarks: Sentences to read the numbers by.
        drawn: Whether there is a chart of it.
    """

    title: str
    unit: str
    rows: dict[str, dict[str, Cell]]
    remarks: str = ""
    drawn: bool = True

    @property
    def contenders(self) -> list[str]:
        return list(dict.fromkeys(name for cells in self.rows.values() for name in cells))


@dataclass(frozen=True)
class Target:
    """What one number of the report shall be.

    Attributes:
        text: The target in words.
        measured: The number it speaks of, or None if that was not measured.
        bound: What the number is compared with.
        at_least: Whether the bound is the least, not the most.
    """

    text: str
    measured: float | None
    bound: float
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "met" if met else "not met"


def section_table(section: Section) -> Table:
    table = Table(title=f"{section.title}: {section.unit}", title_justify="left")
    table.add_column("")
    for name in section.contenders:
        table.add_column(name, justify="right", style="bold" if name == "gatebridge" else None)
    for row, cells in section.rows.items():
        table.add_row(row, *(escape(str(cells.get(name, Cell()))) for name in section.contenders))
    return table


def target_table(targets: Iterable[Target]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for column in ("target", "measured", ""):
        table.add_column(column, justify="right" if column == "measured" else "left")
    for target in targets:
        colour = {"met": "green", "not met": "red"}.get(target.verdict, "yellow")
        table.add_row(target.text, _measured(target), f"[{colour}]{target.verdict}[/]")
    return table


def markdown(
    title: str,
    preface: str,
    targets: Sequence[Target],
    sections: Iterable[Section],
    versions: Mapping[str, str],
) -> str:
    """Return the whole report."""
    parts = [f"# {title}", preface]
    if targets:
        rows = [[target.text, _measured(target), target.verdict] for target in targets]
        parts += ["## Targets", _markdown_table(["target", "measured", ""], rows)]
    for section in sections:
        rows = [
            [row, *(str(cells.get(name, Cell())) for name in section.contenders)]
            for row, cells in section.rows.items()
        ]
        parts += [f"## {section.title}", f"{section.unit}."]
        if rows:
            parts.append(_markdown_table(["", *section.contenders], rows))
        parts.append(section.remarks.strip())
    parts += ["## Versions", _markdown_table(["", "version"], [list(v) for v in versions.items()])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured(target: Target) -> str:
    return "-" if target.measured is None else number_text(target.measured)


def _markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
