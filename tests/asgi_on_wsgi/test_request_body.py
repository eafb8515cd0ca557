"""Request bodies: what ``wsgi.input`` is asked for, and the messages that come of it.

`Host` objects to any use of the input but ``read(size)`` with a positive size, to more than what
remains of a declared length, to a read after the end, and to one from another thread.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_on_wsgi.apps import Gate, Message, body, echo, http, receive_all, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.types import Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

TERMINATED: dict[str, Any] = {"wsgi.input_terminated": True}
CHUNKED: dict[str, Any] = {**TERMINATED, "HTTP_TRANSFER_ENCODING": "chunked"}


class Reader:
    """An application that notes the messages of the body, and answers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        self.messages = await receive_all(receive)
        await sending(start(), body(b"ok"))(scope, receive, send)

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages)


# --- how it is read -------------------------------------------------------------------------------


@pytest.mark.clause("W-IN-07", "W-IN-08", "CGI-18", "A-HTTP-16", "A-CORE-15")
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(st.binary(min_size=1, max_size=9).map(lambda part: part * 9000), max_size=5),
    how=st.sampled_from(["declared", "ended by the server", "chunked"]),
    method=st.sampled_from(["GET", "POST"]),
)
def test_any_split_gives_the_same_body(
    adapt: Adapt, parts: list[bytes], how: str, method: str
) -> None:
    content = b"".join(parts)
    environ = {"declared": {}, "ended by the server": TERMINATED, "chunked": CHUNKED}[how]
    length = len(content) if how == "declared" else None
    app = Reader()
    host = Host(list(parts), length=length, method=method, **environ).serve(adapt(app))
    assert host.body == b"ok"
    assert app.body == content
    assert [message["more_body"] for message in app.messages] == [True] * (
        len(app.messages) - 1
    ) + [False]
    for message in app.messages:
        _is_serialisable(message, {"type", "body", "more_body"})
    assert all(size <= 65536 for size in host.input.sizes)


def _is_serialisable(message: Message, keys: set[str]) -> None:
    assert type(message) is dict
    assert set(message) == keys
    kinds = {"type": str, "body": bytes, "more_body": bool}
    assert {key: type(value) for key, value in message.items()} == {key: kinds[key] for key in keys}


@pytest.mark.clause("A-CORE-15", "A-HTTP-32")
def test_a_disconnect_is_serialisable(adapt: Adapt) -> None:
    messages: list[Message] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await sending(start(), body(b"x"))(scope, receive, send)
        messages.append(dict(await receive()))

    adapter = adapt(app)
    Host().serve(adapter)
    adapter.close()
    (message,) = messages
    _is_serialisable(message, {"type"})


@pytest.mark.clause("W-IN-08", "CGI-18")
@pytest.mark.parametrize("length", [1, 65535, 65536, 65537, 200_000])
def test_what_follows_a_declared_length_is_not_touched(adapt: Adapt, length: int) -> None:
    """It is the next request of the connection."""
    content = bytes(range(256)) * 800
    app = Reader()
    host = Host(content, length=length, method="POST").serve(adapt(app))
    assert app.body == content[:length]
    assert sum(host.input.sizes) >= length
    assert host.input._parts == [content[length:]]


@pytest.mark.clause("W-IN-07", "D-51")
@pytest.mark.parametrize("length", [None, "", "0"])
def test_without_a_body_nothing_is_read(adapt: Adapt, length: str | None) -> None:
    app = Reader()
    host = Host(["never given out"], length=length, method="POST").serve(adapt(app))
    assert host.input.sizes == []
    assert app.messages == [{"type": "http.request", "body": b"", "more_body": False}]


@pytest.mark.clause("A-HTTP-17")
def test_without_a_body_there_need_be_no_input(adapt: Adapt) -> None:
    app = Reader()
    host = Host()
    del host.environ["wsgi.input"]
    host.serve(adapt(app))
    assert app.messages == [{"type": "http.request", "body": b"", "more_body": False}]


@pytest.mark.clause("D-32", "W-HTTP-01")
def test_a_small_body_is_read_before_the_application_is_called(adapt: Adapt) -> None:
    """It saves two hops between the threads; nothing on the wire tells the difference."""
    order: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        order.append("called")
        await echo(scope, receive, send)

    parts = [lambda: order.append("read"), b"in ", b"parts"]
    assert Host(parts, method="POST").serve(adapt(app)).body == b"in parts"
    assert order == ["read", "called"]


@pytest.mark.clause("W-IN-08")
@pytest.mark.parametrize("answer", [True, False])
def test_a_large_body_is_read_only_as_the_application_wants_it(adapt: Adapt, answer: bool) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not answer:
            await receive()
        await sending(start(), body(b"no"))(scope, receive, send)

    host = Host(b"x" * 1_000_000, method="POST").serve(adapt(app))
    assert host.body == b"no"
    assert host.input.sizes == [65536] * (not answer)


