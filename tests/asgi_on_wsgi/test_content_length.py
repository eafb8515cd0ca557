"""A response that is not as long as it declares: the client never sees a byte too much."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asgi_on_wsgi.apps import Event, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import AsgiAppError, ClientDisconnected
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-23", "H-MSG-08")]


def declaring(length: int, *parts: bytes, end: bool = True) -> list[Message]:
    """Return the messages of a response that declares a length."""
    messages = [start(200, (b"content-length", b"%d" % length))]
    messages += [body(part, more=True) for part in parts[:-1]]
    return [*messages, body(parts[-1], more=not end)]


@pytest.mark.parametrize("parts", [(b"abcd",), (b"ab", b"cd"), (b"", b"abcd", b""), (b"abcd", b"")])
def test_a_response_as_long_as_declared_passes(adapt: Adapt, parts: tuple[bytes, ...]) -> None:
    host = Host().serve(adapt(sending(*declaring(4, *parts))))
    assert (host.body, host.header("content-length")) == (b"abcd", "4")


def test_an_empty_response_may_say_so(adapt: Adapt) -> None:
    host = Host().serve(adapt(sending(*declaring(0, b""))))
    assert (host.result, host.header("content-length")) == ([], "0")


@pytest.mark.clause("W-CLOSE-02")
def test_a_server_may_close_what_has_all_of_its_declared_length(adapt: Adapt) -> None:
    """Without asking for the end, as `WsgiToAsgi` does: the client has not left early."""
    done = Event()
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in declaring(4, b"ab", b"cd", end=False):
                await send(message)
            await receive()
            seen.append(await receive())
            await send(body(b""))
            seen.append("background")
        except BaseException as exc:
            seen.append(exc)
            raise
        finally:
            done.set()

    host = Host().call(adapt(app))
    assert (host.next(), host.next()) == (b"ab", b"cd")
    host.close()
    done.happens()
    assert seen == [{"type": "http.disconnect"}, "background"]


@pytest.mark.clause("H-MSG-07", "W-ERR-04")
@pytest.mark.parametrize(
    "messages",
    [
        declaring(3, b"abcd"),
        declaring(3, b"abcd", b""),
        declaring(0, b"a"),
        declaring(5, b"abcd"),
        declaring(5, b""),
    ],
)
def test_a_first_message_of_a_wrong_length_begins_nothing(
    adapt: Adapt, messages: list[Message]
) -> None:
    host = Host()
    with pytest.raises(AsgiAppError, match="content-length"):
        host.serve(adapt(sending(*messages)))
    assert host.status is None


def test_after_a_first_message_that_is_too_long_the_application_may_go_on(adapt: Adapt) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, (b"content-length", b"3")))
        for wrong in (body(b"abcd"), body(b"abcd", more=True), body(b"ab")):
            with pytest.raises(AsgiAppError, match="content-length"):
                await send(wrong)
        await send(body(b"abc"))

    assert Host().serve(adapt(app)).body == b"abc"


@pytest.mark.parametrize(
    ("messages", "delivered"),
    [
        (declaring(3, b"ab", b"cd"), b"abc"),
        (declaring(3, b"ab", b"cd", b""), b"abc"),
        (declaring(3, b"abc", b"d"), b"abc"),
        (declaring(3, b"", b"abcdef", end=False), b"abc"),
        (declaring(0, b"", b"a"), b""),
    ],
)
@pytest.mark.parametrize("catches", [False, True])
def test_of_a_later_surplus_the_allowed_part_is_delivered(
    adapt: Adapt, messages: list[Message], delivered: bytes, catches: bool
) -> None:
    """Then the iterator raises, whatever the application makes of the error out of ``send``."""
    errors: list[BaseException] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except AsgiAppError as exc:
            errors.append(exc)
            if not catches:
                raise

    adapter = adapt(app)
    host = Host()
    with pytest.raises(AsgiAppError, match="content-length"):
        host.serve(adapter)
    adapter.close()
    assert host.body == delivered
    assert len(errors) == 1


@pytest.mark.clause("D-30", "A-HTTP-29")
@pytest.mark.parametrize("bug", [False, True])
def test_after_a_surplus_nobody_takes_any_more(
    adapt: Adapt, bug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The application learns of it as of a client that left; the server has the error already."""
    caplog.set_level(logging.WARNING, "gatebridge")
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start(200, (b"content-length", b"1")))
        await send(body(b"a", more=True))
        with pytest.raises(AsgiAppError, match="content-length") as caught:
            await send(body(b"b", more=True))
        assert await receive() == {"type": "http.disconnect"}
        with pytest.raises(ClientDisconnected):
            await send(body())
        ended.set()
        raise ZeroDivisionError("of the app") from (None if bug else caught.value)

    adapter = adapt(app)
    with pytest.raises(AsgiAppError, match="content-length"):
        Host().serve(adapter)
    adapter.close()
    assert ended.is_set()
    message = "GET '/': the application raised after its response had failed"
    assert caplog.messages == [message] * bug


@pytest.mark.clause("H-MSG-07")
@pytest.mark.parametrize("parts", [(b"ab", b"c"), (b"ab", b""), (b"", b"")])
def test_a_shortfall_lets_the_iterator_raise(adapt: Adapt, parts: tuple[bytes, ...]) -> None:
    """The server then aborts the connection, and the client sees that something is missing."""
    host = Host()
    with pytest.raises(AsgiAppError, match="content-length"):
        host.serve(adapt(sending(*declaring(4, *parts))))
    assert host.body == b"".join(parts)
    assert host.code == 200


@pytest.mark.clause("H-MSG-07", "D-35")
@pytest.mark.parametrize("parts", [(b"ab",), (b"abcd",), (b"ab", b"cd")])
def test_the_final_message_is_not_replaced_by_a_length(
    adapt: Adapt, parts: tuple[bytes, ...]
) -> None:
    host = Host()
    with pytest.raises(AsgiAppError):
        host.serve(adapt(sending(*declaring(4, *parts, end=False))))
    assert host.body == b"".join(parts)


@pytest.mark.clause("D-24", "H-STAT-07", "H-STAT-06")
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("HEAD", 404)])
@pytest.mark.parametrize(
    "parts", [(b"",), (b"abc",), (b"abcd",), (b"abcdefg",), (b"abcdef", b"g"), (b"", b"")]
)
def test_without_content_it_is_the_length_of_another_response(
    adapt: Adapt, method: str, status: int, parts: tuple[bytes, ...]
) -> None:
    messages: list[Any] = declaring(4, *parts)
    messages[0]["status"] = status
    host = Host(method=method).serve(adapt(sending(*messages)))
    assert (host.result, host.header("content-length")) == ([], "4")
