"""``input_from_receive``: the body as a file for threads, and every way in which it can end."""

from __future__ import annotations

import asyncio
import io
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from gatebridge import environ_from_scope, input_from_receive
from gatebridge.errors import (
    ClientDisconnected,
    GatebridgeError,
    HostError,
    RequestBodyError,
    RequestError,
    UnavailableError,
)
from wsgi_on_asgi.apps import Gate, waits_with_a_full_window
from wsgi_on_asgi.host import HANG, Host, http_scope, request_messages

pytestmark = pytest.mark.direction("w2a")

LENGTH_6 = [(b"content-length", b"6")]
EXPECT = (b"expect", b"100-continue")


async def answer(send: Any, body: bytes) -> None:
    with suppress(BrokenPipeError):  # nobody is there any more
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Reader(threading.Thread):
    """A thread that reads a file in some way; whoever waits for it waits for so long only."""

    def __init__(self, file: Any, read: Callable[[Any], bytes] = lambda file: file.read()) -> None:
        super().__init__(daemon=True)
        self._file = file
        self._read = read
        self._result: bytes | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._read(self._file)
        except Exception as exc:  # noqa: BLE001 - raised by result()
            self._result = exc

    async def result(self) -> bytes:
        """As of `anyio.to_thread.run_sync`, a cancellation waits for the thread."""
        await anyio.to_thread.run_sync(self.join, HANG)
        assert not self.is_alive(), "the thread hangs"
        if isinstance(self._result, Exception):
            raise self._result
        return self._result  # type: ignore[return-value]


def reading(read: Callable[[Any], bytes], **options: Any) -> Any:
    """Return an application whose answer is what ``read`` makes of the file, in a thread."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive, **options) as file:
            result = await Reader(file, read).result()
        await answer(send, result)

    return app


# --- a file ---------------------------------------------------------------------------------------


def _into(file: Any) -> bytes:
    buffer = bytearray(10)
    return bytes(buffer[: file.readinto(buffer)])


def _copied(file: Any) -> bytes:
    copy = io.BytesIO()
    shutil.copyfileobj(file, copy, 2)
    return copy.getvalue()


@pytest.mark.clause("W-IN-01", "W-IN-03", "W-IN-04", "W-IN-05", "A-HTTP-16")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("body", [[b"a\nbc\nd"], [b"a", b"\nb", b"", b"c\n", b"d"]])
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda file: file.read() + file.read(), b"a\nbc\nd"),
        (lambda file: file.read(3) + b"|" + file.read(), b"a\nb|c\nd"),
        (lambda file: file.readline() + b"|" + file.readline(1), b"a\n|b"),
        (lambda file: b"|".join(file), b"a\n|bc\n|d"),
        (lambda file: io.TextIOWrapper(file, "ascii").read().encode(), b"a\nbc\nd"),
        (_into, b"a\nbc\nd"),
        (_copied, b"a\nbc\nd"),
    ],
)
async def test_reading_equals_a_file_of_the_body(
    read: Any, expected: bytes, body: list[bytes], declared: bool
) -> None:
    host = Host(*body, method="POST", headers=LENGTH_6 if declared else [])
    await host.serve(reading(read))
    assert host.body == expected


@pytest.mark.clause("W-ENV-17")
async def test_it_can_be_the_input_of_an_environ() -> None:
    """It is a binary file of the standard library's kind."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive) as file:
            assert isinstance(file, io.BufferedIOBase)
            environ = environ_from_scope(scope, body=file)
            with environ["wsgi.input"] as stream:
                result = await Reader(stream).result()
            assert environ["CONTENT_LENGTH"] == "6"
        await answer(send, result)

    host = Host(b"123", b"456", method="POST", headers=LENGTH_6)
    await host.serve(app)
    assert host.body == b"123456"


@pytest.mark.clause("W-IN-01")
async def test_the_file_is_received_ahead_of_the_reader_by_one_window_only() -> None:
    gate = Gate()
    host = Host(*[b"x" * 1000] * 100, method="POST")
    async with host.background(reading(lambda file: gate() + file.read(), window_bytes=10_000)):
        await waits_with_a_full_window(host, gate, messages=10)
    assert (host.error, len(host.body)) == (None, 100_000)


