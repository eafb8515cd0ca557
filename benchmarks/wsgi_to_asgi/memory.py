"""What a large body costs in memory while its peer stalls: 1 GiB down, and 1 GiB up."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.child import ChildEnded, in_child
from benchmarks.report import Cell, Panel, Section
from benchmarks.wsgi_to_asgi.apps import BLOCK, PLAIN
from benchmarks.wsgi_to_asgi.contenders import CONTENDERS, THREADS
from benchmarks.wsgi_to_asgi.host import new_scope
from gatebridge.types import (
    ASGIApplication,
    Message,
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

CEILING = 700.0  # MiB above idle, at which a contender is stopped
PATIENCE = 60.0  # seconds for one contender and direction
STALL = 2.0  # seconds

_PROCESS = Path("/proc/self")


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all contenders; ``advance`` is told what was measured, and which part it is."""
    title = "Memory with a stalled peer"
    if not _PROCESS.exists():
        return Section(title, "Not measured", {}, remarks="This part needs Linux: /proc.")
    size = "64 MiB" if quick else "1 GiB"
    rows: dict[str, dict[str, Cell]] = {}
    for direction in _APPS:
        row = f"{size} {direction}"
        cells = rows[row] = {}
        for name in CONTENDERS:
            try:
                (cells[name],) = in_child(
                    measure, name, direction, 1024 if quick else 16384, patience=PATIENCE
                )
            except ChildEnded:
                cells[name] = Cell(note="hangs")
            advance(f"{row}, {name}", 1 / (len(_APPS) * len(CONTENDERS)))
    return Section(
        title=title,
        unit="MiB above the idle process, at the peak; less is better",
        rows=rows,
        panels=[Panel(title, "MiB above the idle process", rows, base=0.1)],
        remarks="Download: the application yields new blocks of 64 KiB; the client takes 256 KiB, "
        f"stalls for {STALL:g} seconds, and takes the rest. Upload: the application begins to read "
        f"after {STALL:g} seconds; the client has all at hand. Who takes more than {CEILING:g} MiB "
        "is stopped there.",
    )


def measure(name: str, direction: str, blocks: int) -> Iterator[Cell]:
    """Yield the result of one contender; runs in a process of its own."""
    logging.disable()
    adapter = CONTENDERS[name](_APPS[direction], THREADS)
    asyncio.run(_serve(adapter, direction, 1, stall=0.0))  # whatever is needed once
    with suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")  # the peak is from now on
    idle = _peak()
    ends: list[Cell] = []

    def serve() -> None:
        try:
            asyncio.run(_serve(adapter, direction, blocks, stall=STALL))
        except Exception:  # noqa: BLE001 - whatever it is, it is the result
            ends.append(Cell(note="fails"))
        else:
            ends.append(Cell(_peak() - idle))

    threading.Thread(target=serve, daemon=True).start()
    while not ends:
        time.sleep(0.02)
        if _peak() - idle > CEILING:
            ends.append(Cell(CEILING, or_more=True))
    yield ends[0]


async def _serve(app: ASGIApplication, direction: str, blocks: int, stall: float) -> None:
    """Serve one request whose peer stalls once."""
    taken = received = 0
    stalled = False
    uploads = blocks if direction == "upload" else 1
    over = asyncio.Event()

    async def receive() -> Message:
        nonlocal received
        if received == uploads:
            await over.wait()
            return {"type": "http.disconnect"}
        received += 1
        body = _new_block() if direction == "upload" else b""
        return {"type": "http.request", "body": body, "more_body": received < uploads}

    async def send(message: Message) -> None:
        nonlocal taken, stalled
        body = message.get("body", b"")
        taken += len(body) if direction == "download" else int(body or 0)
        if taken >= 4 * len(BLOCK) and not stalled:
            stalled = True
            await asyncio.sleep(stall)
        await asyncio.sleep(len(body) / 2**30)  # 1 GiB/s: an application alone is faster
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            over.set()

    query = f"{blocks} {stall}".encode()
    await app(new_scope(blocks if direction == "upload" else 0, query), receive, send)
    if not over.is_set() or taken != blocks * len(BLOCK):
        raise ValueError(f"{taken} bytes of {blocks} blocks")


def _download(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    blocks, _ = environ["QUERY_STRING"].split()
    return (_new_block() for _ in range(int(blocks)))


def _upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    _, stall = environ["QUERY_STRING"].split()
    time.sleep(float(stall))
    size = 0
    while block := environ["wsgi.input"].read(65536):
        size += len(block)
    start_response("200 OK", PLAIN)
    return [b"%d" % size]


_APPS: dict[str, WSGIApplication] = {"download": _download, "upload": _upload}


def _new_block() -> bytes:
    """Return a block in memory of its own, all of it written to."""
    return BLOCK[:32768] + BLOCK[32768:]


def _peak() -> float:
    """Return the most memory that this process has had resident, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", (_PROCESS / "status").read_text("ascii"))
    assert found is not None
    return int(found[1]) / 1024
