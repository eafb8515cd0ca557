"""The benchmarks run, and what they make of their numbers is right. Nothing here is about speed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

for name in ("flask", "rich", "starlette"):
    pytest.importorskip(name)

ROOT = Path(__file__).parents[2]

from benchmarks.__main__ import main as benchmarks_main  # noqa: E402
from benchmarks.asgi_on_wsgi import apps as asgi_apps  # noqa: E402
from benchmarks.asgi_on_wsgi import host as wsgi_host  # noqa: E402
from benchmarks.asgi_on_wsgi import inprocess as a2w_inprocess  # noqa: E402
from benchmarks.asgi_on_wsgi import memory as a2w_memory  # noqa: E402
from benchmarks.asgi_on_wsgi import servers as a2w_servers  # noqa: E402
from benchmarks.asgi_on_wsgi.suite import SUITE as ASGI_TO_WSGI  # noqa: E402
from benchmarks.chart import MARKS, THEMES, chart, domain, groups_of, ticks  # noqa: E402
from benchmarks.child import ChildEnded, in_child  # noqa: E402
from benchmarks.inprocess import Results, cells  # noqa: E402
from benchmarks.loops import LOOPS  # noqa: E402
from benchmarks.measure import Failure, interleave, ratio  # noqa: E402
from benchmarks.record import Record  # noqa: E402
from benchmarks.report import (  # noqa: E402
    Cell,
    Section,
    Target,
    markdown,
    number_text,
)
from benchmarks.stages import Stage, remember  # noqa: E402
from benchmarks.suite import Suite  # noqa: E402
from benchmarks.threads import QUICK  # noqa: E402
from benchmarks.works import BLOCK, Work, WrongAnswer  # noqa: E402
from benchmarks.wrk import Answers, parse  # noqa: E402
from benchmarks.wsgi_on_asgi import apps as wsgi_apps  # noqa: E402
from benchmarks.wsgi_on_asgi import inprocess as w2a_inprocess  # noqa: E402
from benchmarks.wsgi_on_asgi.suite import SUITE as WSGI_TO_ASGI  # noqa: E402

from benchmarks import overview  # noqa: E402
from benchmarks import wrk as wrk_module  # noqa: E402
from gatebridge import AsgiToWsgi  # noqa: E402
from gatebridge.types import ASGIApplication, StartResponse, WSGIEnvironment  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a quick run has written to."""
    output = tmp_path_factory.mktemp("results")
    run_quickly("benchmarks", "inprocess", output=output)
    return output


