"""Responses without content: to HEAD, and with the statuses 204, 205 and 304."""

from __future__ import annotations

import pytest

from asgi_on_wsgi.apps import Event, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-24")]

WITHOUT = [
    pytest.param("HEAD", 200, marks=pytest.mark.clause("H-STAT-07")),
    pytest.param("HEAD", 500, marks=pytest.mark.clause("H-STAT-07")),
    pytest.param("GET", 204, marks=pytest.mark.clause("H-STAT-04")),
    pytest.param("POST", 205, marks=pytest.mark.clause("H-STAT-05")),
    pytest.param("GET", 304, marks=pytest.mark.clause("H-STAT-06")),
]
without_content = pytest.mark.parametrize(("method", "status"), WITHOUT)


@without_content
@pytest.mark.parametrize(
    "messages",
    [
        [body()],
        [body(b"abc")],
        [body(b"a", more=True), body(b"b")],
        [body(b"", more=True), body(b"b", more=True), body()],
        [{"type": "http.response.pathsend", "path": __file__}],
        [{"type": "http.response.pathsend", "path": "/no/such/file"}],
    ],
)
def test_the_body_is_dropped(
    adapt: Adapt, method: str, status: int, messages: list[Message]
) -> None:
    host = Host(method=method).offer_file_wrapper()
    host.serve(adapt(sending(start(status), *messages), offer_pathsend=True))
    assert (host.code, host.result, host.wrapped) == (status, [], [])


@without_content
def test_the_first_part_completes_it(adapt: Adapt, method: str, status: int) -> None:
    """Further ones are swallowed without waiting, though they would fill any window."""
    done = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status))
        for _ in range(20):
            await send(body(b"x" * 1024, more=True))
        await send(body())
        assert (await receive())["type"] == "http.request"
        done.set()

    adapter = adapt(app)
    host = Host(method=method).serve(adapter)
    assert host.result == []


@without_content
def test_an_endless_stream_does_not_hold_the_client(adapt: Adapt, method: str, status: int) -> None:
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(start(status))
            while True:
                await send(body(b"x" * 1024, more=True))
        finally:
            ended.set()

    assert Host(method=method).serve(adapt(app)).result == []
    ended.happens()


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        pytest.param("HEAD", 200, "5", marks=pytest.mark.clause("H-STAT-07")),
        pytest.param("GET", 304, "5", marks=pytest.mark.clause("H-STAT-06")),
        pytest.param("GET", 204, None, marks=pytest.mark.clause("H-STAT-04")),
        pytest.param("GET", 205, "0", marks=pytest.mark.clause("H-STAT-05")),
        pytest.param("HEAD", 204, None, marks=pytest.mark.clause("H-STAT-04", "H-STAT-07")),
    ],
)
def test_headers_are_kept_but_for_a_length_that_may_not_be(
    adapt: Adapt, method: str, status: int, length: str | None
) -> None:
    headers = [(b"etag", b'"e"'), (b"content-length", b"5")]
    host = Host(method=method).serve(adapt(sending(start(status, *headers), body(b"abcde"))))
    assert host.header("content-length") == length
    assert host.header("etag") == '"e"'
    assert host.header("content-type") == "text/plain"


@pytest.mark.clause("H-STAT-07")
def test_the_method_passes_as_head(adapt: Adapt) -> None:
    methods: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        methods.append(scope["method"])
        await sending(start(), body(b"x"))(scope, receive, send)

    Host(method="HEAD").serve(adapt(app))
    assert methods == ["HEAD"]


@pytest.mark.clause("H-STAT-07")
@pytest.mark.parametrize("streamed", [False, True])
def test_a_middleware_may_make_a_get_of_it(adapt: Adapt, streamed: bool) -> None:
    """In the application's eyes; the client still waits for no content."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["method"] = "GET"  # type: ignore[index]
        await send(start())
        await send(body(b"x", more=streamed))
        await send(body())

    assert Host(method="HEAD").serve(adapt(app)).result == []


@pytest.mark.clause("H-STAT-07")
def test_a_middleware_may_empty_the_scope(adapt: Adapt) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.clear()  # type: ignore[attr-defined]
        await sending(start(), body(b"x"))({"type": "http"}, receive, send)

    assert Host().serve(adapt(app)).body == b"x"
