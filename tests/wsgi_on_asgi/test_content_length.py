"""A declared Content-Length is kept, and responses without content have none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, adapter, endless, result_app, serve
from wsgi_on_asgi.host import Host

pytestmark = pytest.mark.direction("w2a")

LENGTH_4 = ("Content-Length", "4")


def iterator(blocks: list[bytes]) -> Blocks:
    return Blocks(*blocks)


KINDS = [list, tuple, iterator]
Kind = Callable[[list[bytes]], Any]


SURPLUS = "returned more than its Content-Length of 4 bytes"


@pytest.mark.clause("W-BODY-08", "D-22", "H-MSG-08", "A-HTTP-21")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [[b"12345"], [b"12", b"345"], [b"123", b"", b"4567"]])
async def test_surplus_is_cut_off_and_the_response_complete(
    kind: Kind, blocks: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """The server hears of no error, so that it keeps the connection."""
    host = Host(method="POST", path="/grown")
    await host.serve(adapter(result_app(kind(blocks), LENGTH_4)))
    assert (host.body, host.complete) == (b"1234", True)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("POST '/grown': ")
    assert SURPLUS in record.getMessage()


@pytest.mark.clause("D-22")
async def test_surplus_is_logged_once_for_an_application(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        served = adapter(result_app([b"12345"], LENGTH_4))
        for _ in range(3):
            await Host().serve(served)
    assert [SURPLUS in record.getMessage() for record in caplog.records] == [True, True]


@pytest.mark.clause("W-BODY-08", "D-22", "W-BODY-09", "W-CLOSE-01")
async def test_iteration_stops_at_the_surplus_and_the_iterable_is_closed() -> None:
    body = Blocks(b"12345", b"never taken")
    await Host().serve(adapter(result_app(body, LENGTH_4)))
    assert (body.taken, body.closes) == (1, 1)


@pytest.mark.clause("W-BODY-08", "D-22")
async def test_an_error_of_close_after_a_surplus_is_raised() -> None:
    class Body(Blocks):
        def close(self) -> None:
            raise ZeroDivisionError

    host = Host()
    with pytest.raises(ZeroDivisionError):
        await host.serve(adapter(result_app(Body(b"12345"), LENGTH_4)))
    assert (host.body, host.complete) == (b"1234", True)


@pytest.mark.clause("W-BODY-08", "D-22", "W-FILE-05")
async def test_a_file_that_reads_more_than_it_was_asked_for_is_cut_off() -> None:
    class Generous:
        def read(self, size: int) -> bytes:
            return b"12345"

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [LENGTH_4])
        return environ["wsgi.file_wrapper"](Generous())

    assert (await serve(app)).body == b"1234"


@pytest.mark.clause("W-BODY-08", "D-22", "W-BODY-09")
@pytest.mark.parametrize("kind", KINDS)
async def test_any_block_is_surplus_if_the_length_is_zero(kind: Kind) -> None:
    host = await serve(result_app(kind([b"", b"x"]), ("content-length", "0")))
    assert (host.body, host.complete) == (b"", True)


@pytest.mark.clause("W-BODY-09", "D-22")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [[b"1234"], [b"12", b"34"], [b"", b"1", b"", b"234"]])
async def test_reaching_the_length_exactly_is_no_error(kind: Kind, blocks: list[bytes]) -> None:
    host = await serve(result_app(kind(blocks), LENGTH_4))
    assert host.body == b"1234"
    assert host.headers == [(b"content-type", b"text/plain"), (b"content-length", b"4")]


@pytest.mark.clause("W-BODY-09", "A-HTTP-26", "A-HTTP-21")
async def test_iteration_stops_when_enough_was_sent() -> None:
    body = endless(b"12")
    host = await serve(result_app(body, LENGTH_4))
    assert (body.taken, host.body, host.complete) == (2, b"1212", True)


@pytest.mark.clause("W-BODY-09")
async def test_zero_length_needs_no_block() -> None:
    host = await serve(result_app(Blocks(), ("content-length", "0")))
    assert (host.body, host.complete) == (b"", True)


@pytest.mark.clause("W-BODY-11", "H-MSG-07", "H-MSG-08", "W-ERR-03")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [[], [b""], [b"123"], [b"1", b"", b"23"]])
async def test_too_few_bytes_are_never_a_complete_response(kind: Kind, blocks: list[bytes]) -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match="content-length"):
        await host.serve(adapter(result_app(kind(blocks), LENGTH_4)))
    assert not host.complete
    assert b"".join(blocks).startswith(host.body)


@pytest.mark.clause("W-BODY-11")
async def test_too_few_bytes_in_an_empty_body_leave_room_for_an_error_page() -> None:
    """Nothing was sent, so the server can answer 500."""
    host = Host()
    with pytest.raises(WsgiAppError):
        await host.serve(adapter(result_app(Blocks(), LENGTH_4)))
    assert host.sent == []


@pytest.mark.clause("W-BODY-11", "W-CLOSE-01")
async def test_too_few_bytes_are_reported_after_close() -> None:
    body = Blocks(b"123")
    with pytest.raises(WsgiAppError):
        await Host().serve(adapter(result_app(body, LENGTH_4)))
    assert body.closes == 1


@pytest.mark.clause("H-MSG-02")
async def test_a_length_of_nineteen_digits_is_foreseen() -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match="content-length"):
        await host.serve(adapter(result_app(Blocks(b"x"), ("content-length", "9" * 19))))
    assert host.headers[1] == (b"content-length", b"9" * 19)


# --- responses without content --------------------------------------------------------------------


@pytest.mark.clause("H-STAT-07", "H-STAT-08", "D-24", "A-HTTP-21")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", ["4", "0", "99"])
async def test_head_keeps_the_length_and_drops_the_body(kind: Kind, length: str) -> None:
    """The length is GET's; it is not enforced."""
    methods: list[str] = []

    def app(environ: Environ, start_response: Any) -> Any:
        methods.append(environ["REQUEST_METHOD"])
        start_response("200 OK", [("content-length", length), ("x-a", "1")])
        return kind([b"12", b"34"])

    host = await serve(app, method="HEAD")
    assert host.headers == [(b"content-length", length.encode()), (b"x-a", b"1")]
    assert (host.body, host.types, methods) == (b"", ["start", "body"], ["HEAD"])


