"""``start_response`` with ``exc_info``: another head while nothing was sent, else the error."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import TEXT, Blocks, Environ, adapter, serve
from wsgi_on_asgi.host import Host

pytestmark = pytest.mark.direction("w2a")


class AppError(Exception):
    """What the application raises."""


def fail() -> None:
    raise AppError("of the app")


@pytest.mark.clause("W-SR-12")
@pytest.mark.parametrize("empty_blocks", [0, 2])
async def test_it_replaces_status_and_all_headers_while_nothing_was_sent(empty_blocks: int) -> None:
    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("x-old", "1"), ("content-length", "3")])
        for _ in range(empty_blocks):
            yield b""
        try:
            fail()
        except AppError:
            start_response("500 Oops", [("x-new", "2")], sys.exc_info())
        yield b"longer than three"

    host = await serve(app)
    assert (host.status, host.headers) == (500, [(b"x-new", b"2")])
    assert host.body == b"longer than three"


@pytest.mark.clause("W-SR-12", "H-STAT-04")
@pytest.mark.parametrize(("old", "new"), [("204 No Content", "200 OK"), ("304 NM", "500 Oops")])
async def test_it_also_replaces_whether_there_is_content(old: str, new: str) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response(old, [])
        try:
            fail()
        except AppError:
            start_response(new, [], sys.exc_info())
        return [b"content"]

    assert (await serve(app)).body == b"content"


@pytest.mark.clause("W-SR-12")
async def test_the_new_length_is_enforced() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            fail()
        except AppError:
            start_response("500 Oops", [("content-length", "5")], sys.exc_info())
        return [b"1234"]

    with pytest.raises(WsgiAppError, match="content-length"):
        await Host().serve(adapter(app))


@pytest.mark.clause("W-SR-12")
async def test_a_first_call_may_have_exc_info() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            fail()
        except AppError:
            start_response("500 Oops", [TEXT], sys.exc_info())
        return [b"x"]

    assert (await serve(app)).status == 500


@pytest.mark.clause("W-SR-12", "W-SR-14")
async def test_exc_info_makes_good_a_call_that_raised() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            start_response("200 OK", [("bad name", "")])
        except WsgiAppError:
            start_response("500 Oops", [TEXT], sys.exc_info())
        return [b"x"]

    assert (await serve(app)).status == 500


def failing_after_start(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"x"
    try:
        fail()
    except AppError:
        start_response("500 Oops", [TEXT], sys.exc_info())
    yield b"not sent"


def failing_after_write(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])(b"")
    try:
        fail()
    except AppError:
        start_response("500 Oops", [TEXT], sys.exc_info())
    return [b"not sent"]


@pytest.mark.clause("W-SR-13", "W-ERR-03", "D-27", "A-HTTP-21")
@pytest.mark.parametrize("app", [failing_after_start, failing_after_write])
async def test_after_the_start_it_raises_the_applications_own_error(app: Any) -> None:
    host = Host()
    with pytest.raises(AppError, match="of the app") as caught:
        await host.serve(adapter(app))
    assert not host.complete
    assert b"not sent" not in host.body
    assert [entry.name for entry in caught.traceback][-1] == "fail"  # with its traceback


@pytest.mark.clause("W-SR-13")
async def test_sent_means_handed_over_not_on_the_wire() -> None:
    """The client has not yet read the first block, and the application fails at the second."""
    host = Host()
    host.stop_reading()
    async with host.background(adapter(failing_after_start)):
        await host.until(lambda: "start" in host.types)
        host.read_on()
    assert type(host.error) is AppError
    assert host.status == 200


@pytest.mark.clause("W-SR-19")
async def test_a_second_call_without_it_does_not_hide_what_the_application_was_at() -> None:
    """That is how it mostly comes about: an error page without exc_info."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise AppError
        except AppError:
            start_response("500 Oops", [TEXT])
        return []

    with pytest.raises(WsgiAppError) as caught:
        await serve(app)
    assert type(caught.value.__context__) is AppError
    assert not caught.value.__suppress_context__


@pytest.mark.clause("W-SR-19")
@pytest.mark.parametrize("absent", [None, (), [], 0, ""])
async def test_a_falsy_value_counts_as_absent(absent: Any) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT], absent)
        with pytest.raises(WsgiAppError):  # so this is a second call without exc_info
            start_response("500 Oops", [TEXT], absent)
        return [b"x"]

    assert (await serve(app)).status == 200


@pytest.mark.clause("W-SR-19")
@pytest.mark.parametrize(
    "wrong", [True, "error", AppError(), AppError, (AppError, AppError()), [1, 2, 3], (1, 2, 3, 4)]
)
async def test_anything_else_must_be_a_three_tuple(wrong: Any) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT], wrong)
        return [b"x"]

    host = Host()
    with pytest.raises(WsgiAppError, match="exc_info"):
        await host.serve(adapter(app))
    assert host.sent == []


@pytest.mark.clause("W-SR-13", "W-SR-14", "W-SR-19")
async def test_an_empty_exc_info_after_the_start_is_an_error() -> None:
    """``sys.exc_info()`` outside of a handler: there is no exception to raise again."""

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"x"
        start_response("500 Oops", [TEXT], sys.exc_info())

    host = Host()
    with pytest.raises(WsgiAppError):
        await host.serve(adapter(app))
    assert not host.complete


def handled_before_start(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    try:
        fail_noted(environ)
    except AppError:
        start_response("500 Oops", [TEXT], sys.exc_info())
    return [b"x"]


def handled_then_refused(environ: Environ, start_response: Any) -> list[bytes]:
    """The new headers are bad, and the application recovers once more."""
    try:
        fail_noted(environ)
    except AppError:
        try:
            start_response("500 Oops", [("bad name", "")], sys.exc_info())
        except WsgiAppError:
            start_response("500 Oops", [TEXT], sys.exc_info())
    return [b"x"]


def raised_after_start(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"x"
    try:
        fail_noted(environ)
    except AppError:
        start_response("500 Oops", [TEXT], sys.exc_info())


def raised_by_itself(environ: Environ, start_response: Any) -> list[bytes]:
    fail_noted(environ)
    return []


def raised_in_iteration(environ: Environ, start_response: Any) -> Blocks:
    start_response("200 OK", [TEXT])
    return Blocks(b"x", lambda: fail_noted(environ))


def exits(environ: Environ, start_response: Any) -> list[bytes]:
    try:
        fail_noted(environ)
    except AppError as exc:
        raise SystemExit(3) from exc
    return []


def fail_noted(environ: Environ) -> bytes:
    error = AppError("of the app")
    environ["test.errors"].append(weakref.ref(error))
    try:
        raise error
    finally:
        del error  # the cycle would be this function's, not the adapter's


@pytest.mark.clause("W-SR-15")
@pytest.mark.parametrize(
    "app",
    [
        handled_before_start,
        handled_then_refused,
        raised_after_start,
        raised_by_itself,
        raised_in_iteration,
        exits,
    ],
)
async def test_the_exception_is_gone_after_the_request_without_the_collector(app: Any) -> None:
    errors: list[weakref.ref[AppError]] = []
    served = adapter(app, environ={"test.errors": errors})
    gc.collect()
    gc.disable()
    try:
        await _serve_and_forget(served)
        served._pool.close(5)
        assert [error() for error in errors] == [None]
    finally:
        gc.enable()


async def _serve_and_forget(app: Any) -> None:
    host = Host()
    try:
        await host.serve(app)
    except (AppError, WsgiAppError):
        pass
    Host.all.remove(host)