@pytest.mark.clause("W-IN-08", "A-HTTP-16")
def test_the_body_is_read_while_the_response_is_taken(adapt: Adapt) -> None:
    """By the server's thread, in the call for the next block; neither side is held whole."""
    parts = [bytes([number]) * 50_000 for number in range(8)]
    wanted: list[bytes] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        more = True
        while more:
            message: Any = await receive()
            more = message["more_body"]
            await send(body(message["body"], more=more))

    host = Host(list(parts), method="POST").call(adapt(app, window_bytes=65536))
    while (block := host.next()) is not None:
        wanted.append(block)
        assert len(host.input.sizes) <= len(wanted) + 3
    host.close()
    assert b"".join(wanted) == b"".join(parts)


@pytest.mark.clause("A-HTTP-16", "A-HTTP-32")
@pytest.mark.parametrize("pieces", [[b"a", b"b"], [b"ab"]], ids=["two pieces", "one piece"])
def test_the_body_is_never_given_twice(adapt: Adapt, pieces: list[bytes]) -> None:
    """After it `receive` waits, until the response is complete."""
    order: list[str] = []
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        order.append((await receive())["type"])
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                order.append((await receive())["type"])

            group.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await gate()
            await send(start(200, (b"content-length", b"2")))
            for piece in pieces[:-1]:
                await send(body(piece, more=True))
            await anyio.wait_all_tasks_blocked()
            order.append("complete")
            await send(body(pieces[-1]))

    adapter = adapt(app)
    with Host(b"x", method="POST").serve_in_thread(adapter) as served:
        gate.reached()
        assert order == ["http.request"]
        gate.open()
    assert served.host.body == b"ab"
    adapter.close()
    assert order == ["http.request", "complete", "http.disconnect"]


# --- bodies without a declared length -------------------------------------------------------------


@pytest.mark.clause("A-HTTP-14", "C-02", "D-51", "D-13", "W-HTTP-04", "H-MSG-05")
@pytest.mark.parametrize("length", [None, "3"])
def test_a_chunked_body_is_read_to_the_end_that_the_server_makes(
    adapt: Adapt, length: str | None
) -> None:
    """A length beside the transfer coding does not count (RFC 9112 section 6.3)."""
    app = Reader()
    host = Host([b"chun", b"ked"], length=None, method="POST", CONTENT_LENGTH=length, **CHUNKED)
    host.serve(adapt(app))
    assert app.body == b"chunked"


@pytest.mark.clause("C-02", "D-51")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("value", [True, 1, "yes"])
def test_an_input_that_ends_by_itself_is_read(adapt: Adapt, value: Any, method: str) -> None:
    """As behind a server of HTTP/2, where a body needs no header at all."""
    app = Reader()
    environ = {"wsgi.input_terminated": value, "SERVER_PROTOCOL": "HTTP/2.0"}
    Host([b"part", b"s"], length=None, method=method, **environ).serve(adapt(app))
    assert app.body == b"parts"


@pytest.mark.clause("C-18", "W-ENV-06")
@pytest.mark.parametrize("length", ["", " ", "\t"])
@pytest.mark.parametrize("terminated", [True, False])
def test_a_blank_length_is_none(adapt: Adapt, length: str, terminated: bool) -> None:
    app = Reader()
    environ: dict[str, Any] = {"CONTENT_LENGTH": length, "wsgi.input_terminated": terminated}
    Host([b"parts"], length=None, method="POST", **environ).serve(adapt(app))
    assert app.body == (b"parts" if terminated else b"")


@pytest.mark.clause("C-02", "D-51")
@pytest.mark.parametrize("value", [False, 0, "", None])
def test_the_value_counts_not_the_key(adapt: Adapt, value: Any) -> None:
    """With uWSGI the key is in every environ, and a read past the body would wait for ever."""
    app = Reader()
    host = Host(["never given out"], length=None, method="POST")
    host.environ["wsgi.input_terminated"] = value
    host.serve(adapt(app))
    assert host.input.sizes == []
    assert app.messages == [{"type": "http.request", "body": b"", "more_body": False}]


@pytest.mark.clause("C-02", "W-IN-08")
def test_a_declared_length_counts_although_the_input_ends_by_itself(adapt: Adapt) -> None:
    app = Reader()
    host = Host([b"abc"], length=3, method="POST", **TERMINATED).serve(adapt(app))
    assert app.body == b"abc"
    assert host.input.sizes == [3]


# --- information only -----------------------------------------------------------------------------


@pytest.mark.clause("D-14", "W-HTTP-04")
def test_hop_by_hop_request_headers_pass(adapt: Adapt) -> None:
    headers = {"connection": "upgrade", "upgrade": "h2c", "te": "trailers", "keep-alive": "5"}
    scopes: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    Host([b"ab"], length=None, method="POST", headers=headers, **CHUNKED).serve(adapt(app))
    received = dict(scopes[0]["headers"])
    for name, value in {**headers, "transfer-encoding": "chunked"}.items():
        assert received[name.encode()] == value.encode()
