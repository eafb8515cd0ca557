"""The conformance table: as text for a terminal, and as Markdown for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.clauses import Duty

_BINDS = {"w2a": "WsgiToAsgi", "a2w": "AsgiToWsgi", "mid": "mounts, LifespanShim", "-": ""}
_INTRODUCTION = """\
Each clause of PEP 3333, the ASGI specification and HTTP that binds the library, the part of the
library that it binds, and the tests that are evidence for it, with their result in the run that
wrote this page. A requirement begins with its level: after MUST NOT stands what must not happen.
The number of tests unfolds to their names, which are relative to `tests/`.
[Clauses](../spec/clauses.md) says where each clause comes from, and what the library does about it.
`make conformance` writes this page; CI fails if its own run gives another one."""
_RESULTS = ("passed", "failed", "missing")


@dataclass(frozen=True)
class Row:
    """One duty and its evidence.

    Attributes:
        section: That of the clause.
        duty: The clause and its direction.
        level: The clause's own, such as MUST NOT; it is the verb of the requirement.
        requirement: What the clause says.
        tests: The outcome of each test that ran: passed, failed or skipped.
        result: One of passed, failed and missing.
    """

    section: str
    duty: Duty
    level: str
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
    """Return a page with the table, section by section."""
    lines = ["# Conformance", "", _INTRODUCTION, "", f"{total(rows)}."]
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}", "", "| Clause | Requirement | Tests | Result |"]
            lines += ["| --- | --- | --- | --- |"]
        binds = _BINDS[row.duty.direction]
        clause = f"{row.duty.id}<br>{binds}" if binds else row.duty.id
        requirement = f"**{row.level}**: {row.requirement}" if row.level else row.requirement
        lines.append(f"| {clause} | {requirement} | {_tests(row)} | {row.result} |")
    return "\n".join(lines) + "\n"


def _tests(row: Row) -> str:
    """Return the number of tests, which unfolds to their names."""
    names = "<br>".join(f"<code>{test.removeprefix('tests/')}</code>" for test in sorted(row.tests))
    return f"<details><summary>{len(row.tests)}</summary>{names}</details>" if names else "0"
