"""``start_response``: what it takes, what it refuses, and what it returns."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from gatebridge.errors import WsgiAppError
from wsgi_on_asgi.apps import TEXT, Environ, adapter, result_app, serve
from wsgi_on_asgi.host import Host

pytestmark = pytest.mark.direction("w2a")

Call = tuple[Any, ...]


async def error_of(*args: Any, **kwargs: Any) -> BaseException:
    """Return what ``start_response`` raises into the application."""
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            start_response(*args, **kwargs)
        except BaseException as exc:
            errors.append(exc)
            raise
        return []

    host = Host()
    with pytest.raises((WsgiAppError, TypeError)) as caught:
        await host.serve(adapter(app))
    assert host.sent == []
    assert errors == [caught.value]
    return caught.value


@pytest.mark.clause("W-SR-01")
@pytest.mark.parametrize("exc_info", [(), (None,)])
async def test_it_takes_status_headers_and_optional_exc_info(exc_info: Call) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("201 Created", [("x-a", "1")], *exc_info)
        return [b""]

    host = await serve(app)
    assert (host.status, host.headers[0]) == (201, (b"x-a", b"1"))


@pytest.mark.clause("W-SR-01")
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {"status": "201 Created", "headers": [("x-a", "1")]}),
        (("201 Created",), {"headers": [("x-a", "1")]}),
        (("201 Created", [("x-a", "1")]), {"exc_info": None}),
        ((), {"exc_info": (), "headers": [("x-a", "1")], "status": "201 Created"}),
    ],
)
async def test_it_takes_the_names_that_servers_give_to_its_parameters(
    args: Call, kwargs: dict[str, Any]
) -> None:
    """Gunicorn, Waitress, Cheroot, Werkzeug and wsgiref: status, headers, exc_info."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response(*args, **kwargs)
        return [b""]

    host = await serve(app)
    assert (host.status, host.headers[0]) == (201, (b"x-a", b"1"))


@pytest.mark.clause("W-SR-01", "W-SR-12")
async def test_a_head_is_replaced_by_exc_info_as_a_keyword() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [TEXT], exc_info=sys.exc_info())
        return [b"error page"]

    host = await serve(app)
    assert (host.status, host.body) == (500, b"error page")


@pytest.mark.clause("W-SR-01")
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("200 OK",), {}),
        (("200 OK", [], None, None), {}),
        (("200 OK",), {"response_headers": []}),
        (("200 OK", []), {"status": "200 OK"}),
    ],
)
async def test_a_wrong_arity_or_an_unknown_keyword_is_a_type_error(
    args: Call, kwargs: dict[str, Any]
) -> None:
    assert type(await error_of(*args, **kwargs)) is TypeError


@pytest.mark.clause("W-SR-02")
async def test_it_returns_write_also_with_exc_info() -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        first = start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as exc:
            second = start_response("500 Oops", [TEXT], (ValueError, exc, exc.__traceback__))
        second(b"second ")
        first(b"first")
        return []

    host = await serve(app)
    assert (host.status, host.body) == (500, b"second first")


@pytest.mark.clause("W-SR-03", "H-STAT-01", "H-STAT-02", "D-19", "A-HTTP-18")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("200 OK", 200),
        ("200", 200),
        ("200 ", 200),
        ("404 Nicht gefunden: \xe4", 404),
        ("418  two spaces", 418),
        ("599 X", 599),
        ("999 X", 999),
    ],
)
async def test_a_status_is_three_digits_and_any_reason(status: str, code: int) -> None:
    assert (await serve(result_app([], status=status))).status == code


@pytest.mark.clause("W-SR-03", "W-SR-04", "W-SR-09", "D-19", "H-STAT-01", "H-STAT-03")
@pytest.mark.parametrize(
    "status",
    ["", "OK", "2000 X", "200OK", " 200", "199 X", "abc", "20 X", "100 Continue", "101 Switching",
     "103 Early Hints", "099 X", "-20 X", "\u0662\u0660\u0660 OK", "2\xb20 X", "200 OK\r\n",
     "200 OK\n", "200\tOK", "200 O\x00K", "200 O\x7fK", "200 \r\nx: y", "200 \u4e2d"],
)  # fmt: skip
async def test_another_status_is_an_error_at_the_call(status: str) -> None:
    error = await error_of(status, [TEXT])
    assert isinstance(error, WsgiAppError)
    assert "status" in str(error)


class Text(str):
    __slots__ = ()


class List(list):  # type: ignore[type-arg]
    pass


class Pair(tuple):  # type: ignore[type-arg]
    __slots__ = ()


@pytest.mark.clause("W-STR-05", "W-SR-03")
@pytest.mark.parametrize("status", [200, b"200 OK", None, Text("200 OK"), ("200", "OK")])
async def test_a_status_of_another_type_is_an_error(status: Any) -> None:
    assert isinstance(await error_of(status, []), WsgiAppError)


