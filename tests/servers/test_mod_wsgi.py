"""An ASGI application in Apache's mod_wsgi, through the adapter; skipped where there is none."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from servers.hosts import APACHE, APACHE_MODULES, lacks_mod_wsgi
from servers.needs import require
from servers.processes import HANG, ServerProcess, copy_packages, run_server

pytestmark = pytest.mark.direction("a2w")

CONFIGURATION = """\
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/output
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
WSGISocketPrefix {folder}/wsgi
WSGIDaemonProcess site home={folder} processes=1 threads=5 python-path={packages}
WSGIPythonPath {packages}
WSGIChunkedRequest On
WSGIScriptAlias / {script} {where}
WSGIImportScript {script} {where}
<Directory {packages}>
Require all granted
</Directory>
"""


@contextmanager
def apache(where: str) -> Iterator[ServerProcess]:
    """Run Apache until it has loaded the application."""
    require(lacks_mod_wsgi())

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "apache.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                port=listener.getsockname()[1],
                user="User www-data\nGroup www-data" * (os.getuid() == 0),
                modules=APACHE_MODULES,
                packages=copy_packages(folder),
                script=folder / "packages" / "servers" / "asgi_site.py",
                where=where,
            )
        )
        return [APACHE, "-f", str(folder / "apache.conf"), "-DFOREGROUND"]

    with run_server(command, listen=False) as server:
        server.wait_for("loaded")
        yield server


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06")
@pytest.mark.parametrize(
    "where",
    [
        "process-group=site application-group=%{GLOBAL}",
        "process-group=site application-group=one",
        "process-group=%{GLOBAL} application-group=%{GLOBAL}",
    ],
    ids=["daemon", "daemon-sub-interpreter", "embedded"],
)
def test_a_process_serves_and_shuts_down_once(where: str) -> None:
    with (
        apache(where) as server,
        httpx.Client(base_url=server.url, timeout=HANG, trust_env=False) as client,
    ):
        assert client.post("/length", content=b"x" * 300_000).text == "300000 bytes"
        process = server.wait_for("startup")
        assert client.post("/length", content=iter([b"x" * 1000] * 100)).text == "100000 bytes"
        assert client.get("/file").content == Path(__file__).with_name("asgi_site.py").read_bytes()
        assert client.get("/background-at-exit").text == "done"
        assert client.get("/").text == f"process {process}"
        client.close()
        records = [what for who, what in server.stop(signal.SIGTERM) if who == process]
        assert records == ["background ended", "shutdown"]
