"""An ASGI application on WSGI servers, through the adapter, as a client on the network sees it."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from servers.needs import missing, require
from servers.processes import HANG, TESTS, Command, ServerProcess, python, run_server

pytestmark = [
    pytest.mark.direction("a2w"),
    pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes"),
]


def gunicorn(worker: str, *arguments: str) -> Command:
    def command(folder: Path, listener: socket.socket) -> list[str]:
        return python(
            "gunicorn",
            f"--bind=fd://{listener.fileno()}",
            f"--worker-class={worker}",
            f"--worker-tmp-dir={folder}",
            *arguments,
            "servers.asgi_site:application",
        )

    return command


def function(name: str, module: str = "servers.serve") -> Command:
    return lambda folder, listener: python(module, name, str(listener.fileno()))


class Kind(NamedTuple):
    """A server, and what it can do beside the rest."""

    package: str  # that it needs
    command: Command
    threads: bool = True  # serves several requests at once
    chunked: bool = True  # says where a chunked body ends
    buffers: bool = False  # reads the whole request before it calls the application
    hints: bool = False  # has wsgi.early_hints
    heads: bool = True  # sends the headers at an empty block
    targets: bool = True  # has the request's target in REQUEST_URI or RAW_URI


KINDS = {
    "wsgiref": Kind("wsgiref", function("wsgiref"), chunked=False, targets=False),
    "waitress": Kind("waitress", function("waitress"), buffers=True, heads=False),
    "cheroot": Kind("cheroot", function("cheroot"), heads=False),
    "werkzeug": Kind("werkzeug", function("werkzeug")),
    "gunicorn-sync": Kind("gunicorn", gunicorn("sync"), threads=False, hints=True),
    "gunicorn-gthread": Kind("gunicorn", gunicorn("gthread", "--threads=8"), hints=True),
    "gunicorn-gevent": Kind("gunicorn", gunicorn("gevent"), hints=True),
    "gevent": Kind(
        "gevent", function("gevent", "servers.serve_gevent"), heads=False, targets=False
    ),
}


def kind_of(name: str) -> Kind:
    kind = KINDS[name]
    require(missing(kind.package, *["gevent"] * ("gevent" in name)))
    return kind


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Kind, ServerProcess]]:
    kind = kind_of(request.param)
    with run_server(kind.command) as server:
        yield kind, server


@pytest.fixture
def kind(served: tuple[Kind, ServerProcess]) -> Kind:
    return served[0]


@pytest.fixture
def server(served: tuple[Kind, ServerProcess]) -> ServerProcess:
    return served[1]


@contextlib.contextmanager
def client_of(server: ServerProcess) -> Iterator[httpx.Client]:
    """Return a client that closes its connections, for a server may have one thread for each."""
    with httpx.Client(
        base_url=server.url,
        timeout=HANG,
        trust_env=False,
        verify=False,  # certificates take long to load, and none is looked at
        headers={"connection": "close"},
    ) as client:
        yield client


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with client_of(server) as client:
        yield client


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        part = connection.recv(65536)
        assert part, f"the connection ended after {received!r}"
        received += part
    return received


@pytest.mark.clause("A-LIFE-10")
def test_the_state_is_that_of_the_serving_process(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.text.startswith("process ")


@pytest.mark.parametrize("size", [5, 300_000])
def test_an_upload_arrives_whole(client: httpx.Client, size: int) -> None:
    assert client.post("/length", content=b"x" * size).text == f"{size} bytes"


def test_a_chunked_upload_arrives_whole_or_is_refused(client: httpx.Client, kind: Kind) -> None:
    response = client.post("/length", content=iter([b"x" * 1000] * 100))
    assert response.request.headers["transfer-encoding"] == "chunked"
    if kind.chunked:
        assert response.text == "100000 bytes"
    else:
        assert response.status_code == 411


def test_a_download_arrives_whole(client: httpx.Client) -> None:
    assert client.get("/download").content == b"x" * 1024_000


def test_head_has_no_body_and_ends_the_stream_without_a_traceback(
    client: httpx.Client, server: ServerProcess
) -> None:
    """It comes before the tests whose clients leave: some servers log that at some later time."""
    response = client.head("/download")
    assert (response.status_code, response.content) == (200, b"")
    assert client.get("/").status_code == 200
    assert "Traceback" not in server.output()


@pytest.mark.applies(lambda served: KINDS[served].threads)
def test_the_first_block_arrives_before_the_last_is_made(client: httpx.Client) -> None:
    with client.stream("GET", "/stream") as response:
        blocks = response.iter_raw()
        received = next(blocks)
        assert received == b"first "
        assert client.get("/release").text == "released"
        assert received + b"".join(blocks) == b"first last"


@pytest.mark.clause("D-26")
@pytest.mark.applies(lambda served: KINDS[served].threads and KINDS[served].heads)
def test_the_headers_arrive_before_there_is_a_body(
    server: ServerProcess, client: httpx.Client
) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in read_until(connection, b"\r\n\r\n")
        assert client.get("/release").text == "released"
        assert b"late" in read_until(connection, b"late")


def test_an_event_stream_ends_with_its_client(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(connection, b"data: x\n\n")
    server.wait_for("http.disconnect")
    server.wait_for("events ended")


@pytest.mark.applies(lambda served: not KINDS[served].buffers)
def test_a_client_that_leaves_an_upload_is_a_disconnect(server: ServerProcess) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nx")
    server.wait_for("client left upload")


@pytest.mark.clause("A-HTTP-04", "A-HTTP-05", "D-02")
@pytest.mark.parametrize(
    ("target", "path"),
    [("/paths/a%2Fb%20c", "/paths/a/b c"), ("/paths/a%2fb%252Fc", "/paths/a/b%2Fc")],
)
def test_an_encoded_slash_is_decoded_and_raw_path_is_exact_where_the_server_tells(
    server: ServerProcess, kind: Kind, target: str, path: str
) -> None:
    with server.connect() as connection:  # an HTTP client may spell the target in another way
        request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = read_until(connection, b"/paths/a/b")
        answer += b"".join(iter(lambda: connection.recv(65536), b""))
    raw_path = target if kind.targets else quote(path)
    assert f"{path} {raw_path}".encode() in answer


def test_a_file_is_sent_by_its_path(client: httpx.Client) -> None:
    assert client.get("/file").content == (TESTS / "servers" / "asgi_site.py").read_bytes()
    assert client.head("/file").content == b""


def test_early_hints_come_first_where_there_are_any(server: ServerProcess, kind: Kind) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = read_until(connection, b"hinted")
    assert answer.startswith(b"HTTP/1.1 103 ") == kind.hints
    assert (b"</style.css>; rel=preload" in answer) == kind.hints


def test_a_background_task_does_not_hold_the_client(
    client: httpx.Client, server: ServerProcess
) -> None:
    assert client.get("/background").text == "done"
    assert client.get("/release").text == "released"
    server.wait_for("background ended")


@pytest.mark.applies(lambda served: KINDS[served].threads)
def test_many_requests_at_once(server: ServerProcess) -> None:
    paths = ["/", "/download", "/length", "/file", "/hints"] * 5
    with client_of(server) as client, ThreadPoolExecutor(8) as threads:
        assert {answer.status_code for answer in threads.map(client.get, paths)} == {200}


# --- the life of a process ------------------------------------------------------------------------


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06")
@pytest.mark.parametrize("name", ["wsgiref", "waitress", "werkzeug", "gevent", "gunicorn-gthread"])
def test_the_end_awaits_background_tasks_and_shuts_down_once(name: str) -> None:
    with run_server(kind_of(name).command) as server:
        with client_of(server) as client:
            assert client.get("/background-at-exit").text == "done"
        process = server.wait_for("startup")
        assert server.stop() == [(process, "background ended"), (process, "shutdown")]


@pytest.mark.clause("A-LIFE-05", "A-LIFE-06", "A-LIFE-09")
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_worker_forked_after_use_begins_anew(worker: str) -> None:
    """The loop of the parent, which under gevent is forked with its thread, stays there."""
    kind_of(f"gunicorn-{worker}")
    patch = TESTS / "servers" / "gunicorn_gevent.py"
    arguments = [f"--config={patch}"] * (worker == "gevent")
    with run_server(gunicorn(worker, "--preload", *arguments), SITE_EARLY="1") as server:
        parent = server.wait_for("startup")
        with client_of(server) as client:
            assert client.get("/background-at-exit").text == "done"
            child = server.wait_for("startup")
            assert child != parent
            assert client.get("/").text == f"process {child}"
        records = server.stop()
    assert [what for process, what in records if process == child] == [
        "background ended",
        "shutdown",
    ]
    assert [what for process, what in records if process == parent] == ["shutdown"]
    assert "forked event loop" not in server.history


@pytest.mark.clause("A-LIFE-05")
def test_a_worker_that_has_served_enough_shuts_down() -> None:
    kind_of("gunicorn-sync")
    with run_server(gunicorn("sync", "--max-requests=1")) as server, client_of(server) as client:
        first = client.get("/").text
        assert server.wait_for("startup") == server.wait_for("shutdown")
        assert client.get("/").text != first


def test_gevent_that_patches_too_late_is_an_error_and_no_hang() -> None:
    kind_of("gunicorn-gevent")
    with run_server(gunicorn("gevent", "--preload")) as server, client_of(server) as client:
        assert client.get("/").status_code == 500
        assert "UnavailableError: gevent: " in server.output()
        assert "call gevent.monkey.patch_all() before gatebridge" in server.output()
