"""The features page says of gatebridge and its peers what is so, in every cell.

A cell is compared with the outcome of its probe, if the peer is installed in the version that the
page speaks of, or in a later one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from peers.child import CONTENDERS, PROBES
from peers.tables import (
    ASGI_ON_WSGI,
    PACKAGES,
    PAGE,
    ROOT,
    WSGI_ON_ASGI,
    as_numbers,
    explanations,
    table,
    tables_of,
    versions,
)
from servers.needs import missing, require
from servers.processes import PATHS

pytestmark = [
    pytest.mark.xdist_group("peers"),  # one process, which starts the children once
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

LIMIT = 200  # seconds for all probes of one contender; they take about 3

COLUMNS = [(title, column) for title, columns in CONTENDERS.items() for column in columns]
CELLS = [(title, row, column) for title, column in COLUMNS for row in PROBES[title]]
NEEDS = {"Runs on trio": ["trio"], "Context variables": ["trio"], "WebSocket": ["wsproto"]}
"""What a row needs that is no contender."""

RESULTS = ROOT / "benchmarks" / "results"


class Children:
    """The processes that probe, all at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outcomes: dict[tuple[str, str], dict[str, str]] = {}
        self._processes = {
            column: self._start(number, *column)
            for number, column in enumerate(COLUMNS)
            if missing(_package(*column)) is None
        }

    def _start(self, number: int, title: str, column: str) -> subprocess.Popen[str]:
        with (self._folder / f"{number}").open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "peers.child", title, column],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def outcome(self, title: str, row: str, column: str) -> str:
        key = (title, column)
        if key not in self._outcomes:
            lines = _output(self._processes[key]).splitlines()
            self._outcomes[key] = dict(json.loads(line) for line in lines)
        try:
            return self._outcomes[key][row]
        except KeyError:
            return (self._folder / f"{COLUMNS.index(key)}").read_text(errors="replace")

    def end(self) -> None:
        for process in self._processes.values():
            _kill(process)
            process.communicate()


def _package(title: str, column: str) -> str:
    return CONTENDERS[title][column].package