@pytest.mark.clause("W-HTTP-02")
async def test_a_read_waits_for_the_client_and_the_loop_does_not() -> None:
    host = Host(b"123", open_end=True, method="POST")
    async with host.background(reading(lambda file: file.read(6))):
        await host.until(lambda: host.receives == 2)
        host.feed(*request_messages(b"456"))
    assert (host.error, host.body) == (None, b"123456")


# --- lengths and limits ---------------------------------------------------------------------------


def _raised(kind: type[Exception], **attributes: Any) -> Callable[[Any], bytes]:
    """Return what reads to the end twice, and wants such an error each time."""

    def read(file: Any) -> bytes:
        for _ in range(2):
            with pytest.raises(kind) as caught:
                file.read()
            assert {name: getattr(caught.value, name) for name in attributes} == attributes
        return b"raised"

    return read


@pytest.mark.clause("W-IN-02", "D-15")
async def test_bytes_beyond_the_declared_length_are_not_readable() -> None:
    host = Host(b"1234", b"5678", method="POST", headers=LENGTH_6)
    await host.serve(reading(lambda file: file.read() + file.read()))
    assert host.body == b"123456"


@pytest.mark.clause("D-15", "H-MSG-07")
async def test_a_body_that_is_too_short_raises_and_is_no_short_read() -> None:
    host = Host(b"12", b"345", method="POST", headers=LENGTH_6)
    await host.serve(reading(_raised(RequestBodyError, status=400)))
    assert host.body == b"raised"


@pytest.mark.clause("H-MSG-10", "D-15")
async def test_a_declared_length_over_the_limit_is_refused_on_entering() -> None:
    host = Host(b"123456", method="POST", headers=LENGTH_6)
    with pytest.raises(RequestBodyError) as caught:
        await host.serve(reading(lambda _: pytest.fail("entered"), max_body_size=5))
    assert (caught.value.status, host.receives) == (413, 0)


@pytest.mark.clause("H-MSG-10", "D-15")
async def test_an_undeclared_body_over_the_limit_raises_out_of_the_read() -> None:
    host = Host(b"123", b"456", method="POST")
    await host.serve(reading(_raised(RequestBodyError, status=413), max_body_size=5))
    assert host.body == b"raised"


@pytest.mark.clause("H-MSG-10")
@pytest.mark.parametrize("headers", [LENGTH_6, []])
async def test_a_body_of_the_limit_passes(headers: Any) -> None:
    host = Host(b"123", b"456", method="POST", headers=headers)
    await host.serve(reading(lambda file: file.read(), max_body_size=6))
    assert host.body == b"123456"


@pytest.mark.clause("H-MSG-04")
async def test_a_request_that_cannot_be_translated_is_refused_on_entering() -> None:
    host = Host(b"123456", method="POST", headers=[*LENGTH_6, (b"content-length", b"7")])
    with pytest.raises(RequestError, match="content-length") as caught:
        await host.serve(reading(lambda _: pytest.fail("entered")))
    assert (caught.value.status, host.receives) == (400, 0)


@pytest.mark.clause("H-MSG-05", "D-13")
async def test_a_length_beside_a_transfer_coding_does_not_count() -> None:
    headers = [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")]
    host = Host(b"123", b"456", method="POST", headers=headers)
    await host.serve(reading(lambda file: file.read()))
    assert host.body == b"123456"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"window_bytes": 0}, ValueError),
        ({"window_bytes": 1e6}, TypeError),
        ({"max_body_size": -1}, ValueError),
        ({"max_body_size": False}, TypeError),
    ],
)
async def test_numbers_out_of_range_or_of_another_type_are_refused(
    options: dict[str, Any], error: type[Exception]
) -> None:
    host = Host(b"x", method="POST")
    with pytest.raises(error, match=f"^{next(iter(options))} must be "):
        await host.serve(reading(lambda file: file.read(), **options))


# --- Expect: 100-continue -------------------------------------------------------------------------


