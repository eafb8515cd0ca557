"""Measure, show, and write the report: ``python -m benchmarks [part ...]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.chart import chart
from benchmarks.report import Section, markdown, section_table, target_table
from benchmarks.wsgi_to_asgi import suite

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = _arguments()
    parts = list(suite.PARTS) if arguments.parts == "all" else arguments.parts
    console = Console()
    sections = _measure(parts, console, quick=arguments.quick)
    targets = [] if arguments.quick else suite.targets(sections)
    for section in sections.values():
        console.print(section_table(section) if section.rows else "", section.remarks)
    if targets:
        console.print(target_table(targets))
    preface = [suite.PREFACE, _command(parts, quick=arguments.quick)]
    if arguments.quick:
        preface.append("**A quick run: it shows that the suite works, and nothing else.**")
    arguments.output.mkdir(parents=True, exist_ok=True)
    panels = [panel for section in sections.values() for panel in section.panels]
    files = {
        "md": markdown(suite.TITLE, "\n\n".join(preface), targets, sections.values(), _versions()),
        "svg": chart(suite.TITLE, f"{suite.TITLE}: the numbers of {suite.NAME}.md.", panels),
    }
    for ending, text in files.items():
        path = arguments.output / f"{suite.NAME}.{ending}"
        path.write_text(text, "utf-8")
        console.print(f"written: {os.path.relpath(path)}", soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        default="all",
        choices=[*suite.PARTS, "all"],
        metavar="part",
        help=f"what to measure: {', '.join(suite.PARTS)}; all by default",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that all works")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="a folder for the report and the chart"
    )
    return parser.parse_args()


def _measure(parts: Sequence[str], console: Console, *, quick: bool) -> dict[str, Section]:
    columns = (
        TextColumn("{task.fields[part]:10}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    sections = {}
    with Progress(*columns, console=console) as progress:
        tasks = {part: progress.add_task("", total=1, start=False, part=part) for part in parts}
        for part, task in tasks.items():
            progress.start_task(task)
            advance = partial(_advance, progress, task)
            sections[part] = suite.PARTS[part](quick=quick, advance=advance)
    return sections


def _advance(progress: Progress, task: TaskID, what: str, share: float) -> None:
    progress.update(task, description=what, advance=share)


def _command(parts: Sequence[str], *, quick: bool) -> str:
    words = ["python -m benchmarks", *([] if parts == list(suite.PARTS) else parts)]
    return f"Measured by `{' '.join([*words, '--quick'] if quick else words)}`."


def _versions() -> dict[str, str]:
    found = {"Python": f"{platform.python_implementation()} {platform.python_version()}"}
    found["system"] = f"{platform.system()}, {os.cpu_count()} processors"
    for package in suite.PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


if __name__ == "__main__":
    main()
