"""``wsgi.input`` in a request: read while it comes, and what ends it."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from gatebridge.errors import ClientDisconnected, HostError, RequestError
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter, happens, serve, statistics_say
from wsgi_on_asgi.host import Host, request_messages

pytestmark = pytest.mark.direction("w2a")


def reading_app(read: Any) -> Any:
    """Return an application whose body is what ``read`` makes of the input."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        result = read(environ["wsgi.input"])
        start_response("200 OK", [TEXT])
        return [result]

    return app


BODIES = [[b"a\nbc\nd"], [b"a", b"\nb", b"", b"c\n", b"d"], [b"", b"a\nbc\nd", b""]]


@pytest.mark.clause("W-IN-01", "W-IN-03", "W-IN-04", "W-IN-05", "W-IN-06", "W-ENV-17")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda stream: stream.read(), b"a\nbc\nd"),
        (lambda stream: stream.read(-1) + stream.read(-1), b"a\nbc\nd"),
        (lambda stream: stream.read(3) + b"|" + stream.read(), b"a\nb|c\nd"),
        (lambda stream: stream.readline() + b"|" + stream.readline(), b"a\n|bc\n"),
        (lambda stream: stream.readline(1) + b"|" + stream.readline(), b"a|\n"),
        (lambda stream: b"|".join(stream.readlines()), b"a\n|bc\n|d"),
        (lambda stream: b"|".join(stream.readlines(3)), b"a\n|bc\n"),
        (lambda stream: b"|".join(stream), b"a\n|bc\n|d"),
        (lambda stream: b"".join(iter(lambda: stream.read1(2), b"")), b"a\nbc\nd"),
        (lambda stream: stream.read() + repr(stream.readlines()).encode(), b"a\nbc\nd[]"),
    ],
)
async def test_reading_equals_a_file_of_the_body(
    read: Any, expected: bytes, body: list[bytes], declared: bool
) -> None:
    headers = [(b"content-length", b"6")] if declared else []
    host = await serve(reading_app(read), *body, method="POST", headers=headers)
    assert host.body == expected


@pytest.mark.clause("A-HTTP-16", "A-CORE-09")
@pytest.mark.parametrize(
    ("messages", "body"),
    [
        ([{"type": "http.request"}], b""),
        ([{"type": "http.request", "body": b"x"}], b"x"),
        ([{"type": "http.request", "more_body": True}, {"type": "http.request"}], b""),
        (
            [
                {"type": "http.request", "more_body": True, "unknown": 1},
                {"type": "http.request", "body": b"", "more_body": True},
                {"type": "http.request", "body": b"x", "more_body": True},
                {"type": "http.request", "body": b"y"},
            ],
            b"xy",
        ),
    ],
)
async def test_missing_and_additional_keys_of_messages_are_tolerated(
    messages: list[dict[str, Any]], body: bytes
) -> None:
    host = Host(open_end=True)
    host.feed(*messages)
    await host.serve(adapter(reading_app(lambda stream: stream.read())))
    assert host.body == body


@pytest.mark.clause("W-IN-04")
async def test_a_read_waits_for_its_message_and_no_longer() -> None:
    """Each part can be read before the client sends the next."""
    read = threading.Event()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        first = stream.read(3)
        read.set()
        start_response("200 OK", [TEXT])
        return [first, b"|", stream.read()]

    host = Host(b"1", open_end=True, method="POST")
    served = adapter(app)
    async with host.background(served):
        await statistics_say(served, stalled=1)
        host.feed({"type": "http.request", "body": b"23", "more_body": True})
        await happens(read)
        host.feed(*request_messages(b"45"))
    assert (host.error, host.body) == (None, b"123|45")


@pytest.mark.clause("W-IN-02", "W-IN-04", "C-01")
async def test_the_declared_length_ends_the_input_though_the_server_says_more() -> None:
    headers = [(b"content-length", b"5")]
    host = Host(b"123", b"45", open_end=True, method="POST", headers=headers)
    async with host.background(adapter(reading_app(lambda stream: stream.read() + stream.read()))):
        pass
    assert (host.error, host.body) == (None, b"12345")


@pytest.mark.clause("W-IN-02", "D-15", "CGI-18")
@pytest.mark.parametrize("body", [[b"12345surplus"], [b"123", b"45sur", b"plus"]])
async def test_a_surplus_is_not_readable_and_is_logged(
    body: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"content-length", b"5")]
    app = reading_app(lambda stream: stream.read() + b"|" + stream.read(9))
    host = await serve(app, *body, method="POST", headers=headers)
    assert host.body == b"12345|"
    assert "Content-Length" in caplog.text


@pytest.mark.clause("D-15", "H-MSG-07", "CGI-18")
@pytest.mark.parametrize("body", [[b""], [b"123"], [b"1", b"23"], [b"123", b""]])
async def test_a_premature_end_is_answered_400_and_is_never_a_short_read(
    body: list[bytes],
) -> None:
    errors: list[Exception] = []

    def read(stream: Any) -> bytes:
        try:
            return stream.read()
        except OSError as exc:
            errors.append(exc)
            raise

    headers = [(b"content-length", b"5")]
    host = await serve(reading_app(read), *body, method="POST", headers=headers)
    assert isinstance(errors[0], RequestError)
    assert host.status == 400
    assert b"content-length" in host.body