@pytest.mark.clause("W-HTTP-01", "C-23", "D-32", "H-EXP-01")
@pytest.mark.parametrize(("version", "received"), [("1.1", 0), ("2", 0), ("1.0", 1)])
async def test_nothing_is_received_before_the_first_read(version: str, received: int) -> None:
    gate = Gate()
    host = Host(b"123456", method="POST", http_version=version, headers=[EXPECT, *LENGTH_6])
    async with host.background(reading(lambda file: gate() + file.read())):
        await gate.reached()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert host.receives == received
        gate.open()
    assert (host.error, host.body) == (None, b"123456")


@pytest.mark.clause("D-32", "C-23")
@pytest.mark.parametrize("turns", [0, 1, 20])
async def test_what_nobody_read_was_never_asked_for(turns: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive):
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
        await answer(send, b"no")

    host = Host(open_end=True, method="POST", headers=[EXPECT, *LENGTH_6])
    await host.serve(app)
    assert (host.body, host.receives) == (b"no", 0)


# --- the client leaves, or the server fails -------------------------------------------------------


@pytest.mark.clause("D-30", "A-HTTP-16")
@pytest.mark.parametrize("how", ["message", "error"])
async def test_a_departure_raises_out_of_the_read_that_waits_and_of_later_ones(how: str) -> None:
    host = Host(b"123", open_end=True, method="POST")
    async with host.background(reading(_raised(ClientDisconnected))):
        await host.until(lambda: host.receives == 2)
        if how == "error":
            host.receive_error = ConnectionResetError()
            host.feed()
        else:
            host.disconnect()
    assert host.error is None


@pytest.mark.clause("D-15")
async def test_what_came_before_the_departure_can_be_read() -> None:
    found: list[Any] = []

    def read(file: Any) -> bytes:
        found.append(file.read(3))
        with pytest.raises(ClientDisconnected):
            file.read(1)
        return b""

    host = Host(b"123", open_end=True, method="POST")
    async with host.background(reading(read)):
        await host.until(lambda: host.receives == 2)
        host.disconnect()
    assert (host.error, found) == (None, [b"123"])


@pytest.mark.clause("D-30")
@pytest.mark.parametrize("kind", [LookupError, TimeoutError, OSError])
@pytest.mark.parametrize("caught", [True, False])
async def test_an_error_of_receive_is_raised_at_the_end_of_the_block(
    caught: bool, kind: type[Exception]
) -> None:
    """A thread cannot be told more than that there is no more to read."""
    read = _raised(ClientDisconnected) if caught else (lambda file: file.read())
    host = Host(b"123", open_end=True, method="POST")
    host.receive_error = kind("the server's")
    with pytest.raises(kind, match="the server's") as error:
        await host.serve(reading(read))
    context = error.value.__context__
    assert context is None if caught else isinstance(context, ClientDisconnected)


@pytest.mark.clause("A-CORE-08")
@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "http.response.body"}, "type"),
        ({"type": "http.request", "body": "text"}, "body"),
        (None, "receive"),
    ],
)
async def test_what_is_no_message_is_an_error_of_the_host(message: Any, field: str) -> None:
    host = Host(open_end=True, method="POST")
    host.feed(message)
    with pytest.raises(HostError) as caught:
        await host.serve(reading(_raised(HostError, field=field)))
    assert caught.value.field == field
    # The reads raised what was expected of them.
    assert not isinstance(caught.value.__context__, (ClientDisconnected, AssertionError))


# --- threads, and the end of the block ------------------------------------------------------------


@pytest.mark.clause("D-48")
@pytest.mark.parametrize("read", [lambda file: file.read(), lambda file: next(file)])
async def test_the_thread_of_the_loop_is_refused_even_if_the_body_is_there(read: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive) as file:
            await host.until(lambda: host.receives)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(UnavailableError):
                read(file)
            await answer(send, await Reader(file).result())

    host = Host(b"123456", method="POST", headers=LENGTH_6)
    await host.serve(app)
    assert host.body == b"123456"


@pytest.mark.clause("W-IN-01")
async def test_any_number_of_threads_may_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive) as file:
            readers = [Reader(file, lambda file: file.read(2)) for _ in range(3)]
            results = [await reader.result() for reader in readers]
            await answer(send, b",".join(sorted(results)))

    host = Host(b"aabbcc", method="POST", headers=LENGTH_6)
    await host.serve(app)
    assert host.body == b"aa,bb,cc"


