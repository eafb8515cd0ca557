"""How the application is called, and what it may return."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from gatebridge.errors import HostError, WsgiAppError
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, body_app, result_app, serve
from wsgi_on_asgi.host import Host

pytestmark = pytest.mark.direction("w2a")


def odd_names(a: Environ, b: Any) -> list[bytes]:
    b("200 OK", [TEXT])
    return [b"called"]


class ClassApp:
    """Calling it makes the iterable."""

    def __init__(self, environ: Environ, start_response: Any) -> None:
        start_response("200 OK", [TEXT])

    def __iter__(self) -> Iterator[bytes]:
        yield b"called"


class Instance:
    __slots__ = ()

    def __call__(self, environ: Environ, start_response: Any, /) -> list[bytes]:
        return odd_names(environ, start_response)

    def method(self, environ: Environ, start_response: Any) -> list[bytes]:
        return odd_names(environ, start_response)


def with_third(environ: Environ, start_response: Any, third: str = "called") -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [third.encode()]


@pytest.mark.clause("W-CALL-01", "W-CALL-02", "A-CORE-01")
@pytest.mark.parametrize(
    "app",
    [
        pytest.param(odd_names, id="function"),
        pytest.param(lambda *args: odd_names(*args), id="variadic"),
        pytest.param(with_third, id="third argument"),
        pytest.param(ClassApp, id="class"),
        pytest.param(Instance(), id="instance"),
        pytest.param(Instance().method, id="method"),
        pytest.param(functools.partial(odd_names), id="partial"),
        pytest.param(functools.partial(with_third, third="called"), id="partial with argument"),
    ],
)
async def test_any_callable_is_called_with_two_positional_arguments(app: Any) -> None:
    assert (await serve(app)).body == b"called"


@pytest.mark.clause("A-CORE-01")
async def test_the_adapter_returns_nothing() -> None:
    host = Host()
    assert await adapter(odd_names)(host.scope, host.receive, host.send) is None


@pytest.mark.clause("W-CALL-01")
@pytest.mark.parametrize("app", [None, "module:app", 5])
def test_what_cannot_be_called_is_refused_at_once(app: Any) -> None:
    with pytest.raises(TypeError, match="app"):
        adapter(app)


@pytest.mark.clause("W-CALL-03", "W-CALL-04")
async def test_each_request_calls_once() -> None:
    environs: list[Environ] = []
    app = adapter(body_app(lambda environ: environs.append(environ) or [b"x"]))
    for number in range(3):
        await Host(path=f"/{number}").serve(app)
    assert [environ["PATH_INFO"] for environ in environs] == ["/0", "/1", "/2"]


@pytest.mark.clause("W-CALL-03")
async def test_concurrent_requests_do_not_meet() -> None:
    """Two requests of one instance are interleaved block by block; each gets its own response."""
    gates = {"/a": [Gate(), Gate()], "/b": [Gate(), Gate()]}

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        start_response("200 OK", [("x-path", path)])
        for gate in gates[path]:
            yield gate(path.encode() + environ["wsgi.input"].read())

    served = adapter(app)
    a, b = Host(b"1", path="/a", method="POST"), Host(b"2", path="/b", method="POST")
    async with a.background(served), b.background(served):
        for number in range(2):
            for path in gates:
                await gates[path][number].reached()
            for path in reversed(gates):
                gates[path][number].open()
    assert (a.error, a.headers, a.body) == (None, [(b"x-path", b"/a")], b"/a1/a")
    assert (b.error, b.headers, b.body) == (None, [(b"x-path", b"/b")], b"/b2/b")


@pytest.mark.clause("W-CALL-04")
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"content-length", b"5"), (b"content-length", b"6")], id="two lengths"),
        pytest.param([(b"x", b"a\r\nb")], id="line break"),
        pytest.param([(b":path", b"/")], id="pseudo-header"),
    ],
)
@pytest.mark.clause("D-52")
async def test_a_refused_request_calls_nothing(
    headers: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gatebridge")
    host = await serve(lambda *_: pytest.fail("called"), headers=headers)
    assert host.status == 400
    assert host.body.count(b"\n") <= 1
    name = headers[0][0]
    assert name in host.body
    assert dict(host.headers)[b"content-type"] == b"text/plain; charset=utf-8"
    assert dict(host.headers)[b"content-length"] == str(len(host.body)).encode()
    assert any(name.decode() in record.getMessage() for record in caplog.records)
    assert {record.levelname for record in caplog.records} == {"INFO"}


@pytest.mark.clause("W-CALL-04", "D-30")
@pytest.mark.parametrize("raises", [True, False])
async def test_nothing_is_called_if_the_client_has_left_before(raises: bool) -> None:
    host = Host(open_end=True, raises=raises)
    host.disconnect()
    await host.serve(adapter(lambda *_: pytest.fail("called")))
    assert host.sent == []


@pytest.mark.clause("W-CALL-05")
@pytest.mark.parametrize(
    ("make_result", "body"),
    [
        (list, b""),
        (tuple, b""),
        (Blocks, b""),
        (lambda: [b"a", b"b"], b"ab"),
        (lambda: (b"a", b"b"), b"ab"),
        (lambda: iter([b"a", b"b"]), b"ab"),
        (lambda: (block for block in (b"a", b"b")), b"ab"),
        (lambda: {b"a": 1, b"b": 2}, b"ab"),
        (lambda: Blocks(b"a", b"b"), b"ab"),
    ],
)
async def test_an_iterable_of_zero_or_more_bytestrings_is_served(
    make_result: Callable[[], Any], body: bytes
) -> None:
    assert (await serve(result_app(make_result()))).body == body


class OldSequence:
    """Iterable by the sequence protocol, as `iter` allows."""

    def __getitem__(self, index: int) -> bytes:
        return [b"a", b"b"][index]


@pytest.mark.clause("W-CALL-05", "W-CALL-09")
async def test_a_sequence_without_iter_is_iterable() -> None:
    assert (await serve(result_app(OldSequence()))).body == b"ab"


@pytest.mark.clause("W-CALL-05")
@pytest.mark.parametrize("result", [None, 5, b"text", b"", "text", "", object()])
async def test_what_is_no_iterable_of_blocks_is_an_error_naming_its_type(result: Any) -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match=type(result).__name__):
        await host.serve(adapter(result_app(result)))
    assert host.sent == []


@pytest.mark.clause("W-CALL-06")
@pytest.mark.parametrize("blocks", [[], [b"x"], [b"", b"x"]])
async def test_a_generator_may_call_start_response_at_its_first_next(blocks: list[bytes]) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [TEXT])
        yield from blocks

    host = await serve(app)
    assert (host.status, host.body) == (202, b"".join(blocks))


@pytest.mark.clause("W-CALL-06")
async def test_start_response_may_follow_an_empty_block() -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("202 Accepted", [TEXT])
        yield b"x"

    assert (await serve(app)).status == 202


@pytest.mark.clause("W-CALL-07", "W-SR-10")
@pytest.mark.parametrize("blocks", [[], [b""], [b"x"], [b"", b"x"]])
@pytest.mark.parametrize("kind", [list, tuple, iter])
async def test_no_start_response_before_the_first_block_is_an_error(
    kind: Callable[[list[bytes]], Any], blocks: list[bytes]
) -> None:
    host = Host()
    with pytest.raises(WsgiAppError, match="start_response"):
        await host.serve(adapter(lambda environ, start_response: kind(blocks)))
    assert host.sent == []


class LyingLength:
    """Its ``len()`` and other attributes are traps; it has two blocks."""

    def __init__(self, length: Any) -> None:
        self._length = length
        self._blocks = iter([b"ab", b"cd"])

    def __len__(self) -> int:
        if isinstance(self._length, Exception):
            raise self._length
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks


class FalseList(list):  # type: ignore[type-arg]
    """A subclass of list, whose ``len()`` does not count what it yields."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"ab", b"cd"])


