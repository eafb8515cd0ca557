"""All of this direction: its parts, its targets, and what its report says of itself."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.inprocess import FLOOR
from benchmarks.loops import LOOPS
from benchmarks.report import Target
from benchmarks.suite import Rows, Suite, hop_target, inverse, number
from benchmarks.wsgi_on_asgi import busy, inprocess, memory, servers, stages, stalls

_PREFACE = """\
What each adapter costs beside gatebridge's `WsgiToAsgi`, and beside a bare hop to a thread and
back. All contenders of a row are measured in turns, round by round. A number is the median over the
rounds of the ratio within a round, so that a machine that changes its speed changes it for all.
Each contender is asked once for the right answer, byte by byte, before it is timed, and has 40
worker threads where it lets its user choose."""
_PACKAGES = [
    "gatebridge",
    "a2wsgi",
    "asgiref",
    "uvicorn",
    "hypercorn",
    "gunicorn",
    "waitress",
    "cheroot",
    "granian",
    "flask",
    "uvloop",
    "httptools",
]


def _in_process(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        alone = 1.6 if loop == "uvloop" else 1.3  # its own hop is shorter
        yield hop_target(rows, f"small, alone, {loop}", alone)
        for how in inprocess.CONCURRENCIES:
            yield hop_target(rows, f"64 KiB echo, {how}, {loop}", 1.4)
        for work, least in (("1000 × 1 KiB", 15), ("32 MiB upload", 2)):
            row = f"{work}, alone, {loop}"
            text = f"{row}: at least {least} × as fast as a2wsgi"
            yield Target(text, number(rows, row, "a2wsgi"), least, at_least=True)


def _by_stages(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        column = f"20 concurrent, {loop}"
        least = [
            number(rows, row, column)
            for row in (FLOOR, f"{stages.ENVIRON} alone", f"{stages.HEAD} alone")
        ]
        taken = number(rows, "gatebridge", column)
        known = [part for part in least if part is not None]
        measured = taken / sum(known) if taken and len(known) == len(least) else None
        text = f"small, {column}: at most 1.3 × the raw hop, {stages.ENVIRON} and {stages.HEAD}"
        yield Target(f"{text} alone, added up", measured, 1.3)


def _over_servers(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        row = f"Flask, 20 connections, {loop}"
        least = 0.9 if loop == "uvloop" else 0.85
        text = f"{row}: at least {least} of the requests per second on the event loop itself"
        yield Target(text, inverse(number(rows, row, servers.LIMIT)), least, at_least=True)
        text = f"{row}: at least 3 × the requests per second of Flask on Gunicorn gthread"
        yield Target(text, inverse(number(rows, row, servers.GUNICORN)), 3, at_least=True)
    row = "Flask, 20 connections, Granian"
    text = f"{row}: at least 0.85 of the requests per second of its WSGI interface"
    yield Target(text, inverse(number(rows, row, servers.GRANIAN)), 0.85, at_least=True)


def _slowest(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        row = f"Flask, 20 connections, {loop}"
        text = f"{row}: a 99th percentile of at most 1.5 × that on the event loop itself"
        yield Target(text, inverse(number(rows, row, servers.LIMIT)), 1.5)


def _in_memory(rows: Rows) -> Iterator[Target]:
    for row in rows:
        text = f"{row}, stalled peer: at most 4 MiB above idle"
        yield Target(text, number(rows, row, "gatebridge"), 4)


def _while_stalled(rows: Rows) -> Iterator[Target]:
    for row in rows:
        if row.startswith("500 "):
            text = f"{row}: a small request takes at most twice its time without them"
            yield Target(text, number(rows, row, "gatebridge"), 2)


def _while_busy(rows: Rows) -> Iterator[Target]:
    for loop in LOOPS:
        text = f"{busy.SUBMIT}, {loop}: at most 1 ms, however busy the workers are"
        longest = number(rows, f"{busy.SUBMIT}, {loop}", busy.LONGEST)
        yield Target(text, longest, 1)


SUITE = Suite(
    name="wsgi-to-asgi",
    title="WSGI applications on ASGI servers",
    preface=_PREFACE,
    packages=_PACKAGES,
    parts={
        "inprocess": inprocess.run,
        "stages": stages.run,
        "servers": servers.run,
        "memory": memory.run,
        "stalls": stalls.run,
        "busy": busy.run,
    },
    targets={
        "inprocess": _in_process,
        "stages": _by_stages,
        "servers": _over_servers,
        "latency": _slowest,
        "memory": _in_memory,
        "stalls": _while_stalled,
        "busy": _while_busy,
    },
)
