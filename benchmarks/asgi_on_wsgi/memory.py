"""What a large body costs in memory while its peer stalls: 1 GiB down, and 1 GiB up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.asgi_on_wsgi.apps import PLAIN
from benchmarks.asgi_on_wsgi.contenders import CONTENDERS
from benchmarks.asgi_on_wsgi.host import Body, Response, new_environ
from benchmarks.memory import STALL, above_idle, forget_peak, new_block, peak, with_a_stalled_peer
from benchmarks.processes import gunicorn, started
from benchmarks.report import Cell, Section
from benchmarks.works import BLOCK
from gatebridge.types import ASGIApplication, Receive, Scope, Send, WSGIApplication

THREADS = 8

_REMARKS = (
    "Download: the application sends new blocks of 64 KiB; the client takes 256 KiB, stalls for "
    f"{STALL:g} seconds, and takes the rest. Upload: the application begins to receive after "
    f"{STALL:g} seconds; the client has the whole body ready. On Gunicorn (gthread) neither "
    "side stalls, and idle is its worker process after an upload of 1 MiB."
)


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all contenders; ``advance`` is told what was measured, and which part it is."""
    section = with_a_stalled_peer(measure, CONTENDERS, _REMARKS, quick=quick, advance=advance)
    if section.rows and find_spec("gunicorn"):
        size = 16 if quick else 256
        section.rows[f"{size} MiB upload on Gunicorn"] = {
            name: _on_gunicorn(name, 16 * size) for name in CONTENDERS
        }
    return section


def _on_gunicorn(name: str, blocks: int) -> Cell:
    """Return how much memory an upload takes in the worker of a real server."""
    command = gunicorn(f"benchmarks.asgi_on_wsgi.served:upload_{name}_asyncio", THREADS)
    with started(*command) as server:
        try:
            server.wait_until_it_answers()
            master = server.process.pid
            children = Path(f"/proc/{master}/task/{master}/children").read_text("ascii")
            worker = Path("/proc") / children.split()[0]
            _post(server.port, 16)  # whatever is needed once
            forget_peak(worker)
            idle = peak(worker)
            _post(server.port, blocks)
            return Cell(peak(worker) - idle)
        except (OSError, HTTPException, RuntimeError, ValueError):
            return Cell(note="fails")


def _post(port: int, blocks: int) -> None:
    """Send a body, as fast as the server takes it.

    Raises:
        ValueError: The answer is not how long the body was.
    """
    size = blocks * len(BLOCK)
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("POST", "/", repeat(BLOCK, blocks), {"Content-Length": str(size)})
        answer = client.getresponse().read()
    if int(answer) != size:
        raise ValueError(f"{answer!r} instead of {size}")


def measure(name: str, direction: str, blocks: int, stall: float) -> Iterator[Cell]:
    """Yield the result of one contender; runs in a process of its own."""
    logging.disable()
    adapter = CONTENDERS[name](APPS[direction], "asyncio")
    serve(adapter, direction, 1, stall=0.0)  # whatever is needed once
    yield above_idle(partial(serve, adapter, direction, blocks, stall=stall))


class _NewBlocks(Body):
    """A body of which every part that is read is in memory of its own, as from a socket."""

    def read(self, size: int = -1) -> bytes:
        block = super().read(size)
        return new_block() if block is BLOCK else block


def serve(app: WSGIApplication, direction: str, blocks: int, stall: float) -> None:
    """Serve one request whose peer stalls once."""
    uploads = direction == "upload"
    environ = new_environ(blocks if uploads else 0, f"{blocks} {stall}")
    if uploads:
        environ["wsgi.input"] = _NewBlocks(blocks)
    response, taken, stalled = Response(), 0, False
    parts = app(environ, response.start_response)
    for part in parts:
        taken += int(part or 0) if uploads else len(part)
        if taken >= 4 * len(BLOCK) and not stalled:
            stalled = True
            time.sleep(stall)
        time.sleep(len(part) / 2**30)  # 1 GiB/s: an application alone is faster
    close = getattr(parts, "close", None)
    if close is not None:
        close()
    if response.status != "200 OK" or taken != blocks * len(BLOCK):
        raise ValueError(f"{response.status}, {taken} bytes of {blocks} blocks")


async def _download(scope: Scope, receive: Receive, send: Send) -> None:
    blocks, _ = _query(scope)
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    for _ in range(int(blocks)):
        await send({"type": "http.response.body", "body": new_block(), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _upload(scope: Scope, receive: Receive, send: Send) -> None:
    _, stall = _query(scope)
    await asyncio.sleep(float(stall))
    size, more = 0, True
    while more:
        message: Any = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    await send({"type": "http.response.body", "body": b"%d" % size, "more_body": False})


def _query(scope: Scope) -> list[bytes]:
    """Return the number of blocks and the seconds of the stall; refuse a lifespan."""
    query: bytes = scope["query_string"]
    return query.split()


APPS: dict[str, ASGIApplication] = {"download": _download, "upload": _upload}
