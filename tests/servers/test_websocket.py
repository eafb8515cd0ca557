"""WebSockets on real WSGI servers, as a client on the network sees them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol
from werkzeug.serving import make_server

from gatebridge import AsgiToWsgi
from servers import websocket_app
from servers.needs import missing, require

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-42", "C-08")]

HANG = 10  # seconds
_TESTS = Path(__file__).parents[1]


@contextmanager
def _werkzeug(_: Path) -> Iterator[int]:
    with AsgiToWsgi(websocket_app.app) as adapter:
        server = make_server("127.0.0.1", 0, adapter, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(HANG)
            server.server_close()
    assert not thread.is_alive()


@contextmanager
def _gunicorn(home: Path) -> Iterator[int]:
    """Run Gunicorn with threads; it inherits the listening socket, so that there is no wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            *(sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--threads=4"),
            *(f"--bind=fd://{listener.fileno()}", "servers.websocket_app:application"),
        ]
        process = subprocess.Popen(
            command,
            cwd=_TESTS,
            env={**os.environ, "HOME": str(home)},  # where it keeps a socket of its own
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            log, _ = process.communicate(timeout=60)
            sys.stdout.write(log.decode())  # for whoever reads a failure
    assert process.returncode == 0


_SERVERS = {"werkzeug": _werkzeug, "gunicorn": _gunicorn}


@pytest.fixture(scope="module", params=_SERVERS)
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    require(missing(request.param))
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with _SERVERS[request.param](tmp_path_factory.mktemp("home")) as port:
        yield f"127.0.0.1:{port}"


def connected(address: str, *subprotocols: str) -> ClientConnection:
    offered = [Subprotocol(name) for name in subprotocols]
    return connect(f"ws://{address}/", subprotocols=offered or None, open_timeout=HANG)


@pytest.mark.clause("A-WS-02", "A-WS-04", "A-WS-05", "H-WS-02")
def test_messages_go_both_ways(address: str) -> None:
    with connected(address, "chat") as client:
        assert client.subprotocol == "chat"
        for message in ("text \xe4", b"bytes", "", b"", "x" * 300_000):
            client.send(message)
            assert client.recv(HANG) == message


@pytest.mark.clause("A-WS-09", "H-WS-03")
def test_pings_are_answered_and_fragments_joined(address: str) -> None:
    with connected(address) as client:
        assert client.ping().wait(HANG)
        client.send(["a", "b", "c"])
        assert client.recv(HANG) == "abc"


@pytest.mark.clause("A-WS-08")
def test_the_application_closes(address: str) -> None:
    with connected(address) as client:
        client.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(HANG)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "as you wish")


@pytest.mark.clause("A-WS-10")
def test_the_application_fails(address: str) -> None:
    """The client sees the close frame and then the end, not the server's error page."""
    with connected(address) as client:
        client.send("raise")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(HANG)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011


@pytest.mark.clause("A-WS-03", "A-EXT-01")
@pytest.mark.parametrize(
    ("path", "status", "body"), [("closed", 403, b""), ("denied", 401, b"who?")]
)
def test_a_handshake_is_denied(address: str, path: str, status: int, body: bytes) -> None:
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{address}/{path}"):
        pass
    response = caught.value.response
    assert (response.status_code, bytes(response.body or b"")) == (status, body)


@pytest.mark.clause("H-WS-01")
def test_another_version_is_refused(address: str) -> None:
    headers = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "12"}
    response = httpx.get(f"http://{address}/", headers=headers, trust_env=False)
    assert response.status_code == 426
    assert response.headers["sec-websocket-version"] == "13"


def test_an_ordinary_request_is_served_beside_a_connection(address: str) -> None:
    with connected(address) as client:
        assert httpx.get(f"http://{address}/", trust_env=False).text == "page"
        client.send("still there")
        assert client.recv(HANG) == "still there"
