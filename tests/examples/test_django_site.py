"""FastAPI in Django, as its example shows it, on real servers and with a real client."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from servers.processes import HANG, TESTS, ServerProcess, python, run_server

EXAMPLES = TESTS.parent / "examples"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")


def gunicorn(folder: Path, listener: socket.socket) -> list[str]:
    where = [f"--bind=fd://{listener.fileno()}", f"--worker-tmp-dir={folder}"]
    return python("gunicorn", *where, f"--chdir={EXAMPLES}", "--threads=8", "django_site")


@pytest.fixture(params=["gunicorn", "development server"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    if request.param == "gunicorn":
        if not find_spec("gunicorn"):
            pytest.skip("gunicorn is not installed")
        with run_server(gunicorn) as server:
            yield server
    else:
        ports: list[str] = []

        def command(folder: Path, listener: socket.socket) -> list[str]:
            ports.append(str(listener.getsockname()[1]))
            return ["env", f"PORT={ports[0]}", sys.executable, str(EXAMPLES / "django_site.py")]

        with run_server(command, listen=False) as server:
            yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client that waits for a server that does not listen yet, and reuses no connection.

    A server may close one whose request it has not read to the end, as the one without a token.
    """
    transport = httpx.HTTPTransport(retries=8, verify=False)
    headers = {"connection": "close"}
    with httpx.Client(
        base_url=server.url, timeout=HANG, transport=transport, headers=headers
    ) as client:
        yield client


def test_both_ways_of_mounting(client: httpx.Client, server: ServerProcess) -> None:
    asked = client.get("/api/me")
    assert (asked.status_code, asked.headers["location"]) == (302, "/sign-in?next=/api/me")

    ada = {"username": "ada", "password": "lovelace"}
    token = client.get("/sign-in").text
    token = client.post("/sign-in", data=ada, headers={"x-csrftoken": token}).text
    assert client.get("/api/me").json() == {"name": "ada"}

    refused = client.put("/api/upload", content=b"x")
    assert (refused.status_code, "CSRF" in refused.text) == (403, True)
    content = b"x" * 1_000_000
    taken = client.put("/api/upload", content=content, headers={"x-csrftoken": token})
    assert taken.json() == {"size": 1_000_000}

    with client.stream("GET", "/api/events") as response:
        assert next(response.iter_raw()) == b"data: 0\n\n"

    assert client.get("/status", follow_redirects=True).json() == {"opened": True}
    gunicorn = "gunicorn" in server.output()
    server.stop(signal.SIGTERM if gunicorn else signal.SIGINT)  # as one ends it
    assert server.process.returncode == 0
    assert "Traceback" not in server.output()