@pytest.mark.clause("W-SR-05", "W-SR-09")
@pytest.mark.parametrize(
    "headers",
    [
        (TEXT,),
        {"a": "b"},
        {"a": "b"}.items(),
        None,
        "ab",
        List([TEXT]),
        [["a", "b"]],
        [Pair(TEXT)],
        [("a",)],
        [("a", "b", "c")],
        [("a", "b"), None],
        ["ab"],
    ],
)
async def test_headers_that_are_no_list_of_pairs_are_an_error(headers: Any) -> None:
    error = await error_of("200 OK", headers)
    assert isinstance(error, WsgiAppError)
    assert "headers" in str(error)


@pytest.mark.clause("W-STR-05", "W-STR-03", "W-SR-06", "W-SR-07", "A-HTTP-20", "H-HDR-01")
@pytest.mark.parametrize(
    "name",
    ["", "a b", "a:", ":status", "a\r\n", "a\x00", "\xe4", "\u4e2d", "\u212aey", "a\u017f", "a(",
     b"a", 5, None, Text("a")],
)  # fmt: skip
async def test_a_bad_header_name_is_an_error(name: Any) -> None:
    assert isinstance(await error_of("200 OK", [(name, "value")]), WsgiAppError)


@pytest.mark.clause("W-STR-05", "W-STR-03", "W-SR-07", "W-SR-09", "H-HDR-02", "D-20")
@pytest.mark.parametrize(
    "value",
    ["a\r\nb", "a\n", "\ra", "a\x00", "a\tb", "\ta", "a\x01", "a\x1f", "a\x7f", "\u4e2d", "\ud800",
     b"a", 5, None, Text("a")],
)  # fmt: skip
async def test_a_bad_header_value_is_an_error_that_names_the_header(value: Any) -> None:
    error = await error_of("200 OK", [TEXT, ("x-bad", value)])
    assert isinstance(error, WsgiAppError)
    assert "x-bad" in str(error)


HOP_BY_HOP = [
    "Connection", "connection", "CONNECTION", "Proxy-Connection", "Keep-Alive", "TE", "Trailer",
    "Trailers", "Transfer-Encoding", "transfer-ENCODING", "Upgrade", "Proxy-Authenticate",
    "Proxy-Authorization",
]  # fmt: skip


@pytest.mark.clause("W-SR-17", "W-SR-20", "H-HOP-01", "H-HOP-03", "D-21", "W-BODY-13", "H-MSG-06")
@pytest.mark.parametrize("name", HOP_BY_HOP)
@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
async def test_a_hop_by_hop_header_is_dropped_and_logged(
    name: str, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [("X-A", "1"), (name, "chunked"), ("X-B", "2")]
    host = Host(path="/events", http_version=version)
    await host.serve(adapter(result_app([b"whole"], *headers)))
    assert host.headers[1:3] == [(b"x-a", b"1"), (b"x-b", b"2")]
    assert [each for each, _ in host.headers[3:]] == [b"content-length"]
    assert host.body == b"whole"
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"GET '/events': the response header '{name.lower()}'")


@pytest.mark.clause("H-HOP-02", "D-21")
async def test_what_connection_names_is_dropped_but_for_fields_that_are_never_options() -> None:
    named = [("X-Hop", "1"), ("Date", "now"), ("Set-Cookie", "a=1"), ("X-End", "2")]
    host = await serve(
        result_app(
            [b"abc"],
            ("Connection", "x-hop, Date, Content-Length"),
            ("connection", "set-cookie, content-type"),
            *named,
        )
    )
    assert [name for name, _ in host.headers] == [
        b"content-type", b"date", b"set-cookie", b"x-end", b"content-length"
    ]  # fmt: skip


@pytest.mark.clause("D-21")
@pytest.mark.parametrize("value", ["close", "Close", "close, x-hop", "keep-alive, close"])
@pytest.mark.parametrize("version", [None, "1.0", "1.1"])
async def test_over_http_1_the_server_is_asked_to_close_the_connection(
    value: str, version: str | None
) -> None:
    headers = [("Connection", value), ("X-Hop", "1")]
    host = await serve(result_app([b""], *headers), http_version=version)
    assert [item for item in host.headers if item[0] == b"connection"] == [
        (b"connection", b"close")
    ]


@pytest.mark.clause("D-21", "H-HOP-03")
@pytest.mark.parametrize("version", ["2", "3"])
async def test_over_http_2_no_connection_header_is_sent(version: str) -> None:
    host = await serve(result_app([b""], ("Connection", "close")), http_version=version)
    assert b"connection" not in dict(host.headers)


@pytest.mark.clause("D-21")
async def test_asking_to_close_the_connection_is_nothing_to_warn_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await serve(result_app([b""], ("Connection", "close")))
    assert caplog.records == []


