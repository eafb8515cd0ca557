"""Each example on its servers, started by the command that it names, and asked as it says."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from servers.processes import HANG, Command, ServerProcess, python, run_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def anyio_backend() -> str:
    """Run clients on one event loop only: it is servers that are tested here."""
    return "asyncio"


def require(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package)


def uvicorn(app: str) -> Command:
    def command(folder: Path, listener: socket.socket) -> list[str]:
        descriptor = f"--fd={listener.fileno()}"
        return python("uvicorn", f"--app-dir={EXAMPLES}", descriptor, app)

    return command


def gunicorn(app: str, *options: str) -> Command:
    def command(folder: Path, listener: socket.socket) -> list[str]:
        return python(
            "gunicorn",
            *(f"--bind=fd://{listener.fileno()}", f"--worker-tmp-dir={folder}"),
            *(f"--chdir={EXAMPLES}", *options, app),
        )

    return command


def script(name: str) -> Command:
    """Run an example that serves by itself, with the socket that Werkzeug is told to inherit."""

    def command(folder: Path, listener: socket.socket) -> list[str]:
        inherit = f"WERKZEUG_SERVER_FD={listener.fileno()}"
        return ["env", "WERKZEUG_RUN_MAIN=true", inherit, sys.executable, str(EXAMPLES / name)]

    return command


@contextmanager
def served(
    command: Command, *lines: str, stop: signal.Signals = signal.SIGTERM, clean: bool = True
) -> Iterator[ServerProcess]:
    """Serve, stop, and compare what the example has printed."""
    with run_server(command) as server:
        try:
            yield server
        finally:
            server.stop(stop)
            sys.stdout.write(server.output())  # for whoever reads a failure
        # Without buffers, a line of another process may come between this one and its end.
        printed = re.findall(r"(?:the MCP server|FastAPI|Flask) is (?:up|down)", server.output())
        assert printed == list(lines), server.output()
        assert server.process.returncode in (0, -stop)  # Uvicorn ends by the signal that it got
        assert not clean or "Traceback" not in server.output()


def get(server: ServerProcess, path: str, **options: Any) -> httpx.Response:
    return httpx.get(server.url + path, timeout=HANG, trust_env=False, **options)


def test_flask_on_uvicorn() -> None:
    require("flask", "uvicorn")
    with served(uvicorn("flask_on_uvicorn:app")) as server:
        assert "Good morning" in get(server, "/").text
        assert len(get(server, "/download?blocks=3").content) == 3 * len(b"gatebridge " * 1024)
        upload = httpx.post(
            f"{server.url}/upload",
            data={"title": "Invoice"},
            files={"file": ("invoice.pdf", b"x" * 100_000)},
            trust_env=False,
        )
        assert upload.json().items() >= {"title": "Invoice", "size": 100_000}.items()


def test_fastapi_on_gunicorn() -> None:
    require("fastapi", "gunicorn")
    options = ["--worker-class=gthread", "--threads=8"]
    with served(gunicorn("fastapi_on_wsgiref:app", *options)) as server:
        assert get(server, "/").json() == {"greeting": "Good evening", "packed": []}


def test_flask_in_fastapi() -> None:
    require("flask", "fastapi", "uvicorn")
    lines = ["FastAPI is up", "Flask is up", "Flask is down", "FastAPI is down"]
    with served(uvicorn("flask_in_fastapi:app"), *lines) as server:
        assert get(server, "/").json() == {"greeting": "Good evening"}
        assert get(server, "/shop/").json() == {"books": ["Faust", "Emma"], "here": "/shop/"}
        assert get(server, "/nowhere").json() == {"detail": "Not Found"}  # FastAPI's
        assert "<h1>Not Found</h1>" in get(server, "/shop/nowhere").text  # Flask's


MCP_ON_GUNICORN = gunicorn("mcp_in_flask:app", f"--config={EXAMPLES / 'gunicorn_conf.py'}")
MCP_LINES = ("the MCP server is up", "the MCP server is down")


@pytest.mark.parametrize("name", ["gunicorn", "werkzeug"])
@pytest.mark.parametrize("mode", ["legacy", "auto"])  # with sessions, and without
async def test_mcp_in_flask(name: str, mode: Any) -> None:
    """Two clients at a time: one's tool waits for the other's, having told of its progress."""
    require("flask", name)
    mcp = pytest.importorskip("mcp")
    command = MCP_ON_GUNICORN if name == "gunicorn" else script("mcp_in_flask.py")
    stop = signal.SIGTERM if name == "gunicorn" else signal.SIGINT
    with served(command, *MCP_LINES, stop=stop) as server:
        url = f"{server.url}/mcp/"
        with anyio.fail_after(HANG):
            async with mcp.Client(url, mode=mode) as client, mcp.Client(url, mode=mode) as other:
                tools = (await client.list_tools()).tools
                assert [tool.name for tool in tools] == ["order", "ship", "carrier"]

                async def call(caller: Any, tool: str, **options: Any) -> str:
                    result = await caller.call_tool(tool, **options)
                    assert not result.is_error
                    return str(result.content[0].text)

                for item in ("book", "pen"):
                    ordered = await call(client, "order", arguments={"item": item})
                    assert ordered == f"{item} is ordered"
                assert get(server, "/").json() == {"orders": ["book", "pen"]}  # Flask's

                progress: list[Any] = []
                carrier_is_told = anyio.Event()

                async def told(*what: Any) -> None:
                    progress.append(what)
                    if len(progress) == 2:  # only then does the tool end
                        assert await call(other, "carrier") == "on the way"
                        carrier_is_told.set()

                shipped = await call(client, "ship", progress_callback=told)
                assert shipped == "shipped: book, pen"
                assert progress == [(1, 2, "book is packed"), (2, 2, "pen is packed")]
                await carrier_is_told.wait()


async def test_a_client_that_stays_does_not_keep_mcp_in_flask_from_shutting_down() -> None:
    require("flask", "gunicorn")
    mcp = pytest.importorskip("mcp")
    with served(MCP_ON_GUNICORN, *MCP_LINES, clean=False) as server, anyio.fail_after(HANG):
        async with mcp.Client(f"{server.url}/mcp/") as client:
            await client.call_tool("order", {"item": "book"})

            async def told(*_: Any) -> None:
                await anyio.to_thread.run_sync(server.stop)  # while the response is open

            with pytest.raises(mcp.MCPError, match="stream ended"):
                await client.call_tool("ship", progress_callback=told)