def _output(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.communicate()[0]


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and the probe that it has forked, which has its output open too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _too_old(package: str) -> str | None:
    installed = metadata.version(package)
    if as_numbers(installed) >= versions().get(package, ()):
        return None
    return f"{package} is {installed}, older than on the page"


def _require_contender(package: str) -> None:
    """Go on only if a contender is there, and new enough."""
    require(missing(package))
    if too_old := _too_old(package):
        pytest.skip(too_old)


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    children = Children(tmp_path_factory.mktemp("peers"))
    yield children
    children.end()


@pytest.mark.parametrize(("title", "row", "column"), CELLS)
def test_a_cell_says_what_is(title: str, row: str, column: str, children: Children) -> None:
    package = _package(title, column)
    _require_contender(package)
    require(*(missing(need) for need in NEEDS.get(row, ())))
    said, is_so = table(title).rows[row][column], children.outcome(title, row, column)
    assert is_so == said, (
        f"{PAGE.name} says {said!r} of {package} at {row!r}, but {package} "
        f"{metadata.version(package)} did otherwise: {is_so}. Update the table."
    )


@pytest.mark.parametrize("title", CONTENDERS)
def test_a_table_has_a_probe_for_each_row_and_an_adapter_for_each_column(title: str) -> None:
    assert set(table(title).rows) == set(PROBES[title])
    assert table(title).columns == list(CONTENDERS[title])


def test_every_row_is_explained() -> None:
    titles = (WSGI_ON_ASGI, ASGI_ON_WSGI, PACKAGES)
    assert explanations() == [row for title in titles for row in table(title).rows]


def test_every_peer_has_a_version_on_the_page() -> None:
    packages = {each.package for columns in CONTENDERS.values() for each in columns.values()}
    assert {*versions()} == packages - {"gatebridge"}


@pytest.mark.parametrize(
    ("title", "column"), [(title, column) for title, column in COLUMNS if column != "gatebridge"]
)
def test_a_peer_has_no_new_argument(title: str, column: str) -> None:
    """Some cells are "no" because there is no argument for it: look at the rows again."""
    _require_contender(_package(title, column))
    contender = CONTENDERS[title][column]
    assert contender.present_parameters() == contender.parameters


# --- packages -------------------------------------------------------------------------------------


def _requirements(package: str) -> str:
    newest = {"python_version": "3.14", "python_full_version": "3.14.0", "extra": ""}
    requirements = map(Requirement, metadata.requires(package) or [])
    names = [each.name for each in requirements if not each.marker or each.marker.evaluate(newest)]
    return str(len(names)) if names else "none"


def _oldest_python(package: str) -> str:
    requires = metadata.metadata(package)["Requires-Python"]
    return ".".join(map(str, as_numbers(requires.removeprefix(">="))[:2]))


def _typed(package: str) -> str:
    spec = find_spec(package)
    assert spec
    assert spec.origin
    return "yes" if (Path(spec.origin).parent / "py.typed").exists() else "no"


FACTS = {
    "Packages it needs": _requirements,
    "Oldest Python": _oldest_python,
    "Type information": _typed,
}


@pytest.mark.parametrize("package", ["gatebridge", "a2wsgi", "asgiref"])
def test_a_package_is_as_the_page_says(package: str) -> None:
    _require_contender(package)
    said = {row: cells[package] for row, cells in table(PACKAGES).rows.items()}
    assert said == {row: fact(package) for row, fact in FACTS.items()}, "Update the table."


# --- other pages that say the same ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "row", "file", "measured"),
    [
        (WSGI_ON_ASGI, "Memory is bounded while a client stalls", "wsgi-to-asgi", "1 GiB download"),
        (ASGI_ON_WSGI, "Memory is bounded while a client stalls", "asgi-to-wsgi", "1 GiB download"),
        (
            WSGI_ON_ASGI,
            "Others are served while 50 downloads stall",
            "wsgi-to-asgi",
            "50 stalled downloads",
        ),
    ],
)
def test_the_benchmark_says_the_same(title: str, row: str, file: str, measured: str) -> None:
    (result,) = [
        each.rows[measured] for each in tables_of(RESULTS / f"{file}.md") if measured in each.rows
    ]
    cells = table(title).rows[row]
    for column, contender in CONTENDERS[title].items():
        if contender.package in result:
            # A number of MiB, or a ratio of times. Otherwise "> 700", or how requests fail.
            is_number = result[contender.package].replace(".", "").isdigit()
            assert cells[column] == ("yes" if is_number else "no"), (column, result)


def differences(copy: Path) -> Iterator[str]:
    """Yield what a page says otherwise in its shortened copies of the tables.

    A copy has the title of its original, and any of its rows and columns.
    """
    originals = {each.title: each for each in tables_of(PAGE)}
    for shortened in tables_of(copy):
        if shortened.title not in originals:
            continue
        rows = originals[shortened.title].rows
        for row, cells in shortened.rows.items():
            for column, cell in cells.items():
                said = rows.get(row, {}).get(column)
                if cell != said:
                    yield f"{row}, {column}: {cell}, but {said} in {PAGE.name}"


def test_the_readme_says_the_same() -> None:
    assert list(differences(ROOT / "README.md")) == []


def test_what_a_copy_says_otherwise_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(f"""
| {WSGI_ON_ASGI} | gatebridge | Uvicorn |
| --- | --- | --- |
| `write()` | yes | yes |
| Runs on trio | yes | no |
| Not there | yes | no |
""")
    assert list(differences(copy)) == [
        f"`write()`, Uvicorn: yes, but no in {PAGE.name}",
        f"Not there, gatebridge: yes, but None in {PAGE.name}",
        f"Not there, Uvicorn: no, but None in {PAGE.name}",
    ]
