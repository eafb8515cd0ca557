"""The tables of the features page, and those of the benchmarks' results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "features.md"

WSGI_ON_ASGI = "WSGI on ASGI"
ASGI_ON_WSGI = "ASGI on WSGI"
PACKAGES = "The package"

_EXPLANATION = re.compile(r"^- \*\*(.+?)\*\*", re.MULTILINE)
_VERSION = re.compile(r"^- (\S+) (\d+[\d.]*)$", re.MULTILINE)


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        title: The first cell of its head.
        columns: The other cells of its head.
        rows: The cells of each row by column, by the first cell of the row.
    """

    title: str
    columns: list[str]
    rows: dict[str, dict[str, str]]


def tables_of(page: Path) -> Iterator[Table]:
    """Yield the tables of a page, in their order."""
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")))
    for token in tokens:
        if token.type == "table_open":
            (title, *columns), *rows = _rows(tokens)
            yield Table(
                title,
                columns,
                {label: dict(zip(columns, cells, strict=True)) for label, *cells in rows},
            )


def _rows(tokens: Iterator[Token]) -> Iterator[list[str]]:
    for token in tokens:
        if token.type == "tr_open":
            row: list[str] = []
        elif token.type == "inline":
            row.append(token.content)
        elif token.type == "tr_close":
            yield row
        elif token.type == "table_close":
            return


def table(title: str, page: Path = PAGE) -> Table:
    """Return the only table of that title."""
    (found,) = [each for each in tables_of(page) if each.title == title]
    return found


def explanations() -> list[str]:
    """Return the labels that the page explains, in their order."""
    return _EXPLANATION.findall(PAGE.read_text("utf-8"))


def versions() -> dict[str, tuple[int, ...]]:
    """Return the versions that the page speaks of, by distribution."""
    return {name: as_numbers(text) for name, text in _VERSION.findall(PAGE.read_text("utf-8"))}


def as_numbers(version: str) -> tuple[int, ...]:
    """Return a version's leading numbers."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    assert match, version
    return tuple(map(int, match[0].split(".")))
