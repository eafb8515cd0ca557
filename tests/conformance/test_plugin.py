"""The conformance plugin, on tables and tests of its own.

Each run is a session inside this one, in a root directory of its own. It shares no state with the
outer session: the plugin keeps its state in objects that it makes per session.
"""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

_CLAUSES = """\
# Clauses

## 1. First

| Id | Level | Dir | T | Source | Clause | For the adapter |
| --- | --- | --- | --- | --- | --- | --- |
| W-ONE-01 | MUST | w2a | yes | P DET | Requires one. | Does one. |
| W-TWO-01 | MUST | both | yes | P DET | Requires two. | Does two. |
| W-NOT-01 | MAY | a2w | - | P DET | Permits. | Not used. |

| Id | Question | Choice | Reason |
| --- | --- | --- | --- |
| D-01 | Which? | This. | Because. |
"""

_ONE = """
    import pytest

    @pytest.mark.clause("W-ONE-01")
    def test_one():
        pass
"""

_TWO = """
    import pytest

    pytestmark = pytest.mark.direction("w2a")

    @pytest.mark.clause("W-TWO-01")
    def test_two():
        pass

    @pytest.mark.direction("a2w")
    class TestBack:
        @pytest.mark.clause("W-TWO-01")
        def test_two(self):
            pass
"""


