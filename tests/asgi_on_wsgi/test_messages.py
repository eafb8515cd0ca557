"""Messages that break the specification: `AsgiAppError` out of ``send``, and nothing is corrupted.

An application that catches the error may go on as if it had not sent the message; for one that lets
it out, it is its exception like any other.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_on_wsgi.apps import Event, Gate, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

START: Message = {"type": "http.response.start"}
BODY: Message = {"type": "http.response.body"}

# Each with what the error has to name.
ANYTIME: dict[str, tuple[Any, str]] = {
    "no dict": ([("type", "http.response.body")], "message"),
    "None": (None, "message"),
    "no type": ({"body": b"x"}, "type"),
    "a type that is no str": ({"type": b"http.response.body"}, "type"),
    "an empty type": ({"type": ""}, "type"),
    "an unknown type": ({"type": "http.response.bodies"}, "http.response.bodies"),
    "a type in another case": ({"type": "HTTP.response.body"}, "HTTP.response.body"),
    "a request message": ({"type": "http.request", "body": b"x"}, "http.request"),
    "a websocket message": ({"type": "websocket.accept"}, "websocket.accept"),
    "a lifespan message": ({"type": "lifespan.startup.complete"}, "lifespan.startup.complete"),
    "push": (
        {"type": "http.response.push", "path": "/x", "headers": []},
        "http.response.push",
    ),
    "trailers before the end": (
        {"type": "http.response.trailers", "headers": []},
        "http.response.trailers: sent before ",
    ),
    "debug": ({"type": "http.response.debug", "info": {}}, "http.response.debug"),
    "zero copy": ({"type": "http.response.zerocopysend", "file": 1}, "http.response.zerocopysend"),
    "early hints that were not offered": (
        {"type": "http.response.early_hint", "links": [b"</a>"]},
        "http.response.early_hint",
    ),
    "a path that is empty": ({"type": "http.response.pathsend", "path": ""}, "path"),
    "a path of bytes": ({"type": "http.response.pathsend", "path": b"/a"}, "path"),
    "no path": ({"type": "http.response.pathsend"}, "path"),
}
INSTEAD_OF_START: dict[str, tuple[Any, str]] = {
    "a body before the start": (body(b"x"), "http.response.start"),
    "a part of the body before the start": (body(b"x", more=True), "http.response.start"),
    "a file before the start": (
        {"type": "http.response.pathsend", "path": __file__},
        "http.response.start",
    ),
    "no status": ({**START, "headers": []}, "status"),
    "a status that is no int": ({**START, "status": "200"}, "status"),
    "a status that is None": ({**START, "status": None}, "status"),
    "a status that is a bool": ({**START, "status": True}, "status"),
    "a status that is not final": ({**START, "status": 103}, "status"),
    "headers that are no iterable": ({**START, "status": 200, "headers": 1}, "headers"),
    "headers that are no pairs": ({**START, "status": 200, "headers": [b"abc"]}, "headers"),
    "headers of str": ({**START, "status": 200, "headers": [("a", "b")]}, "headers"),
    "a header with a line break": (start(200, (b"x-evil", b"a\r\nb: c")), "x-evil"),
}
AFTER_START: dict[str, tuple[Any, str]] = {
    "a second start": (start(500), "http.response.start"),
    "a body of str": ({**BODY, "body": "x"}, "body"),
    "a body of None": ({**BODY, "body": None}, "body"),
    "a body of a list": ({**BODY, "body": [b"x"]}, "body"),
    "a body of an int": ({**BODY, "body": 5, "more_body": True}, "body"),
}

TABLE = [
    pytest.param(sent, bad, names, id=f"{what}, after {len(sent)}")
    for table, phases in (
        (ANYTIME, ([], [start()], [start(), body(b"a", more=True)])),
        (INSTEAD_OF_START, ([],)),
        (AFTER_START, ([start()], [start(), body(b"a", more=True)])),
    )
    for what, (bad, names) in table.items()
    for sent in phases
]

D34 = pytest.mark.clause("A-CORE-07", "D-34", "D-38", "D-40", "A-EXT-03", "A-HTTP-28", "A-HTTP-18")


@D34
@pytest.mark.parametrize(("sent", "bad", "names"), TABLE)
def test_the_application_may_go_on(adapt: Adapt, sent: list[Message], bad: Any, names: str) -> None:
    errors: list[AsgiAppError] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)
        with pytest.raises(AsgiAppError) as caught:
            await send(bad)
        errors.append(caught.value)
        if not sent:
            await send(start())
        await send(body(b"b"))

    host = Host().serve(adapt(app, offer_pathsend=True))
    assert host.status == "200 OK"
    assert host.body == (b"ab" if len(sent) == 2 else b"b")
    assert names in str(errors[0])


@D34
@pytest.mark.clause("A-CORE-10", "W-ERR-04", "D-27")
@pytest.mark.parametrize(("sent", "bad", "names"), TABLE)
def test_the_error_may_be_let_out(adapt: Adapt, sent: list[Message], bad: Any, names: str) -> None:
    host = Host()
    with pytest.raises(AsgiAppError) as caught:
        host.serve(adapt(sending(*sent, bad, start(), body(b"b")), offer_pathsend=True))
    assert names in str(caught.value)
    begun = len(sent) == 2
    assert (host.status, host.body) == (("200 OK", b"a") if begun else (None, b""))


@pytest.mark.clause("D-34")
def test_the_error_does_not_hide_what_the_application_was_at(adapt: Adapt) -> None:
    """A second start mostly comes from the handling of an error."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            raise LookupError
        except LookupError:
            await send(start(500))

    with pytest.raises(AsgiAppError) as caught:
        Host().serve(adapt(app))
    assert type(caught.value.__context__) is LookupError
    assert not caught.value.__suppress_context__


