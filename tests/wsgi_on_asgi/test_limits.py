"""``max_body_size``, ``max_queue`` and windows: what a client cannot take from the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gatebridge import WsgiToAsgi
from gatebridge.errors import RequestBodyError
from wsgi_on_asgi.apps import (
    TEXT,
    Environ,
    Gate,
    adapter,
    endless,
    happens,
    result_app,
    statistics_say,
    waits_with_a_full_window,
)
from wsgi_on_asgi.host import Host, in_background, request_messages

pytestmark = pytest.mark.direction("w2a")

LENGTH_6 = [(b"content-length", b"6")]


def reading_app(environ: Environ, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [TEXT])
    return [body]


# --- max_body_size --------------------------------------------------------------------------------


@pytest.mark.clause("H-MSG-10", "D-15", "D-52")
async def test_a_declared_body_over_the_limit_is_413_and_nothing_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gatebridge")
    host = Host(b"123456", method="POST", headers=LENGTH_6)
    await host.serve(adapter(lambda *_: pytest.fail("called"), max_body_size=5))
    assert host.status == 413
    assert dict(host.headers)[b"content-type"] == b"text/plain; charset=utf-8"
    assert host.body.count(b"\n") <= 1
    assert [(record.levelname, "413" in record.getMessage()) for record in caplog.records] == [
        ("INFO", True)
    ]


@pytest.mark.clause("D-52", "H-STAT-07")
async def test_the_answer_to_head_has_no_body() -> None:
    host = Host(b"123456", method="HEAD", headers=LENGTH_6)
    await host.serve(adapter(lambda *_: pytest.fail("called"), max_body_size=5))
    assert (host.status, host.body, host.complete) == (413, b"", True)


@pytest.mark.clause("H-MSG-10", "D-15")
@pytest.mark.parametrize("body", [[b"123456"], [b"123", b"456"], [b"1"] * 6])
async def test_an_undeclared_body_over_the_limit_raises_and_is_413(body: list[bytes]) -> None:
    errors: list[Exception] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            return reading_app(environ, start_response)
        except OSError as exc:
            errors.append(exc)
            raise

    host = Host(*body, method="POST")
    await host.serve(adapter(app, max_body_size=5))
    assert (host.status, [type(error) for error in errors]) == (413, [RequestBodyError])


@pytest.mark.clause("H-MSG-10", "D-15")
@pytest.mark.parametrize("length", [None, "4", "9"])
@pytest.mark.parametrize("result", [list, iter])
async def test_it_is_413_also_if_the_application_catches_the_error(
    length: str | None, result: Callable[[list[bytes]], Any]
) -> None:
    """Nothing was sent, so that the answer is the adapter's, be the application's right or not."""

    def app(environ: Environ, start_response: Any) -> Any:
        with pytest.raises(RequestBodyError):
            environ["wsgi.input"].read()
        start_response("200 OK", [TEXT, *([("Content-Length", length)] if length else [])])
        return result([b"fine"])

    host = Host(b"123", b"456", method="POST")
    await host.serve(adapter(app, max_body_size=5))
    assert host.status == 413


@pytest.mark.clause("D-15")
async def test_after_the_start_the_error_of_the_application_goes_to_the_server() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        yield b"started"
        yield environ["wsgi.input"].read()

    host = Host(b"123", b"456", method="POST")
    with pytest.raises(RequestBodyError):
        await host.serve(adapter(app, max_body_size=5))
    assert (host.status, host.body, host.complete) == (200, b"started", False)


@pytest.mark.clause("H-MSG-10")
@pytest.mark.parametrize("body", [[b"12345"], [b"123", b"45"], [b""]])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_within_the_limit_passes(body: list[bytes], declared: bool) -> None:
    length = str(len(b"".join(body))).encode()
    headers = [(b"content-length", length)] if declared else []
    host = Host(*body, method="POST", headers=headers)
    await host.serve(adapter(reading_app, max_body_size=5))
    assert host.body == b"".join(body)


@pytest.mark.clause("H-MSG-10")
async def test_an_unread_body_over_the_limit_does_not_matter() -> None:
    host = Host(b"123", b"456", method="POST")
    await host.serve(adapter(result_app([b"x"]), max_body_size=5))
    assert host.status == 200


# --- max_queue ------------------------------------------------------------------------------------


@pytest.mark.clause("H-STAT-09", "D-52")
async def test_past_the_queue_the_answer_is_503_with_retry_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gatebridge")
    gate = Gate()
    calls: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        gate()
        return reading_app(environ, start_response)

    served = adapter(app, threads=1, max_queue=1)
    running, queued, refused = Host(path="/running"), Host(path="/queued"), Host(path="/refused")
    async with running.background(served):
        await gate.reached()
        async with queued.background(served):
            await statistics_say(served, waiting=1)
            await refused.serve(served)
            assert refused.status == 503
            assert dict(refused.headers)[b"retry-after"].isdigit()
            assert dict(refused.headers)[b"content-type"] == b"text/plain; charset=utf-8"
            gate.open()
    assert (running.status, queued.status) == (200, 200)
    assert calls == ["/running", "/queued"]
    assert any("503" in record.getMessage() for record in caplog.records)


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.clause("W-BODY-01", "W-BODY-04")
@pytest.mark.parametrize("writes", [True, False])
async def test_an_endless_application_stops_within_the_window_of_a_client_that_does_not_read(
    writes: bool,
) -> None:
    """One window may wait to be sent, and one be on its way in ``send``."""
    block, window = b"x" * 1000, 10_000
    blocks = endless(block)
    made: list[int] = []

    def app(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT])
        if not writes:
            return blocks
        for each in blocks:
            write(each)
            made.append(1)
        return []

    served = adapter(app, window_bytes=window)
    host = Host()
    host.stop_reading()
    async with host.background(served):
        await host.until(lambda: host.sent)
        await statistics_say(served, stalled=1, running=0)
        assert blocks.taken * len(block) <= 2 * (window + len(block))
        host.disconnect()
    assert host.error is None


@pytest.mark.clause("W-IN-01", "D-31")
async def test_an_upload_waits_for_an_application_that_does_not_read() -> None:
    """At most one window is received ahead of it, and one message that crosses its end."""
    gate = Gate()

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        gate()
        return reading_app(environ, start_response)

    host = Host(*[b"x" * 1000] * 100, method="POST")
    async with host.background(adapter(app, window_bytes=10_000)):
        await waits_with_a_full_window(host, gate, messages=10)
    assert (host.error, len(host.body)) == (None, 100_000)


@pytest.mark.clause("W-HTTP-02")
async def test_stalled_downloads_do_not_stop_small_requests() -> None:
    """Two places and twenty clients that do not read; the next request is served at once."""
    bodies = {f"/{number}": endless() for number in range(20)}

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return bodies.get(environ["PATH_INFO"], [b"small"])

    served = adapter(app, threads=2, window_bytes=4096)
    async with _all_stalled(served, [Host(path=path) for path in bodies]) as hosts:
        for _ in range(5):
            small = Host(path="/small")
            await small.serve(served)
            assert small.body == b"small"
        for host in hosts:
            host.disconnect()
    for body in bodies.values():
        await happens(body.closed)


@pytest.mark.clause("W-HTTP-02")
async def test_stalled_uploads_do_not_stop_small_requests() -> None:
    served = adapter(reading_app, threads=2)
    uploads = [Host(b"part", open_end=True, method="POST") for _ in range(20)]
    async with _all_stalled(served, uploads) as hosts:
        small = Host(b"small", method="POST")
        await small.serve(served)
        assert small.body == b"small"
        for host in hosts:
            host.feed(*request_messages(b" and rest"))
    assert {host.body for host in uploads} == {b"part and rest"}


@asynccontextmanager
async def _all_stalled(served: Any, hosts: list[Host]) -> AsyncIterator[list[Host]]:
    """Serve requests in the background, until each waits for its client."""
    for host in hosts:
        if host.scope["method"] == "GET":
            host.stop_reading()
    async with in_background(served, hosts):
        await statistics_say(served, stalled=len(hosts), running=0)
        yield hosts


@pytest.mark.clause("W-HTTP-06")
@pytest.mark.parametrize(
    ("option", "value"),
    [("threads", 0), ("threads", -1), ("window_bytes", 0), ("max_threads", 1), ("max_queue", -1),
     ("max_body_size", -1), ("duplicate_header_limit", 0), ("idle_timeout", -1),
     ("shutdown_timeout", -1)],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=option):
        adapter(lambda *_: [], **{"threads": 2, option: value})


@pytest.mark.clause("H-MSG-10")
async def test_a_limit_of_zero_allows_no_body() -> None:
    empty, full = Host(method="POST"), Host(b"x", method="POST")
    served = adapter(reading_app, max_body_size=0)
    await empty.serve(served)
    await full.serve(served)
    assert (empty.status, full.status) == (200, 413)


@pytest.mark.clause("D-10", "D-52")
async def test_too_many_repeats_of_a_header_are_400_and_nothing_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gatebridge")
    headers = [(b"host", b"example.org"), *[(b"x-a", b"1")] * 3]
    few, many = Host(headers=headers[:-1]), Host(path="/many", headers=headers)
    await few.serve(adapter(result_app([b"x"]), duplicate_header_limit=2))
    await many.serve(adapter(lambda *_: pytest.fail("called"), duplicate_header_limit=2))
    assert (few.status, many.status) == (200, 400)
    assert many.body == b"x-a: sent 3 times, over the limit of 2\n"
    (record,) = caplog.records
    assert record.message == "GET '/many': answered 400: x-a: sent 3 times, over the limit of 2"


@pytest.mark.parametrize("seconds", [float("inf"), 1e12])
async def test_timeouts_may_be_longer_than_any_clock(seconds: float) -> None:
    served = WsgiToAsgi(result_app([b"x"]), idle_timeout=seconds, shutdown_timeout=seconds)
    host = Host()
    await host.serve(served)
    assert host.body == b"x"
    assert served._pool.close(seconds) == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("threads", "40", "an int"),  # as out of the environment
        ("threads", 2.0, "an int"),
        ("threads", True, "an int"),
        ("threads", None, "an int"),
        ("threads", float("nan"), "an int"),
        ("max_threads", 50.0, "an int"),
        ("window_bytes", 1e6, "an int"),
        ("max_queue", "40", "an int or None"),
        ("max_queue", False, "an int or None"),
        ("max_body_size", 1e6, "an int or None"),
        ("duplicate_header_limit", 2.0, "an int or None"),
        ("idle_timeout", "40", "an int or a float"),
        ("idle_timeout", True, "an int or a float"),
        ("shutdown_timeout", None, "an int or a float"),
    ],
)
def test_a_number_of_another_type_is_refused(name: str, value: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be {kind}, got {value!r}$"):
        WsgiToAsgi(result_app([b"x"]), **{name: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threads": 4, "max_threads": 3}, "max_threads must be at least 4, got 3"),
        ({"max_queue": -1}, "max_queue must be at least 0, got -1"),
        ({"duplicate_header_limit": 0}, "duplicate_header_limit must be at least 1, got 0"),
        ({"idle_timeout": -0.5}, "idle_timeout must be at least 0, got -0.5"),
        ({"idle_timeout": float("nan")}, "idle_timeout must be at least 0, got nan"),
        ({"shutdown_timeout": float("nan")}, "shutdown_timeout must be at least 0, got nan"),
    ],
)
def test_a_number_out_of_range_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        WsgiToAsgi(result_app([b"x"]), **arguments)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ([("A", "b")], r"environ must be a mapping or None, got \[\('A', 'b'\)\]"),
        ({1: "b"}, "environ must have names of type str, got 1"),
        ({"A": 1}, "environ must have a native string for 'A', got 1"),
    ],
)
def test_an_environ_of_another_type_is_refused(environ: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        WsgiToAsgi(result_app([b"x"]), environ=environ)


@pytest.mark.parametrize("name", ["spool_bodies", "multiprocess", "server_sends_files"])
@pytest.mark.parametrize("value", ["no", 0, None])
def test_a_flag_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a bool, got {value!r}$"):
        WsgiToAsgi(result_app([b"x"]), **{name: value})