@pytest.mark.clause("W-CALL-08", "D-25")
@pytest.mark.parametrize(
    "make_result",
    [
        pytest.param(lambda: LyingLength(1), id="one"),
        pytest.param(lambda: LyingLength(0), id="none"),
        pytest.param(lambda: LyingLength(99), id="many"),
        pytest.param(lambda: LyingLength(ZeroDivisionError()), id="raises"),
        pytest.param(FalseList, id="list"),
    ],
)
async def test_the_length_of_other_types_is_not_consulted(make_result: Callable[[], Any]) -> None:
    host = await serve(result_app(make_result()))
    assert host.body == b"abcd"
    assert b"content-length" not in dict(host.headers)


class OnlyIterable:
    """Objects if anything but ``iter`` and ``close`` is looked for."""

    def __init__(self) -> None:
        self.closes = 0

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__iter__", "__dict__", "closes", "close"):
            return object.__getattribute__(self, name)
        raise AssertionError(f"looked for {name}")

    def __iter__(self) -> Iterator[bytes]:
        yield b"x"

    def close(self) -> None:
        self.closes += 1


@pytest.mark.clause("W-CALL-09")
async def test_no_other_attribute_of_the_iterable_is_used() -> None:
    result = OnlyIterable()
    host = await serve(result_app(result))
    assert (host.body, result.closes) == (b"x", 1)


class FileLike:
    """Looks like a file wrapper, and has other blocks than its "file"."""

    filelike = property(lambda self: pytest.fail("used"))
    block_size = property(lambda self: pytest.fail("used"))
    fileno = property(lambda self: pytest.fail("used"))

    def __iter__(self) -> Iterator[bytes]:
        yield b"from iteration"


@pytest.mark.clause("W-CALL-09")
async def test_what_only_looks_like_a_file_wrapper_is_iterated() -> None:
    assert (await serve(result_app(FileLike()))).body == b"from iteration"


@pytest.mark.clause("W-CALL-09")
async def test_a_subclass_of_the_file_wrapper_is_iterated() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        class Upper(environ["wsgi.file_wrapper"]):  # type: ignore[misc]
            def __next__(self) -> bytes:
                return super().__next__().upper()

        start_response("200 OK", [TEXT])
        return Upper(io.BytesIO(b"text"))

    assert (await serve(app)).body == b"TEXT"


@pytest.mark.clause("A-CORE-05")
@pytest.mark.parametrize("kind", ["ftp", "HTTP", "", None, "http2"])
async def test_an_unknown_protocol_is_refused_with_an_exception(kind: Any) -> None:
    app = adapter(lambda *_: pytest.fail("called"))

    async def never(*args: Any) -> Any:
        raise AssertionError("receive or send called")

    with pytest.raises(HostError), anyio.fail_after(5):
        await app({"type": kind, "asgi": {"version": "3.0"}}, never, never)


@pytest.mark.clause("A-CORE-05")
async def test_a_scope_without_type_is_refused_with_an_exception() -> None:
    async def never(*args: Any) -> Any:
        raise AssertionError("receive or send called")

    with pytest.raises(Exception, match="type"), anyio.fail_after(5):
        await adapter(lambda *_: [])({}, never, never)
