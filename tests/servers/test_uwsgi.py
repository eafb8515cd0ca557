"""An ASGI application on uWSGI, through the adapter; skipped where there is no uWSGI."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from servers import hosts
from servers.needs import missing, require
from servers.processes import HANG, ServerProcess, copy_packages, run_server

pytestmark = pytest.mark.direction("a2w")

Uwsgi = Callable[..., AbstractContextManager[ServerProcess]]


@pytest.fixture(params=["package", "distribution"])
def uwsgi(request: pytest.FixtureRequest) -> Uwsgi:
    """Return what runs uWSGI, as pip installs it or as the system's packages do."""
    program = hosts.PYUWSGI if request.param == "package" else hosts.UWSGI
    require(missing("pyuwsgi") if request.param == "package" else hosts.lacks_uwsgi())

    @contextmanager
    def run(
        *options: str, module: str = "servers.asgi_site", **environ: str
    ) -> Iterator[ServerProcess]:
        def command(folder: Path, listener: socket.socket) -> list[str]:
            port = listener.getsockname()[1]
            path = f"--pythonpath={copy_packages(folder)}"
            return [
                *(program, *hosts.uwsgi_plugin(program), path, f"--module={module}"),
                *(f"--http-socket=127.0.0.1:{port}", "--need-app", "--master", "--die-on-term"),
                *options,
            ]

        with run_server(command, listen=False, **environ) as server:
            yield server

    return run


def get(server: ServerProcess, path: str) -> httpx.Response:
    return httpx.get(server.url + path, timeout=HANG, trust_env=False)


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06", "A-LIFE-09")
@pytest.mark.parametrize("lazy", [False, True], ids=["preloaded", "lazy-apps"])
def test_a_worker_begins_anew_and_shuts_down_once(uwsgi: Uwsgi, lazy: bool) -> None:
    """What runs Python in the master when that forks may hang the worker (the page of servers)."""
    options = ["--lazy-apps"] * lazy
    with uwsgi("--threads=4", *options, **{"SITE_EARLY": "1"} if lazy else {}) as server:
        server.wait_for("loaded")
        assert get(server, "/background-at-exit").text == "done"
        process = int(get(server, "/").text.removeprefix("process "))
        assert get(server, "/").text == f"process {process}"
        assert server.stop()[-2:] == [(process, "background ended"), (process, "shutdown")]
        assert (server.history.count("startup"), server.history.count("shutdown")) == (1, 1)


@pytest.mark.clause("A-LIFE-05")
def test_a_reload_shuts_down(uwsgi: Uwsgi) -> None:
    with uwsgi("--threads=4") as server:
        server.wait_for("loaded")
        assert get(server, "/").status_code == 200
        process = server.wait_for("startup")
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_for("shutdown") == process


def test_a_file_and_an_upload(uwsgi: Uwsgi) -> None:
    with uwsgi("--threads=4") as server:
        server.wait_for("loaded")
        assert get(server, "/file").content == Path(__file__).with_name("asgi_site.py").read_bytes()
        answer = httpx.post(f"{server.url}/length", content=b"x" * 300_000, trust_env=False)
        assert answer.text == "300000 bytes"


def test_without_threads_it_is_an_error_and_no_half_frozen_service(uwsgi: Uwsgi) -> None:
    with uwsgi() as server:
        server.wait_for("loaded")
        if "threads support is disabled" in server.output():
            with pytest.raises(httpx.RemoteProtocolError):  # uWSGI then answers nothing
                get(server, "/")
            assert "UnavailableError: uwsgi: without its option" in server.output()
        else:  # newer versions have them by default
            assert get(server, "/").status_code == 200


def test_an_application_by_its_name(uwsgi: Uwsgi) -> None:
    name = {"GATEBRIDGE_APP": "servers.asgi_site:site"}
    with uwsgi("--threads=4", module="gatebridge.auto:wsgi", **name) as server:
        server.wait_for("loaded")
        assert get(server, "/").text.startswith("process ")