@pytest.mark.clause("H-STAT-08", "D-25")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blocks", [[], [b"1234"]])
async def test_no_length_is_computed_for_head(kind: Kind, blocks: list[bytes]) -> None:
    host = await serve(result_app(kind(blocks)), method="HEAD")
    assert host.headers == [(b"content-type", b"text/plain")]


@pytest.mark.clause("H-STAT-04", "D-24")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headers", [[], [LENGTH_4], [("content-length", "0")]])
@pytest.mark.parametrize("blocks", [[], [b"1234"], [b"12"]])
async def test_204_has_neither_content_nor_length(
    kind: Kind, headers: list[tuple[str, str]], blocks: list[bytes]
) -> None:
    host = await serve(result_app(kind(blocks), *headers, status="204 No Content"))
    assert (host.status, host.body, host.complete) == (204, b"", True)
    assert host.headers == [(b"content-type", b"text/plain")]


@pytest.mark.clause("H-STAT-05", "D-24")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headers", [[], [LENGTH_4], [("Content-Length", "0")]])
@pytest.mark.parametrize("blocks", [[], [b"1234"]])
async def test_205_has_no_content_and_the_length_zero(
    kind: Kind, headers: list[tuple[str, str]], blocks: list[bytes]
) -> None:
    host = await serve(result_app(kind(blocks), *headers, status="205 Reset Content"))
    assert (host.status, host.body, host.complete) == (205, b"", True)
    assert sorted(host.headers) == [(b"content-length", b"0"), (b"content-type", b"text/plain")]


@pytest.mark.clause("H-STAT-06", "D-24", "D-25", "H-STAT-08")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headers", [[], [LENGTH_4, ("etag", '"a"')]])
@pytest.mark.parametrize("blocks", [[], [b"12"]])
async def test_304_has_no_content_and_keeps_its_headers(
    kind: Kind, headers: list[tuple[str, str]], blocks: list[bytes]
) -> None:
    host = await serve(result_app(kind(blocks), *headers, status="304 Not Modified"))
    assert (host.status, host.body, host.complete) == (304, b"", True)
    expected = [(name.lower().encode(), value.encode()) for name, value in [TEXT, *headers]]
    assert host.headers == expected


@pytest.mark.clause("D-24", "H-STAT-07")
@pytest.mark.parametrize("blocks", [[b"x"], [b"", b"", b"x"]])
async def test_iteration_stops_at_the_first_block_that_is_dropped(blocks: list[bytes]) -> None:
    body = Blocks(*blocks, b"never taken")
    host = await serve(result_app(body), method="HEAD")
    assert (body.taken, body.closes, host.body) == (len(blocks), 1, b"")


@pytest.mark.clause("D-24", "W-STR-04")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_block_of_a_wrong_type_is_an_error_for_head_too(kind: Kind) -> None:
    with pytest.raises(WsgiAppError, match="str"):
        await Host(method="HEAD").serve(adapter(result_app(kind(["text"]))))  # type: ignore[list-item]
