"""Measure, show, and write the reports: ``python -m benchmarks [part ...]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.asgi_to_wsgi.suite import SUITE as ASGI_TO_WSGI
from benchmarks.chart import chart
from benchmarks.report import Section, markdown, section_table, target_table
from benchmarks.suite import Suite
from benchmarks.wsgi_to_asgi.suite import SUITE as WSGI_TO_ASGI

SUITES = {suite.name: suite for suite in (WSGI_TO_ASGI, ASGI_TO_WSGI)}
PARTS = list(dict.fromkeys(part for suite in SUITES.values() for part in suite.parts))
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = _arguments()
    console = Console()
    for name in arguments.directions:
        suite = SUITES[name]
        parts = [part for part in suite.parts if part in arguments.parts]
        if parts:
            _report(suite, parts, console, arguments)


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
    sections = _measure(suite, parts, console, quick=arguments.quick)
    targets = [] if arguments.quick else suite.targets_of(sections)
    for section in sections.values():
        console.print(section_table(section) if section.rows else "", section.remarks)
    if targets:
        console.print(target_table(targets))
    preface = [suite.preface, _command(suite, parts, quick=arguments.quick)]
    if arguments.quick:
        preface.append("**A quick run: it shows that the suite works, and nothing else.**")
    arguments.output.mkdir(parents=True, exist_ok=True)
    panels = [panel for section in sections.values() for panel in section.panels]
    versions = _versions(suite.packages)
    files = {
        "md": markdown(suite.title, "\n\n".join(preface), targets, sections.values(), versions),
        "svg": chart(suite.title, f"{suite.title}: the numbers of {suite.name}.md.", panels),
    }
    for ending, text in files.items():
        path = arguments.output / f"{suite.name}.{ending}"
        path.write_text(text, "utf-8")
        console.print(f"written: {os.path.relpath(path)}", soft_wrap=True)


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
    sections = {}
    with Progress(*columns, console=console) as progress:
        tasks = {part: progress.add_task("", total=1, start=False, part=part) for part in parts}
        for part, task in tasks.items():
            progress.start_task(task)
            advance = partial(_advance, progress, task)
            sections[part] = suite.parts[part](quick=quick, advance=advance)
            progress.update(task, completed=1)  # the shares add up to a little less or more
    return sections


def _advance(progress: Progress, task: TaskID, what: str, share: float) -> None:
    progress.update(task, description=what, advance=share)


def _command(suite: Suite, parts: Sequence[str], *, quick: bool) -> str:
    words = ["python -m benchmarks", *([] if parts == list(suite.parts) else parts)]
    return f"Measured by `{' '.join([*words, '--quick'] if quick else words)}`."


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
