"""How the application is called, and what the server is given."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_to_wsgi.apps import Recorder, body, http, sending, start
from asgi_to_wsgi.conftest import Adapt
from asgi_to_wsgi.host import Host
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


@pytest.mark.clause("W-CALL-05", "W-CALL-07", "W-CALL-13")
def test_a_complete_response_is_a_list_of_one_block(adapt: Adapt) -> None:
    host = Host().serve(adapt(sending(start(), body(b"hello"))))
    assert host.result == [b"hello"]
    assert (host.status, host.headers) == ("200 OK", [("content-type", "text/plain")])


@pytest.mark.clause("W-CALL-05")
def test_a_streamed_response_is_an_iterator(adapt: Adapt) -> None:
    parts = [body(b"a", more=True), body(b"", more=True), body(b"b", more=True), body(b"c")]
    host = Host().serve(adapt(sending(start(), *parts)))
    assert host.blocks == [b"a", b"b", b"c"]


@pytest.mark.clause("A-CORE-01", "W-CALL-03")
def test_each_request_calls_the_application_once(adapt: Adapt) -> None:
    app = Recorder()
    adapter = adapt(app)
    for path in ("/a", "/b"):
        assert Host(path=path).serve(adapter).body == b"ok"
    assert [scope["path"] for scope in app.scopes] == ["/a", "/b"]


@pytest.mark.clause("A-HTTP-17", "A-CORE-18")
def test_the_request_message_comes_without_a_body(adapt: Adapt) -> None:
    received: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(await receive())
        await send(start())
        await send(body(b"x"))

    host = Host().serve(adapt(app))
    assert received == [{"type": "http.request", "body": b"", "more_body": False}]
    assert host.input.sizes == []
