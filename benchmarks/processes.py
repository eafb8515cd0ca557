"""Servers as child processes: started by their own command lines, stopped by who started them."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

START_LIMIT = 20.0  # seconds


class Server(NamedTuple):
    """A server that was started."""

    port: int
    process: subprocess.Popen[bytes]

    def wait_until_it_answers(self) -> None:
        """Ask it until it answers.

        Raises:
            RuntimeError: It does not.
        """
        deadline = time.monotonic() + START_LIMIT
        while self.process.poll() is None and time.monotonic() < deadline:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as client:
                try:
                    client.request("GET", "/")
                    client.getresponse().read()
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)  # a server does not signal that it is ready, so ask again
                else:
                    return
        raise RuntimeError(f"does not answer: {self.process.args}")


@contextmanager
def started(module: str, *arguments: str) -> Iterator[Server]:
    """Run ``python -m module``, with ``{port}`` replaced in the arguments, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", module, *(part.format(port=port) for part in arguments)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:  # threads that wait for a client that never goes on
            process.kill()
            process.wait()


def uvicorn(app: str, loop: str = "uvloop") -> Sequence[str]:
    """Return `started`'s arguments for an ASGI application on one Uvicorn process."""
    fast = ["--loop", loop, "--http", "httptools", "--lifespan", "off", "--no-access-log"]
    return ["uvicorn", app, "--host", "127.0.0.1", "--port", "{port}", *fast]


def gunicorn(app: str, threads: int) -> Sequence[str]:
    """Return `started`'s arguments for a WSGI application on one Gunicorn worker with threads."""
    worker = ["--worker-class", "gthread", "--workers", "1", "--threads", str(threads)]
    return ["gunicorn", app, "--bind", "127.0.0.1:{port}", *worker, "--log-level", "critical"]


def waitress(app: str, threads: int) -> Sequence[str]:
    """Return `started`'s arguments for a WSGI application on Waitress."""
    return ["waitress", "--listen", "127.0.0.1:{port}", "--threads", str(threads), app]


def cheroot(app: str, threads: int) -> Sequence[str]:
    """Return `started`'s arguments for a WSGI application on Cheroot."""
    return ["cheroot", "--bind", "127.0.0.1:{port}", "--threads", str(threads), app]


def granian_wsgi(app: str, threads: int) -> Sequence[str]:
    """Return `started`'s arguments for a WSGI application on one Granian worker."""
    return [*_granian(app, "wsgi"), "--blocking-threads", str(threads)]


def granian_asgi(app: str) -> Sequence[str]:
    """Return `started`'s arguments for an ASGI application on one Granian worker with uvloop."""
    return [*_granian(app, "asginl"), "--loop", "uvloop"]


def _granian(app: str, interface: str) -> Sequence[str]:
    address = ["--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--no-ws"]
    return ["granian", app, "--interface", interface, *address, "--log-level", "critical"]
