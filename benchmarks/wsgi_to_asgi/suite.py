"""All of this direction: its parts, its targets, and what its report says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from benchmarks.report import Section, Target
from benchmarks.wsgi_to_asgi import inprocess, memory, servers, stalls

NAME = "wsgi-to-asgi"
TITLE = "WSGI applications on ASGI servers"
PREFACE = """\
What each adapter costs beside gatebridge's `WsgiToAsgi`, and beside a bare hop to a thread and back.
All contenders of a row are measured in turns, round by round. A number is the median over the rounds
of the ratio within a round, so that a machine that changes its speed changes it for all. No contender
is timed before every byte of an answer of it was found right. Each one has 40 worker threads if it
lets its user choose, and the settings that serve it best."""
PACKAGES = [
    "gatebridge",
    "a2wsgi",
    "asgiref",
    "uvicorn",
    "hypercorn",
    "gunicorn",
    "flask",
    "uvloop",
    "httptools",
]


class Part(Protocol):
    """A module that measures one thing."""

    def __call__(self, *, quick: bool, advance: Advance) -> Section: ...


class Advance(Protocol):
    """Is told what was measured, and which part of the whole part it was."""

    def __call__(self, what: str, share: float, /) -> None: ...


PARTS: dict[str, Part] = {
    "inprocess": inprocess.run,
    "servers": servers.run,
    "memory": memory.run,
    "stalls": stalls.run,
}


def targets(sections: Mapping[str, Section]) -> list[Target]:
    """Return what of the targets the parts that ran can tell."""

    def cell(part: str, row: str, contender: str) -> float | None:
        found = sections[part].rows.get(row, {}).get(contender)
        return None if found is None else found.number

    def inverse(part: str, row: str, contender: str) -> float | None:
        number = cell(part, row, contender)
        return None if number is None else 1 / number

    found: list[Target] = []
    if "inprocess" in sections:
        for loop in inprocess.LOOPS:
            for how, bound in (("alone", 1.3), ("20 concurrent", 1.5)):
                measured = inverse("inprocess", f"small, {how}, {loop}", inprocess.FLOOR)
                text = f"small, {how}, {loop}: at most {bound} × the time of the raw hop"
                found.append(Target(text, measured, bound))
            for work, bound in (("1000 × 1 KiB", 15), ("32 MiB upload", 2)):
                measured = cell("inprocess", f"{work}, alone, {loop}", "a2wsgi")
                text = f"{work}, alone, {loop}: at least {bound} × as fast as a2wsgi"
                found.append(Target(text, measured, bound, at_least=True))
    if "servers" in sections:
        measured = inverse("servers", "Flask, 20 connections", servers.GUNICORN)
        text = "Flask on Uvicorn: at least 3 × the requests per second of Gunicorn gthread"
        found.append(Target(text, measured, 3, at_least=True))
    if "memory" in sections:
        for row, cells in sections["memory"].rows.items():
            number = cells["gatebridge"].number
            found.append(Target(f"{row}, stalled: at most 4 MiB above idle", number, 4))
    if "stalls" in sections:
        for row, cells in sections["stalls"].rows.items():
            if row.startswith("500 "):
                text = f"{row}: a small request takes at most twice its time without them"
                found.append(Target(text, cells["gatebridge"].number, 2))
    return found