@pytest.mark.clause("D-21")
async def test_each_dropped_header_is_logged_once_for_an_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served = adapter(result_app([b""], ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")))
    for _ in range(3):
        await Host().serve(served)
    assert len(caplog.records) == 2
    await Host().serve(adapter(result_app([b""], ("Connection", "keep-alive"))))
    assert len(caplog.records) == 3


async def test_the_log_does_not_grow_with_the_names_that_an_application_makes_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def app(environ: Environ, start_response: Any) -> list[bytes]:
        names = [f"x-{number}" for number in range(300)]
        start_response("200 OK", [("Connection", ", ".join(names)), *((n, "1") for n in names)])
        return [b""]

    served = adapter(app)
    await Host().serve(served)
    assert 0 < len(caplog.records) <= 100


@pytest.mark.clause("H-MSG-01", "H-MSG-02", "H-MSG-04", "W-SR-20")
@pytest.mark.parametrize(
    "lengths", [["-1"], ["+5"], ["1_0"], ["5a"], [""], ["0x5"], ["5 5"], ["5", "6"], ["5, 6"],
                ["05", "5"], ["\xb2"], ["9" * 20], ["9" * 5000]],
)  # fmt: skip
@pytest.mark.parametrize("name", ["content-length", "CONTENT-length"])
async def test_a_bad_length_is_an_error_that_names_it(name: str, lengths: list[str]) -> None:
    error = await error_of("200 OK", [(name, value) for value in lengths])
    assert isinstance(error, WsgiAppError)
    assert "content-length" in str(error).lower()


@pytest.mark.clause("H-MSG-03")
@pytest.mark.parametrize("lengths", [["5"], ["5", "5"], ["5, 5"], [" 5 "]])
async def test_equal_lengths_collapse(lengths: list[str]) -> None:
    headers = [("Content-Length", value) for value in lengths]
    host = await serve(result_app([b"12345"], *headers))
    lengths_sent = [value for name, value in host.headers if name == b"content-length"]
    assert lengths_sent == [b"5"]


@pytest.mark.clause("W-SR-20", "A-HTTP-19", "H-HDR-04", "H-HDR-05", "D-20")
async def test_names_go_out_in_lower_case_and_values_trimmed() -> None:
    host = await serve(result_app([], ("X-Name", "  \xe9 \xff  "), ("ETag", ""), ("Status", "200")))
    assert host.headers[1:4] == [(b"x-name", b"\xe9 \xff"), (b"etag", b""), (b"status", b"200")]


@pytest.mark.clause("H-COOKIE-02", "H-HDR-07", "A-HTTP-34", "A-HTTP-18")
async def test_repeated_headers_stay_apart_and_in_order() -> None:
    pairs = [("Set-Cookie", "b=2"), ("Vary", "a"), ("set-cookie", "a=1"), ("Vary", "b")]
    host = await serve(result_app(iter(()), *pairs))
    assert host.headers[1:] == [
        (b"set-cookie", b"b=2"), (b"vary", b"a"), (b"set-cookie", b"a=1"), (b"vary", b"b"),
    ]  # fmt: skip


@pytest.mark.clause("W-HTTP-03", "A-HTTP-24", "H-MSG-06")
async def test_no_header_is_added_to_a_stream() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    host = await serve(app, headers=[(b"range", b"bytes=0-0"), (b"if-none-match", b"*")])
    assert (host.status, host.headers, host.body) == (200, [], b"ab")


@pytest.mark.clause("W-SR-08")
@pytest.mark.parametrize("streams", [True, False])
async def test_later_changes_of_the_list_have_no_effect(streams: bool) -> None:
    headers = [("x-a", "1")]

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", headers)
        headers[0] = ("x-a", "changed")
        headers.append(("x-b", "2"))
        return iter([b"x"]) if streams else [b"x"]

    host = await serve(app)
    assert [item for item in host.headers if item[0] != b"content-length"] == [(b"x-a", b"1")]
    assert headers == [("x-a", "changed"), ("x-b", "2")]  # no length of ours in it


@pytest.mark.clause("W-SR-09")
async def test_the_applications_frames_are_in_the_traceback() -> None:
    def app_that_is_wrong(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("a b", "")])
        return []

    with pytest.raises(WsgiAppError) as caught:
        await Host().serve(adapter(app_that_is_wrong))
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "app_that_is_wrong" in frames


@pytest.mark.clause("W-SR-14")
@pytest.mark.parametrize("first", [("200 OK", []), ("bad", []), ("200 OK", None)])
async def test_a_second_call_without_exc_info_is_an_error(first: Call) -> None:
    """Also if the first call raised, and the application caught that."""
    raised: list[bool] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        try:
            start_response(*first)
        except WsgiAppError:
            raised.append(True)
        start_response("200 OK", [])
        return []

    host = Host()
    with pytest.raises(WsgiAppError, match="start_response"):
        await host.serve(adapter(app))
    assert raised == ([] if first == ("200 OK", []) else [True])
    assert host.sent == []


@pytest.mark.clause("W-SR-14")
async def test_a_second_call_after_the_start_is_an_error() -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"x"
        start_response("200 OK", [])

    host = Host()
    with pytest.raises(WsgiAppError, match="start_response"):
        await host.serve(adapter(app))
    assert not host.complete


@pytest.mark.clause("W-SR-14", "W-SR-09")
async def test_a_call_that_raised_changes_nothing_but_counts() -> None:
    """The application goes on with the head that it gave first."""

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("x-a", "1")])
        with pytest.raises(WsgiAppError):
            start_response("404 Not Found", [("x-b", "2")])
        return [b"x"]

    host = await serve(app)
    assert (host.status, host.headers[0]) == (200, (b"x-a", b"1"))
