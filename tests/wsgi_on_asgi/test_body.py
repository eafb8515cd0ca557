"""When headers and blocks move, and that they arrive as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatebridge._protocol.presence import Presence
from gatebridge._wsgi_on_asgi.response_channel import ResponseChannel
from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import (
    TEXT,
    Blocks,
    Environ,
    Gate,
    adapter,
    endless,
    happens,
    result_app,
    serve,
    statistics_say,
)
from wsgi_on_asgi.host import HANG, Host

pytestmark = pytest.mark.direction("w2a")


@pytest.mark.clause("W-SR-10", "D-26")
async def test_nothing_is_sent_before_the_first_non_empty_block() -> None:
    called, computing = Gate(), Gate()

    def app(environ: Environ, start_response: Any) -> Blocks:
        start_response("200 OK", [TEXT])
        called()
        return Blocks(b"", b"", computing.yields(b"first"), b"second")

    host = Host()
    async with host.background(adapter(app)):
        await called.reached()
        assert host.sent == []
        called.open()
        await computing.reached()  # two empty blocks have gone by
        assert host.sent == []
        computing.open()
    assert (host.error, host.body) == (None, b"firstsecond")
    assert host.types[0] == "start"


@pytest.mark.clause("W-BODY-01", "W-BODY-02", "W-SR-10", "D-26", "A-HTTP-24")
@pytest.mark.parametrize("length", [None, "11"])
async def test_the_first_block_is_sent_while_the_second_is_computed(length: str | None) -> None:
    gate = Gate()
    headers = [("content-length", length)] if length else []
    host = Host()
    async with host.background(
        adapter(result_app(Blocks(b"first", gate.yields(b"second")), *headers))
    ):
        await host.until(lambda: host.body == b"first")
        await gate.reached()
        assert not host.complete
        gate.open()
    assert (host.error, host.body) == (None, b"firstsecond")


@pytest.mark.clause("W-BODY-01", "W-BODY-02")
async def test_no_block_waits_for_another() -> None:
    """Each of many blocks arrives before the application computes the next."""
    gates = [Gate() for _ in range(20)]
    host = Host()
    async with host.background(adapter(result_app(Blocks(*(gate.yields(b"x") for gate in gates))))):
        for number, gate in enumerate(gates):
            await gate.reached()
            await host.until(lambda number=number: len(host.body) == number)
            gate.open()
    assert (host.error, len(host.body)) == (None, 20)


@pytest.mark.clause("W-BODY-01", "W-BODY-02")
async def test_the_last_byte_does_not_wait_for_the_end_of_the_iteration() -> None:
    """With the declared length reached, the response is complete, whatever follows."""
    gate = Gate()

    class Body(Blocks):
        def close(self) -> None:
            gate()
            super().close()

    body = Body(b"12", b"34")
    host = Host()
    async with host.background(adapter(result_app(body, ("content-length", "4")))):
        await gate.reached()
        await host.until(lambda: host.complete)
        gate.open()
    assert (host.error, body.taken, body.closes) == (None, 2, 1)


@pytest.mark.clause("W-SR-10", "A-HTTP-21", "A-HTTP-26")
@pytest.mark.parametrize("blocks", [[], [b""], [b"", b""]])
async def test_a_body_without_blocks_is_started_at_the_end(blocks: list[bytes]) -> None:
    host = await serve(result_app(Blocks(*blocks)))
    assert host.types == ["start", "body"]
    assert host.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.clause("W-BODY-03", "W-STR-04")
async def test_every_octet_arrives_unaltered() -> None:
    octets = bytes(range(256))
    assert (await serve(result_app(Blocks(octets, b"\r\n\x00", octets)))).body == (
        octets + b"\r\n\x00" + octets
    )


@pytest.mark.clause("W-BODY-03", "W-BODY-01")
async def test_many_blocks_arrive_in_order() -> None:
    blocks = [b"%d," % number for number in range(5000)]
    host = Host()
    await host.serve(adapter(result_app(Blocks(*blocks)), window_bytes=1000))
    assert host.body == b"".join(blocks)


@pytest.mark.clause("W-BODY-03")
async def test_a_block_larger_than_the_window_passes() -> None:
    blocks = [b"a" * 10_000, b"b", b"c" * 20_000]
    host = Host()
    await host.serve(adapter(result_app(Blocks(*blocks)), window_bytes=100))
    assert host.body == b"".join(blocks)


@pytest.mark.clause("W-STR-04")
@pytest.mark.parametrize("block", ["text", "", None, 5, bytearray(b"x"), memoryview(b"x"), [b"x"]])
@pytest.mark.parametrize("kind", [list, tuple, iter])
@pytest.mark.parametrize("before", [[], [b"x"]], ids=["first", "later"])
async def test_a_block_of_another_type_is_an_error_that_names_it(
    before: list[bytes], kind: Callable[[list[Any]], Any], block: Any
) -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match=type(block).__name__):
        await host.serve(adapter(result_app(kind([*before, block]))))
    assert not host.complete
    assert host.body in (b"", b"".join(before))


@pytest.mark.clause("D-25", "W-BODY-12")
@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("blocks", [[], [b""], [b"abc"], [b"ab", b"", b"cd"]])
async def test_a_list_or_tuple_is_one_message_with_its_length(
    kind: Callable[[list[bytes]], Any], blocks: list[bytes]
) -> None:
    host = await serve(result_app(kind(blocks)))
    body = b"".join(blocks)
    assert host.sent == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/plain"),
                (b"content-length", str(len(body)).encode()),
            ],
        },
        {"type": "http.response.body", "body": body, "more_body": False},
    ]


@pytest.mark.clause("D-25", "W-BODY-12", "A-HTTP-24")
@pytest.mark.parametrize("kind", [iter, lambda blocks: Blocks(*blocks)])
async def test_another_iterable_gets_no_length(kind: Callable[[list[bytes]], Any]) -> None:
    host = await serve(result_app(kind([b"abc"])))
    assert (dict(host.headers).keys(), host.body) == ({b"content-type"}, b"abc")


@pytest.mark.clause("D-31")
async def test_a_response_that_is_complete_at_once_is_not_watched() -> None:
    host = await serve(result_app([b"x"]))
    assert host.receives == 1


@pytest.mark.clause("C-24", "D-31", "A-HTTP-33")
async def test_one_receive_waits_for_the_departure_while_a_response_streams() -> None:
    """The strict host objects to two calls at a time, and to one that outlives the request."""
    gate = Gate()
    host = Host(b"in ", b"parts", method="POST")
    async with host.background(adapter(result_app(Blocks(b"a", gate.yields(b"b"))))):
        await gate.reached()
        await host.until(lambda: host.receives == 3)
        gate.open()
    assert (host.error, host.body) == (None, b"ab")


@pytest.mark.clause("D-31")
@pytest.mark.parametrize("message", [{}, {"body": b""}, {"body": b"", "more_body": False}])
async def test_a_repeated_last_message_is_no_departure(message: dict[str, Any]) -> None:
    gate = Gate()
    host = Host()
    async with host.background(adapter(result_app(Blocks(b"a", gate.yields(b"b"))))):
        await gate.reached()
        host.feed({"type": "http.request", **message})
        await host.until(lambda: host.receives == 2)
        gate.open()
    assert (host.error, host.body, host.complete) == (None, b"ab", True)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *exc_info: object) -> None: ...


@pytest.mark.clause("W-BODY-03", "A-HTTP-26")
@given(
    blocks=st.lists(st.binary(min_size=1, max_size=5), max_size=12),
    takes=st.lists(st.booleans(), min_size=13, max_size=13),
    ends=st.booleans(),
)
def test_the_channel_keeps_bytes_and_order(
    blocks: list[bytes], takes: list[bool], ends: bool
) -> None:
    """However the loop's turns fall between the worker's."""
    wakes: list[bool] = []
    channel = ResponseChannel(
        window_bytes=1000,
        lock=threading.RLock(),
        wake=lambda: wakes.append(True) or True,
        waiting=_Nothing,
    )
    taken = []
    for block, take in zip(blocks, takes, strict=False):
        channel.put(block)
        taken += channel.take()[0] if take else []
    channel.put(last=True) if ends else None
    channel.worker_done()
    messages, finished = channel.take()
    taken += messages
    assert finished
    assert channel.take() == ([], True)
    assert b"".join(message["body"] for message in taken) == b"".join(blocks)
    assert [message["more_body"] for message in taken].count(False) == ends
    assert not taken or taken[-1]["more_body"] is not ends


@pytest.mark.clause("W-BODY-01")
async def test_a_worker_that_waits_for_a_place_goes_on_when_there_is_one() -> None:
    body = Blocks(*[b"x" * 100] * 50)
    host = Host()
    host.stop_reading()
    async with host.background(adapter(result_app(body), window_bytes=100)):
        await host.until(lambda: "start" in host.types)
        host.read_on()
        await happens(body.closed)
    assert (host.error, len(host.body)) == (None, 5000)


@pytest.mark.clause("W-BODY-01")
async def test_many_small_blocks_fill_the_window_with_what_they_take() -> None:
    body = endless(b"x")
    served = adapter(result_app(body), window_bytes=1000)
    host = Host()
    host.stop_reading()
    async with host.background(served):
        await statistics_say(served, stalled=1, running=0)
        assert 10 < body.taken < 60
        host.disconnect()
    assert body.closes == 1


def test_a_channel_can_be_closed_while_the_same_thread_works_at_it() -> None:
    """The collector of cycles may end the abandoned call of the very request at any point."""
    channel = ResponseChannel(
        window_bytes=1, lock=threading.RLock(), wake=lambda: True, waiting=_Nothing
    )

    def close() -> None:
        with channel._lock:
            channel.drop()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(HANG)
    assert channel.client >= Presence.CLOSED
