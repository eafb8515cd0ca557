"""A pytest plugin: holds the marks of the tests against the table of clauses.

``@pytest.mark.clause("W-CLOSE-01", "D-24")`` says what a test is evidence for. A clause for both
directions needs evidence in each: ``@pytest.mark.direction("w2a")`` says which adapter a test
speaks of, with both names if of both. It stands on a test, a class or (as ``pytestmark``) a module;
the closest one counts.

The marks are checked in every run. ``--conformance`` demands besides that no evidence is missing.

``--conformance-file=PATH`` wants its equals sign: pytest looks for conftest files before it knows
the options of this plugin, and would take an existing path after a space for one of a test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from conformance.clauses import Clause, Decision, Duty, Table, parse_clauses
from conformance.report import Row, as_markdown, as_text, total

# Relative to the root directory of the run, so that another root has a table of its own.
_CLAUSES = "docs/spec/clauses.md"

_ADAPTERS = {"w2a", "a2w"}
_CLAIM = "clauses"  # the name of a test's property: which test it is, and its duties


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--conformance",
        action="store_true",
        help="show the tests of each clause, and fail if a clause has none that passes",
    )
    group.addoption(
        "--conformance-file",
        type=Path,
        metavar="PATH",
        help="write this table as Markdown; implies --conformance",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        table = parse_clauses((config.rootpath / _CLAUSES).read_text("utf-8"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    evidence = Evidence(table)
    config.pluginmanager.register(evidence)
    path = config.getoption("conformance_file")
    in_worker = hasattr(config, "workerinput")  # of pytest-xdist, which sees a part of the tests
    if (path or config.getoption("conformance")) and not in_worker:
        config.pluginmanager.register(Reporter(evidence, path))


class Evidence:
    """Which tests ran for which clause, and how they ended."""

    def __init__(self, table: Table) -> None:
        self._table = table
        # The outcomes of all phases and parametrisations, since a test is one function.
        self._outcomes: dict[Duty, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    @pytest.hookimpl(tryfirst=True)  # before -k deselects: a wrong mark is wrong in every run
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        errors = []
        for item in items:
            test = _test_id(item)
            try:
                duties = sorted(set(_duties(item, self._table)))
            except ValueError as error:
                errors.append(f"{test}: {error}")
            else:
                # Into its reports, which pytest-xdist brings here from the processes of the tests.
                item.user_properties.append((_CLAIM, [test, [list(duty) for duty in duties]]))
        if errors:
            raise pytest.UsageError(*dict.fromkeys(errors))  # once for all parametrisations

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, claim in report.user_properties:
            if name == _CLAIM:
                test, duties = claim  # type: ignore[misc] - typed as what JUnit's XML can hold
                for duty in duties:
                    self._outcomes[Duty(*duty)][test].add(report.outcome)

    def rows(self) -> Iterator[Row]:
        """Yield a row for each duty that needs evidence, and for each other one that has some."""
        for clause in self._table.values():
            for duty in (Duty(clause.id, direction) for direction in clause.directions):
                tests = {test: _worst(outcomes) for test, outcomes in self._outcomes[duty].items()}
                result = _result(tests.values())
                if clause.tested or result != "missing":
                    yield Row(clause.section, duty, clause.level, clause.requirement, tests, result)


def _result(outcomes: Collection[str]) -> str:
    if "failed" in outcomes:
        return "failed"
    return "passed" if "passed" in outcomes else "missing"


def _test_id(item: pytest.Item) -> str:
    """Return the node id of the test function, without parameters."""
    return item.nodeid.removesuffix(item.name) + getattr(item, "originalname", item.name)


def _worst(outcomes: set[str]) -> str:
    return next(outcome for outcome in ("failed", "skipped", "passed") if outcome in outcomes)


def _duties(item: pytest.Item, table: Table) -> Iterator[Duty]:
    """Yield what the marks of a test claim.

    Raises:
        ValueError: They name an unknown clause, or a direction is unknown, missing or wrong.
    """
    mark = item.get_closest_marker("direction")
    spoken_of = mark.args if mark else ()
    if not _ADAPTERS.issuperset(spoken_of):
        raise ValueError(f"unknown direction in {spoken_of!r}")
    for mark in item.iter_markers("clause"):
        for id_ in mark.args:
            if id_ not in table:
                raise ValueError(f"unknown clause {id_!r}")
            for direction in _directions(table[id_], spoken_of):
                yield Duty(id_, direction)


def _directions(clause: Clause | Decision, spoken_of: Sequence[str]) -> Sequence[str]:
    """Return those of the clause's directions that a test speaks of."""
    if not _ADAPTERS.issuperset(clause.directions):
        return clause.directions  # middleware, or a decision: of no adapter
    if len(clause.directions) == 1 and not spoken_of:
        return clause.directions
    directions = [direction for direction in clause.directions if direction in spoken_of]
    if not directions:
        wanted = " or ".join(f'direction("{direction}")' for direction in clause.directions)
        raise ValueError(f"clause {clause.id!r} needs the mark {wanted}")
    return directions


class Reporter:
    """Shows the table, and fails a run in which a clause lacks evidence."""

    def __init__(self, evidence: Evidence, path: Path | None) -> None:
        self._evidence = evidence
        self._path = path
        self._rows: list[Row] = []

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return  # the tests did not run to their end
        self._rows = list(self._evidence.rows())
        if any(row.is_problem for row in self._rows):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._path:
            self._path.write_text(as_markdown(self._rows), "utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._rows:
            return
        terminalreporter.section("conformance")
        terminalreporter.write_line(as_text(self._rows))
        for row in self._rows:
            if row.is_problem:
                terminalreporter.write_line(str(row), red=True)
        terminalreporter.write_line(f"conformance: {total(self._rows)}")
