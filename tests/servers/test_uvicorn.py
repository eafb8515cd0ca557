"""A Flask application on Uvicorn, through the adapter, as a client on the network sees it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask
import httpx
import pytest
import uvicorn

from gatebridge import WsgiToAsgi
from servers.needs import missing, require

pytestmark = pytest.mark.direction("w2a")

HANG = 10  # seconds

_HTTP = ["h11", "httptools"]
_LOOPS = ["asyncio", "uvloop"]


class Gates:
    """Events between the application and a test."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.closed = threading.Event()
        self.called = threading.Event()


def make_app(gates: Gates) -> flask.Flask:
    app = flask.Flask("application")
    app.logger.disabled = True

    @app.route("/", methods=["GET", "HEAD"])
    def page() -> str:
        return "a page"

    @app.route("/echo/<path:path>")
    def echo(path: str) -> dict[str, Any]:
        request = flask.request
        return {
            "path": path,
            "args": request.args.to_dict(flat=False),
            "cookies": request.cookies,
            "url": request.url,
            "remote": request.remote_addr,
            "protocol": request.environ["SERVER_PROTOCOL"],
        }

    @app.route("/cookies")
    def cookies() -> flask.Response:
        response = flask.Response("set")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.route("/form", methods=["POST"])
    def form() -> dict[str, Any]:
        files = {name: file.read().decode() for name, file in flask.request.files.items()}
        return {"form": flask.request.form, "files": files}

    @app.route("/length", methods=["POST"])
    def length() -> dict[str, Any]:
        gates.called.set()
        return {"length": len(flask.request.get_data())}

    @app.route("/refused", methods=["POST"])
    def refused() -> tuple[str, int]:
        return "too large", 413

    @app.route("/stream")
    def stream() -> flask.Response:
        def blocks() -> Iterator[bytes]:
            yield b"first "
            assert gates.go_on.wait(HANG)
            yield b"last"

        return flask.Response(blocks())

    @app.route("/endless")
    def endless() -> flask.Response:
        def blocks() -> Iterator[bytes]:
            while True:
                yield b"x" * 65536

        response = flask.Response(blocks())
        response.call_on_close(gates.closed.set)
        return response

    @app.route("/etag")
    def etag() -> flask.Response:
        response = flask.Response("content")
        response.set_etag("tag")
        return response.make_conditional(flask.request)

    @app.route("/fails")
    def fails() -> str:
        raise ZeroDivisionError

    @app.route("/fails/later")
    def fails_later() -> flask.Response:
        def blocks() -> Iterator[bytes]:
            yield b"first"
            raise ZeroDivisionError

        return flask.Response(blocks())

    return app


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def running(app: Any, http: Any, loop: Any) -> Iterator[tuple[str, int]]:
    """Run a server in a thread; give its address."""
    require(missing(http, loop))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=http, loop=loop, lifespan="on", log_config=None)
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert server.ready.wait(HANG)
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(HANG)
        listener.close()
    assert not thread.is_alive()  # the lifespan's shutdown was answered


@pytest.fixture(
    scope="module", params=[(http, loop) for http in _HTTP for loop in _LOOPS], ids="-".join
)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, Gates]]:
    """Give the address of a server, and the events of its application."""
    gates = Gates()
    with running(WsgiToAsgi(make_app(gates)), *request.param) as (host, port):
        yield host, port, gates


@pytest.fixture
def gates(served: tuple[str, int, Gates]) -> Gates:
    gates = served[2]
    for event in (gates.go_on, gates.closed, gates.called):
        event.clear()
    return gates


@pytest.fixture
def client(served: tuple[str, int, Gates], gates: Gates) -> Iterator[httpx.Client]:
    url = f"http://{served[0]}:{served[1]}"
    with httpx.Client(base_url=url, timeout=HANG, trust_env=False) as client:
        yield client


@pytest.fixture
def connection(served: tuple[str, int, Gates], gates: Gates) -> Iterator[socket.socket]:
    """A bare connection to the server."""
    with socket.create_connection(served[:2], timeout=HANG) as connection:
        yield connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        part = connection.recv(65536)
        assert part, f"the connection ended after {received!r}"
        received += part
    return received


@pytest.mark.clause("D-25", "W-BODY-12", "A-LIFE-12")
def test_a_page_has_a_length_and_keeps_the_connection(client: httpx.Client) -> None:
    for _ in range(3):
        response = client.get("/")
        assert (response.status_code, response.text) == (200, "a page")
        assert response.headers["content-length"] == "6"


@pytest.mark.clause("D-02", "W-STR-01", "D-06", "W-ENV-23")
def test_path_and_query_are_read_as_utf8(client: httpx.Client) -> None:
    answer = client.get("/echo/sm\xf8rrebr\xf8d/\u4e2d", params={"q": ["\xe4", "b c"]}).json()
    assert answer["path"] == "sm\xf8rrebr\xf8d/\u4e2d"
    assert answer["args"] == {"q": ["\xe4", "b c"]}
    assert answer["remote"] == "127.0.0.1"
    assert answer["protocol"] == "HTTP/1.1"
    assert answer["url"].startswith(str(client.base_url))


@pytest.mark.clause("H-COOKIE-01", "H-COOKIE-02")
def test_cookies_go_both_ways(client: httpx.Client) -> None:
    assert client.get("/cookies").headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert client.get("/echo/x").json()["cookies"] == {"a": "1", "b": "2"}


