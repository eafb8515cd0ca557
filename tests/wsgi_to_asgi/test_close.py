"""The iterable is closed exactly once, whatever ends the request."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from gatebridge.errors import WsgiAppError
from wsgi_to_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    endless,
    happens,
    result_app,
    serve,
)
from wsgi_to_asgi.host import Host

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CLOSE-01")]


class ClosingList(list):  # type: ignore[type-arg]
    closes = 0

    def close(self) -> None:
        self.closes += 1


@pytest.mark.parametrize("blocks", [[], [b""], [b"x"], [b"a", b"", b"b"]])
@pytest.mark.parametrize("kind", [lambda *blocks: ClosingList(blocks), Blocks])
async def test_close_runs_once_at_the_end(kind: Callable[..., Any], blocks: list[bytes]) -> None:
    body = kind(*blocks)
    await serve(result_app(body))
    assert body.closes == 1


@pytest.mark.clause("W-ERR-01", "W-ERR-03", "D-27")
@pytest.mark.parametrize("blocks", [[], [b""], [b"x"]], ids=["first", "after empty", "after start"])
async def test_close_runs_once_when_the_iterable_raises(blocks: list[bytes]) -> None:
    body = Blocks(*blocks, ZeroDivisionError("of the app"))
    host = Host()
    with pytest.raises(ZeroDivisionError, match="of the app"):
        await host.serve(adapter(result_app(body)))
    assert body.closes == 1
    assert not host.complete


async def test_close_is_not_called_if_the_call_raised() -> None:
    body = Blocks(b"x")

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Host().serve(adapter(app))
    assert body.closes == 0


class RaisingIter:
    def __init__(self) -> None:
        self.closes = 0

    def __iter__(self) -> Iterator[bytes]:
        raise ZeroDivisionError

    def close(self) -> None:
        self.closes += 1


async def test_close_runs_once_when_iter_raises() -> None:
    body = RaisingIter()
    with pytest.raises(ZeroDivisionError):
        await Host().serve(adapter(result_app(body)))
    assert body.closes == 1


@pytest.mark.parametrize("blocks", [[None], [b"a", "b"]])
async def test_close_runs_once_after_a_block_of_a_wrong_type(blocks: list[Any]) -> None:
    body = Blocks(*blocks)
    with pytest.raises(WsgiAppError):
        await Host().serve(adapter(result_app(body)))
    assert body.closes == 1


async def test_close_runs_once_when_start_response_was_not_called() -> None:
    body = Blocks(b"x")
    with pytest.raises(WsgiAppError):
        await Host().serve(adapter(lambda *_: body))
    assert body.closes == 1


@pytest.mark.clause("W-BODY-09", "D-22")
async def test_close_runs_once_when_content_length_is_reached() -> None:
    body = endless(b"ab")
    host = await serve(result_app(body, ("content-length", "4")))
    assert (host.body, body.taken, body.closes) == (b"abab", 2, 1)


@pytest.mark.clause("H-STAT-07", "D-24")
@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 NM")]
)
async def test_close_runs_once_for_a_response_without_content(method: str, status: str) -> None:
    body = endless()
    await serve(result_app(body, status=status), method=method)
    assert (body.taken, body.closes) == (1, 1)


@pytest.mark.clause("D-30", "A-HTTP-31", "A-HTTP-33", "D-31")
@pytest.mark.parametrize("raises", [True, False], ids=["send raises", "send is a no-op"])
async def test_close_runs_once_when_the_client_leaves_a_download(raises: bool) -> None:
    """Hosts of either kind end an endless iterable; the call returns normally."""
    body = endless()
    host = Host(raises=raises)
    async with host.background(adapter(result_app(body))):
        await host.until(lambda: "body" in host.types)
        host.disconnect()
        await happens(body.closed)
    assert (host.error, body.closes) == (None, 1)


@pytest.mark.clause("D-30", "A-HTTP-31")
@pytest.mark.parametrize("raises", [True, False])
async def test_close_runs_once_when_the_client_leaves_while_its_window_is_full(
    raises: bool,
) -> None:
    body = endless()
    host = Host(raises=raises)
    host.stop_reading()
    app = adapter(result_app(body), window_bytes=4096)
    async with host.background(app):
        await host.until(lambda: "start" in host.types)
        host.disconnect()
        await happens(body.closed)
    assert (host.error, body.closes) == (None, 1)


@pytest.mark.clause("D-30", "A-HTTP-31")
async def test_close_runs_once_when_the_client_leaves_a_computing_application() -> None:
    """Before the start nothing tells but ``send``: its `OSError` is the departure."""
    gate = Gate()
    body = Blocks(gate.yields(b"late"), b"later")
    host = Host()
    async with host.background(adapter(result_app(body))):
        await gate.reached()
        host.disconnect()
        gate.open()
    assert (host.error, body.closes, host.sent) == (None, 1, [])


@pytest.mark.clause("D-30")
async def test_close_runs_once_when_the_client_leaves_an_upload() -> None:
    """The application reads while it yields; ``read`` raises in ``next``."""
    reads = threading.Event()

    def read(environ: Environ) -> bytes:
        reads.set()
        return environ["wsgi.input"].read()

    closes: list[Blocks] = []

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        closes.append(Blocks(lambda: read(environ)))
        return closes[0]

    host = Host(b"part", open_end=True, method="POST")
    async with host.background(adapter(app)):
        await happens(reads)
        host.disconnect()
    assert (host.error, closes[0].closes, host.sent) == (None, 1, [])


@pytest.mark.clause("D-50")
@pytest.mark.parametrize("stalled", [True, False], ids=["stalled", "streaming"])
async def test_close_runs_once_after_cancellation(stalled: bool) -> None:
    body = endless()
    host = Host()
    if stalled:
        host.stop_reading()
    async with host.background(adapter(result_app(body), window_bytes=4096)) as scope:
        await host.until(lambda: "start" in host.types)
        scope.cancel()
    await happens(body.closed)
    assert body.closes == 1


@pytest.mark.clause("D-50")
async def test_cancellation_does_not_wait_for_the_worker() -> None:
    gate = Gate()
    body = Blocks(gate.yields(b"x"), b"y")
    host = Host()
    async with host.background(adapter(result_app(body))) as scope:
        await gate.reached()
        scope.cancel()
    assert host.ended
    assert body.closes == 0  # the application still computes
    gate.open()
    await happens(body.closed)
    assert (body.closes, body.taken, host.sent) == (1, 1, [])


@pytest.mark.clause("D-29", "W-ERR-01")
@pytest.mark.parametrize("kind", ["list", "iterator"])
async def test_an_error_in_close_is_raised_after_a_whole_response(kind: str) -> None:
    class Body(ClosingList if kind == "list" else Blocks):  # type: ignore[misc]
        def close(self) -> None:
            super().close()
            raise ZeroDivisionError("in close")

    body = Body([b"x"]) if kind == "list" else Body(b"x")
    host = Host()
    with pytest.raises(ZeroDivisionError, match="in close"):
        await host.serve(adapter(result_app(body)))
    assert (host.complete, host.body, body.closes) == (True, b"x", 1)


@pytest.mark.clause("D-29")
async def test_an_earlier_error_wins_and_the_one_in_close_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Body(Blocks):
        def close(self) -> None:
            super().close()
            raise ZeroDivisionError("in close")

    body = Body(b"x", LookupError("earlier"))
    with pytest.raises(LookupError, match="earlier"):
        await Host().serve(adapter(result_app(body)))
    assert body.closes == 1
    assert "in close" in caplog.text


@pytest.mark.clause("D-29", "D-28")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_an_earlier_error_also_wins_over_an_exit_in_close(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    class Body(Blocks):
        def close(self) -> None:
            super().close()
            raise error

    with pytest.raises(LookupError, match="earlier"):
        await Host().serve(adapter(result_app(Body(b"x", LookupError("earlier")))))
    assert error.__name__ in caplog.text


@pytest.mark.clause("D-29")
async def test_the_client_does_not_wait_for_close() -> None:
    """The last message is sent while ``close`` still works, also for a streamed response."""
    gate = Gate()

    class Body(Blocks):
        def close(self) -> None:
            gate()
            super().close()

    body = Body(b"a", b"b")
    host = Host()
    async with host.background(adapter(result_app(body))):
        await gate.reached()
        await host.until(lambda: host.complete)
        gate.open()
    assert (host.error, body.closes) == (None, 1)


@pytest.mark.clause("D-29")
async def test_the_client_does_not_wait_for_the_close_of_a_list() -> None:
    gate = Gate()

    class Body(ClosingList):
        def close(self) -> None:
            gate()
            super().close()

    body = Body([b"a", b"b"])
    host = Host()
    async with host.background(adapter(result_app(body))):
        await gate.reached()
        await host.until(lambda: host.complete)
        gate.open()
    assert (host.error, body.closes) == (None, 1)


async def test_close_runs_in_the_requests_thread_and_context() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    class Body(Blocks):
        def close(self) -> None:
            seen.append(variable.get())
            super().close()

    body = Body(b"x")
    called_in: list[int] = []

    def app(environ: Environ, start_response: Any) -> Any:
        called_in.append(threading.get_ident())
        variable.set("the request's")
        start_response("200 OK", [TEXT])
        return body

    await serve(app)
    assert body.threads == set(called_in)
    assert threading.get_ident() not in body.threads
    assert seen == ["the request's"]


async def test_no_close_is_needed() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    assert (await serve(result_app(Body()))).body == b"x"


async def test_a_generators_finally_runs_when_the_client_leaves() -> None:
    left = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        try:
            while True:
                yield b"x" * 1024
        finally:
            left.set()

    host = Host()
    async with host.background(adapter(app)):
        await host.until(lambda: "body" in host.types)
        host.disconnect()
        await happens(left)
    assert host.error is None


@pytest.mark.clause("A-HTTP-32")
async def test_a_departure_after_the_response_is_no_error() -> None:
    body = Blocks(b"a", b"b")
    host = Host()
    with anyio.fail_after(5):
        await host.serve(adapter(result_app(body)))
        host.disconnect()
    assert (host.complete, body.closes) == (True, 1)
