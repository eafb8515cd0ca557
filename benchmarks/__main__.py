"""Measure, show, and write the reports: ``python -m benchmarks [part ...]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import overview
from benchmarks.asgi_on_wsgi.suite import SUITE as ASGI_TO_WSGI
from benchmarks.chart import THEMES, chart
from benchmarks.record import Record
from benchmarks.report import Section, Target, markdown, section_table, target_table
from benchmarks.suite import Rows, Suite
from benchmarks.wsgi_on_asgi.suite import SUITE as WSGI_TO_ASGI

SUITES = {suite.name: suite for suite in (WSGI_TO_ASGI, ASGI_TO_WSGI)}
PARTS = list(dict.fromkeys(part for suite in SUITES.values() for part in suite.parts))
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = _arguments()
    console = Console()
    for name in arguments.directions:
        suite = SUITES[name]
        parts = [part for part in suite.parts if part in arguments.parts]
        if parts and not arguments.redraw:
            _report(suite, parts, console, arguments)
    records = {name: arguments.output / f"{name}.json" for name in SUITES}
    found = {name: Record.load(path) for name, path in records.items() if path.exists()}
    written = [
        path
        for name, record in found.items()
        for path in _write(SUITES[name], record, arguments.output)
    ]
    rows = overview.rows_of({SUITES[name].title: record.sections for name, record in found.items()})
    if rows:
        written += _draw(arguments.output / "overview", overview.TITLE, overview.UNIT, rows)
    for path in written:
        console.print(f"written: {os.path.relpath(path)}", soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        default="all",
        choices=[*PARTS, "all"],
        metavar="part",
        help=f"what to measure: {', '.join(PARTS)}; all by default",
    )
    parser.add_argument(
        "--direction",
        action="append",
        choices=SUITES,
        dest="directions",
        help="which adapter to measure; both by default",
    )
    parser.add_argument(
        "--redraw",
        action="store_true",
        help="measure nothing; make the reports and the charts anew of what was measured",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that all works")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="a folder for the reports and the charts"
    )
    arguments = parser.parse_args()
    arguments.directions = arguments.directions or list(SUITES)
    if "all" in arguments.parts:
        arguments.parts = PARTS
    if not any(
        part in SUITES[name].parts for name in arguments.directions for part in arguments.parts
    ):
        parser.error(f"not measured in that direction: {', '.join(arguments.parts)}")
    return arguments


def _report(
    suite: Suite, parts: Sequence[str], console: Console, arguments: argparse.Namespace
) -> None:
    """Measure some parts of one direction, and show and write what was found."""
    command = _command(parts if parts != list(suite.parts) else [], quick=arguments.quick)
    record = Record(
        command,
        arguments.quick,
        _measure(suite, parts, console, quick=arguments.quick),
        _versions(suite.packages),
    )
    for section in record.sections.values():
        console.print(section_table(section) if section.rows else "", section.remarks)
    targets = _targets(suite, record)
    if targets:
        console.print(target_table(targets))
    arguments.output.mkdir(parents=True, exist_ok=True)
    record.save(arguments.output / f"{suite.name}.json")


def _write(suite: Suite, record: Record, output: Path) -> Iterator[Path]:
    """Make the report and the charts of what was measured."""
    preface = [suite.preface, f"Measured by `{record.command}`."]
    if record.quick:
        preface.append("**A quick run: it shows that the suite works, and nothing else.**")
    path = output / f"{suite.name}.md"
    targets, sections = _targets(suite, record), record.sections.values()
    text = markdown(suite.title, "\n\n".join(preface), targets, sections, record.versions)
    path.write_text(text, "utf-8")
    yield path
    for part, section in record.sections.items():
        if section.rows and section.drawn:
            title = f"{suite.title}: {section.title.lower()}"
            yield from _draw(output / f"{suite.name}-{part}", title, section.unit, section.rows)


def _draw(path: Path, title: str, unit: str, rows: Rows) -> Iterator[Path]:
    for name, theme in THEMES.items():
        drawn = path.with_name(f"{path.name}-{name}.svg")
        drawn.write_text(chart(title, f"{unit}.", rows, theme), "utf-8")
        yield drawn


def _targets(suite: Suite, record: Record) -> list[Target]:
    return [] if record.quick else suite.targets_of(record.sections)


def _measure(
    suite: Suite, parts: Sequence[str], console: Console, *, quick: bool
) -> dict[str, Section]:
    columns = (
        TextColumn("{task.fields[part]:10}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    console.print(f"{suite.title}:")
    sections: dict[str, Section] = {}
    with Progress(*columns, console=console) as progress:
        tasks = {part: progress.add_task("", total=1, start=False, part=part) for part in parts}
        for part, task in tasks.items():
            progress.start_task(task)
            advance = partial(_advance, progress, task)
            found = suite.parts[part](quick=quick, advance=advance)
            sections |= {part: found} if isinstance(found, Section) else found
            progress.update(task, completed=1)  # the shares add up to a little less or more
    return sections


def _advance(progress: Progress, task: TaskID, what: str, share: float) -> None:
    progress.update(task, description=what, advance=share)


def _command(parts: Sequence[str], *, quick: bool) -> str:
    return " ".join(["python -m benchmarks", *parts, *(["--quick"] if quick else [])])


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {"Python": f"{platform.python_implementation()} {platform.python_version()}"}
    found["system"] = f"{platform.system()}, {os.cpu_count()} processors"
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


if __name__ == "__main__":
    main()
