"""The benchmarks run, and what they make of their numbers is right. Nothing here is about speed."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

for name in ("flask", "rich"):
    pytest.importorskip(name)

ROOT = Path(__file__).parents[2]

from benchmarks.chart import chart, ticks  # noqa: E402
from benchmarks.child import ChildEnded, in_child  # noqa: E402
from benchmarks.measure import Failure, interleave, ratio  # noqa: E402
from benchmarks.report import (  # noqa: E402
    Cell,
    Panel,
    Section,
    Target,
    markdown,
    number_text,
)
from benchmarks.wrk import Answers, parse  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a quick run has written to."""
    output = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "inprocess", "--quick", "--output", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_a_quick_run_reports_every_row_of_gatebridge_as_measured(report: Path) -> None:
    text = (report / "wsgi-to-asgi.md").read_text("utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if ", alone, " in line]

    assert {line[0] for line in lines} >= {
        "small, alone, asyncio",
        "Flask, alone, asyncio",
        "32 MiB upload, alone, asyncio",
    }
    header = next(line for line in text.splitlines() if "| gatebridge |" in line)
    place = header.strip("|").split(" | ").index("gatebridge")
    assert {line[place] for line in lines} == {"1.00"}


def test_a_quick_run_draws_a_chart_with_a_name(report: Path) -> None:
    root = ET.parse(report / "wsgi-to-asgi.svg").getroot()

    assert root.findtext(f"{SVG}title") == "WSGI applications on ASGI servers"
    assert root.findtext(f"{SVG}desc")
    assert "gatebridge" in {text.text for text in root.iter(f"{SVG}text")}


def test_contenders_take_turns_and_a_failure_ends_the_turns_of_one() -> None:
    order: list[str] = []

    def steady() -> float:
        order.append("steady")
        return 2.0

    def failing() -> float:
        order.append("failing")
        if order.count("failing") == 2:
            raise Failure("hangs")
        return 1.0

    results = interleave({"steady": steady, "failing": failing}, rounds=3, time_limit=60)

    assert order == ["steady", "failing", "steady", "failing", "steady"]
    assert results["steady"] == [2.0, 2.0, 2.0]
    assert str(results["failing"]) == "hangs"


def test_three_rounds_are_run_however_long_they_take() -> None:
    results = interleave({"slow": lambda: 1.0}, rounds=10, time_limit=0)

    assert results["slow"] == [1.0, 1.0, 1.0]


def test_a_ratio_compares_only_what_was_measured_in_the_same_round() -> None:
    assert ratio([2.0, 20.0, 200.0], [1.0, 10.0, 50.0]) == 2.0


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (0.0123, "0.012"),
        (0.5, "0.50"),
        (1.0, "1.00"),
        (4.04, "4.0"),
        (12.6, "13"),
        (1234.0, "1,234"),
    ],
)
def test_numbers_have_the_digits_that_mean_something(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(), "-"),
        (Cell(note="hangs"), "hangs"),
        (Cell(0.5, "3% errors"), "0.50 (3% errors)"),
        (Cell(700.0, or_more=True), "> 700"),
    ],
)
def test_a_cell_says_what_was_found(cell: Cell, text: str) -> None:
    assert str(cell) == text


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("", 1.3, 1.3), "met"),
        (Target("", 1.31, 1.3), "not met"),
        (Target("", 3.0, 3.0, at_least=True), "met"),
        (Target("", 2.9, 3.0, at_least=True), "not met"),
        (Target("", None, 3.0), "not measured"),
    ],
)
def test_a_target_is_met_or_not_or_unknown(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_the_report_has_a_column_for_whoever_is_in_any_row() -> None:
    rows = {"small": {"gatebridge": Cell(1.0)}, "large": {"peer": Cell(note="fails")}}

    text = markdown("Title", "Preface.", [], [Section("Section", "Unit", rows)], {"peer": "1.0"})

    assert "|  | gatebridge | peer |" in text
    assert "| small | 1.00 | - |" in text
    assert "| large | - | fails |" in text
    assert "| peer | 1.0 |" in text


def test_a_bar_is_as_long_as_its_number_on_a_logarithmic_scale() -> None:
    cells = {
        "gatebridge": Cell(1.0),
        "a2wsgi": Cell(10.0),
        "asgiref": Cell(100.0),
        "uvicorn": Cell(0.1),
        "hypercorn": Cell(note="<hangs>"),
    }

    root = ET.fromstring(chart("Title", "Text", [Panel("Panel", "unit", {"small": cells})]))

    lengths = {
        title.text.partition(":")[0]: float(bar.attrib["width"])
        for bar in root.iter(f"{SVG}rect")
        if (title := bar.find(f"{SVG}title")) is not None and title.text
    }
    assert lengths["asgiref"] == pytest.approx(2 * lengths["a2wsgi"], abs=0.2)
    assert lengths["uvicorn"] == pytest.approx(lengths["a2wsgi"], abs=0.2)
    assert "hypercorn: <hangs>" in {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 6.0, [0.5, 1, 2, 5]), (0.09, 110.0, [0.1, 1, 10, 100])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_a_report_of_wrk_is_read_with_its_errors() -> None:
    output = """Running 3s test @ http://127.0.0.1:8000/
  4321 requests in 3.01s, 0.55MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 321
Requests/sec:   1435.55
"""

    assert parse(output) == Answers(seconds=3.01, good=4000, bad=324)


def test_what_is_no_report_of_wrk_is_refused() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def count_to(number: int) -> Iterator[int]:
    yield from range(number)


def end_early() -> Iterator[int]:
    yield 1
    sys.exit(3)


def test_what_a_child_yields_arrives() -> None:
    assert list(in_child(count_to, 3, patience=60)) == [0, 1, 2]


def test_a_child_that_dies_is_noticed() -> None:
    items = in_child(end_early, patience=60)

    assert next(items) == 1
    with pytest.raises(ChildEnded, match="died"):
        next(items)