def run_quickly(module: str, *arguments: str, output: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--quick", "--output", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.xdist_group("report")
@pytest.mark.parametrize(
    ("direction", "works", "concurrencies"),
    [
        ("wsgi-to-asgi", wsgi_apps.works, {"alone", "20 concurrent"}),
        ("asgi-to-wsgi", asgi_apps.works, {"alone", "10 threads"}),
    ],
)
def test_a_quick_run_reports_every_row_of_gatebridge_as_measured(
    report: Path,
    direction: str,
    works: Callable[..., list[Work[object]]],
    concurrencies: set[str],
) -> None:
    text = (report / f"{direction}.md").read_text("utf-8")
    lines = [cells_of(line) for line in text.splitlines() if ", asyncio |" in line]

    names = {work.name: work.in_one_piece for work in works(quick=True)}
    assert {line[0] for line in lines} == {
        f"{work}, {how}, asyncio" for work in names for how in concurrencies
    }
    header = next(line for line in text.splitlines() if "| gatebridge |" in line)
    columns = cells_of(header)
    assert {line[columns.index("gatebridge")] for line in lines} == {"1.00"}
    for line in lines:
        floor = line[columns.index("raw hop")]
        assert (floor != "-") == names[line[0].split(",")[0]]


@pytest.mark.xdist_group("report")
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("suite", [WSGI_TO_ASGI, ASGI_TO_WSGI], ids=lambda suite: suite.name)
def test_a_quick_run_draws_charts_with_a_name(report: Path, suite: Suite, theme: str) -> None:
    root = ET.parse(report / f"{suite.name}-inprocess-{theme}.svg").getroot()

    assert root.findtext(f"{SVG}title") == f"{suite.title}: in one process"
    assert root.findtext(f"{SVG}desc")
    assert "gatebridge" in {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.xdist_group("report")
def test_a_quick_run_draws_the_overview_of_both_directions(report: Path) -> None:
    root = ET.parse(report / "overview-light.svg").getroot()

    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert {"WSGI → ASGI", "ASGI → WSGI"} <= set(labels)
    assert labels.count("small") == 2


@pytest.mark.xdist_group("report")
def test_what_was_measured_is_drawn_again_without_measuring(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suite in (WSGI_TO_ASGI, ASGI_TO_WSGI):
        shutil.copy(report / f"{suite.name}.json", tmp_path)
    arguments = ["benchmarks", "--redraw", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)

    benchmarks_main()

    before, after = ({path.name: path.read_text("utf-8") for path in folder.iterdir()}
                     for folder in (report, tmp_path))  # fmt: skip
    assert after == before


def test_a_record_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    rows = {"small": {"gatebridge": Cell(1.0), "peer": Cell(700.0, "hangs", or_more=True)}}
    record = Record("make bench", False, {"part": Section("T", "U", rows, "R.")}, {"peer": "1"})

    record.save(tmp_path / "record.json")

    assert Record.load(tmp_path / "record.json") == record


def test_the_overview_has_every_row_that_its_rule_names() -> None:
    in_process = {
        f"{work}, {how}, {loop}": {"gatebridge": Cell(1.0), "raw hop": Cell(0.5), "a2wsgi": Cell(2)}
        for work in ("small", "large")
        for how in ("alone", "20 concurrent")
        for loop in ("asyncio", "uvloop")
    }
    servers = {"Flask, 20": {"gatebridge": Cell(1.0), "gunicorn": Cell(9.0), "a2wsgi": Cell(0.5)}}
    sections = {
        "servers": Section("", "", servers),
        "inprocess": Section("", "", in_process),
        "memory": Section("", "", {"1 GiB": {"gatebridge": Cell(1.0)}}),
    }

    rows = overview.rows_of({"WSGI applications on ASGI servers": sections})

    assert rows == {
        "WSGI → ASGI: Flask, 20": {"gatebridge": Cell(1.0), "a2wsgi": Cell(2.0)},
        "WSGI → ASGI: small": {"gatebridge": Cell(1.0), "a2wsgi": Cell(2)},
        "WSGI → ASGI: large": {"gatebridge": Cell(1.0), "a2wsgi": Cell(2)},
    }


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


def middles(root: ET.Element) -> dict[str, float]:
    """Return where the marks of a chart are, from the left, by contender."""
    places = {}
    for group in root.iter(f"{SVG}g"):
        name = (group.findtext(f"{SVG}title") or "").partition(":")[0]
        (mark,) = (part for part in group if part.tag != f"{SVG}title")
        corners = [float(corner.split(",")[0]) for corner in mark.get("points", "").split()]
        places[name] = (min(corners) + max(corners)) / 2 if corners else float(mark.attrib["cx"])
    return places


def test_a_mark_stands_at_its_number_on_a_logarithmic_scale() -> None:
    cells = {
        "gatebridge": Cell(1.0),
        "a2wsgi": Cell(10.0),
        "asgiref": Cell(100.0),
        "uvicorn": Cell(0.1),
        "hypercorn": Cell(note="<hangs>"),
    }

    root = ET.fromstring(chart("Title", "Unit.", {"small": cells}, THEMES["dark"]))

    places = middles(root)
    decade = places["a2wsgi"] - places["gatebridge"]
    assert decade > 30
    assert places["asgiref"] - places["a2wsgi"] == pytest.approx(decade, abs=0.2)
    assert places["gatebridge"] - places["uvicorn"] == pytest.approx(decade, abs=0.2)
    assert "hypercorn" not in places
    assert "<hangs>" in {text.text for text in root.iter(f"{SVG}text")}


def test_equal_numbers_do_not_hide_each_other() -> None:
    cells = {"gatebridge": Cell(1.0), "a2wsgi": Cell(1.0), "asgiref": Cell(1.01)}

    root = ET.fromstring(chart("Title", "Unit.", {"small": cells}, THEMES["light"]))

    marks = [next(iter(group)) for group in root.iter(f"{SVG}g")]
    assert len({mark.get("points") or mark.attrib["cy"] for mark in marks}) == 3


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a: x, 1", "a: y", "b: x", "b: z"], {"a": ["x, 1", "y"], "b": ["x", "z"]}),
        (["x, alone", "x, many", "y, alone", "y, many"], {key: ["alone", "many"] for key in "xy"}),
        (["x, alone", "x, many", "y, alone"], {"": ["x, alone", "x, many", "y, alone"]}),
        (["x, alone", "x, many"], {"": ["x, alone", "x, many"]}),
        (["x", "y"], {"": ["x", "y"]}),
    ],
)
def test_rows_are_grouped_if_every_group_has_several(
    names: list[str], expected: dict[str, list[str]]
) -> None:
    groups = groups_of({name: {"gatebridge": Cell(1.0)} for name in names})

    assert {group: list(rows) for group, rows in groups.items()} == expected


def test_words_instead_of_a_number_do_not_stand_on_the_scale() -> None:
    cells = {"gatebridge": Cell(1.0), "a2wsgi": Cell(note="hangs")}

    root = ET.fromstring(chart("Title", "Unit.", {"small": cells}, THEMES["light"]))

    (words,) = (text for text in root.iter(f"{SVG}text") if text.text == "hangs")
    assert (
        float(words.attrib["y"]) > float(root.findall(f".//{SVG}g/{SVG}circle")[0].attrib["cy"]) + 6
    )


def test_the_scale_holds_every_number_and_one() -> None:
    for numbers in ([], [1.0], [5.0, 50.0], [0.2, 0.3]):
        low, high = domain(numbers)
        assert all(low < number < high for number in [*numbers, 1.0])
        assert high / low >= 3.99


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.5, 6.0, [0.5, 1, 2, 5]), (0.09, 110.0, [0.1, 1, 10, 100])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_a_report_of_wrk_is_read_with_its_errors() -> None:
    output = """Running 3s test @ http://127.0.0.1:8000/
  Latency Distribution
     50%    1.10ms
     99%   12.50ms
  4321 requests in 3.01s, 0.55MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 321
Requests/sec:   1435.55
"""

    assert parse(output) == Answers(seconds=3.01, good=4000, bad=324, percentile=0.0125)


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


