"""``head_from_asgi``: from an ``http.response.start`` to the arguments of ``start_response``."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from gatebridge._translate.head_from_asgi import head_from_asgi
from gatebridge.errors import AsgiAppError

pytestmark = pytest.mark.direction("a2w")

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HOP_BY_HOP = [
    *(b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"trailers"),
    *(b"transfer-encoding", b"upgrade", b"proxy-authenticate", b"proxy-authorization"),
]
_CONTROLS = [chr(n).encode() for n in (*range(0x20), 0x7F) if n != 0x09]
_BAD_LENGTHS = [
    *(b"", b"+5", b"-1", b"1_0", b"0x5", b"5a", b"5 5", b"\xb2", b"5.0", b"5,", b",5"),
    *(b"1" * 20, b"0" * 20, pytest.param(b"9" * 5000, id="5000 digits")),
]


def headers_of(*headers: Any, status: int = 200) -> list[tuple[str, str]]:
    return list(head_from_asgi(status, list(headers)).headers)


def refusal_of(*headers: Any, status: Any = 200) -> AsgiAppError:
    with pytest.raises(AsgiAppError) as caught:
        head_from_asgi(status, list(headers))
    return caught.value


# --- status ---------------------------------------------------------------------------------------


@pytest.mark.clause("W-SR-03", "H-STAT-01", "D-19")
@pytest.mark.parametrize(
    ("code", "line"),
    [
        *((200, "200 OK"), (206, "206 Partial Content"), (404, "404 Not Found")),
        (503, "503 Service Unavailable"),
        *((299, "299 Unknown"), (599, "599 Unknown"), (600, "600 Unknown"), (999, "999 Unknown")),
    ],
)
def test_the_status_line_is_the_code_and_its_reason(code: int, line: str) -> None:
    status = head_from_asgi(code, []).status
    assert status == line
    assert type(status) is str


@pytest.mark.clause("W-SR-03", "W-SR-04", "H-STAT-01")
def test_every_status_line_is_digits_a_space_and_printable_words() -> None:
    for code in range(200, 1000):
        status = head_from_asgi(code, []).status
        assert re.fullmatch(rf"{code} [!-~]([ -~]*[!-~])?", status)


@pytest.mark.clause("A-HTTP-18", "W-SR-03", "D-19")
def test_members_of_int_enums_are_ints() -> None:
    class Status(enum.IntEnum):
        CREATED = 201

    assert head_from_asgi(HTTPStatus.OK, []).status == "200 OK"
    assert head_from_asgi(Status.CREATED, []).status == "201 Created"


@pytest.mark.clause("A-HTTP-18", "H-STAT-01", "D-19")
@pytest.mark.parametrize(
    "status",
    [True, False, "200", b"200", "200 OK", 200.0, None, 0, -200, 99, 1000, 2000, 10**5000],
    ids=lambda status: repr(status)[:20] if status != 10**5000 else "5001 digits",
)
def test_another_status_is_refused(status: object) -> None:
    assert refusal_of(status=status).field == "status"


@pytest.mark.clause("H-STAT-01", "H-STAT-03", "H-HOP-04", "D-19")
@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
def test_an_interim_status_is_never_final(status: int) -> None:
    assert refusal_of((b"upgrade", b"h2c"), status=status).field == "status"


# --- the list -------------------------------------------------------------------------------------


@pytest.mark.clause("W-SR-05", "W-STR-01")
def test_headers_are_an_exact_list_of_exact_tuples_of_exact_strings() -> None:
    head = head_from_asgi(200, ([bytearray(b"x-a"), memoryview(b"1")], (b"content-length", b"5")))
    assert type(head.headers) is list
    assert [type(item) for item in head.headers] == [tuple, tuple]
    assert {type(part) for item in head.headers for part in item} == {str}
    assert head.headers == [("x-a", "1"), ("content-length", "5")]


@pytest.mark.clause("A-HTTP-18", "W-SR-05")
@pytest.mark.parametrize("headers", [[], (), iter(())])
def test_no_headers_are_an_empty_list(headers: Any) -> None:
    assert head_from_asgi(200, headers) == ("200 OK", [], None, 200)


@pytest.mark.clause("A-HTTP-18", "W-SR-05")
def test_headers_of_any_shape_are_read_once() -> None:
    def headers() -> Iterator[Any]:
        yield (part for part in (b"x-a", b"1"))
        yield [b"x-b", b"2"]

    assert head_from_asgi(200, headers()).headers == [("x-a", "1"), ("x-b", "2")]
    assert head_from_asgi(200, {b"x-a": b"1"}.items()).headers == [("x-a", "1")]


@pytest.mark.clause("W-SR-05", "D-34")
@pytest.mark.parametrize(
    "item",
    [
        *((b"x-a",), (b"x-a", b"1", b"2"), (), b"xy", "xy", b"", None, 5, {b"x-a": b"1"}),
        *(("x-a", b"1"), (b"x-a", "1"), (b"x-a", 1), (5, b"1"), (b"x-a", None), (None, b"1")),
        *((b"x-a", [49]), ([120], b"1"), (b"x-a", ()), (b"x-a", range(3)), (b"x-a", True)),
    ],
    ids=repr,
)
def test_an_item_that_is_no_pair_of_bytes_is_refused(item: object) -> None:
    assert refusal_of((b"x-b", b"2"), item).field == "headers"


@pytest.mark.clause("W-SR-05", "D-34")
@pytest.mark.parametrize("headers", [None, 5, b"x-a: 1", {b"x-a": b"1"}, "ab"])
def test_headers_that_are_no_iterable_of_pairs_are_refused(headers: Any) -> None:
    with pytest.raises(AsgiAppError) as caught:
        head_from_asgi(200, headers)
    assert caught.value.field == "headers"


# --- names and values -----------------------------------------------------------------------------


@pytest.mark.clause("W-SR-06", "H-HDR-01")
def test_a_name_is_any_token_and_keeps_its_case() -> None:
    assert headers_of((_TOKEN, b"1")) == [(_TOKEN.decode(), "1")]


@pytest.mark.clause("W-SR-06", "H-HDR-01")
@pytest.mark.parametrize(
    "name",
    [
        *(b"", b"x a", b" x", b"x ", b"x\t", b"x:", b"x\r\ny", b"x\n", b"\nx", b"x\0"),
        *(b'x"', b"x(y)", b"x,y", b"x/y", b"x;y", b"x=y", b"x@y", b"[x]", b"{x}", b"x\\y"),
        *(b"\xe9", b"x\x7f", b"caf\xc3\xa9"),
    ],
)
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    error = refusal_of((b"x-b", b"2"), (name, b"1"))
    assert repr(name)[2:-1] in str(error)


@pytest.mark.clause("A-HTTP-20", "W-SR-06")
@pytest.mark.parametrize("name", [b":status", b":path", b":authority"])
def test_a_pseudo_header_is_refused(name: bytes) -> None:
    assert name.decode() in str(refusal_of((name, b"200")))


@pytest.mark.clause("W-SR-07", "H-HDR-02", "D-20")
@pytest.mark.parametrize("control", _CONTROLS)
@pytest.mark.parametrize("value", [b"%ba", b"a%b", b"a%bb", b"%b", b"\t%b "])
def test_a_control_character_in_a_value_is_refused_by_name(value: bytes, control: bytes) -> None:
    error = refusal_of((b"x-b", b"2"), (b"X-Bad", value % control))
    assert error.field == "X-Bad"
    assert control.decode() not in str(error)  # the reason may be logged


@pytest.mark.clause("W-SR-07", "H-HDR-02")
def test_a_value_cannot_inject_a_header() -> None:
    error = refusal_of((b"location", b"/x\r\nset-cookie: a=b"))
    assert error.field == "location"


@pytest.mark.clause("W-SR-07", "D-20")
def test_a_tab_inside_a_value_becomes_a_space() -> None:
    assert headers_of((b"x-a", b"1\t2\t\t3")) == [("x-a", "1 2  3")]


@pytest.mark.clause("H-HDR-04", "D-20")
@pytest.mark.parametrize(
    ("value", "expected"), [(b" \t a b\t ", "a b"), (b" \t ", ""), (b"", ""), (b"\xa0a", "\xa0a")]
)
def test_a_value_is_trimmed_of_space_and_tab_only(value: bytes, expected: str) -> None:
    assert headers_of((b"x-a", value)) == [("x-a", expected)]


@pytest.mark.clause("H-HDR-05", "W-STR-01")
def test_opaque_octets_survive() -> None:
    octets = bytes(range(0x80, 0x100))
    assert headers_of((b"x-a", octets)) == [("x-a", octets.decode("latin-1"))]


# --- order, repeats, nothing added ----------------------------------------------------------------


@pytest.mark.clause("A-HTTP-18", "H-HDR-07", "A-HTTP-34", "H-COOKIE-02")
def test_every_line_passes_by_itself_in_the_order_given() -> None:
    given = [
        *((b"set-cookie", b"a=1"), (b"x-b", b"1"), (b"Set-Cookie", b"b=2"), (b"x-a", b"2")),
        *((b"x-b", b"0"), (b"set-cookie", b"a=1")),
    ]
    assert headers_of(*given) == [(name.decode(), value.decode()) for name, value in given]


@pytest.mark.clause("W-HTTP-03")
@pytest.mark.parametrize("status", [200, 206, 304, 412, 416, 500])
def test_nothing_is_added_and_nothing_changed(status: int) -> None:
    given = [
        (b"etag", b'W/"1"'),
        (b"content-range", b"bytes 0-4/10"),
        (b"content-encoding", b"gzip"),
        (b"cache-control", b"no-transform"),
        (b"content-length", b"5"),
    ]
    assert headers_of(*given, status=status) == [(n.decode(), v.decode()) for n, v in given]
    assert headers_of(status=status) == []  # no Content-Type, Date, Server


# --- hop-by-hop -----------------------------------------------------------------------------------


@pytest.mark.clause("W-SR-18", "H-HOP-01", "H-HOP-03", "C-21", "D-21")
@pytest.mark.parametrize("spelling", [bytes.lower, bytes.upper, bytes.title])
@pytest.mark.parametrize("name", _HOP_BY_HOP)
def test_hop_by_hop_headers_are_dropped_without_error(name: bytes, spelling: Any) -> None:
    kept = (b"x-kept", b"1")
    assert headers_of((spelling(name), b"x"), kept, (name, b"y")) == [("x-kept", "1")]


@pytest.mark.clause("D-21")
@pytest.mark.parametrize("name", [*_HOP_BY_HOP, b"x-option"])
def test_what_is_dropped_is_logged_at_debug_level(
    name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    headers_of((name, b"x"), (b"connection", b"x-option"))
    dropped = [record for record in caplog.records if name.decode() in record.getMessage()]
    assert dropped
    assert {record.levelno for record in dropped} == {logging.DEBUG}


@pytest.mark.clause("C-21", "W-SR-18")
def test_the_headers_of_an_event_stream_are_no_error() -> None:
    stream = (b"content-type", b"text/event-stream"), (b"connection", b"keep-alive")
    assert headers_of(*stream) == [("content-type", "text/event-stream")]


@pytest.mark.clause("A-HTTP-23", "W-BODY-13", "H-MSG-06", "D-21")
@pytest.mark.parametrize("name", [b"transfer-encoding", b"Transfer-Encoding"])
def test_a_transfer_coding_is_ignored(name: bytes) -> None:
    head = head_from_asgi(200, [(name, b"chunked"), (b"content-length", b"5")])
    assert head == ("200 OK", [("content-length", "5")], 5, 200)
    assert head_from_asgi(200, [(name, b"chunked")]) == ("200 OK", [], None, 200)


@pytest.mark.clause("H-HOP-04", "H-HOP-01")
def test_an_upgrade_is_not_offered() -> None:
    offer = (b"upgrade", b"h2c"), (b"connection", b"upgrade"), (b"x-kept", b"1")
    assert headers_of(*offer, status=426) == [("x-kept", "1")]


@pytest.mark.clause("H-HOP-02", "D-21")
@pytest.mark.parametrize(
    "connections",
    [
        [b"x-one, x-two"],
        [b"X-ONE,X-Two"],
        [b" close ,\t x-one ,, x-two\t"],
        [b"x-two", b"x-one"],
    ],
)
def test_what_connection_names_is_dropped_before_and_after_it(connections: list[bytes]) -> None:
    lines = [(b"connection", value) for value in connections]
    headers = headers_of((b"X-One", b"1"), *lines, (b"x-two", b"2"), (b"x-three", b"3"))
    assert headers == [("x-three", "3")]


@pytest.mark.clause("H-HOP-02")
def test_what_is_never_an_option_stays() -> None:
    named = [(b"content-length", b"5"), (b"content-type", b"a/b"), (b"set-cookie", b"a=1")]
    named.append((b"date", b"Thu, 01 Jan 2026 00:00:00 GMT"))
    options = b"Content-Length, content-type, Set-Cookie, date, close"
    headers = headers_of((b"connection", options), *named)
    assert headers == [(name.decode(), value.decode()) for name, value in named]


# For W-VAL-04, which waits as a whole for the adapter.
@pytest.mark.parametrize("name", [b"status", b"Status"])
def test_a_header_named_status_is_dropped_with_a_log_record(
    name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    assert headers_of((name, b"404 Not Found"), (b"x-status", b"1")) == [("x-status", "1")]
    assert "status" in caplog.text.lower()


# --- Content-Length -------------------------------------------------------------------------------


@pytest.mark.clause("H-MSG-01", "H-MSG-02")
@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0", "0"), (b" 5\t", "5"), (b"9" * 19, "9" * 19), (b"9223372036854775807", str(2**63 - 1))],
)
def test_a_length_is_decimal_digits(value: bytes, expected: str) -> None:
    head = head_from_asgi(200, [(b"Content-Length", value)])
    assert head.headers == [("Content-Length", expected)]
    assert head.length == int(expected)


@pytest.mark.clause("H-MSG-01", "H-MSG-02", "H-MSG-04")
@pytest.mark.parametrize("value", _BAD_LENGTHS)
def test_a_length_that_is_none_is_the_applications_error(value: bytes) -> None:
    assert refusal_of((b"Content-Length", value)).field.lower() == "content-length"


@pytest.mark.clause("H-MSG-03")
@pytest.mark.parametrize("values", [[b"5", b"5"], [b"5, 5"], [b"5,5", b" 5 "]])
def test_equal_lengths_collapse(values: list[bytes]) -> None:
    lines = [(b"content-length", value) for value in values]
    head = head_from_asgi(200, [*lines, (b"x-a", b"1"), (b"CONTENT-LENGTH", b"5")])
    assert head.headers == [("content-length", "5"), ("x-a", "1")]
    assert head.length == 5


@pytest.mark.clause("H-MSG-03", "H-MSG-04")
@pytest.mark.parametrize("values", [[b"5", b"6"], [b"5, 6"], [b"05", b"5"], [b"5", b""]])
def test_lengths_that_differ_are_the_applications_error(values: list[bytes]) -> None:
    error = refusal_of(*((b"content-length", value) for value in values))
    assert error.field == "content-length"


@pytest.mark.clause("H-STAT-04")
@pytest.mark.parametrize("name", [b"content-length", b"Content-Length"])
def test_204_has_no_length(name: bytes) -> None:
    head = head_from_asgi(204, [(b"x-a", b"1"), (name, b"5"), (name, b"5")])
    assert head == ("204 No Content", [("x-a", "1")], None, 204)


@pytest.mark.clause("H-STAT-05")
@pytest.mark.parametrize("lengths", [[], [b"0"], [b"5"], [b"5", b"5"]])
def test_205_has_the_length_zero(lengths: list[bytes]) -> None:
    head = head_from_asgi(205, [(b"Content-Length", value) for value in lengths])
    assert [(name.lower(), value) for name, value in head.headers] == [("content-length", "0")]


@pytest.mark.clause("H-STAT-06")
def test_304_keeps_the_length_of_the_200() -> None:
    given = [(b"etag", b'"1"'), (b"content-length", b"500")]
    assert headers_of(*given, status=304) == [("etag", '"1"'), ("content-length", "500")]
