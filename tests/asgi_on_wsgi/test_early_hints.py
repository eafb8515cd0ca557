"""Early hints: ``http.response.early_hint`` through the server's ``wsgi.early_hints``."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_on_wsgi.apps import Event, Gate, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError, ClientDisconnected
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-37")]

STYLE, SCRIPT = b"</style.css>; rel=preload; as=style", b"</script.js>; rel=preload; as=script"


def hint(*links: Any) -> Message:
    return {"type": "http.response.early_hint", "links": list(links)}


@pytest.mark.clause("A-CORE-13", "C-07")
@pytest.mark.parametrize(
    ("value", "offered"), [(print, True), (None, False), (True, False), ("yes", False)]
)
def test_they_are_offered_if_the_server_has_a_callable(
    adapt: Adapt, value: Any, offered: bool
) -> None:
    extensions: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        extensions.append(scope["extensions"])
        await sending(start(), body(b"x"))(scope, receive, send)

    host = Host()
    host.environ["wsgi.early_hints"] = value
    host.serve(adapt(app))
    assert extensions == [{"http.response.early_hint": {}} if offered else {}]


@pytest.mark.clause("C-07", "H-EH-01", "A-EXT-08", "W-EXT-01")
@pytest.mark.parametrize("started", [False, True])
def test_each_message_is_a_call_in_the_servers_thread(adapt: Adapt, started: bool) -> None:
    """At any time before the first body message, since then ``start_response`` was not called."""
    before = [start()] * started
    after = [start()] * (not started)
    messages = [*before, hint(STYLE, SCRIPT), hint(STYLE), *after, body(b"x")]
    host = Host().offer_hints().serve(adapt(sending(*messages)))
    assert host.hints == [
        [("Link", STYLE.decode()), ("Link", SCRIPT.decode())],
        [("Link", STYLE.decode())],
    ]
    assert (host.code, host.body) == (200, b"x")


@pytest.mark.clause("A-EXT-08", "H-EH-01")
def test_they_do_not_wait_for_the_response(adapt: Adapt) -> None:
    """That is their use: the client loads what it will need while the application computes."""
    gate = Gate()
    hinted = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(hint(STYLE))
        await gate()
        await sending(start(), body(b"x"))(scope, receive, send)

    host = Host(**{"wsgi.early_hints": lambda headers: hinted.set()})  # type: ignore[arg-type]
    with host.serve_in_thread(adapt(app)):
        hinted.happens()
        assert host.status is None
        gate.open()


@pytest.mark.clause("W-EXT-01", "C-07", "A-EXT-08")
@pytest.mark.parametrize("streamed", [False, True])
def test_after_the_first_body_message_they_are_ignored(adapt: Adapt, streamed: bool) -> None:
    parts = [body(b"a", more=streamed), hint(STYLE)]
    if streamed:
        parts += [body(b"b", more=True), hint(STYLE), body(b"c"), hint(STYLE)]
    host = Host().offer_hints().serve(adapt(sending(start(), *parts)))
    assert host.hints == []
    assert host.body == (b"abc" if streamed else b"a")


@pytest.mark.clause("A-EXT-08")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.early_hint"},
        {"type": "http.response.early_hint", "links": iter(())},
    ],
)
def test_without_links_there_is_no_call(adapt: Adapt, message: Message) -> None:
    host = Host().offer_hints().serve(adapt(sending(message, start(), body(b"x"))))
    assert host.hints == []


@pytest.mark.clause("A-CORE-07", "D-34", "C-20")
@pytest.mark.parametrize(
    "links", [["</a>"], [None], b"</a>", None, 1, [b"</a>\r\nx: y"], [b"</a>\0"], "</a>"]
)
def test_links_that_are_none_are_an_error(adapt: Adapt, links: Any) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(AsgiAppError, match="link"):
            await send({"type": "http.response.early_hint", "links": links})
        await send(hint(memoryview(STYLE)))
        await sending(start(), body(b"x"))(scope, receive, send)

    host = Host().offer_hints().serve(adapt(app))
    assert host.hints == [[("Link", STYLE.decode())]]


@pytest.mark.clause("A-EXT-08", "H-STAT-03")
def test_103_is_no_final_status(adapt: Adapt) -> None:
    with pytest.raises(AsgiAppError, match="103"):
        Host().offer_hints().serve(adapt(sending(start(103), body())))


@pytest.mark.clause("D-30")
def test_an_error_of_the_servers_is_raised_to_it(adapt: Adapt) -> None:
    """As when it cannot write, because the client left. The application sees a disconnect."""
    ended = Event()
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(hint(STYLE))
        await gate()
        assert (await receive())["type"] == "http.disconnect"
        with pytest.raises(ClientDisconnected):
            await send(start())
        ended.set()

    def early_hints(headers: Any) -> None:
        raise BrokenPipeError("of the server")

    host = Host(**{"wsgi.early_hints": early_hints})  # type: ignore[arg-type]
    with pytest.raises(BrokenPipeError, match="of the server"):
        host.serve(adapt(app))
    gate.open()
    ended.happens()
