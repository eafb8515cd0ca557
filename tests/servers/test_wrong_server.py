"""An adapter on a server of the other kind: its log says what to give to it instead."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import httpx
import pytest

from servers.needs import missing, require
from servers.processes import HANG, python, run_server, wait_until_it_listens

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")

_SITE = """\
from gatebridge import AsgiMounts, AsgiToWsgi, LifespanShim, WsgiMounts, WsgiToAsgi

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

to_asgi = WsgiToAsgi(wsgi)
to_wsgi = AsgiToWsgi(asgi)
asgi_mounts = AsgiMounts(asgi, {})
wsgi_mounts = WsgiMounts(wsgi, {})
shim = LifespanShim(to_asgi)
"""

# The server, its arguments ({} is the socket or port), the application, and what its log has.
_TO_ASGI = "WsgiToAsgi is for ASGI servers; give others the WSGI application: __call__() "
_TO_WSGI = "AsgiToWsgi is for WSGI servers; give others the ASGI application: __call__() "
_CASES = {
    "uvicorn": ("--fd={fd}", "to_wsgi", _TO_WSGI),
    "uvicorn asgi3": ("--fd={fd} --interface=asgi3", "to_wsgi", _TO_WSGI),
    "uvicorn mounts": ("--fd={fd}", "wsgi_mounts", "; give others AsgiMounts: "),
    "daphne": ("--port={port} --bind=127.0.0.1", "to_wsgi", _TO_WSGI),
    "granian": ("--port={port} --interface=asgi", "to_wsgi", _TO_WSGI),
    "granian wsgi": ("--port={port} --interface=wsgi", "to_asgi", _TO_ASGI),
    "gunicorn": ("--bind=fd://{fd}", "to_asgi", _TO_ASGI),
    "gunicorn gthread": ("--bind=fd://{fd} --threads=2", "to_asgi", _TO_ASGI),
    "gunicorn mounts": ("--bind=fd://{fd}", "asgi_mounts", "; give others WsgiMounts: "),
    "waitress": ("--listen=127.0.0.1:{port}", "shim", "; wrap it in AsgiToWsgi for others: "),
}


@pytest.mark.parametrize("case", _CASES)
def test_the_log_says_what_to_give_to_the_server(case: str) -> None:
    name = case.partition(" ")[0]
    arguments, application, message = _CASES[case]
    require(missing(name))
    inherits = "{fd}" in arguments

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "site_of_user.py").write_text(_SITE)
        port = listener.getsockname()[1]
        given = arguments.format(fd=listener.fileno(), port=port).split()
        return python(name, *given, f"site_of_user:{application}")

    with run_server(command, listen=inherits) as server:
        if not inherits:
            wait_until_it_listens(server)
        assert httpx.get(server.url, timeout=HANG, trust_env=False).status_code == 500
        server.stop()  # some log after they have answered
        assert message in server.output()


@pytest.mark.parametrize("application", ["to_asgi", "to_wsgi", "asgi_mounts", "wsgi_mounts"])
def test_hypercorn_serves_both_kinds(application: str) -> None:
    require(missing("hypercorn"))

    def command(folder: Path, listener: socket.socket) -> list[str]:
        (folder / "site_of_user.py").write_text(_SITE)
        bind = f"--bind=fd://{listener.fileno()}"
        return python("hypercorn", bind, f"site_of_user:{application}")

    with run_server(command) as server:
        assert httpx.get(server.url, timeout=HANG, trust_env=False).text == "hello"
