"""Small requests while hundreds of clients stall: are they still answered, and how fast?"""

from __future__ import annotations

import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.measure import Failure
from benchmarks.processes import Server, started, uvicorn
from benchmarks.report import Cell, Section
from benchmarks.works import BLOCK
from benchmarks.wsgi_on_asgi.contenders import CONTENDERS

TITLE = "Small requests while clients stall"

THREADS = 10
PATIENCE = 5.0  # seconds for one small answer

_DOWNLOAD = b"GET /download HTTP/1.1\r\nHost: localhost\r\n\r\n"
_UPLOAD = (
    b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (1 << 20)
) + BLOCK
_SMALL = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def run(*, quick: bool, advance: Callable[[str, float], None]) -> Section:
    """Measure all contenders; ``advance`` is told what was measured, and which part it is."""
    counts = [50] if quick else [50, 500]
    patience = 1.0 if quick else PATIENCE
    _allow_sockets(2 * max(counts) + 100)
    kinds = {"downloads": _DOWNLOAD} if quick else {"downloads": _DOWNLOAD, "uploads": _UPLOAD}
    rows: dict[str, dict[str, Cell]] = {}
    for count in counts:
        for kind, request in kinds.items():
            row = f"{count} stalled {kind}"
            cells = rows[row] = {}
            for name in CONTENDERS:
                try:
                    cells[name] = Cell(
                        _slowdown(name, request, count, 50 if quick else 300, patience)
                    )
                except Failure as failure:
                    cells[name] = Cell(note=str(failure))
                advance(f"{row}, {name}", 1 / (len(counts) * len(kinds) * len(CONTENDERS)))
    return Section(
        title=TITLE,
        unit="Median time of a small request as a multiple of the same adapter's without stalled "
        "clients; less is better",
        rows=rows,
        remarks=f"On Uvicorn, with {THREADS} threads: two servers, one of them with stalled "
        "clients, are asked in turns. A stalled client reads nothing of a download of 16 MiB, or "
        "sends 64 KiB of an upload of 1 MiB and no more.",
    )


def _slowdown(name: str, request: bytes, count: int, asked: int, patience: float) -> float:
    """Return how much longer a small request takes with so many stalled clients."""
    command = uvicorn(f"benchmarks.wsgi_on_asgi.served:stalling_{name}_{THREADS}")
    with ExitStack() as stack:
        calm, stalled = (stack.enter_context(started(*command)) for _ in range(2))
        try:
            calm.wait_until_it_answers()
            stalled.wait_until_it_answers()
        except RuntimeError:
            raise Failure("does not answer") from None
        stack.enter_context(_stalled_clients(stalled, request, count, patience))
        seconds: dict[Server, list[float]] = {calm: [], stalled: []}
        clients = {
            server: stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), patience)
            )
            for server in seconds
        }
        try:
            for _ in range(asked):
                for server, client in clients.items():
                    seconds[server].append(_ask(client))
        except OSError:
            raise Failure("stops answering") from None
    return statistics.median(seconds[stalled]) / statistics.median(seconds[calm])


@contextmanager
def _stalled_clients(server: Server, request: bytes, count: int, patience: float) -> Iterator[None]:
    """Send so many requests and stall; the block runs once the server is busy with none."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(patience)
            try:
                client.connect(("127.0.0.1", server.port))
                client.sendall(request)
            except OSError:
                raise Failure("stops answering") from None
        _wait_until_idle(server)
        yield


def _wait_until_idle(server: Server) -> None:
    """Wait until the server's process computes no more, 20 seconds at most."""
    status = Path(f"/proc/{server.process.pid}/stat")
    used, deadline = "", time.monotonic() + 20
    while time.monotonic() < deadline:
        before = used
        if status.exists():  # Linux; elsewhere three seconds must do
            used = " ".join(status.read_text("ascii").rpartition(")")[2].split()[11:13])
        else:
            deadline = min(deadline, time.monotonic() + 3)
        if used and used == before:
            return
        time.sleep(0.2)


def _ask(client: socket.socket) -> float:
    """Return how many seconds a small request takes on a kept connection."""
    begin = time.perf_counter()
    client.sendall(_SMALL)
    answer = b""
    while not answer.endswith(b"\r\n\r\nHello, world!"):
        part = client.recv(65536)
        answer += part
        if answer[9:12] not in (b"200", b""):
            raise Failure("answers with errors")
        if not part:
            raise ConnectionError("closed")
    return time.perf_counter() - begin


def _allow_sockets(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:  # the servers inherit it
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
