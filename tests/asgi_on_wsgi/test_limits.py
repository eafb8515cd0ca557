"""Bodies that are refused: over ``max_body_size`` (413), or of a length nobody knows (411)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_on_wsgi.apps import Event, body, echo, http, receive_all, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi
from gatebridge.errors import ClientDisconnected
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

TERMINATED: dict[str, Any] = {"wsgi.input_terminated": True}
CHUNKED: dict[str, Any] = {"HTTP_TRANSFER_ENCODING": "chunked"}


def refused(host: Host, code: int, names: str, caplog: pytest.LogCaptureFixture) -> None:
    """Hold a response of the adapter's own against D-52."""
    assert host.code == code
    assert host.header("content-type") == "text/plain; charset=utf-8"
    assert type(host.result) is list
    if host.environ["REQUEST_METHOD"] == "HEAD":
        assert host.result == []
    else:
        assert host.header("content-length") == str(len(host.body))
        assert names in host.body.decode()
        assert host.body.count(b"\n") == 1
    (record,) = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert record.levelno == logging.INFO
    assert str(code) in record.message


@pytest.mark.clause("H-MSG-10", "D-15", "D-52")
@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("expect", [{}, {"expect": "100-continue"}])
def test_a_declared_length_over_the_limit_is_refused_at_once(
    adapt: Adapt, method: str, expect: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is read, and the application is not called."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    calls: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)

    adapter = adapt(app, max_body_size=10, lifespan="off")
    host = Host(b"x" * 11, method=method, headers=expect).serve(adapter)
    refused(host, 413, "body", caplog)
    assert calls == []
    assert host.input.sizes == []


@pytest.mark.clause("H-MSG-10", "D-15")
@pytest.mark.parametrize("how", ["declared", "undeclared"])
@pytest.mark.parametrize("limit", [10, 100_000, None])
def test_a_body_of_just_the_limit_passes(adapt: Adapt, how: str, limit: int | None) -> None:
    content = b"x" * (limit or 5)
    environ = {"length": None, **TERMINATED} if how == "undeclared" else {}
    host = Host(content, method="POST", **environ).serve(adapt(echo, max_body_size=limit))
    assert host.body == content


@pytest.mark.clause("H-MSG-10", "D-15", "D-52", "C-02")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("parts", [[b"x" * 11], [b"x" * 10, b"y", b"z"]])
def test_an_undeclared_one_is_refused_as_soon_as_it_is_over(
    adapt: Adapt, method: str, starts: bool, parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """As long as nothing was sent, whatever the application makes of it: it sees a disconnect."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    seen: list[Any] = []
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if starts:
            await send(start())
        seen.extend(await receive_all(receive))
        ended.set()
        raise ClientDisconnected("of the app")

    adapter = adapt(app, max_body_size=10, lifespan="off")
    host = Host(list(parts), length=None, method=method, **TERMINATED).serve(adapter)
    refused(host, 413, "body", caplog)
    if method == "POST":
        ended.happens()
        assert seen[-1] == {"type": "http.disconnect"}
        assert sum(len(message["body"]) for message in seen[:-1]) <= 10


@pytest.mark.clause("H-MSG-10", "D-15")
def test_after_the_start_it_is_a_disconnect(adapt: Adapt) -> None:
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        seen.extend(await receive_all(receive))
        await send(body(b"b"))

    adapter = adapt(app, max_body_size=10)
    host = Host([b"x" * 10, b"y"], length=None, method="POST", **TERMINATED).serve(adapter)
    assert (host.code, host.body) == (200, b"ab")
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


@pytest.mark.clause("H-MSG-09", "D-51", "D-52")
@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("length", [None, "5"])
@pytest.mark.parametrize("terminated", [None, False, 0])
def test_a_chunked_body_that_the_server_does_not_end_is_refused(
    adapt: Adapt,
    method: str,
    length: str | None,
    terminated: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To read it would wait for ever, to drop it would lose an upload without a word."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    calls: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)

    environ = {**CHUNKED, "CONTENT_LENGTH": length, "wsgi.input_terminated": terminated}
    host = Host(["never given out"], length=None, method=method, **environ)
    host.serve(adapt(app, lifespan="off"))
    refused(host, 411, "content-length", caplog)
    assert calls == []
    assert host.input.sizes == []


@pytest.mark.clause("H-MSG-09", "D-51", "C-02")
def test_one_that_the_server_ends_is_not(adapt: Adapt) -> None:
    host = Host([b"ab", b"c"], length=None, method="POST", **CHUNKED, **TERMINATED)
    assert host.serve(adapt(echo)).body == b"abc"


@pytest.mark.clause("H-MSG-10")
@pytest.mark.parametrize(("limit", "error"), [(-1, ValueError), (float("nan"), TypeError)])
def test_the_limit_is_a_number_of_bytes(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_body_size"):
        AsgiToWsgi(sending(start(), body()), max_body_size=limit)


@pytest.mark.clause("H-MSG-10")
@pytest.mark.parametrize("how", ["declared", "undeclared"])
def test_the_limit_may_be_zero(adapt: Adapt, how: str) -> None:
    environ = {"length": None, **TERMINATED} if how == "undeclared" else {}
    adapter = adapt(echo, max_body_size=0)
    assert Host(b"x", method="POST", **environ).serve(adapter).code == 413
    assert Host(method="POST", **environ).serve(adapter).code == 200