class Project:
    """A project with the clauses above, whose tests are given as source."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeini("[pytest]\nmarkers =\n    clause\n    direction\nfilterwarnings = error\n")
        self.path = pytester.path
        (self.path / "docs/spec").mkdir(parents=True)
        (self.path / "docs/spec/clauses.md").write_text(_CLAUSES, "utf-8")

    def run(self, *args: str, **modules: str) -> pytest.RunResult:
        self.pytester.makepyfile(**modules)
        return self.pytester.runpytest_inprocess("-p", "conformance.plugin", *args)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    # Each session inside would import the other plugins anew, which takes most of its time.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return Project(pytester)


@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n", "2")], ids=["one", "several"])
def test_a_run_passes_when_each_clause_has_a_test_in_each_direction(
    project: Project, processes: tuple[str, ...]
) -> None:
    result = project.run("--conformance", *processes, test_one=_ONE, test_two=_TWO)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "clause    direction  tests  result",
            "W-ONE-01  w2a            1  passed",
            "W-TWO-01  w2a            1  passed",
            "W-TWO-01  a2w            1  passed",
            "conformance: 3 passed, 0 failed, 0 missing",
        ],
        consecutive=True,
    )


def test_a_clause_without_a_test_fails_the_run(project: Project) -> None:
    result = project.run("--conformance", test_two=_TWO)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["W-ONE-01 (w2a) missing: no test", "conformance: 2 passed, *"])


def test_evidence_in_one_direction_is_none_in_the_other(project: Project) -> None:
    forth, _, _ = _TWO.partition("    @pytest.mark.direction")

    result = project.run("--conformance", test_one=_ONE, test_two=forth)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["W-TWO-01  w2a * passed", "W-TWO-01 (a2w) missing: no test"])


def test_one_test_can_speak_of_both_directions(project: Project) -> None:
    both = """
        import pytest

        @pytest.mark.direction("w2a", "a2w")
        @pytest.mark.clause("W-ONE-01", "W-TWO-01")
        def test_both():
            pass
    """

    assert project.run("--conformance", test_both=both).ret == pytest.ExitCode.OK


def test_missing_evidence_is_not_asked_for_without_the_option(project: Project) -> None:
    result = project.run(test_two=_TWO)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*conformance*")


def test_a_failed_test_fails_its_clause_although_another_passes(project: Project) -> None:
    failing = _ONE.replace("pass", "assert False")

    result = project.run("--conformance", test_one=_ONE, test_two=_TWO, test_fail=failing)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "W-ONE-01  w2a            2  failed",
            "W-ONE-01 (w2a) failed: *test_fail.py::test_one (failed)*",
        ]
    )


@pytest.mark.parametrize(
    "no_evidence",
    [
        "pytest.skip('not here')",
        "pytest.xfail('not yet')",
    ],
)
def test_a_test_that_does_not_pass_is_no_evidence(project: Project, no_evidence: str) -> None:
    result = project.run("--conformance", test_one=_ONE.replace("pass", no_evidence), test_two=_TWO)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["W-ONE-01 (w2a) missing: test_one.py::test_one (skipped)"])


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ("3", "passed"),
        ("pytest.param(3, marks=pytest.mark.skip)", "missing"),
        ("0", "failed"),
    ],
)
def test_parametrisations_are_one_test_that_passes_if_all_do(
    project: Project, last: str, status: str
) -> None:
    parametrised = f"""
        import pytest

        @pytest.mark.clause("W-ONE-01")
        @pytest.mark.parametrize("number", [1, 2, {last}])
        def test_one(number):
            assert number
    """

    result = project.run("--conformance", test_one=parametrised, test_two=_TWO)

    result.stdout.fnmatch_lines([f"W-ONE-01  w2a            1  {status}"])


def test_an_error_in_teardown_fails_the_clause(project: Project) -> None:
    teardown = """
        import pytest

        @pytest.fixture
        def leaky():
            yield
            raise RuntimeError

        @pytest.mark.clause("W-ONE-01")
        def test_one(leaky):
            pass
    """

    result = project.run("--conformance", test_one=teardown, test_two=_TWO)

    result.stdout.fnmatch_lines(["W-ONE-01 (w2a) failed: test_one.py::test_one (failed)"])


@pytest.mark.parametrize(
    ("marks", "error"),
    [
        ('clause("W-ONE-02")', "unknown clause 'W-ONE-02'"),
        ('clause("W-TWO-01")', """clause 'W-TWO-01' needs the mark direction("w2a") or *"a2w")"""),
        ('direction("a2w"), clause("W-ONE-01")', """*'W-ONE-01' needs the mark direction("w2a")"""),
        ('direction("both"), clause("W-TWO-01")', "unknown direction in ('both',)"),
    ],
    ids=["unknown clause", "no direction", "wrong direction", "unknown direction"],
)
def test_a_wrong_mark_fails_collection(project: Project, marks: str, error: str) -> None:
    marked = f"""
        from pytest import mark

        clause, direction = mark.clause, mark.direction
        pytestmark = [{marks}]

        @mark.parametrize("number", [1, 2])
        def test_marked(number):
            pass
    """

    result = project.run(test_one=_ONE, test_marked=marked)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.no_fnmatch_line("* passed*")
    result.stderr.fnmatch_lines([f"ERROR: test_marked.py::test_marked: {error}"])
    assert str(result.stderr).count("ERROR") == 1


@pytest.mark.parametrize(
    "row",
    [
        "| W-BAD-01 | MUST | w2a | yes | P DET | Too few. |",
        "| W-BAD-01 | MUST | up | yes | P DET | A direction. | That is none. |",
        "| W-ONE-01 | MUST | w2a | yes | P DET | Again. | The same id. |",
    ],
)
def test_a_malformed_row_is_refused(project: Project, row: str) -> None:
    (project.path / "docs/spec/clauses.md").write_text(_CLAUSES + row, "utf-8")

    result = project.run(test_one=_ONE)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: not a clause with an id of its own: {row}"])


def test_evidence_for_what_needs_none_is_listed(project: Project) -> None:
    more = _ONE.replace('"W-ONE-01"', '"W-ONE-01", "W-NOT-01", "D-01"')

    result = project.run("--conformance", test_one=more, test_two=_TWO)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["W-NOT-01  a2w            1  passed", "D-01      -              1  passed"]
    )


def test_the_table_is_written_as_markdown(project: Project) -> None:
    result = project.run("--conformance-file=table.md", test_one=_ONE)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    page = (project.path / "table.md").read_text("utf-8")
    assert page.startswith("# Conformance\n\n")
    assert page.endswith(
        "\n"
        "1 passed, 0 failed, 2 missing.\n"
        "\n"
        "## 1. First\n"
        "\n"
        "| Clause | Requirement | Tests | Result |\n"
        "| --- | --- | --- | --- |\n"
        "| W-ONE-01<br>WsgiToAsgi | **MUST**: Requires one. | <details><summary>1</summary>"
        "<code>test_one.py::test_one</code></details> | passed |\n"
        "| W-TWO-01<br>WsgiToAsgi | **MUST**: Requires two. | 0 | missing |\n"
        "| W-TWO-01<br>AsgiToWsgi | **MUST**: Requires two. | 0 | missing |\n"
    )


def test_no_table_is_shown_when_the_tests_could_not_be_collected(project: Project) -> None:
    result = project.run("--conformance", test_one=_ONE, test_broken="import nothing_of_this_name")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.no_fnmatch_line("*conformance*")
