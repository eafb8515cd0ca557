"""A head whose body does not follow begins the response with an empty block.

Gunicorn, Werkzeug and wsgiref then send the headers, so that a browser's ``EventSource`` opens
before the first event. `Gate` is where the application waits: what it lets pass is the body.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_on_wsgi.apps import Event, Gate, Message, body, http, receive_body, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from asgi_on_wsgi.test_validator import validated
from gatebridge.errors import AsgiAppError
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-26")]

LONG = 0.1  # seconds, in which the server's thread gives up waiting for a complete response
PATH = {"type": "http.response.pathsend", "path": __file__}
CONTENT = Path(__file__).read_bytes()
LENGTH = start(200, (b"content-length", b"2"))


def waiting(gate: Gate, *messages: Message, head: Message | None = None, before: float = 0) -> Any:
    """Return an application that sends a head, and the rest once the gate is open."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(before)
        await send(head or start())  # type: ignore[arg-type]
        await gate()
        await sending(*messages)(scope, receive, send)

    return app


def rest_of(host: Host, gate: Gate) -> bytes:
    """Take the empty block, open the gate, and return the body."""
    assert (host.status, host.next()) == ("200 OK", b"")
    gate.open()
    while host.next() is not None:
        pass
    host.close()
    return host.body


@pytest.mark.clause("W-CALL-05", "W-CALL-07", "A-HTTP-22")
@pytest.mark.parametrize("before", [0, LONG])
@pytest.mark.parametrize("head", [start(), LENGTH], ids=["no length", "length"])
@pytest.mark.parametrize("parts", [[body(b"ab")], [body(b"a", more=True), body(b"b")]])
def test_the_response_begins_before_there_is_a_body(
    adapt: Adapt, before: float, head: Message, parts: list[Message]
) -> None:
    gate = Gate()
    host = Host().call(adapt(waiting(gate, *parts, head=head, before=before)))
    assert rest_of(host, gate) == b"ab"
    assert len(host.headers) == len(head["headers"])


