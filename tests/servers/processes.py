"""Servers in processes of their own, stopped whatever happens, and the records of asgi_site."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import gatebridge

HANG = 20  # seconds after which a wait is a failure with a name, not a stuck run

TESTS = Path(__file__).parents[1]
PATHS = [Path(gatebridge.__file__).parents[1], TESTS]  # of what a server imports


class ServerProcess:
    """A running server.

    Args:
        process: It.
        port: Where it listens.
        folder: Has the named pipe, the output, and whatever else the server needs.
        pipe: The descriptor of the named pipe.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, folder: Path, pipe: int
    ) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.records: list[tuple[int, str]] = []
        """Those not yet waited for: process, and what happened."""
        self.history: list[str] = []
        """What has happened, in any process."""
        self._folder = folder
        self._pipe = pipe
        self._unread = b""

    def wait_for(self, what: str) -> int:
        """Wait for a record, and return whose it is; those before it are forgotten."""
        deadline = time.monotonic() + HANG
        while True:
            while self.records:
                process, happened = self.records.pop(0)
                if happened == what:
                    return process
            assert self._read(deadline - time.monotonic()), f"no {what!r}; {self.output()}"

    def stop(self, signal_: signal.Signals = signal.SIGTERM) -> list[tuple[int, str]]:
        """Let the server end, and return all records not yet waited for."""
        self.process.send_signal(signal_)
        self.process.wait(HANG)
        while self._read(0):
            pass
        return self.records

    def output(self) -> str:
        """Return what the server has written."""
        return (self._folder / "output").read_text(errors="replace")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANG)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._pipe], [], [], max(seconds, 0))[0]:
            return False
        *lines, self._unread = (self._unread + os.read(self._pipe, 65536)).split(b"\n")
        for line in lines:
            process, what = line.decode().split(" ", 1)
            self.records.append((int(process), what))
            self.history.append(what)
        return True


Command = Callable[[Path, socket.socket], Sequence[str]]
"""Given the folder and the listening socket, returns what to run."""


@contextlib.contextmanager
def run_server(command: Command, *, listen: bool = True, **environ: str) -> Iterator[ServerProcess]:
    """Run a server; it is killed, with what it started, if it has not ended by itself.

    Args:
        command: What to run.
        listen: Whether the server inherits the socket, which then takes connections at once. If
            not, it is only told the port.
        environ: Added to the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="gatebridge-"))
    folder.chmod(0o755)  # Apache does not stay root
    records = folder / "records"
    os.mkfifo(records)
    records.chmod(0o666)
    pipe = os.open(records, os.O_RDWR)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if listen:
        listener.listen(100)
    arguments = command(folder, listener)
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, PATHS)),
        **environ,
        "HOME": str(folder),
        "SITE_RECORDS": str(records),
    }
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            arguments,
            env=variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()] if listen else [],
            start_new_session=True,
        )
    if listen:
        listener.close()  # so that nobody waits at it if the process ends before its time
    # Otherwise it keeps the port from others, but not from the server, until the end.
    try:
        yield ServerProcess(process, port, folder, pipe)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        listener.close()
        os.close(pipe)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_listens(server: ServerProcess) -> None:
    """Wait for a server that did not inherit its socket."""
    deadline = time.monotonic() + HANG
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return server.connect().close()
        time.sleep(0.02)  # nothing else tells
    raise AssertionError(server.output())


def copy_packages(folder: Path) -> Path:
    """Copy all that asgi_site imports, for the Python of a server that may read nothing else."""
    target = folder / "packages"
    target.mkdir()
    shutil.copytree(TESTS / "servers", target / "servers")
    shutil.copytree(PATHS[0] / "gatebridge", target / "gatebridge")
    for name in ("anyio", "idna", "sniffio", "exceptiongroup", "typing_extensions"):
        found = find_spec(name)
        if found is None or found.origin is None:
            continue  # what newer versions do not need
        origin = Path(found.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, target / name)
        else:
            shutil.copy(origin, target)
    return target


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