@pytest.mark.clause("W-IN-01", "W-ENV-05")
def test_a_form_is_read(client: httpx.Client) -> None:
    answer = client.post("/form", data={"name": "J\xf8rgen", "b": "2"}).json()
    assert answer["form"] == {"name": "J\xf8rgen", "b": "2"}


@pytest.mark.clause("W-IN-01")
def test_a_multipart_upload_is_read(client: httpx.Client) -> None:
    text = "line\n" * 200_000  # in many messages
    answer = client.post("/form", data={"name": "x"}, files={"file": ("f.txt", text)}).json()
    assert answer["form"] == {"name": "x"}
    assert answer["files"] == {"file": text}


@pytest.mark.clause("C-01", "A-HTTP-14", "D-13")
@pytest.mark.parametrize("parts", [[b"x"], [b"x" * 1000] * 1000], ids=["small", "large"])
def test_a_chunked_upload_is_read_to_its_end(client: httpx.Client, parts: list[bytes]) -> None:
    response = client.post("/length", content=iter(parts))
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.json() == {"length": sum(map(len, parts))}


_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKS = [b"3\r\nabc\r\n", b"4\r\ndefg\r\n"]
_END = b"0\r\n\r\n"
_CUTS = {  # what is sent at a time, each after the last has been received
    "one segment": [_HEAD + b"".join(_CHUNKS) + _END],
    "head apart": [_HEAD, b"".join(_CHUNKS) + _END],
    "end apart": [_HEAD + b"".join(_CHUNKS), _END],
    "all apart": [_HEAD, *_CHUNKS, _END],
    "within a chunk": [_HEAD + _CHUNKS[0][:4], _CHUNKS[0][4:] + _CHUNKS[1] + _END],
}


@pytest.mark.clause("D-13")
@pytest.mark.parametrize(("spool", "length"), [(True, b"7"), (False, b"None")])
@pytest.mark.parametrize("http", _HTTP)
def test_a_chunked_upload_looks_the_same_however_it_is_cut(
    http: str, spool: bool, length: bytes
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        body = environ["wsgi.input"].read()
        return [f"{environ.get('CONTENT_LENGTH')} {body.decode()}".encode()]

    received = threading.Semaphore(0)
    adapted = WsgiToAsgi(app, spool_bodies=spool)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> Any:
            message = await receive()
            if message.get("body"):
                received.release()
            return message

        await adapted(scope, watch, send)

    with running(watched, http, "asyncio") as address:
        for cut, segments in _CUTS.items():
            with socket.create_connection(address, HANG) as connection:
                for segment in segments:
                    connection.sendall(segment)
                    if segment not in (_HEAD, _END):
                        assert received.acquire(timeout=HANG)
                with connection.makefile("rb") as file:
                    answer = file.read()
            assert answer.endswith(b"\r\n\r\n" + length + b" abcdefg"), cut
            while received.acquire(blocking=False):  # of a segment that was received in parts
                pass


@pytest.mark.clause("W-BODY-01", "W-BODY-02", "D-26")
def test_the_first_block_arrives_before_the_last_is_made(
    client: httpx.Client, gates: Gates
) -> None:
    with client.stream("GET", "/stream") as response:
        blocks = response.iter_raw()
        assert next(blocks) == b"first "
        assert not gates.go_on.is_set()
        gates.go_on.set()
        assert b"".join(blocks) == b"last"


@pytest.mark.clause("H-STAT-07", "H-STAT-08")
def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "6"
    assert client.get("/").text == "a page"  # the connection is in order


@pytest.mark.clause("H-STAT-06")
def test_304_has_no_body(client: httpx.Client) -> None:
    assert client.get("/etag").text == "content"
    response = client.get("/etag", headers={"if-none-match": '"tag"'})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"tag"'
    assert client.get("/").text == "a page"


@pytest.mark.clause("W-ERR-01")
def test_an_error_page_is_the_frameworks(client: httpx.Client) -> None:
    response = client.get("/fails")
    assert response.status_code == 500
    assert "Internal Server Error" in response.text


@pytest.mark.clause("W-ERR-03", "D-27")
def test_an_error_in_the_middle_breaks_the_response(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The client must not take it for a whole one."""
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/fails/later")
    assert client.get("/").text == "a page"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.clause("W-CLOSE-01", "D-30", "A-HTTP-33")
def test_a_client_that_leaves_a_download_ends_it(client: httpx.Client, gates: Gates) -> None:
    with client.stream("GET", "/endless") as response:
        assert next(response.iter_raw())
    assert gates.closed.wait(HANG)
    assert client.get("/").text == "a page"


@pytest.mark.clause("W-HTTP-01", "C-23", "D-32")
def test_100_continue_comes_when_the_application_reads(
    connection: socket.socket, gates: Gates
) -> None:
    connection.sendall(
        b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    assert gates.called.is_set()  # not before
    connection.sendall(b"12345")
    assert b'"length":5' in read_until(connection, b"}\n")


@pytest.mark.clause("W-HTTP-01", "C-23", "D-32")
def test_an_upload_can_be_refused_without_100_continue(connection: socket.socket) -> None:
    connection.sendall(
        b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = read_until(connection, b"too large")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b" 100 " not in answer


@pytest.mark.clause("D-30", "W-CALL-04")
def test_a_client_that_leaves_an_upload_does_no_harm(
    connection: socket.socket, client: httpx.Client, gates: Gates
) -> None:
    connection.sendall(b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12")
    assert gates.called.wait(HANG)
    connection.close()
    assert client.get("/").text == "a page"
