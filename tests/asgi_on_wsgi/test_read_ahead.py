"""Large uploads: parts that are read ahead of the application change nothing but the pace.

Each case runs with a client that has every part ready, so that the adapter reads ahead, and with
one that is slow, so that it does not.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from asgi_on_wsgi.apps import Event, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge.errors import HostError
from gatebridge.types import ASGIApplication, Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

PART = b"x" * 65536
READ_AHEAD = 4  # number of parts
TERMINATED: dict[str, Any] = {"wsgi.input_terminated": True}


def slowly() -> None:
    """Take longer than a part that is read at once."""
    end = time.monotonic() + 0.002
    while time.monotonic() < end:
        pass


@pytest.fixture(params=["fast", "slow"])
def upload(request: pytest.FixtureRequest) -> Any:
    """Return a function that makes the parts of an upload."""

    def parts(*items: Any) -> list[Any]:
        if request.param == "fast":
            return list(items)
        return [part for item in items for part in (slowly, item)]

    return parts


def receiving(count: int, messages: list[Message], *, head_first: bool = False) -> ASGIApplication:
    """Return an application that receives so many messages of the body, and answers."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if head_first:
            await send(start())
        while len(messages) < count and (not messages or messages[-1].get("more_body")):
            messages.append(dict(await receive()))
        await sending(*([] if head_first else [start()]), body(b"ok"))(scope, receive, send)

    return app


@pytest.mark.clause("W-IN-07", "W-IN-08", "A-HTTP-16")
@pytest.mark.parametrize("how", ["declared", "ended by the server"])
def test_every_part_comes_once_and_in_order(adapt: Adapt, upload: Any, how: str) -> None:
    content = [bytes([number]) * 65536 for number in range(20)]
    environ = {} if how == "declared" else {**TERMINATED, "length": None}
    messages: list[Message] = []
    host = Host(upload(*content), method="POST", **environ).serve(adapt(receiving(99, messages)))
    assert host.body == b"ok"
    assert [message["body"] for message in messages if message["body"]] == content
    assert [message["more_body"] for message in messages] == [True] * (len(messages) - 1) + [False]


@pytest.mark.clause("W-IN-08")
@pytest.mark.parametrize("count", [1, 4, 5, 12])
def test_what_is_read_ahead_is_bounded(adapt: Adapt, upload: Any, count: int) -> None:
    messages: list[Message] = []
    host = Host(upload(*[PART] * 40), method="POST").serve(adapt(receiving(count, messages)))
    assert host.body == b"ok"
    assert len(messages) == count
    ahead = READ_AHEAD if count > READ_AHEAD else 0  # small uploads are not read ahead
    assert count <= len(host.input.sizes) <= count + ahead


@pytest.mark.clause("W-IN-08")
def test_nothing_is_read_ahead_from_a_slow_client(adapt: Adapt) -> None:
    """It might stall, and the response must not wait for a part that no application asked for."""
    messages: list[Message] = []
    parts = [part for _ in range(40) for part in (slowly, PART)]
    host = Host(parts, method="POST").serve(adapt(receiving(12, messages)))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 12


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

    sixth = [asks.happens, slowly, b"y" * 65536]
    host = Host([*[PART] * 5, *sixth, *[PART] * 4], method="POST").serve(adapt(app))
    assert host.body == b"ok"
    assert messages[5]["body"] == b"y" * 65536
    assert len(host.input.sizes) == 6


@pytest.mark.clause("W-IN-08")
def test_nothing_is_read_ahead_once_the_response_has_a_head(adapt: Adapt) -> None:
    """Its body may come at any time, and an event stream's head must not be late."""
    messages: list[Message] = []
    host = Host([PART] * 40, method="POST")
    host.serve(adapt(receiving(12, messages, head_first=True)))
    assert host.body == b"ok"
    assert len(host.input.sizes) == 12


@pytest.mark.clause("A-HTTP-32")
@pytest.mark.parametrize("short", [False, True], ids=["client left", "body too short"])
def test_an_error_comes_after_the_parts_before_it(
    adapt: Adapt, upload: Any, caplog: pytest.LogCaptureFixture, short: bool
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    messages: list[Message] = []
    error = b"" if short else ConnectionResetError("gone")
    host = Host(upload(*[PART] * 7, error), method="POST", length=40 * 65536)
    host.serve(adapt(receiving(99, messages)))
    assert [message["type"] for message in messages] == ["http.request"] * 7 + ["http.disconnect"]
    assert [message.get("body") for message in messages[:-1]] == [PART] * 7
    (record,) = [each for each in caplog.records if "/" in each.getMessage()]
    wanted = "the body ended after" if short else "wsgi.input raised ConnectionResetError"
    assert wanted in record.getMessage()


@pytest.mark.clause("H-MSG-10", "W-IN-08")
@pytest.mark.parametrize("what", ["client left", "not bytes", "too large"])
@pytest.mark.parametrize("count", [7, 99])
def test_an_error_counts_only_if_the_application_asks_for_that_part(
    adapt: Adapt, upload: Any, caplog: pytest.LogCaptureFixture, what: str, count: int
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    last: Any = {"client left": OSError("gone"), "not bytes": "", "too large": b"x"}[what]
    messages: list[Message] = []
    host = Host(upload(*[PART] * 7, last, b""), method="POST", length=None, **TERMINATED)
    adapter = adapt(receiving(count, messages), max_body_size=7 * 65536)
    if what == "not bytes" and count == 99:
        with pytest.raises(HostError, match="not bytes"):
            host.serve(adapter)
        return
    host.serve(adapter)
    adapter.close()
    if count == 7:
        assert host.body == b"ok"
        assert len(messages) == 7
        assert [each for each in caplog.records if "/" in each.getMessage()] == []
    else:
        assert host.code == (413 if what == "too large" else 200)
        assert [message["body"] for message in messages[:7]] == [PART] * 7