@pytest.mark.clause("A-CORE-09")
@pytest.mark.parametrize("streamed", [False, True])
def test_additional_keys_are_ignored(adapt: Adapt, streamed: bool) -> None:
    parts = [{**body(b"a", more=streamed), "x": 1}]
    if streamed:
        parts.append({**body(b"b"), "body_file": "/x", "trailers": True})
    host = Host().serve(adapt(sending(start(more_body=False, reason=b"Fine", x=[]), *parts)))
    assert host.body == (b"ab" if streamed else b"a")


@pytest.mark.clause("A-HTTP-28", "A-EXT-09", "D-38")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("parts", [[body(b"ab")], [body(b"a", more=True), body(b"b")]])
def test_trailers_are_dropped(
    adapt: Adapt, method: str, parts: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    """The response is delivered, and ends with its body, before any trailers come."""
    caplog.set_level(logging.DEBUG, "gatebridge")
    gate, ended = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(200, (b"trailer", b"x-sum"), trailers=True), *parts)(
            scope, receive, send
        )
        await gate()
        for more in (True, False):
            trailers = [(b"x-sum", b"1")]
            await send(
                {"type": "http.response.trailers", "headers": trailers, "more_trailers": more}
            )
        ended.set()

    adapter = adapt(app, lifespan="off")
    host = Host(method=method, path="/sum").serve(adapter)
    assert (host.code, host.body) == (200, b"ab" if method == "GET" else b"")
    gate.open()
    ended.happens()
    adapter.close()
    assert f"{method} '/sum': trailers dropped: WSGI cannot carry them" in caplog.messages
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@pytest.mark.clause("A-HTTP-28", "D-38")
def test_trailers_may_be_denied(adapt: Adapt, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    app = sending(start(trailers=False), body(b"x"))
    assert Host().serve(adapt(app, lifespan="off")).body == b"x"
    assert caplog.messages == []


@pytest.mark.clause("A-HTTP-28", "A-EXT-03", "A-CORE-13", "D-38", "D-40")
def test_what_wsgi_cannot_do_is_not_offered(adapt: Adapt) -> None:
    offered: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        offered.append(scope["extensions"])
        await sending(start(), body(b"x"))(scope, receive, send)

    Host().serve(adapt(app))
    assert offered == [{}]


# --- after the final message ----------------------------------------------------------------------

LATE: dict[str, Message] = {
    "a start": start(500),
    "a body": body(b"late"),
    "a part of a body": body(b"late", more=True),
    "a body of str": {**BODY, "body": "late"},
    "a body of None": {**BODY, "body": None},
    "a body of an int": {**BODY, "body": 7},
    "a file": {"type": "http.response.pathsend", "path": __file__},
    "early hints": {"type": "http.response.early_hint", "links": [b"</a>"]},
    "trailers": {"type": "http.response.trailers", "headers": []},
}


@pytest.mark.clause("D-33", "A-HTTP-26", "A-CORE-11")
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
@pytest.mark.parametrize("streamed", [False, True])
def test_after_the_final_message_nothing_counts(
    adapt: Adapt, late: Message, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    went_on = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        if streamed:
            await send(body(b"a", more=True))
        await send(body(b"b"))
        await send(late)
        await send(late)
        went_on.set()

    adapter = adapt(app, lifespan="off")
    host = Host().offer_hints().serve(adapter)
    adapter.close()
    assert host.body == (b"ab" if streamed else b"b")
    assert host.hints == []
    assert went_on.is_set()
    assert caplog.messages == []


@pytest.mark.clause("D-33", "D-24")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stream_that_never_ends_is_stopped_after_the_final_message(
    adapt: Adapt, method: str
) -> None:
    """Nothing else would: nobody takes the blocks, and each of them is no-op that never waits."""
    stopped = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a"))
        try:
            while True:
                await send(body(b"x" * 100, more=True))
        except OSError:
            stopped.set()
            raise

    adapter = adapt(app, window_bytes=10_000)
    assert Host(method=method).serve(adapter).body == (b"a" if method == "GET" else b"")
    stopped.happens()
