"""What a large body costs in memory while its peer stalls: 1 GiB down, and 1 GiB up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator

from benchmarks.memory import STALL, above_idle, new_block, with_a_stalled_peer
from benchmarks.report import Cell, Section
from benchmarks.works import BLOCK
from benchmarks.wsgi_on_asgi.apps import PLAIN
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS, THREADS
from benchmarks.wsgi_on_asgi.host import new_scope
from gatebridge.types import (
    ASGIApplication,
    Message,
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

_REMARKS = (
    "Download: the application yields new blocks of 64 KiB; the client takes 256 KiB, stalls for "
    f"{STALL:g} seconds, and takes the rest. Upload: the application begins to read after "
    f"{STALL:g} seconds; the client has the whole body ready."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all contenders; ``advance`` is told what was measured, and which part it is."""
    return with_a_stalled_peer(measure, CONTENDERS, _REMARKS, quick=quick, advance=advance)


def measure(name: str, direction: str, blocks: int, stall: float) -> Iterator[Cell]:
    """Yield the result of one contender; runs in a process of its own."""
    logging.disable()
    adapter = CONTENDERS[name](_APPS[direction], THREADS)
    asyncio.run(_serve(adapter, direction, 1, stall=0.0))  # whatever is needed once
    yield above_idle(lambda: asyncio.run(_serve(adapter, direction, blocks, stall=stall)))


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
        body = new_block() if direction == "upload" else b""
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
    return (new_block() for _ in range(int(blocks)))


def _upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    _, stall = environ["QUERY_STRING"].split()
    time.sleep(float(stall))
    size = 0
    while block := environ["wsgi.input"].read(65536):
        size += len(block)
    start_response("200 OK", PLAIN)
    return [b"%d" % size]


_APPS: dict[str, WSGIApplication] = {"download": _download, "upload": _upload}
