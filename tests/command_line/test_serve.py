"""``python -m gatebridge serve``: on Uvicorn, and on the standard library's server without it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gatebridge.__main__ import main
from gatebridge._command_line.serve import serve
from gatebridge._load import load
from servers.processes import HANG, python

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a process gracefully"),
]

_WITHOUT_UVICORN = """\
import sys
sys.modules["uvicorn"] = None
from gatebridge.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def without_uvicorn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let Uvicorn be not installed, here; SIGTERM is afterwards what it was."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def ask(url: str, content: bytes | Iterable[bytes] = b"body") -> str:
    return httpx.post(url, content=content, timeout=HANG, trust_env=False).text


def served_here(name: str, host: str = "127.0.0.1") -> tuple[str, str]:
    """Serve an application in this process until it is asked; return the answer, and what is said.

    The main thread serves, for it gets the signals; another one asks, and sends SIGTERM.
    """
    lines: list[str] = []
    answers: list[str] = []

    def client() -> None:
        try:
            answers.append(ask(lines[0].rpartition(": ")[2]))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=client)

    def say(line: str) -> None:
        lines.append(line)
        thread.start()

    assert serve(load(name), host, 0, say)
    thread.join(HANG)
    return answers[0], lines[0]


class Served:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], HANG)[0], "nothing was printed"
        return self.process.stdout.readline().rstrip("\n")

    def release(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def served(name: str, *, uvicorn: bool) -> Iterator[Served]:
    program = python("gatebridge") if uvicorn else [sys.executable, "-c", _WITHOUT_UVICORN]
    with (
        Path("output").open("w") as output,
        subprocess.Popen(
            [*program, "serve", name, "--port=0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            yield Served(process)
        finally:
            process.kill()


def wait_until_refused(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + HANG
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            with socket.create_connection(address, HANG) as connection:
                connection.sendall(b"\r\n")  # no request: the server closes the connection
                connection.recv(1)
        pytest.fail("it listens on")


@pytest.mark.usefixtures("without_uvicorn")
def test_a_wsgi_application_is_served_without_uvicorn() -> None:
    answer, line = served_here("site_of_test:wsgi")
    assert answer == "body in threads"
    assert line.startswith(
        "site_of_test:wsgi (WSGI) on the standard library's server: http://127.0.0.1:"
    )


@pytest.mark.usefixtures("without_uvicorn")
def test_it_is_served_over_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6")
    answer, line = served_here("site_of_test:wsgi", "::1")
    assert answer == "body in threads"
    assert ": http://[::1]:" in line


@pytest.mark.usefixtures("without_uvicorn")
def test_an_asgi_application_is_served_without_uvicorn_between_startup_and_shutdown() -> None:
    assert served_here("site_of_test:asgi")[0] == "startup"
    assert sys.modules["site_of_test"].history == ["startup", "shutdown"]


@pytest.mark.usefixtures("without_uvicorn")
def test_a_port_in_use_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "site_of_test:asgi", f"--port={port}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: 127.0.0.1:{port}: cannot listen there: ")
    assert sys.modules["site_of_test"].history == []


@pytest.mark.usefixtures("without_uvicorn")
def test_a_startup_that_fails_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "site_of_test:failing", "--port=0"]) == 1
    output = capsys.readouterr()
    assert output.err == "error: lifespan.startup.failed: no database\n"
    assert output.out == ""


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_response_that_is_under_way_is_finished(signal_: signal.Signals) -> None:
    """By the standard library's server; Uvicorn's own tests are its own business."""
    with served("site_of_test:held", uvicorn=False) as server:
        url = httpx.URL(server.line().rpartition(": ")[2])
        address = (url.host, url.port or 0)
        with (
            closing(socket.create_connection(address, HANG)) as client,
            closing(socket.create_connection(address, HANG)),  # sends nothing, and holds up nobody
        ):
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert server.line() == "asked"
            server.process.send_signal(signal_)
            wait_until_refused(address)
            server.release()
            with client.makefile("rb") as response:
                assert response.read().endswith(b" in threads")
        assert server.process.wait(HANG) == 0


@pytest.mark.clause("A-LIFE-05")
def test_the_shutdown_comes_after_the_responses_that_are_under_way() -> None:
    with served("site_of_test:mounts", uvicorn=False) as server:
        url = httpx.URL(server.line().rpartition(": ")[2])
        address = (url.host, url.port or 0)
        with closing(socket.create_connection(address, HANG)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert server.line() == "asked"
            server.process.terminate()
            wait_until_refused(address)
            server.release()
            assert [server.line(), server.line()] == ["answers", "startup shutdown"]
        assert server.process.wait(HANG) == 0


@pytest.mark.parametrize(
    ("name", "answer"),
    [("site_of_test:wsgi", "body in threads"), ("site_of_test:asgi", "startup")],
    ids=["WSGI", "ASGI"],
)
def test_it_is_served_by_uvicorn_if_that_is_installed(name: str, answer: str) -> None:
    pytest.importorskip("uvicorn")
    with served(name, uvicorn=True) as server:
        line = server.line()
        assert line.startswith(f"{name} ({name[-4:].upper()}) on Uvicorn: http://127.0.0.1:")
        assert ask(line.rpartition(": ")[2]) == answer
        server.process.terminate()
        assert server.process.wait(HANG) == 0


def test_a_startup_that_fails_on_uvicorn_is_1() -> None:
    pytest.importorskip("uvicorn")
    with served("site_of_test:failing", uvicorn=True) as server:
        assert server.process.wait(HANG) == 1
        assert "no database" in Path("output").read_text()


@pytest.mark.clause("W-ENV-20", "D-17")
@pytest.mark.usefixtures("without_uvicorn")
def test_the_application_is_told_that_there_is_one_process() -> None:
    assert served_here("site_of_test:processes")[0] == "of one"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param("processes", "of one", marks=pytest.mark.clause("W-ENV-20", "D-17")),
        pytest.param("wsgi", "body in threads", marks=pytest.mark.clause("D-13")),
    ],
)
def test_on_uvicorn_it_is_told_of_one_process_and_of_the_length_of_a_chunked_upload(
    name: str, answer: str
) -> None:
    pytest.importorskip("uvicorn")
    with served(f"site_of_test:{name}", uvicorn=True) as server:
        url = server.line().rpartition(": ")[2]
        assert ask(url, (part for part in (b"bo", b"dy"))) == answer
