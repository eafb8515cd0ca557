"""Every framework on every server of the other kind, as a client on the network sees it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import cycle, product
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from servers.gates import HANG, Gates
from servers.hosts import nginx
from servers.kinds import (
    ASGI_SERVERS,
    ASGI_SITES,
    LEAVES_TO_COLLECTOR,
    PLAIN,
    WSGI_SERVERS,
    WSGI_SITES,
    Kind,
    lacks,
)
from servers.needs import require
from servers.processes import ServerProcess, run_server, wait_until_it_listens
from servers.sites import OPENED, PAGE, TAG, wsgi_plain

PAIRS = [("w2a", *pair) for pair in product(ASGI_SERVERS, WSGI_SITES)]
PAIRS += [("a2w", *pair) for pair in product(WSGI_SERVERS, ASGI_SITES)]


def _some(servers: Iterable[str], sites: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield every server once, and every site at least once."""
    assert len(sites) <= len(list(servers))
    yield from zip(servers, cycle(sites), strict=False)


SOME_PAIRS = [("w2a", *pair) for pair in _some(ASGI_SERVERS, WSGI_SITES)]
SOME_PAIRS += [("a2w", *pair) for pair in _some(WSGI_SERVERS, ASGI_SITES)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    every = metafunc.config.getoption("all_servers")
    pairs = []
    for pair in PAIRS if every else SOME_PAIRS:
        name = "-".join(pair[1:])
        pairs.append(pytest.param(pair, id=name, marks=pytest.mark.xdist_group(name)))
    metafunc.parametrize("pair", pairs, indirect=True, scope="module")


class Pair(NamedTuple):
    """A server that runs a site, and what a client connects to: that server, or nginx."""

    direction: str
    kind: Kind
    site: str
    server: ServerProcess
    front: ServerProcess
    gates: Gates

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.front.url,
            timeout=HANG,
            trust_env=False,
            verify=False,  # certificates take long to load, and none is looked at
            limits=httpx.Limits(max_keepalive_connections=None if self.kind.keeps_alive else 0),
            http1=not self.kind.http2,
            http2=self.kind.http2,
        )


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    direction, name, site = request.param
    kind = (ASGI_SERVERS if direction == "w2a" else WSGI_SERVERS)[name]
    module = f"servers.sites.{'wsgi' if direction == 'w2a' else 'asgi'}_{site}:app"
    require(lacks(kind, site))
    with Gates() as gates:
        variables = {"GATEBRIDGE_APP": module, "SITE_GATES": str(gates.port)}
        with run_server(kind.command, listen=kind.inherits, **variables) as server:
            wait_until_it_listens(server)
            with before(server) if kind.nginx else nullcontext(server) as front:
                yield Pair(direction, kind, site, server, front, gates)


@contextmanager
def before(server: ServerProcess) -> Iterator[ServerProcess]:
    with run_server(nginx(server.port), listen=False) as front:
        wait_until_it_listens(front)
        yield front


@pytest.fixture
def client(pair: Pair) -> Iterator[httpx.Client]:
    with pair.client() as client:
        yield client


def test_a_path_and_a_query_in_utf_8(client: httpx.Client) -> None:
    answer = client.get("/echo/grüße/ж", params={"q": "a b&ü"}).raise_for_status().json()
    assert (answer["path"], answer["query"]) == ("grüße/ж", "a b&ü")


def test_repeated_headers_and_cookies(pair: Pair, client: httpx.Client) -> None:
    headers = [("x-repeated", "1"), ("x-repeated", "2"), ("cookie", "a=1; b=2")]
    response = client.get("/echo/x?q=", headers=headers).raise_for_status()
    assert response.json()["repeated"] == (["1", "2"] if pair.kind.repeats else ["2"])
    assert response.json()["cookies"] == {"a": "1", "b": "2"}
    assert [line.partition(";")[0] for line in response.headers.get_list("set-cookie")] == [
        "one=1",
        "two=2",
    ]


def test_a_form(client: httpx.Client) -> None:
    fields = {"name": "Jörg", "text": "a&b=c"}
    assert client.post("/form", data=fields).raise_for_status().json() == fields


def test_a_multipart_upload_of_5_mib(client: httpx.Client) -> None:
    content = os.urandom(5 * 1024 * 1024)
    answer = client.post("/upload", files={"file": ("ü.bin", content)}).raise_for_status().json()
    assert answer == digest_of(content, name="ü.bin")


def test_a_chunked_upload(pair: Pair, client: httpx.Client) -> None:
    parts = [os.urandom(50_000) for _ in range(10)]
    response = client.post("/body", content=iter(parts))
    if pair.kind.chunked:
        assert response.raise_for_status().json() == digest_of(b"".join(parts))
    else:
        assert response.status_code == 411


