"""``Expect: 100-continue``: nothing is received before the application asks."""

from __future__ import annotations

from typing import Any

import pytest

from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, result_app
from wsgi_on_asgi.host import Host, request_messages

pytestmark = [
    pytest.mark.direction("w2a"),
    pytest.mark.clause("W-HTTP-01", "C-23", "D-32", "H-EXP-01"),
]

EXPECT = (b"expect", b"100-continue")
LENGTH = (b"content-length", b"5")


@pytest.mark.clause("W-HTTP-02")
@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b" 100-CONTINUE "])
@pytest.mark.parametrize("version", ["1.1", "2", "3"])
async def test_nothing_is_received_before_the_first_read(version: str, value: bytes) -> None:
    called, reading = Gate(), []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        called()
        reading.append(host.receives)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [TEXT])
        return [body]

    headers = [(b"expect", value), LENGTH]
    host = Host(b"12345", method="POST", http_version=version, headers=headers)
    async with host.background(adapter(app)):
        await called.reached()
        assert host.receives == 0
        called.open()
    assert (host.error, host.body, reading) == (None, b"12345", [0])


@pytest.mark.parametrize(
    ("version", "value"), [("1.0", b"100-continue"), ("1.1", b"something-else"), ("1.1", b"")]
)
async def test_otherwise_the_body_is_received_before_the_call(version: str, value: bytes) -> None:
    """HTTP/1.0 knows no such expectation, and others are the application's business."""
    received: list[int] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        received.append(host.receives)
        start_response("200 OK", [TEXT])
        return [environ["wsgi.input"].read()]

    headers = [(b"expect", value), LENGTH]
    host = Host(b"12345", method="POST", http_version=version, headers=headers)
    await host.serve(adapter(app))
    assert (host.body, received) == (b"12345", [1])


@pytest.mark.clause("D-31")
@pytest.mark.parametrize("status", ["413 Too Large", "417 Expectation Failed", "200 OK"])
async def test_an_application_can_refuse_the_upload_before_it_is_sent(status: str) -> None:
    host = Host(open_end=True, method="POST", headers=[EXPECT, LENGTH])
    await host.serve(adapter(result_app([b"no"], status=status)))
    assert (host.body, host.receives) == (b"no", 0)


@pytest.mark.clause("A-HTTP-33", "D-31", "W-CLOSE-01")
@pytest.mark.parametrize("raises", [True, False])
async def test_a_departure_is_noticed_once_the_response_streams(raises: bool) -> None:
    """Receiving does no harm any more once the start was sent."""
    gate = Gate()
    body = Blocks(b"a", gate.yields(b"b"), *[b"c"] * 10)
    host = Host(open_end=True, method="POST", raises=raises, headers=[EXPECT, LENGTH])
    async with host.background(adapter(result_app(body))):
        await gate.reached()
        await host.until(lambda: host.receives)
        assert host.types[0] == "start"
        host.disconnect()
        gate.open()
    assert (host.error, body.closes) == (None, 1)


async def test_the_first_read_may_come_after_the_start() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        yield b"ready "
        yield environ["wsgi.input"].read()

    host = Host(open_end=True, method="POST", headers=[EXPECT, LENGTH])
    async with host.background(adapter(app)):
        await host.until(lambda: host.body == b"ready ")
        host.feed(*request_messages(b"12", b"345"))
    assert (host.error, host.body) == (None, b"ready 12345")


@pytest.mark.clause("W-HTTP-02")
async def test_other_requests_go_on_while_a_read_waits() -> None:
    """With one place for running applications: the waiting one does not hold it."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [TEXT])
        return [body]

    served = adapter(app, threads=1, max_threads=2)
    waiting = Host(open_end=True, method="POST", headers=[EXPECT, LENGTH])
    async with waiting.background(served):
        await waiting.until(lambda: waiting.receives)
        for _ in range(3):
            other = Host(b"other", method="POST")
            await other.serve(served)
            assert other.body == b"other"
        waiting.feed(*request_messages(b"12345"))
    assert (waiting.error, waiting.body) == (None, b"12345")


@pytest.mark.clause("D-30")
async def test_a_departure_during_the_first_read_raises() -> None:
    errors: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            return [environ["wsgi.input"].read()]
        except OSError as exc:
            errors.append(exc)
            raise

    host = Host(open_end=True, method="POST", headers=[EXPECT, LENGTH])
    async with host.background(adapter(app)):
        await host.until(lambda: host.receives)
        host.disconnect()
    assert (host.error, host.sent, len(errors)) == (None, [], 1)


@pytest.mark.clause("H-MSG-10", "D-15")
async def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    host = Host(open_end=True, method="POST", headers=[EXPECT, LENGTH])
    await host.serve(adapter(lambda *_: pytest.fail("called"), max_body_size=4))
    assert (host.status, host.receives) == (413, 0)
