"""All of this direction: its parts, its targets, and what its report says of itself."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.asgi_on_wsgi import inprocess, memory, servers, stages
from benchmarks.loops import LOOPS
from benchmarks.report import Target
from benchmarks.suite import Rows, Suite, hop_target, number

_PREFACE = """\
What each adapter costs beside gatebridge's `AsgiToWsgi`, and beside a bare hop to the thread of an
event loop and back. All contenders of a row are measured in turns, round by round. A number is the
median over the rounds of the ratio within a round, so that a machine that changes its speed changes
it for all. Each contender is asked once for the right answer, byte by byte, before it is timed."""
_PACKAGES = [
    "gatebridge",
    "a2wsgi",
    "starlette",
    "gunicorn",
    "uvicorn",
    "uvloop",
    "httptools",
]


def _in_process(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        alone, together, upload = (1.6, 1.5, 1.2) if loop == "uvloop" else (1.4, 1.3, 2)
        yield hop_target(rows, f"small, alone, {loop}", alone)
        yield hop_target(rows, f"small, 10 threads, {loop}", together)
        for how in inprocess.CONCURRENCIES:
            yield hop_target(rows, f"64 KiB echo, {how}, {loop}", 1.4)
        for work, least in (("1000 × 1 KiB", 10), ("512 × 64 KiB", 3), ("32 MiB upload", upload)):
            row = f"{work}, alone, {loop}"
            text = f"{row}: at least {least} × as fast as a2wsgi"
            yield Target(text, number(rows, row, "a2wsgi"), least, at_least=True)


def _in_memory(rows: Rows) -> Iterator[Target]:
    for row in rows:
        text = f"{row}: at most 4 MiB above idle"
        yield Target(text, number(rows, row, "gatebridge"), 4)


SUITE = Suite(
    name="asgi-to-wsgi",
    title="ASGI applications on WSGI servers",
    preface=_PREFACE,
    packages=_PACKAGES,
    parts={
        "inprocess": inprocess.run,
        "stages": stages.run,
        "servers": servers.run,
        "memory": memory.run,
    },
    targets={"inprocess": _in_process, "memory": _in_memory},
)
