"""The iterable is closed exactly once: results of every kind, and when it is closed.

That it is so for every ending of a request stands in test_endings.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    endless,
    result_app,
    serve,
)
from wsgi_on_asgi.host import Host

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


async def test_no_close_is_needed() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    assert (await serve(result_app(Body()))).body == b"x"


@pytest.mark.clause("A-HTTP-32")
async def test_a_departure_after_the_response_is_no_error() -> None:
    body = Blocks(b"a", b"b")
    host = Host()
    with anyio.fail_after(5):
        await host.serve(adapter(result_app(body)))
        host.disconnect()
    assert (host.complete, body.closes) == (True, 1)