@pytest.mark.clause("D-15")
async def test_an_application_may_answer_a_premature_end_itself() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        with pytest.raises(OSError):  # noqa: PT011 - an application that knows only this
            environ["wsgi.input"].read()
        start_response("422 Incomplete", [TEXT])
        return [b"incomplete"]

    host = await serve(app, b"123", method="POST", headers=[(b"content-length", b"5")])
    assert (host.status, host.body) == (422, b"incomplete")


@pytest.mark.clause("D-30")
async def test_a_departure_raises_from_every_further_read() -> None:
    errors: list[type] = []
    reads = threading.Event()

    def read(stream: Any) -> bytes:
        assert stream.read(3) == b"123"
        for _ in range(3):
            reads.set()
            try:
                stream.read(1)
            except OSError as exc:
                errors.append(type(exc))
        return b"not seen by the client"

    host = Host(b"123", open_end=True, method="POST")
    async with host.background(adapter(reading_app(read))):
        await happens(reads)
        host.disconnect()
    assert (host.error, host.sent) == (None, [])
    assert errors == [ClientDisconnected] * 3


class Reworded(Exception):  # noqa: N818
    """What a framework makes of an error of its input."""


def rewords(stream: Any) -> bytes:
    try:
        return stream.read()
    except OSError as exc:
        raise Reworded from exc


def rewords_twice(stream: Any) -> bytes:
    try:
        return rewords(stream)
    except Reworded as exc:
        raise LookupError from exc


def raises_it_again(stream: Any) -> bytes:
    try:
        return stream.read()
    except OSError as exc:
        try:
            raise LookupError  # and handled: of no consequence
        except LookupError:
            raise exc  # noqa: B904 - the other way is the point


def fails(stream: Any) -> bytes:
    try:
        return stream.read()
    except OSError:
        return undefined_name  # type: ignore[name-defined, no-any-return] # noqa: F821


def fails_in_finally(stream: Any) -> bytes:
    try:
        return stream.read()
    finally:
        stream.no_such_method()


def hides_it(stream: Any) -> bytes:
    try:
        return stream.read()
    except OSError:
        raise Reworded from None


async def leave_while_it_reads(read: Any) -> Host:
    """Serve a request whose client leaves while ``read`` waits for it."""
    reads = threading.Event()

    def reading(stream: Any) -> bytes:
        reads.set()
        return read(stream)

    host = Host(b"123", open_end=True, method="POST")
    async with host.background(adapter(reading_app(reading))):
        await happens(reads)
        host.disconnect()
    assert host.sent == []
    return host