def test_curl_uploads_once_it_is_told_to_continue(pair: Pair, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    require(None if curl else "curl is not installed")
    content = os.urandom(2 * 1024 * 1024)
    (tmp_path / "content").write_bytes(content)
    done = subprocess.run(
        [
            *(curl or "", "--silent", "--show-error", "--fail", "--noproxy", "*"),
            "--http2-prior-knowledge" if pair.kind.http2 else "--http1.1",
            *("--expect100-timeout", "0.2"),  # seconds, for servers that never say it
            *("--header", "Expect: 100-continue", "--header", "Content-Type: text/plain"),
            *("--data-binary", f"@{tmp_path / 'content'}", f"{pair.front.url}/body"),
        ],
        capture_output=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digest_of(content)


def digest_of(content: bytes, **more: str) -> dict[str, object]:
    return {**more, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_first_block_arrives_before_the_last_is_made(pair: Pair, client: httpx.Client) -> None:
    with client.stream("GET", "/stream") as response:
        blocks = response.iter_raw()
        received = next(blocks)
        assert received == b"first "
        pair.gates.open("stream")
        assert received + b"".join(blocks) == b"first last"


@pytest.mark.applies(lambda pair: pair[2] == PLAIN)
def test_what_write_sent_arrives_before_the_last_is_made(pair: Pair, client: httpx.Client) -> None:
    with client.stream("GET", "/write") as response:
        blocks = response.iter_raw()
        received = next(blocks)
        while len(received) < len(b"first second "):
            received += next(blocks)
        assert received == b"first second "
        pair.gates.open("write")
        assert received + b"".join(blocks) == b"first second last"


@pytest.mark.applies(lambda pair: pair[2] == PLAIN)
def test_a_file_through_the_file_wrapper(pair: Pair, client: httpx.Client) -> None:
    content = Path(wsgi_plain.__file__).read_bytes()
    response = client.get("/file").raise_for_status()
    assert response.content == content
    head = client.head("/file").raise_for_status()
    assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))
    assert client.get("/page").text == PAGE  # on the same connection


def test_a_page_its_head_and_304(client: httpx.Client) -> None:
    page = client.get("/page").raise_for_status()
    assert page.text == PAGE
    assert page.headers["etag"] == f'"{TAG}"'
    head = client.head("/page")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", f'"{TAG}"')
    unchanged = client.get("/page", headers={"if-none-match": f'"{TAG}"'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert client.get("/page").text == PAGE  # on the same connection


def test_error_pages(client: httpx.Client) -> None:
    assert client.get("/missing").status_code == 404
    assert client.get("/error").status_code == 500
    assert client.get("/page").text == PAGE


@pytest.mark.applies(lambda pair: pair[0] == "w2a" or WSGI_SERVERS[pair[1]].threads)
def test_requests_at_once(pair: Pair) -> None:
    count = 8
    with ThreadPoolExecutor(count) as threads, pair.client() as client:
        answers = [threads.submit(client.get, "/wait") for _ in range(count)]
        pair.gates.open("wait", count)
        assert [answer.result().text for answer in answers] == ["waited"] * count


def test_a_client_that_leaves(pair: Pair, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", pair.front.port), HANG) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536)
    if (pair.direction, pair.site) in LEAVES_TO_COLLECTOR:
        deadline = time.monotonic() + HANG
        while "left" not in pair.gates.history and time.monotonic() < deadline:
            client.get("/collect").raise_for_status()  # it may not know yet that the client left
    pair.gates.noted("left")


@pytest.mark.applies(lambda pair: pair[0] == "a2w")
def test_the_state_of_the_lifespan(pair: Pair, client: httpx.Client) -> None:
    assert client.get("/state").raise_for_status().json() == {"state": OPENED["opened"]}
    assert pair.gates.history.count("startup") == 1


@pytest.mark.applies(lambda pair: pair[0] == "a2w")
def test_a_background_task(pair: Pair, client: httpx.Client) -> None:
    assert client.post("/background").raise_for_status().text == "accepted"
    pair.gates.open("background")
    pair.gates.noted("background ended")


@pytest.mark.applies(lambda pair: pair[0] == "a2w")
def test_server_sent_events(pair: Pair, client: httpx.Client) -> None:
    with client.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        for number in range(3):
            if number:
                pair.gates.open("events")
            assert next(lines) == f"data: {number}"
            assert next(lines) == ""
        assert list(lines) == []


def test_the_end(pair: Pair) -> None:
    """The last one: a request that runs is served to its end, and the application shuts down."""
    with ThreadPoolExecutor(1) as threads, pair.client() as client:
        answer = threads.submit(client.get, "/wait")
        gate = pair.gates.reached("wait")
        pair.server.process.send_signal(pair.kind.signal)
        gate.close()
        if pair.kind.graceful:
            assert answer.result().text == "waited"
    pair.server.process.wait(HANG)
    if pair.direction == "a2w":
        pair.gates.noted("shutdown")
