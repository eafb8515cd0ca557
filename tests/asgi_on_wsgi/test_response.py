"""Responses: what becomes of well-formed messages, when, and how far the application may run ahead.

What a head may hold is tested in tests/translate; here a head only has to arrive.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_on_wsgi.apps import Event, Gate, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")


# --- heads ----------------------------------------------------------------------------------------


@pytest.mark.clause("D-19", "W-SR-03")
@pytest.mark.parametrize(
    ("status", "line"),
    [(200, "200 OK"), (HTTPStatus.CREATED, "201 Created"), (299, "299 Unknown")],
)
def test_a_status_line_has_a_reason(adapt: Adapt, status: int, line: str) -> None:
    assert Host().serve(adapt(sending(start(status), body(b"x")))).status == line


@pytest.mark.clause("D-20", "D-21", "W-VAL-04", "A-HTTP-34", "H-COOKIE-02")
def test_headers_pass_but_those_that_wsgi_forbids(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    headers = [
        (b"set-cookie", b"b=2"),
        (b"x-tab", b" a\tb "),
        (b"connection", b"keep-alive, x-hop"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"x-hop", b"1"),
        (b"status", b"200 OK"),
        (b"X-Case", b""),
        (b"set-cookie", b"a=1"),
    ]
    message = {"type": "http.response.start", "status": 200, "headers": iter(headers)}
    host = Host().serve(adapt(sending(message, body(b"x")), lifespan="off"))
    assert host.headers == [
        ("set-cookie", "b=2"),
        ("x-tab", "a b"),
        ("X-Case", ""),
        ("set-cookie", "a=1"),
    ]
    for name in ("connection", "keep-alive", "transfer-encoding", "x-hop", "status"):
        assert any(name in message for message in caplog.messages)
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@pytest.mark.clause("D-25", "W-HTTP-03")
@pytest.mark.parametrize("messages", [(body(b"x"),), (body(b"x", more=True), body(b"y"))])
def test_no_header_is_added(adapt: Adapt, messages: tuple[Any, ...]) -> None:
    head = {"type": "http.response.start", "status": 200}
    assert Host().serve(adapt(sending(head, *messages))).headers == []


@pytest.mark.clause("A-HTTP-22", "D-26")
def test_the_start_alone_begins_nothing(adapt: Adapt) -> None:
    """So that an error which comes between the two can still become a clean 500."""
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201))
        await gate()
        await send(body(b"x"))

    host = Host()
    with host.serve_in_thread(adapt(app)):
        gate.reached()
        assert host.status is None
        gate.open()
    assert host.status == "201 Created"


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-HTTP-27", "A-HTTP-26", "A-HTTP-21")
@pytest.mark.parametrize(
    ("messages", "content"),
    [
        ([{"type": "http.response.body"}], b""),
        ([{"type": "http.response.body", "body": b"x"}], b"x"),
        ([{"type": "http.response.body", "more_body": False}], b""),
        ([{"type": "http.response.body", "more_body": True}, body(b"x")], b"x"),
        ([body(b"a", more=True), {"type": "http.response.body"}], b"a"),
        ([body(b"a", more=True), body(b"", more=True), body(b"b", more=True), body(b"c")], b"abc"),
    ],
)
def test_keys_have_defaults_and_bodies_concatenate(
    adapt: Adapt, messages: list[Any], content: bytes
) -> None:
    assert Host().serve(adapt(sending(start(), *messages))).body == content


@pytest.mark.clause("W-BODY-03", "A-HTTP-27", "W-STR-04", "C-20")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=12),
    kinds=st.lists(st.sampled_from([bytes, bytearray, memoryview]), min_size=12, max_size=12),
    window=st.sampled_from([1, 64, 262144]),
)
def test_any_split_gives_the_same_body(
    adapt: Adapt, parts: list[bytes], kinds: list[Any], window: int
) -> None:
    messages = [body(kind(part), more=True) for part, kind in zip(parts[:-1], kinds, strict=False)]
    app = sending(start(), *messages, body(kinds[-1](parts[-1])))
    host = Host().serve(adapt(app, window_bytes=window))
    assert host.blocks == [part for part in parts if part]


class Bytes(bytes):
    """A subclass."""


@pytest.mark.clause("W-STR-04", "C-20", "D-34")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "content",
    [bytearray(b"abcd"), memoryview(b"abcd"), Bytes(b"abcd"), memoryview(b"aXbXcXdX")[::2]],
)
def test_bytes_like_bodies_become_bytes(adapt: Adapt, content: Any, streamed: bool) -> None:
    """`Host` objects to blocks of any other type."""
    first = [body(content, more=True)] * streamed
    host = Host().serve(adapt(sending(start(), *first, body(content))))
    assert host.blocks == [b"abcd"] * (1 + streamed)


@pytest.mark.clause("A-HTTP-25", "A-CORE-17", "C-20")
def test_a_buffer_may_be_used_again_after_send(adapt: Adapt) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        buffer = bytearray(b"0")
        await send(start())
        for number in range(1, 5):
            await send(body(buffer, more=True))  # type: ignore[arg-type]
            buffer[:] = b"%d" % number
        await send(body(b""))

    assert Host().serve(adapt(app)).body == b"0123"


# --- waiting --------------------------------------------------------------------------------------


@pytest.mark.clause("A-HTTP-25", "W-BODY-15")
def test_a_block_can_be_taken_while_the_application_computes_the_next(adapt: Adapt) -> None:
    gates = [Gate() for _ in range(3)]

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number, gate in enumerate(gates):
            await send(body(b"%d" % number, more=True))
            await gate()
        await send(body(b"end"))

    host = Host().call(adapt(app))
    for number, gate in enumerate(gates):
        assert host.next() == b"%d" % number
        gate.reached()
        gate.open()
    assert host.next() == b"end"
    assert host.next() is None
    host.close()


class Ahead:
    """An application that streams as fast as it can, and knows when it has to wait."""

    def __init__(self, block: bytes, count: int) -> None:
        self.sent = 0
        self.waits = Event()
        self._block = block
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError

        async def stream() -> None:
            await send(start())
            for _ in range(self._count):
                await send(body(self._block, more=True))
                self.sent += 1
            await send(body())

        async with anyio.create_task_group() as group:
            group.start_soon(stream)
            await anyio.wait_all_tasks_blocked()
            self.waits.set()


@pytest.mark.clause("W-BODY-15", "A-CORE-17", "A-HTTP-25")
@pytest.mark.parametrize(
    ("block", "count"), [(b"x" * 1000, 200), (b"x" * 20_000, 40), (b"", 2000), (b"x", 5000)]
)
def test_the_application_waits_while_the_window_is_full(
    adapt: Adapt, block: bytes, count: int
) -> None:
    """Of blocks with content only: an empty one takes no room, and needs no answer."""
    window = 10_000
    app = Ahead(block, count)
    host = Host().call(adapt(app, window_bytes=window))
    app.waits.happens()
    if block:
        assert app.sent < count
        assert app.sent * len(block) < window + 2 * len(block)
    taken = 0
    while (item := host.next()) is not None:
        taken += len(item)
    host.close()
    assert app.sent == count
    assert taken == count * len(block)


@pytest.mark.clause("W-BODY-15")
def test_requests_do_not_share_a_window(adapt: Adapt) -> None:
    """One client that does not read holds up nobody else."""
    app = Ahead(b"x" * 1000, 100)
    quick = sending(start(), *[body(b"y" * 1000, more=True)] * 100, body())

    @http
    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["path"] == "/slow" else quick)(scope, receive, send)

    adapter = adapt(both, window_bytes=4096)
    slow = Host(path="/slow").call(adapter)
    app.waits.happens()
    assert len(Host().serve(adapter).body) == 100_000
    slow.close()
    assert app.sent < 100
