"""``wsgi.input`` equals `io.BytesIO` of the same body, for every split into messages."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatebridge._wsgi_on_asgi.input import WsgiInput
from gatebridge.errors import ClientDisconnected, RequestBodyError, RequestError

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-IN-01")]


class _NoWait:
    """For a body that is there beforehand."""

    def __enter__(self) -> None:
        raise AssertionError("it waits although everything is there")

    def __exit__(self, *exc_info: object) -> None: ...


def new_input(
    window_bytes: int,
    *,
    length: int | None = None,
    max_size: int | None = None,
    wake: Callable[[], bool] = lambda: True,
) -> WsgiInput:
    return WsgiInput(
        length=length,
        max_size=max_size,
        window_bytes=window_bytes,
        on_demand=False,
        wake=wake,
        waiting=_NoWait,
        request="POST '/up'",
    )


def input_of(
    *parts: bytes, length: int | None = None, max_size: int | None = None, more_body: bool = False
) -> WsgiInput:
    """Return an input that was fed with messages of these parts."""
    stream = new_input(1 << 20, length=length, max_size=max_size)
    last = len(parts) - 1
    for number, part in enumerate(parts):
        stream.feed(part, more_body=more_body or number < last)
    return stream


sizes = st.none() | st.integers(-3, 12)
# Newlines are frequent, so that lines end before, at and after the ends of messages.
parts = st.lists(st.lists(st.sampled_from([b"\n", b"a", b"\r\n", b"\x00\xff"])), min_size=1).map(
    lambda lists: [b"".join(each) for each in lists]
)
steps = st.one_of(
    st.tuples(st.just("read"), sizes),
    st.tuples(st.just("readline"), sizes),
    st.tuples(st.just("readlines"), st.none() | st.integers(-1, 12)),
    st.tuples(st.just("readinto"), st.integers(0, 12)),
    st.tuples(st.just("next"), st.none()),
    st.tuples(st.just("bare"), st.sampled_from(["read", "readline", "readlines"])),
)


def step(stream: Any, name: str, argument: Any) -> Any:
    if name == "bare":
        return getattr(stream, argument)()
    if name == "next":
        return next(stream, "the end")
    if name == "readinto":
        buffer = bytearray(argument)
        return stream.readinto(buffer), buffer
    return getattr(stream, name)(argument)


@pytest.mark.clause("W-IN-03", "W-IN-04", "W-IN-05", "W-IN-06", "A-HTTP-16")
@given(parts=parts, steps=st.lists(steps, max_size=20), declared=st.booleans())
def test_every_sequence_of_calls_equals_bytesio(
    parts: list[bytes], steps: list[tuple[str, Any]], declared: bool
) -> None:
    body = b"".join(parts)
    ours, theirs = input_of(*parts, length=len(body) if declared else None), io.BytesIO(body)
    for name, argument in [*steps, ("read", -1), ("read", None), ("readlines", None), ("next", 0)]:
        assert step(ours, name, argument) == step(theirs, name, argument)


@given(parts=parts, sizes=st.lists(st.integers(-1, 12), max_size=20))
def test_read1_gives_what_is_at_hand_in_order(parts: list[bytes], sizes: list[int]) -> None:
    """It may give less than asked for, never more, and nothing only at the end."""
    body, stream = b"".join(parts), input_of(*parts)
    for size in [*sizes, *[-1] * (len(parts) + 1)]:
        block = stream.read1(size)
        assert body.startswith(block)
        assert size < 0 or len(block) <= size
        assert block or not size or not body
        body = body.removeprefix(block)
    assert body == b""


@given(parts=parts)
def test_the_ways_to_get_all_agree(parts: list[bytes]) -> None:
    body = b"".join(parts)
    assert input_of(*parts).read() == body
    assert list(input_of(*parts)) == list(io.BytesIO(body))
    assert input_of(*parts).readlines() == io.BytesIO(body).readlines()
    assert b"".join(iter(input_of(*parts).read1, b"")) == body


@pytest.mark.parametrize(
    "wrapper", [io.BufferedReader, lambda raw: io.TextIOWrapper(raw, "latin-1")]
)
def test_the_library_can_wrap_it(wrapper: Any) -> None:
    """`io` takes it for a file, as frameworks do that wrap it."""
    text = wrapper(input_of(b"a\nb", b"c\n", b"d")).read()
    assert text in (b"a\nbc\nd", "a\nbc\nd")


@pytest.mark.clause("W-IN-02", "D-15", "CGI-18")
@given(parts=parts, data=st.data())
def test_bytes_past_the_declared_length_are_never_returned(
    parts: list[bytes], data: st.DataObject
) -> None:
    body = b"".join(parts)
    length = data.draw(st.integers(0, len(body)))
    assert input_of(*parts, length=length).read() == body[:length]
    assert list(input_of(*parts, length=length)) == list(io.BytesIO(body[:length]))


@pytest.mark.clause("D-15", "W-IN-02")
def test_a_surplus_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    input_of(b"12", b"34", b"56", length=3)
    text = (
        "POST '/up': the body is longer than its Content-Length of 3 bytes; the surplus is ignored"
    )
    assert caplog.messages == [text]
    input_of(b"12", b"3", length=3)
    assert len(caplog.records) == 1


ALL = [
    pytest.param(lambda stream: stream.read(), id="read"),
    pytest.param(lambda stream: stream.read(-1), id="read(-1)"),
    pytest.param(lambda stream: stream.read(99), id="read(99)"),
    pytest.param(lambda stream: stream.readline(), id="readline"),
    pytest.param(lambda stream: stream.readline(99), id="readline(99)"),
    pytest.param(lambda stream: stream.readlines(), id="readlines"),
    pytest.param(lambda stream: list(stream), id="iteration"),
    pytest.param(lambda stream: stream.readinto(bytearray(99)), id="readinto"),
    pytest.param(lambda stream: (stream.read1(), stream.read1()), id="read1"),
]


@pytest.mark.clause("D-15", "H-MSG-07", "CGI-18")
@pytest.mark.parametrize("read", ALL)
def test_a_premature_end_is_never_a_short_read(read: Any) -> None:
    stream = input_of(b"1234", length=5)
    with pytest.raises(RequestError) as caught:
        read(stream)
    assert isinstance(caught.value, OSError)
    for _ in range(2):
        with pytest.raises(RequestBodyError):
            stream.read(1)


@pytest.mark.clause("D-15", "H-MSG-07")
def test_what_came_before_a_premature_end_can_be_read() -> None:
    stream = input_of(b"1\n", b"23", length=5)
    assert (stream.read(1), stream.readline(), stream.read(2)) == (b"1", b"\n", b"23")
    with pytest.raises(RequestError):
        stream.read(1)


@pytest.mark.clause("D-30")
@pytest.mark.parametrize("length", [None, 5])
@pytest.mark.parametrize("read", ALL)
def test_a_departure_raises_again_on_every_further_read(read: Any, length: int | None) -> None:
    stream = input_of(b"1234", length=length, more_body=True)
    stream.abort(ClientDisconnected("wsgi.input"))
    with pytest.raises(ClientDisconnected):
        read(stream)
    for _ in range(2):
        with pytest.raises(ClientDisconnected):
            stream.read(1)


@pytest.mark.clause("W-IN-02", "W-IN-04", "D-30")
def test_a_departure_after_the_declared_length_is_no_error() -> None:
    stream = input_of(b"12345", length=5, more_body=True)
    stream.abort(ClientDisconnected("wsgi.input"))
    assert (stream.read(), stream.read()) == (b"12345", b"")


@pytest.mark.clause("W-IN-04")
@pytest.mark.parametrize("length", [None, 0])
def test_an_empty_body_gives_empty_bytes_without_waiting(length: int | None) -> None:
    stream = input_of(b"", length=length)
    assert (stream.read(), stream.read(5), stream.readline(), stream.read1()) == (b"",) * 4
    assert (stream.readlines(), list(stream), stream.readinto(bytearray(3))) == ([], [], 0)


@pytest.mark.clause("W-IN-04", "W-IN-02")
def test_the_end_of_the_declared_length_is_seen_without_the_last_message() -> None:
    stream = input_of(b"123", b"45", length=5, more_body=True)
    assert (stream.read(5), stream.read(1), stream.read(), stream.readline()) == (
        b"12345", b"", b"", b"",
    )  # fmt: skip


def test_reading_nothing_neither_waits_nor_raises() -> None:
    stream = input_of(length=5, more_body=True)
    assert (stream.read(0), stream.readline(0), stream.readinto(bytearray())) == (b"", b"", 0)


@pytest.mark.clause("D-15", "H-MSG-10")
@pytest.mark.parametrize("read", ALL)
def test_a_body_over_the_limit_raises(read: Any) -> None:
    stream = input_of(b"123", b"456", max_size=5)
    with pytest.raises(RequestBodyError) as caught:
        read(stream)
    assert caught.value.status == 413


def test_a_reader_that_makes_room_wakes_the_receiver() -> None:
    """Before everything is read, so that the next message comes meanwhile."""
    wakes: list[bool] = []
    stream = new_input(1000, wake=lambda: wakes.append(True) or True)
    assert stream.wants_more()
    stream.feed(b"x" * 1000, more_body=True)
    assert not stream.wants_more()
    assert (stream.read(900), wakes) == (b"x" * 900, [True])
    assert stream.wants_more()


def test_many_small_messages_fill_the_window_with_what_they_take() -> None:
    """A client that sends single bytes must not get more memory than others."""
    stream = new_input(1000)

    def fill() -> int:
        fed = 0
        while stream.wants_more():
            stream.feed(b"x", more_body=True)
            fed += 1
        return fed

    fed = fill()
    assert 10 < fed < 30
    assert stream.read(fed) == b"x" * fed
    assert fill() == fed


def test_closing_it_does_nothing() -> None:
    """Frameworks close it, or let a wrapper do so; the next reader must not fail."""
    stream = input_of(b"12", b"3")
    stream.close()
    assert stream.read() == b"123"
