"""What the demo shows: a table of what was asked, and whether the answer was right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

TIMEOUT = 30.0  # seconds, for each thing that may take time


class Answer(NamedTuple):
    """A row of the table: what was asked, what was answered, and whether that is right."""

    asked: str
    status: int
    size: int
    checked: str
    right: bool


def show(
    title: str,
    served: Callable[[], AbstractContextManager[str]],
    ask: Callable[[httpx.Client], Iterator[Answer]],
) -> bool:
    """Show a table of requests and answers; return whether all came, and every one was right."""
    table = Table(title=title)
    for column in ("asked", "status", "bytes", "checked", ""):
        table.add_column(column, justify="right" if column in ("status", "bytes") else "left")
    all_right = True
    try:
        with served() as base_url, httpx.Client(base_url=base_url, timeout=TIMEOUT) as client:
            for asked, status, size, checked, right in ask(client):
                verdict = "[green]right[/]" if right else "[red]WRONG[/]"
                table.add_row(asked, str(status), f"{size:,}", checked, verdict)
                all_right &= right
    except httpx.RequestError as error:
        asked = f"{error.request.method} {error.request.url.path}"
        table.add_row(asked, "", "", escape(repr(error)), "[red]WRONG[/]")
        all_right = False
    Console().print(table)
    return all_right