async def test_a_thread_that_waits_in_a_read_goes_on_when_the_block_ends() -> None:
    """Nothing is left: `Host` objects to a call of receive that outlives the request."""
    readers: list[Reader] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive) as file:
            readers.append(Reader(file))
            await host.until(lambda: host.receives == 2)
        for reader in (readers[0], Reader(file)):
            with pytest.raises(ClientDisconnected, match="has ended"):
                await reader.result()
        await answer(send, b"done")

    host = Host(b"123", open_end=True, method="POST")
    await host.serve(app)
    assert host.body == b"done"


async def test_what_was_not_received_can_be_received_after_the_block() -> None:
    rest: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with input_from_receive(scope, receive) as file:
            assert await Reader(file, lambda file: file.read(3)).result() == b"123"
        host.feed(*request_messages(b"456"))
        rest.append(await receive())
        await answer(send, b"done")

    host = Host(b"123", open_end=True, method="POST", headers=LENGTH_6)
    await host.serve(app)
    assert rest == request_messages(b"456")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, StopIteration])
async def test_an_error_of_the_block_comes_out_as_it_is(error: type[BaseException]) -> None:
    """And not in a group."""
    made = error("the block's")
    host = Host(b"123", open_end=True, method="POST")
    with pytest.raises(error) as caught:
        async with input_from_receive(host.scope, host.receive):
            raise made
    assert caught.value is made
    assert not host._receiving


@pytest.mark.clause("D-50")
async def test_a_cancellation_ends_the_thread_that_the_block_waits_for() -> None:
    """A thread cannot be cancelled, so that `anyio.to_thread.run_sync` waits for it."""
    errors: list[Exception] = []

    def read(file: Any) -> bytes:
        try:
            return file.read()  # type: ignore[no-any-return]
        except GatebridgeError as exc:
            errors.append(exc)
            raise

    host = Host(b"123", open_end=True, method="POST")
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(reading(read), host.scope, host.receive, host.send)
            await host.until(lambda: host.receives == 2)
            group.cancel_scope.cancel()
    assert [type(error) for error in errors] == [ClientDisconnected]
    assert not host._receiving


@pytest.mark.clause("D-50")
@pytest.mark.parametrize("whose", ["block", "server"])
async def test_an_error_is_not_lost_in_a_cancellation(whose: str) -> None:
    host = Host(open_end=True, method="POST")
    if whose == "server":
        host.receive_error = LookupError("the server's")
        host.feed()

    async def block(scope: anyio.CancelScope) -> None:
        async with input_from_receive(host.scope, host.receive):
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                if whose == "block":
                    raise LookupError("the block's")

    with anyio.CancelScope() as scope, pytest.raises(LookupError, match=whose):
        await block(scope)


@pytest.mark.clause("D-50")
async def test_a_cancellation_is_not_taken_for_a_departure() -> None:
    host = Host(open_end=True, method="POST")
    with anyio.CancelScope() as scope:
        async with input_from_receive(host.scope, host.receive) as file:
            reader = Reader(file)
            await host.until(lambda: host.receives == 1)
            scope.cancel()
            await reader.result()
    assert scope.cancelled_caught


@pytest.mark.clause("D-50")
def test_a_cancellation_by_asyncio_itself_ends_both() -> None:
    readers: list[Reader] = []

    async def main() -> None:
        received = anyio.Event()

        async def receive() -> Any:
            received.set()
            await anyio.sleep_forever()

        async def serve() -> None:
            async with input_from_receive(http_scope(method="POST"), receive) as file:
                readers.append(Reader(file))
                await anyio.sleep_forever()

        task = asyncio.create_task(serve())
        with anyio.fail_after(HANG):
            await received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ClientDisconnected):
            await readers[0].result()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def test_a_block_that_is_left_at_once_leaves_nothing() -> None:
    host = Host(open_end=True, method="POST")
    async with input_from_receive(host.scope, host.receive) as file:
        pass
    assert (host.receives, host._receiving) == (0, False)
    with pytest.raises(ClientDisconnected):
        await Reader(file).result()