@pytest.mark.parametrize(
    ("suite", "works", "concurrencies"),
    [
        (WSGI_TO_ASGI, wsgi_apps.works, w2a_inprocess.CONCURRENCIES),
        (ASGI_TO_WSGI, asgi_apps.works, a2w_inprocess.CONCURRENCIES),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_target_in_one_process_speaks_of_a_row_that_is_measured(
    suite: Suite, works: Callable[..., list[Work[object]]], concurrencies: Iterable[str]
) -> None:
    cell = {"gatebridge": Cell(1.0), "raw hop": Cell(0.5), "a2wsgi": Cell(20.0)}
    rows = {
        f"{work.name}, {how}, {loop}": cell
        for work in works(quick=True)
        for how in concurrencies
        for loop in LOOPS
    }

    targets = suite.targets_of({"inprocess": Section("", "", rows)})

    assert len(targets) == (5 if suite is WSGI_TO_ASGI else 7) * len(LOOPS)
    assert {target.measured for target in targets} == {2.0, 20.0}
    assert {target.measured for target in targets if "raw hop" in target.text} == {2.0}


def test_at_load_the_yardstick_is_the_hop_and_both_translations() -> None:
    rows = {
        "raw hop": 1.0,
        "gatebridge": 1.8,
        "environ_from_scope alone": 0.3,
        "head_from_wsgi alone": 0.2,
    }
    cells = {row: {f"20 concurrent, {loop}": Cell(n) for loop in LOOPS} for row, n in rows.items()}

    targets = WSGI_TO_ASGI.targets_of({"stages": Section("", "", cells)})
    del cells["head_from_wsgi alone"]
    unknown = WSGI_TO_ASGI.targets_of({"stages": Section("", "", cells)})

    assert [target.measured for target in targets] == [pytest.approx(1.2)] * len(LOOPS)
    assert {target.verdict for target in targets} == {"met"}
    assert {target.verdict for target in unknown} == {"not measured"}


def test_every_target_over_servers_speaks_of_a_row_that_is_measured() -> None:
    from benchmarks.wsgi_on_asgi.servers import rows

    for table, number in (("servers", 0.5), ("latency", 2.0)):
        cells = {row.name: dict.fromkeys(row.commands, Cell(number)) for row in rows(quick=False)}
        targets = WSGI_TO_ASGI.targets_of({table: Section("", "", cells)})

        assert targets
        assert {target.measured for target in targets} == {1 / number}


def test_a_part_that_did_not_run_has_no_targets() -> None:
    rows = {"1 GiB upload": {"gatebridge": Cell(3.0)}}

    targets = ASGI_TO_WSGI.targets_of({"memory": Section("", "", rows)})

    assert [(target.measured, target.verdict) for target in targets] == [(3.0, "met")]


def test_a_failure_stands_in_the_cell_and_the_others_are_compared() -> None:
    row: Results = {
        "gatebridge": [2.0, 2.0, 2.0],
        "slow": [4.0, 4.0, 4.0],
        "lossy": Failure("wrong"),
    }

    assert cells(row) == {
        "gatebridge": Cell(1.0),
        "slow": Cell(2.0),
        "lossy": Cell(note="wrong"),
    }


class Lossy:
    """A WSGI application that gives the right answer, but for a few bytes."""

    def __init__(self, *blocks: bytes, status: str = "200 OK") -> None:
        self.blocks = blocks
        self.status = status
        self.closed = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self.status, [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)

    def close(self) -> None:
        self.closed = True


ECHO: Work[ASGIApplication] = Work("echo", asgi_apps.echo, lambda: BLOCK, blocks=1)


@pytest.mark.parametrize(
    "app",
    [
        Lossy(BLOCK[:-1]),
        Lossy(BLOCK[:-1], b"?"),
        Lossy(BLOCK, BLOCK),
        Lossy(BLOCK, status="500 Internal Server Error"),
    ],
    ids=["short", "changed", "twice", "error"],
)
def test_a_wsgi_contender_that_answers_wrong_is_found_out(app: Lossy) -> None:
    with pytest.raises(WrongAnswer):
        wsgi_host.check(app, ECHO)


def test_a_wsgi_contender_that_answers_right_passes_and_is_closed() -> None:
    app = Lossy(BLOCK[:1000], b"", BLOCK[1000:])

    wsgi_host.check(app, ECHO)

    assert app.closed


def test_a_short_answer_is_noticed_while_it_is_timed() -> None:
    with pytest.raises(WrongAnswer, match="65535 of 65536 bytes"):
        wsgi_host.serve(Lossy(BLOCK[:-1]), ECHO, len(BLOCK), 1)


def test_the_body_of_a_wsgi_request_is_the_same_however_it_is_read() -> None:
    whole, parts = wsgi_host.Body(3), wsgi_host.Body(3)

    assert whole.read() == BLOCK * 3
    assert b"".join(iter(partial(parts.read, 50000), b"")) == BLOCK * 3
    assert wsgi_host.Body(1).read(len(BLOCK)) == BLOCK


@pytest.mark.parametrize(
    ("error", "text"), [(WrongAnswer("1 of 2 bytes"), "wrong"), (ValueError("no"), "fails")]
)
def test_what_goes_wrong_in_a_thread_is_a_failure(error: Exception, text: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(Failure, match=text):
        a2w_inprocess.run_in_threads(fail, 2)


def test_a_contender_that_hangs_in_threads_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a2w_inprocess, "BATCH_LIMIT", 0.01)
    released = threading.Event()
    try:
        with pytest.raises(Failure, match="hangs"):
            a2w_inprocess.run_in_threads(lambda: released.wait(60), 2)
    finally:
        released.set()


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_a_stalled_peer_gets_and_sends_all_of_a_large_body(direction: str) -> None:
    with AsgiToWsgi(a2w_memory.APPS[direction]) as adapter:
        a2w_memory.serve(adapter, direction, 8, stall=0.0)


@pytest.mark.parametrize("direction", ["download", "upload"])
def test_a_part_that_is_missing_is_no_result_of_memory(direction: str) -> None:
    app = Lossy(BLOCK if direction == "download" else b"65536")

    with pytest.raises(ValueError, match="65536 bytes of 2 blocks"):
        a2w_memory.serve(app, direction, 2, stall=0.0)


@pytest.mark.parametrize("missing", ["wrk", "gunicorn"])
def test_without_a_client_or_a_server_the_report_says_so(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found = {"wrk": "/usr/bin/wrk", "gunicorn": "a spec"} | {missing: None}
    monkeypatch.setattr(shutil, "which", found.get)
    monkeypatch.setattr(a2w_servers, "find_spec", found.get)

    section = a2w_servers.run(quick=True, advance=lambda *_: None)

    assert isinstance(section, Section)
    assert not section.rows
    assert f"{missing} is not installed" in section.remarks.lower()


def test_every_contender_has_a_mark() -> None:
    from benchmarks.asgi_on_wsgi.contenders import CONTENDERS as ASGI
    from benchmarks.wsgi_on_asgi import servers as w2a_servers
    from benchmarks.wsgi_on_asgi.contenders import CONTENDERS as WSGI

    rows = w2a_servers.rows(quick=False)
    servers = {name for row in rows for name in row.commands}
    servers |= {a2w_servers.GUNICORN, a2w_servers.UVICORN}
    assert {*ASGI, *WSGI, "raw hop", *servers} <= MARKS.keys()


def test_a_stage_that_nothing_calls_is_not_taken_for_one_that_costs_nothing() -> None:
    stage = Stage("count", wrk_module, "parse", lambda: None)

    with pytest.raises(LookupError, match="count: nothing calls parse"):
        remember(stage, lambda: None)
    with pytest.raises(AttributeError, match="no_such_name"):
        remember(stage._replace(attribute="no_such_name"), lambda: None)


def test_a_remembered_stage_gives_a_copy_of_what_it_gave() -> None:
    class Owner:
        calls = 0

        def make(self, number: int) -> dict[str, int]:
            self.calls += 1
            return {"number": number}

    owner = Owner()
    replacement = remember(
        Stage("make", owner, "make", lambda: None), lambda: owner.make(1).clear()
    )

    replacement.function(2).clear()
    assert replacement.function(3) == {"number": 1}
    assert owner.make(4) == {"number": 4}
    assert owner.calls == 2


def test_a_quick_run_takes_requests_apart(tmp_path: Path) -> None:
    run_quickly("benchmarks", "stages", output=tmp_path)

    for direction, translations in (
        ("wsgi-to-asgi", ("environ_from_scope", "head_from_wsgi")),
        ("asgi-to-wsgi", ("scope_from_environ", "head_from_asgi")),
    ):
        text = (tmp_path / f"{direction}.md").read_text("utf-8")
        rows = {row[0]: row[1:] for line in text.splitlines() if (row := cells_of(line))}
        for name in ("both", *translations):
            figures = rows[f"gatebridge, {name} remembered"]
            assert len(figures) == 2 * len(LOOPS)
            assert all(float(figure.replace(",", "")) > 0 for figure in figures)
        for name in translations:
            assert len(rows[f"{name} alone"]) == 2 * len(LOOPS)
            assert any(row.startswith(f"{name}, ") for row in rows)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux: /proc")
def test_a_quick_run_measures_the_memory_of_a_real_server(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    run_quickly("benchmarks", "memory", "--direction", "asgi-to-wsgi", output=tmp_path)

    text = (tmp_path / "asgi-to-wsgi.md").read_text("utf-8")
    rows = {row[0]: row[1:] for line in text.splitlines() if (row := cells_of(line))}
    assert float(rows["16 MiB upload on Gunicorn"][0]) < 700


def test_a_quick_run_times_every_call_into_the_pool(tmp_path: Path) -> None:
    run_quickly("benchmarks", "busy", output=tmp_path)

    text = (tmp_path / "wsgi-to-asgi.md").read_text("utf-8")
    rows = {row[0]: row[1:] for line in text.splitlines() if (row := cells_of(line))}
    for loop in LOOPS:
        for name in ("WorkerPool.submit", "as much Python code", "time.sleep(0)"):
            median, rare, longest = map(float, rows[f"{name}, {loop}"])
            assert 0 < median <= rare <= longest


def test_the_longest_call_into_the_pool_is_held_to_a_millisecond() -> None:
    rows = {f"WorkerPool.submit, {loop}": {"longest": Cell(1.1)} for loop in LOOPS}

    targets = WSGI_TO_ASGI.targets_of({"busy": Section("", "", rows)})

    assert [target.verdict for target in targets] == ["not met"] * len(LOOPS)


async def test_the_limit_answers_the_right_bytes() -> None:
    from benchmarks.wsgi_on_asgi.apps import works
    from benchmarks.wsgi_on_asgi.contenders import OnEventLoop
    from benchmarks.wsgi_on_asgi.host import check

    for work in works(quick=True):
        await check(OnEventLoop(work.app), work)


def test_a_part_that_a_direction_has_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "stalls", "--direction", "asgi-to-wsgi"])

    with pytest.raises(SystemExit) as exit_info:
        benchmarks_main()

    assert exit_info.value.code == 2
    assert "not measured in that direction: stalls" in capsys.readouterr().err


def test_a_quick_run_compares_numbers_of_threads(tmp_path: Path) -> None:
    run_quickly("benchmarks.threads", output=tmp_path)

    text = (tmp_path / "threads.md").read_text("utf-8")
    rows = {row[0]: row[1:] for line in text.splitlines() if (row := cells_of(line))}
    for name in ("waits: requests per second", "computes 0.5 ms on the loop"):
        assert rows[name][0] == "1.00"
        assert len(rows[name]) == len(QUICK.threads)
    for kind in ("downloads", "uploads"):
        with_more_threads, with_no_more = rows[f"4 stalled {kind}"]
        assert float(with_more_threads) > 0
        assert with_no_more == "no answer"
    assert "running=0, stalled=4, waiting=0" in text