@pytest.mark.clause("D-25", "W-CALL-05")
def test_a_response_that_is_complete_at_once_is_a_list_however_late(adapt: Adapt) -> None:
    """The thread has given up waiting by then, but the head does not come alone."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(LONG)
        await sending(start(), body(b"ab"))(scope, receive, send)

    assert Host().serve(adapt(app)).result == [b"ab"]


@pytest.mark.clause("D-26", "D-27", "W-ERR-04")
@pytest.mark.parametrize("before", [0, LONG])
def test_an_error_right_after_the_head_is_raised_before_the_response(
    adapt: Adapt, before: float
) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(before)
        await send(start())
        raise ZeroDivisionError

    host = Host()
    with pytest.raises(ZeroDivisionError):
        host.serve(adapt(app))
    assert host.status is None


@pytest.mark.clause("D-27")
def test_a_later_error_is_raised_by_the_iterator(adapt: Adapt) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await gate()
        raise ZeroDivisionError

    host = Host().call(adapt(app))
    with pytest.raises(ZeroDivisionError):
        rest_of(host, gate)


@pytest.mark.clause("D-35")
def test_so_is_a_return_without_a_body(adapt: Adapt) -> None:
    gate = Gate()
    host = Host().call(adapt(waiting(gate)))
    with pytest.raises(AsgiAppError, match=r"^http\.response\.body: "):
        rest_of(host, gate)


@pytest.mark.clause("D-23", "H-MSG-07")
@pytest.mark.parametrize("content", [b"a", b"abc"])
def test_a_wrong_length_is_noticed(adapt: Adapt, content: bytes) -> None:
    gate = Gate()
    host = Host().call(adapt(waiting(gate, body(content), head=LENGTH)))
    with pytest.raises(AsgiAppError, match=r"^content-length: "):
        rest_of(host, gate)
    assert host.body == content[:2]


@pytest.mark.clause("D-24")
@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)]
)
def test_a_response_without_content_is_complete_with_its_head(
    adapt: Adapt, method: str, status: int
) -> None:
    gate, ended = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status))
        await gate()
        assert (await receive())["type"] == "http.disconnect"
        await send(body(b"ignored"))
        ended.set()

    host = Host(method=method).serve(adapt(app))
    assert (host.code, host.result) == (status, [])
    gate.open()
    ended.happens()


@pytest.mark.clause("D-37")
def test_a_hint_comes_too_late_then(adapt: Adapt) -> None:
    gate = Gate()
    hint: Message = {"type": "http.response.early_hint", "links": [b"</a>"]}
    host = Host().offer_hints().call(adapt(waiting(gate, hint, body(b"ab"))))
    assert rest_of(host, gate) == b"ab"
    assert host.hints == []


@pytest.mark.clause("W-IN-07", "A-HTTP-16")
def test_the_requests_body_is_read_while_the_response_is_served(adapt: Adapt) -> None:
    gate = Gate()
    content = b"x" * 100_000

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await gate()
        await send(body(await receive_body(receive)))

    host = Host(content, method="POST").call(adapt(app))
    assert host.input.sizes == []
    assert rest_of(host, gate) == content


@pytest.mark.clause("D-30", "A-HTTP-32", "W-CLOSE-02")
def test_the_client_may_leave_before_there_is_a_body(adapt: Adapt) -> None:
    seen: list[Any] = []
    gate, ended = Gate(), Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await gate()
        seen.append(await receive())
        ended.set()

    host = Host().call(adapt(app))
    assert host.next() == b""
    host.close()
    gate.open()
    ended.happens()
    assert seen == [{"type": "http.disconnect"}]


def test_response_timeout_counts_anew_from_there(adapt: Adapt) -> None:
    host = Host().call(adapt(waiting(Gate(), body(b"ab")), response_timeout=LONG))
    assert (host.status, host.next()) == ("200 OK", b"")
    with pytest.raises(AsgiAppError, match=r"^response_timeout: "):
        host.next()


@pytest.mark.clause("W-VAL-04")
def test_the_validator_is_silent(adapt: Adapt) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await anyio.sleep(LONG)
        await send(body(b"ab"))

    host = validated(adapt(app), Host())
    assert host.body == b"ab"
    assert type(host.result) is not list
    gate.open()


# --- files ----------------------------------------------------------------------------------------


def open_files(path: str) -> int:
    folder = Path("/proc/self/fd")
    links = [os.path.realpath(each) for each in folder.iterdir()] if folder.exists() else []
    return links.count(path)


@pytest.mark.clause("D-39", "A-EXT-07")
@pytest.mark.parametrize("head", [start(), start(200, (b"content-length", b"%d" % len(CONTENT)))])
def test_a_file_may_still_follow(adapt: Adapt, head: Message) -> None:
    """By blocks: the server has its iterable already."""
    gate = Gate()
    adapter = adapt(waiting(gate, PATH, head=head), offer_pathsend=True)
    host = Host().offer_file_wrapper().call(adapter)
    assert rest_of(host, gate) == CONTENT
    assert host.wrapped == []
    assert open_files(__file__) == 0


@pytest.mark.clause("D-39", "W-CLOSE-02")
def test_such_a_file_is_closed_if_the_client_leaves(adapt: Adapt, tmp_path: Path) -> None:
    gate = Gate()
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100_000)
    host = Host().call(adapt(waiting(gate, {**PATH, "path": str(large)}), offer_pathsend=True))
    assert host.next() == b""
    gate.open()
    assert host.next() == b"x" * 65536
    host.close()
    assert open_files(str(large)) == 0


@pytest.mark.clause("D-39", "D-55")
def test_a_server_that_closes_after_the_last_block_of_such_a_file_has_all_of_it(
    adapt: Adapt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatebridge")
    gate = Gate()
    adapter = adapt(waiting(gate, PATH), offer_pathsend=True)
    host = Host().call(adapter)
    assert host.next() == b""
    gate.open()
    assert host.next() == CONTENT
    host.close()
    adapter.close()
    assert caplog.messages == []


@pytest.mark.clause("D-39")
def test_the_application_may_go_on_after_a_file_that_is_missing(adapt: Adapt) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await gate()
        with pytest.raises(AsgiAppError, match=r"^path: "):
            await send({"type": "http.response.pathsend", "path": "/no/such"})
        await send(body(b"a", more=True))
        with pytest.raises(AsgiAppError, match="sent after a part of the body"):
            await send(PATH)  # type: ignore[arg-type]
        await send(body(b"b"))

    host = Host().call(adapt(app, offer_pathsend=True))
    assert rest_of(host, gate) == b"ab"


@pytest.mark.clause("A-EXT-06")
def test_no_body_goes_with_such_a_file(adapt: Adapt, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, opening, may_open, ended = Gate(), Event(), Event(), Event()
    real_stat = os.stat

    def slow_stat(path: Any, **more: Any) -> os.stat_result:
        if path == __file__ and not may_open.is_set():
            opening.set()
            may_open.happens()
        return real_stat(path, **more)

    monkeypatch.setattr(os, "stat", slow_stat)

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_file() -> None:
            await send(PATH)  # type: ignore[arg-type]

        await send(start())
        await gate()
        async with anyio.create_task_group() as group:
            group.start_soon(send_file)
            await anyio.to_thread.run_sync(opening.happens)
            for message in (body(b"x"), PATH):
                with pytest.raises(AsgiAppError, match="pathsend"):
                    await send(message)  # type: ignore[arg-type]
            may_open.set()
        with pytest.raises(AsgiAppError, match="pathsend"):
            await send(body(b"x"))
        ended.set()

    host = Host().call(adapt(app, offer_pathsend=True))
    assert rest_of(host, gate) == CONTENT
    ended.happens()
