"""Large uploads: parts that are read ahead of the application change nothing but the pace.

Each case runs with a client that counts as fast, so that the adapter reads ahead, and with one that
counts as slow, so that it does not.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import anyio.to_thread
import pytest

from asgi_on_wsgi.apps import Event, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge._asgi_on_wsgi import request_in_thread
from gatebridge.errors import HostError
from gatebridge.types import ASGIApplication, Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

PART = b"x" * 65536
READ_AHEAD = 4  # number of parts
TERMINATED: dict[str, Any] = {"wsgi.input_terminated": True, "length": None}


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each part count as read at once."""
    monkeypatch.setattr(request_in_thread, "_AT_ONCE_SECONDS", math.inf)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no part count as read at once."""
    monkeypatch.setattr(request_in_thread, "_AT_ONCE_SECONDS", -1)


@pytest.fixture(params=["fast", "slow"])
def client(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


def receiving(count: int, messages: list[Message], *, head_first: bool = False) -> ASGIApplication:
    """Return an application that receives ``count`` messages of the body, then responds."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if head_first:
            await send(start())
        while len(messages) < count and (not messages or messages[-1].get("more_body")):
            messages.append(dict(await receive()))
        await sending(*([] if head_first else [start()]), body(b"ok"))(scope, receive, send)

    return app


@pytest.mark.usefixtures("client")
@pytest.mark.clause("W-IN-07", "W-IN-08", "A-HTTP-16")
def test_every_part_comes_once_and_in_order(adapt: Adapt) -> None:
    content = [bytes([number]) * 65536 for number in range(20)]
    messages: list[Message] = []
    host = Host(content, method="POST").serve(adapt(receiving(99, messages)))
    assert host.body == b"ok"
    assert [message["body"] for message in messages] == content
    assert [message["more_body"] for message in messages] == [True] * 19 + [False]


@pytest.mark.usefixtures("fast")
@pytest.mark.clause("W-IN-08")
def test_a_fast_upload_is_read_a_few_parts_ahead(adapt: Adapt) -> None:
    ahead = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(READ_AHEAD + 1):
            await receive()
        await anyio.to_thread.run_sync(ahead.happens)
        await sending(start(), body(b"ok"))(scope, receive, send)

    parts = [*[PART] * 2 * READ_AHEAD, ahead.set, *[PART] * 10]
    host = Host(parts, method="POST").serve(adapt(app))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 2 * READ_AHEAD + 1


@pytest.mark.usefixtures("client")
@pytest.mark.clause("W-IN-08")
@pytest.mark.parametrize("count", [1, 4, 5, 12])
def test_what_is_read_ahead_is_bounded(adapt: Adapt, count: int) -> None:
    messages: list[Message] = []
    host = Host([PART] * 40, method="POST").serve(adapt(receiving(count, messages)))
    assert host.body == b"ok"
    assert len(messages) == count
    ahead = READ_AHEAD if count > READ_AHEAD else 0  # small uploads are not read ahead
    assert count <= len(host.input.sizes) <= count + ahead


@pytest.mark.usefixtures("slow")
@pytest.mark.clause("W-IN-08")
def test_nothing_is_read_ahead_from_a_slow_client(adapt: Adapt) -> None:
    """It might stall, and the response must not wait for a part that no application asked for."""
    messages: list[Message] = []
    host = Host([PART] * 40, method="POST").serve(adapt(receiving(12, messages)))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 12


@pytest.mark.usefixtures("fast")
@pytest.mark.clause("W-IN-08")
def test_nothing_is_read_ahead_of_a_chunked_body(adapt: Adapt) -> None:
    """Its client may wait for an answer before it sends more."""
    messages: list[Message] = []
    host = Host([PART] * 40, method="POST", **TERMINATED).serve(adapt(receiving(12, messages)))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 12


@pytest.mark.usefixtures("fast")
@pytest.mark.clause("W-IN-08")
def test_a_part_that_was_read_ahead_is_not_read_again(adapt: Adapt) -> None:
    """The application asks for it while it is being read."""
    asks = Event()
    messages: list[Message] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while len(messages) < 6:
            if len(messages) == 5:
                asks.set()
            messages.append(dict(await receive()))
        await sending(start(), body(b"ok"))(scope, receive, send)

    parts = [*[PART] * 5, asks.happens, b"y" * 65536]
    host = Host(parts, method="POST").serve(adapt(app))
    assert host.body == b"ok"
    assert messages[5]["body"] == b"y" * 65536
    assert len(host.input.sizes) == 6


@pytest.mark.usefixtures("fast")
@pytest.mark.clause("W-IN-08")
def test_nothing_is_read_ahead_once_the_response_has_a_head(adapt: Adapt) -> None:
    """Its body may come at any time, and an event stream's head must not be late."""
    messages: list[Message] = []
    host = Host([PART] * 40, method="POST")
    host.serve(adapt(receiving(12, messages, head_first=True)))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 12


@pytest.mark.usefixtures("client")
@pytest.mark.clause("A-HTTP-32")
@pytest.mark.parametrize("short", [False, True], ids=["client left", "body too short"])
def test_an_error_comes_after_the_parts_before_it(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, short: bool
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    messages: list[Message] = []
    error = b"" if short else ConnectionResetError("gone")
    host = Host([*[PART] * 7, error], method="POST", length=40 * 65536)
    host.serve(adapt(receiving(99, messages)))
    assert [message["type"] for message in messages] == ["http.request"] * 7 + ["http.disconnect"]
    assert [message.get("body") for message in messages[:-1]] == [PART] * 7
    (record,) = [each for each in caplog.records if "/" in each.getMessage()]
    wanted = "the body ended after" if short else "wsgi.input raised ConnectionResetError"
    assert wanted in record.getMessage()


@pytest.mark.usefixtures("client")
@pytest.mark.clause("W-IN-08")
@pytest.mark.parametrize("error", [OSError("gone"), ""], ids=["client left", "not bytes"])
def test_an_error_counts_only_if_the_application_asks_for_that_part(
    adapt: Adapt, caplog: pytest.LogCaptureFixture, error: Any
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    messages: list[Message] = []
    host = Host([*[PART] * 7, error], method="POST", length=40 * 65536)
    adapter = adapt(receiving(7, messages))
    host.serve(adapter)
    adapter.close()
    assert host.body == b"ok"
    assert len(messages) == 7
    assert [each for each in caplog.records if "/" in each.getMessage()] == []


@pytest.mark.usefixtures("client")
@pytest.mark.clause("W-IN-08")
def test_an_error_of_the_server_is_raised_to_it(adapt: Adapt) -> None:
    host = Host([*[PART] * 7, ""], method="POST", length=40 * 65536)
    with pytest.raises(HostError, match="not bytes"):
        host.serve(adapt(receiving(99, [])))
