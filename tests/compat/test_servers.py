"""The drop-in names on servers, as their users start them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from servers.processes import HANG, python, run_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")


def uvicorn(folder: Path, listener: socket.socket) -> list[str]:
    return python("uvicorn", f"--fd={listener.fileno()}", "compat.site:asgi")


def gunicorn(folder: Path, listener: socket.socket) -> list[str]:
    """With threads, and the adapter made before the worker is forked."""
    return python(
        "gunicorn",
        f"--bind=fd://{listener.fileno()}",
        f"--worker-tmp-dir={folder}",
        "--threads=4",
        "--preload",
        "compat.site:application",
    )


def waitress(folder: Path, listener: socket.socket) -> list[str]:
    source = (
        "import socket, waitress; from compat.site import application;"
        f"waitress.serve(application, sockets=[socket.socket(fileno={listener.fileno()})])"
    )
    return [sys.executable, "-c", source]


@pytest.fixture(params=[gunicorn, waitress], ids=lambda command: command.__name__)
def wsgi(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    if not find_spec(request.param.__name__):
        pytest.skip("is not installed")
    with run_server(request.param) as server, client_of(server.url) as client:
        yield client


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=HANG, trust_env=False)


def test_flask_mounted_in_fastapi_on_uvicorn() -> None:
    """As the documentation of FastAPI has it."""
    with run_server(uvicorn) as server, client_of(server.url) as client:
        assert client.get("/v2").json() == {"message": "Hello World"}
        answer = client.get("/v1/", params={"name": "Ada"}).json()
        assert answer == {"hello": "Ada", "prefix": "/v1"}
        answer = client.post("/v1/length", content=bytes(1_000_000)).json()
        assert answer == {"length": 1_000_000, "scope": "http"}


def test_fastapi_on_servers_with_threads(wsgi: httpx.Client) -> None:
    answer = wsgi.get("/").json()
    assert answer == {"own loop": True, "own startup": True, "path": "/"}
    assert wsgi.post("/length", content=bytes(1_000_000)).json() == 1_000_000
    assert wsgi.get("/stream").text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