@pytest.mark.clause("D-30")
@pytest.mark.parametrize("read", [rewords, rewords_twice, raises_it_again])
async def test_what_an_application_makes_of_a_departure_is_no_error(
    read: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The call returns normally, and nothing above info level is logged."""
    caplog.set_level("INFO", "gatebridge")
    assert (await leave_while_it_reads(read)).error is None
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.clause("D-30", "W-ERR-01")
@pytest.mark.parametrize(
    ("read", "error"),
    [(fails, NameError), (fails_in_finally, AttributeError), (hides_it, Reworded)],
)
async def test_a_bug_in_the_handling_of_a_departure_is_an_error(
    read: Any, error: type[Exception]
) -> None:
    """The departure is its context only: it is raised to the server, which logs the traceback."""
    assert type((await leave_while_it_reads(read)).error) is error


@pytest.mark.clause("D-30", "W-ERR-01")
async def test_a_bug_in_the_handling_of_a_departure_is_logged_if_the_call_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reads, done = threading.Event(), threading.Event()

    def read(stream: Any) -> bytes:
        reads.set()
        try:
            return fails(stream)
        finally:
            done.set()

    host = Host(b"123", open_end=True, method="POST")
    served = adapter(reading_app(read))
    async with host.background(served) as scope:
        await happens(reads)
        scope.cancel()
    await happens(done)
    await statistics_say(served, running=0, stalled=0)
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.exc_info is not None
    assert record.exc_info[0] is NameError


@pytest.mark.clause("D-30")
async def test_a_departure_in_close_after_a_departure_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the iterable raises and what its ``close()`` raises have the same harmless reason."""
    caplog.set_level(logging.INFO, "gatebridge")
    reads = threading.Event()

    class Body(Blocks):
        def close(self) -> None:
            self.read()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        reads.set()
        body = Body(environ["wsgi.input"].read)
        body.read = environ["wsgi.input"].read  # type: ignore[attr-defined]
        return body

    host = Host(b"123", open_end=True, method="POST")
    async with host.background(adapter(app)):
        await happens(reads)
        host.disconnect()
    assert host.error is None
    assert caplog.messages == ["POST '/': the client left before the end of the response"]


# --- what the server's own callable fails with ----------------------------------------------------


FAILURES = [OSError(28, "No space left on device"), OSError("spool"), TimeoutError(), ValueError()]


@pytest.mark.clause("D-30", "A-HTTP-31")
@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_a_failure_of_the_first_receive_reaches_the_server(failure: Exception) -> None:
    host = Host(open_end=True, method="POST")
    host.receive_error = failure
    with pytest.raises(type(failure)) as caught:
        await host.serve(adapter(lambda *_: pytest.fail("called")))
    assert caught.value is failure
    assert host.sent == []


@pytest.mark.clause("D-30", "A-HTTP-31")
@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_a_failure_of_receive_stops_the_application_and_reaches_the_server(
    failure: Exception,
) -> None:
    """The application's read raises an `OSError`, so that no framework blames it."""
    errors: list[Exception] = []
    reads = threading.Event()

    def read(stream: Any) -> bytes:
        reads.set()
        try:
            return stream.read()
        except OSError as exc:
            errors.append(exc)
            raise

    host = Host(b"part", open_end=True, method="POST")
    async with host.background(adapter(reading_app(read))):
        await happens(reads)
        host.receive_error = failure
        host.feed()
    assert host.error is failure
    assert host.sent == []
    assert [str(error) for error in errors] == [
        "wsgi.input: the server's receive() or send() failed"
    ]


@pytest.mark.clause("D-30", "A-HTTP-31")
@pytest.mark.parametrize(
    "error", [ConnectionResetError(), BrokenPipeError(32, "Broken pipe"), ClientDisconnected("x")]
)
async def test_a_connection_error_of_receive_is_a_departure(error: Exception) -> None:
    reads = threading.Event()

    def read(stream: Any) -> bytes:
        reads.set()
        return stream.read()

    host = Host(b"part", open_end=True, method="POST")
    async with host.background(adapter(reading_app(read))):
        await happens(reads)
        host.receive_error = error
        host.feed()
    assert (host.error, host.sent) == (None, [])


@pytest.mark.clause("D-50")
async def test_read_raises_after_cancellation() -> None:
    errors: list[Exception] = []
    reads, raised = threading.Event(), threading.Event()

    def read(stream: Any) -> bytes:
        reads.set()
        try:
            return stream.read()
        except OSError as exc:
            errors.append(exc)
            raised.set()
            raise

    host = Host(b"123", open_end=True, method="POST")
    async with host.background(adapter(reading_app(read))) as scope:
        await happens(reads)
        scope.cancel()
    await happens(raised)
    assert [type(error) for error in errors] == [ClientDisconnected]


@pytest.mark.clause("A-CORE-08")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.unknown"},
        {"type": "websocket.receive", "bytes": b"x"},
        {"type": "http.request", "body": "text"},
        {"type": "http.request", "body": None},
        {"type": "http.request", "body": 5},
        {},
    ],
)
async def test_an_invalid_event_is_the_servers_error_and_read_raises_it(
    message: dict[str, Any],
) -> None:
    errors: list[Exception] = []
    reads = threading.Event()

    def read(stream: Any) -> bytes:
        reads.set()
        try:
            return stream.read()
        except Exception as exc:
            errors.append(exc)
            raise

    host = Host(b"part", open_end=True, method="POST")
    async with host.background(adapter(reading_app(read))):
        await happens(reads)
        host.feed(message)
    assert [type(error) for error in [*errors, host.error]] == [HostError, HostError]
    assert host.sent == []


@pytest.mark.clause("A-CORE-08")
@pytest.mark.parametrize("message", [{"type": "http.unknown"}, {}, {"type": "lifespan.startup"}])
async def test_an_invalid_first_event_is_the_servers_error(message: dict[str, Any]) -> None:
    host = Host(open_end=True, method="POST")
    host.feed(message)
    with pytest.raises(HostError):
        await host.serve(adapter(lambda *_: pytest.fail("called")))
    assert host.sent == []


@pytest.mark.clause("A-HTTP-33", "D-31", "C-24")
async def test_an_unread_body_does_not_hide_a_departure() -> None:
    """The application answers without reading; the client leaves within its upload."""
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        yield b"a"
        gate()
        while True:
            yield b"b"

    host = Host(b"part", open_end=True, method="POST", raises=False)
    async with host.background(adapter(app)):
        await gate.reached()
        host.disconnect()
        gate.open()
    assert host.error is None


@pytest.mark.clause("W-IN-01", "D-31")
async def test_the_body_can_be_read_while_the_response_streams() -> None:
    """An echo: each part goes out before the next comes in."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        while part := environ["wsgi.input"].read1(100):
            yield part.upper()

    host = Host(open_end=True, method="POST")
    async with host.background(adapter(app)):
        for part in (b"a", b"b", b"c"):
            host.feed({"type": "http.request", "body": part, "more_body": True})
            await host.until(lambda part=part: host.body.endswith(part.upper()))
        host.feed(*request_messages())
    assert (host.error, host.body) == (None, b"ABC")
