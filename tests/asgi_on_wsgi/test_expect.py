"""``Expect: 100-continue``: the server sends its 100 at the first read, so none may come early."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_on_wsgi.apps import body, echo, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

SIZES = [5, 100_000]


def expecting(order: list[str], size: int, expect: str = "100-continue", **environ: Any) -> Host:
    parts = [lambda: order.append("read"), b"x" * size]
    return Host(parts, method="POST", headers={"expect": expect}, **environ)


@pytest.mark.clause("W-HTTP-01", "D-32")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2.0", "HTTP/2"])
@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
def test_a_refused_upload_is_never_read(
    adapt: Adapt, size: int, protocol: str, expect: str
) -> None:
    order: list[str] = []
    host = expecting(order, size, expect, SERVER_PROTOCOL=protocol)
    host.serve(adapt(sending(start(417), body(b"no"))))
    assert (host.code, host.body) == (417, b"no")
    assert order == []


@pytest.mark.clause("W-HTTP-01", "D-32")
@pytest.mark.parametrize("size", SIZES)
def test_the_first_receive_reads(adapt: Adapt, size: int) -> None:
    order: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        order.append("called")
        await send(start())
        await echo(scope, receive, lambda message: _pass_on(message, send))

    async def _pass_on(message: Any, send: Send) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    host = expecting(order, size).serve(adapt(app))
    assert host.body == b"x" * size
    assert order == ["called", "read"]


@pytest.mark.clause("D-32", "C-02")
def test_a_body_without_a_length_is_not_read_early_either(adapt: Adapt) -> None:
    order: list[str] = []
    environ: dict[str, Any] = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    host = expecting(order, 5, length=None, **environ)
    host.serve(adapt(sending(start(403), body(b"no"))))
    assert order == []


@pytest.mark.clause("H-EXP-01", "D-32")
@pytest.mark.parametrize(
    ("protocol", "expect"),
    [("HTTP/1.0", "100-continue"), ("HTTP/1.1", "200-ok")],
)
def test_what_is_no_such_expectation_is_ignored(adapt: Adapt, protocol: str, expect: str) -> None:
    """A small body is then read at once, as any other."""
    order: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        order.append("called")
        assert (b"expect", expect.encode()) in scope["headers"]
        await echo(scope, receive, send)

    host = expecting(order, 5, expect, SERVER_PROTOCOL=protocol).serve(adapt(app))
    assert host.body == b"x" * 5
    assert order == ["read", "called"]
