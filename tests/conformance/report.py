"""The conformance table: as text for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.clauses import Duty

_RESULTS = ("passed", "failed", "missing")


@dataclass(frozen=True)
class Row:
    """One duty and its evidence.

    Attributes:
        duty: The clause and its direction.
        requirement: What the clause says.
        tests: The outcome of each test that ran: passed, failed or skipped.
        result: One of passed, failed and missing.
    """

    duty: Duty
    requirement: str
    tests: Mapping[str, str]
    result: str

    @property
    def is_problem(self) -> bool:
        """Whether this row fails the run."""
        return self.result != "passed"

    def __str__(self) -> str:
        tests = ", ".join(f"{test} ({outcome})" for test, outcome in self.tests.items())
        return f"{self.duty.id} ({self.duty.direction}) {self.result}: {tests or 'no test'}"


def total(rows: Sequence[Row]) -> str:
    """Return how many rows have which result, in one line."""
    results = Counter(row.result for row in rows)
    return ", ".join(f"{results[result]} {result}" for result in _RESULTS)


def as_text(rows: Sequence[Row]) -> str:
    """Return an aligned table."""
    cells = [("clause", "direction", "tests", "result")]
    cells += [(*row.duty, str(len(row.tests)), row.result) for row in rows]
    width = max(len(id_) for id_, *_ in cells)
    return "\n".join(
        f"{id_:{width}}  {direction:9}  {tests:>5}  {result}"
        for id_, direction, tests, result in cells
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Return a page with the table."""
    lines = [
        "# Conformance",
        "",
        f"{total(rows)}.",
        "",
        "| Clause | Direction | Requirement | Tests | Result |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        tests = "<br>".join(f"`{test}`" for test in row.tests)
        lines.append(
            f"| {row.duty.id} | {row.duty.direction} | {row.requirement} | {tests} | {row.result} |"
        )
    return "\n".join(lines) + "\n"
