"""The ``write`` callable that ``start_response`` returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gatebridge.errors import ClientDisconnected, WsgiAppError
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, happens, serve, statistics_say
from wsgi_on_asgi.host import Host

pytestmark = pytest.mark.direction("w2a")


def writing_app(*blocks: Any, result: Any = (), headers: Any = ()) -> Any:
    """Return an application that writes blocks, then returns ``result``."""

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT, *headers])
        for block in blocks:
            write(block() if callable(block) else block)
        return result

    return app


@pytest.mark.clause("W-BODY-04", "W-BODY-05", "W-BODY-07")
@pytest.mark.parametrize("kind", [list, tuple, iter, lambda blocks: Blocks(*blocks)])
@pytest.mark.parametrize("blocks", [[], [b""], [b"c", b"", b"d"]])
async def test_what_was_written_goes_out_before_what_is_yielded(
    kind: Any, blocks: list[bytes]
) -> None:
    host = await serve(writing_app(b"a", b"", b"b", result=kind(blocks)))
    assert host.body == b"ab" + b"".join(blocks)
    assert b"content-length" not in dict(host.headers)  # D-25: not where write was used


@pytest.mark.clause("W-BODY-05")
async def test_writing_within_the_iteration_keeps_the_order_of_calls() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"1")
        yield b"2"
        write(b"3")
        yield b"4"
        write(b"5")

    assert (await serve(app)).body == b"12345"


@pytest.mark.clause("W-SR-10", "D-26", "W-BODY-04")
@pytest.mark.parametrize("block", [b"", b"first"])
async def test_the_first_write_releases_the_headers_even_if_it_is_empty(block: bytes) -> None:
    gate = Gate()
    host = Host()
    async with host.background(adapter(writing_app(block, gate.yields(b"second")))):
        await gate.reached()
        await host.until(lambda: "start" in host.types and host.body == block)
        gate.open()
    assert (host.error, host.body) == (None, block + b"second")


@pytest.mark.clause("W-BODY-04")
async def test_write_waits_while_the_client_does_not_read() -> None:
    """It may return only once the data is sent or buffered, and the buffer is bounded."""
    written: list[int] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        for number in range(100):
            write(b"x" * 1000)
            written.append(number)
        return []

    served = adapter(app, window_bytes=5000)
    host = Host()
    host.stop_reading()
    async with host.background(served):
        await host.until(lambda: host.sent)
        await statistics_say(served, stalled=1)
        assert len(written) <= 20
        host.read_on()
    assert (host.error, len(host.body)) == (None, 100_000)


@pytest.mark.clause("W-BODY-04", "D-30")
@pytest.mark.parametrize("raises", [True, False])
async def test_write_raises_once_the_client_has_left(raises: bool) -> None:
    left = Gate()
    errors: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"x")
        left()
        try:
            while True:
                write(b"y")
        except OSError as exc:
            errors.append(exc)
            raise

    host = Host(raises=raises)
    async with host.background(adapter(app)):
        await left.reached()
        await host.until(lambda: host.body == b"x")
        host.disconnect()
        left.open()
    assert host.error is None
    assert [type(error) for error in errors] == [ClientDisconnected]


@pytest.mark.clause("W-BODY-07", "W-CALL-05")
@pytest.mark.parametrize("result", [None, 5])
async def test_no_iterable_after_write_is_an_error(result: Any) -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match=type(result).__name__):
        await host.serve(adapter(writing_app(b"x", result=result)))
    assert not host.complete


@pytest.mark.clause("W-STR-04")
@pytest.mark.parametrize("block", ["text", "", None, 5, bytearray(b"x"), memoryview(b"x")])
async def test_write_takes_bytes_only(block: Any) -> None:
    errors: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        try:
            write(block)
        except WsgiAppError as exc:
            errors.append(exc)
            raise
        return []

    host = Host()
    with pytest.raises(WsgiAppError, match=type(block).__name__):
        await host.serve(adapter(app))
    assert len(errors) == 1
    assert not host.complete


@pytest.mark.clause("W-BODY-10", "W-BODY-08", "D-22")
@pytest.mark.parametrize("blocks", [[b"12345"], [b"12", b"345"], [b"1234", b"5"]])
async def test_write_past_the_length_raises_and_what_is_allowed_is_sent(
    blocks: list[bytes],
) -> None:
    errors: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("content-length", "4")])
        try:
            for block in blocks:
                write(block)
        except WsgiAppError as exc:
            errors.append(exc)
            raise
        return []

    host = Host()
    with pytest.raises(WsgiAppError, match="content-length"):
        await host.serve(adapter(app))
    assert (host.body, host.complete, len(errors)) == (b"1234", True, 1)


@pytest.mark.clause("W-BODY-10")
async def test_an_application_that_catches_it_has_a_whole_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As for surplus that was yielded: the client has what was declared, and a record says so."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("content-length", "4")])
        with pytest.raises(WsgiAppError):
            write(b"12345")
        with pytest.raises(WsgiAppError):
            write(b"6")
        return []

    host = await serve(app)
    assert (host.body, host.complete) == (b"1234", True)
    assert "more than its Content-Length of 4 bytes" in caplog.text


@pytest.mark.clause("W-BODY-10")
async def test_an_empty_write_past_the_length_is_no_surplus() -> None:
    host = await serve(writing_app(b"1234", b"", headers=[("content-length", "4")]))
    assert host.body == b"1234"


@pytest.mark.clause("W-BODY-04", "W-BODY-08", "D-22")
async def test_written_and_yielded_bytes_count_together() -> None:
    body = Blocks(b"34", b"56")
    host = await serve(writing_app(b"12", result=body, headers=[("content-length", "5")]))
    assert (host.body, host.complete, body.closes) == (b"12345", True, 1)


@pytest.mark.clause("W-BODY-04", "W-BODY-11")
@pytest.mark.parametrize("result", [[b"3"], iter([]), ()])
async def test_written_and_yielded_bytes_may_be_too_few_together(result: Any) -> None:
    host = Host()
    headers = [("content-length", "4")]
    with pytest.raises(WsgiAppError, match="content-length"):
        await host.serve(adapter(writing_app(b"12", result=result, headers=headers)))
    assert not host.complete


@pytest.mark.clause("H-STAT-07", "D-24")
async def test_nothing_written_is_sent_for_head() -> None:
    host = await serve(writing_app(b"a", b"b", result=[b"c"]), method="HEAD")
    assert (host.types[0], host.body) == ("start", b"")


@pytest.mark.clause("W-BODY-04")
async def test_write_after_the_request_does_not_pretend_to_have_sent() -> None:
    """It may return only once its data was sent or is surely buffered."""
    kept: list[Any] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        kept.append(start_response("200 OK", [TEXT]))
        return []

    host = await serve(app)
    with pytest.raises((OSError, WsgiAppError)):
        kept[0](b"late")
    assert host.complete


@pytest.mark.clause("D-50", "W-BODY-04")
async def test_write_raises_after_cancellation() -> None:
    errors: list[Exception] = []
    body = Blocks()

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT])
        try:
            while True:
                write(b"x")
        except OSError as exc:
            errors.append(exc)
            body.close()
            raise

    host = Host()
    async with host.background(adapter(app)) as scope:
        await host.until(lambda: host.body)
        scope.cancel()
    await happens(body.closed)
    assert [type(error) for error in errors] == [ClientDisconnected]
