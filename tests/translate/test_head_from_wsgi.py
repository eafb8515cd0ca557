"""What ``start_response`` is given, checked and translated for ``http.response.start``."""

from __future__ import annotations

from typing import Any

import pytest

from gatebridge._protocol.length import has_content
from gatebridge._translate.head_from_wsgi import ResponseHead, head_from_wsgi
from gatebridge._translate.plain_response import plain_response
from gatebridge.errors import WsgiAppError

pytestmark = pytest.mark.direction("w2a")


def refusal(status: Any = "200 OK", headers: Any = ()) -> WsgiAppError:
    with pytest.raises(WsgiAppError) as info:
        head_from_wsgi(status, list(headers) if headers == () else headers)
    return info.value


@pytest.mark.clause("W-SR-03", "H-STAT-01", "H-STAT-02", "A-HTTP-18", "D-19")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("200 OK", 200),
        ("200", 200),
        ("200 ", 200),
        ("299 Anything Goes", 299),
        ("404 Nicht gefunden \xe9", 404),
        ("999 Over The Top", 999),
    ],
)
def test_status_is_its_three_digits(status: str, code: int) -> None:
    assert head_from_wsgi(status, []).status == code


@pytest.mark.clause("W-SR-03", "W-SR-04", "W-STR-03", "W-STR-05", "H-STAT-01", "H-STAT-03", "D-19")
@pytest.mark.parametrize(
    "status",
    [
        "2000 X",
        "200OK",
        " 200",
        "199 X",
        "100 Continue",
        "101 Switching Protocols",
        "103 Early Hints",
        "abc",
        "",
        "20",
        "\u0662\u0660\u0660 OK",
        "200 OK\r\nX-Evil: 1",
        "200 OK\n",
        "200 O\x00K",
        "200 \u4f60",
        b"200 OK",
        200,
        None,
    ],
)
def test_any_other_status_is_the_application_s_error(status: Any) -> None:
    assert refusal(status).field == "status"


@pytest.mark.clause("W-SR-05", "W-STR-05")
@pytest.mark.parametrize(
    "headers",
    [
        (("A", "b"),),
        pytest.param(iter([]), id="an iterator"),
        None,
        {"A": "b"},
        [["A", "b"]],
        [("A",)],
        [("A", "b", "c")],
        ["ab"],
        [(b"A", "b")],
        [(1, "b")],
    ],
    ids=repr,
)
def test_headers_are_a_list_of_tuples(headers: Any) -> None:
    assert refusal(headers=headers if headers != () else ((),)).field == "headers"


@pytest.mark.clause("W-SR-05", "W-STR-05")
@pytest.mark.parametrize("value", [b"b", 5, None])
def test_a_value_that_is_no_str_is_named(value: Any) -> None:
    assert refusal(headers=[("X-Count", value)]).field == "X-Count"


@pytest.mark.clause("W-SR-05", "W-STR-05")
def test_subclasses_are_refused() -> None:
    class Text(str):
        __slots__ = ()

    class Headers(list):  # type: ignore[type-arg]
        pass

    refusal(headers=Headers())
    refusal(status=Text("200 OK"))
    refusal(headers=[("A", Text("b"))])
    refusal(headers=[(Text("A"), "b")])


@pytest.mark.clause("W-SR-06", "H-HDR-01", "A-HTTP-20")
@pytest.mark.parametrize(
    "name", ["", "A B", "A:", ":status", "A\r\n", "\xe9", "(a)", "\u212aeep", "\ud800"]
)
def test_a_name_that_is_no_token_is_named(name: str) -> None:
    assert refusal(headers=[(name, "v")]).field == repr(name)


@pytest.mark.clause("W-SR-07", "H-HDR-02", "D-20")
@pytest.mark.parametrize("code", [*range(0x20), 0x7F])
@pytest.mark.parametrize("place", ["a{}b", "{}b", "a{}"])
def test_no_control_character_gets_out(code: int, place: str) -> None:
    error = refusal(headers=[("X-Fine", "1"), ("X-Bad", place.format(chr(code)))])
    assert error.field == "X-Bad"


@pytest.mark.clause("W-STR-03")
def test_a_character_beyond_latin_1_is_named() -> None:
    assert refusal(headers=[("X-Name", "\u4f60")]).field == "X-Name"


@pytest.mark.clause("W-STR-01", "H-HDR-04", "H-HDR-05", "D-20")
def test_values_are_trimmed_and_otherwise_exact() -> None:
    head = head_from_wsgi("200 OK", [("A", "  \x80\xff \xe9 "), ("B", "")])
    assert head.headers == [(b"a", b"\x80\xff \xe9"), (b"b", b"")]


@pytest.mark.clause("A-HTTP-18", "A-HTTP-19", "W-SR-20", "H-HDR-07", "H-COOKIE-02", "A-HTTP-34")
def test_names_are_lower_case_and_order_and_repeats_are_kept() -> None:
    headers = [("Set-Cookie", "b=2"), ("X-A", "1"), ("SET-COOKIE", "a=1"), ("x-a", "2")]
    assert head_from_wsgi("200 OK", headers).headers == [
        (b"set-cookie", b"b=2"),
        (b"x-a", b"1"),
        (b"set-cookie", b"a=1"),
        (b"x-a", b"2"),
    ]


@pytest.mark.clause("W-SR-08")
def test_the_list_is_copied() -> None:
    headers = [("A", "1")]
    head = head_from_wsgi("200 OK", headers)
    headers.append(("B", "2"))
    head.headers.append((b"c", b"3"))
    assert head.headers == [(b"a", b"1"), (b"c", b"3")]
    assert headers == [("A", "1"), ("B", "2")]


@pytest.mark.clause("W-SR-17", "W-SR-20", "W-BODY-13", "H-HOP-01", "H-HOP-03", "H-MSG-06", "D-21")
@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Trailers",
        "Transfer-Encoding",
        "Upgrade",
        "connection",
    ],
)
def test_hop_by_hop_headers_are_dropped_and_named(name: str) -> None:
    head = head_from_wsgi("200 OK", [("x-a", "1"), (name, "x"), ("x-b", "2")])
    kept = [(b"x-a", b"1"), (b"x-b", b"2")]
    assert head == ResponseHead(200, kept, None, (name.lower(),))


@pytest.mark.clause("D-21", "H-HOP-02")
@pytest.mark.parametrize(
    ("value", "dropped", "closes"),
    [
        ("close", (), True),
        ("Close", (), True),
        ("keep-alive", ("connection",), False),
        ("close, X-Hop", ("connection", "x-hop"), True),
        ("content-length, x-other", ("connection",), False),
        ("", ("connection",), False),
    ],
)
def test_connection_governs_other_fields(
    value: str, dropped: tuple[str, ...], closes: bool
) -> None:
    headers = [("Content-Length", "3"), ("X-Hop", "1"), ("Connection", value)]
    head = head_from_wsgi("200 OK", headers)
    kept = [(b"content-length", b"3"), (b"x-hop", b"1")][: 1 if "x-hop" in dropped else 2]
    assert head == ResponseHead(200, kept, 3, dropped, closes)


@pytest.mark.clause("W-SR-07")
def test_a_header_that_is_dropped_is_checked_all_the_same() -> None:
    assert refusal(headers=[("Connection", "close\r\nx: y")]).field == "Connection"


@pytest.mark.clause("H-MSG-01", "H-MSG-03", "W-SR-20")
@pytest.mark.parametrize(
    ("values", "length"), [(["5"], 5), (["5", "5"], 5), (["5, 5"], 5), (["0"], 0), ([], None)]
)
def test_declared_length(values: list[str], length: int | None) -> None:
    head = head_from_wsgi("200 OK", [("CONTENT-length", value) for value in values])
    sent = [] if length is None else [(b"content-length", str(length).encode())]
    assert head == ResponseHead(200, sent, length)


@pytest.mark.clause("H-MSG-01", "H-MSG-02", "H-MSG-04", "H-MSG-08")
@pytest.mark.parametrize(
    "values", [["5", "6"], ["-1"], ["+5"], ["1_0"], [""], ["5 5"], ["1" * 20], ["\xb2"]]
)
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_a_length_that_is_none_is_the_application_s_error(values: list[str], status: str) -> None:
    error = refusal(status, [("Content-Length", value) for value in values])
    assert error.field == "content-length"


@pytest.mark.clause("H-STAT-04", "H-STAT-05", "H-STAT-06")
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("204 No Content", [(b"a", b"b")]),
        ("205 Reset Content", [(b"a", b"b"), (b"content-length", b"0")]),
        ("304 Not Modified", [(b"content-length", b"5"), (b"a", b"b")]),
        ("200 OK", [(b"content-length", b"5"), (b"a", b"b")]),
    ],
)
def test_length_of_responses_without_content(
    status: str, headers: list[tuple[bytes, bytes]]
) -> None:
    assert head_from_wsgi(status, [("Content-Length", "5"), ("A", "b")]).headers == headers


@pytest.mark.clause("H-STAT-04", "H-STAT-05", "H-STAT-06", "H-STAT-07", "D-24")
@pytest.mark.parametrize(
    ("status", "method", "content"),
    [
        (200, "GET", True),
        (200, "HEAD", False),
        (204, "GET", False),
        (205, "POST", False),
        (304, "GET", False),
        (404, "GET", True),
    ],
)
def test_which_responses_have_content(status: int, method: str, content: bool) -> None:
    assert has_content(status, method) is content


@pytest.mark.clause("W-HTTP-03", "C-14")
def test_nothing_is_added() -> None:
    assert head_from_wsgi("200 OK", []).headers == []
    assert head_from_wsgi("500 Oops", [("Status", "x")]).headers == [(b"status", b"x")]


@pytest.mark.clause("D-52")
@pytest.mark.parametrize(("method", "body"), [("GET", b"host: bad\n"), ("HEAD", b"")])
def test_the_adapter_s_own_responses_have_one_shape(method: str, body: bytes) -> None:
    start, end = plain_response(400, "host: bad", method, [(b"retry-after", b"1")])
    assert start == {
        "type": "http.response.start",
        "status": 400,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"10"),
            (b"retry-after", b"1"),
        ],
    }
    assert end == {"type": "http.response.body", "body": body, "more_body": False}


@pytest.mark.clause("W-SR-08", "H-HDR-05")
@pytest.mark.parametrize("value", ["\x01\xe9", "\xe9\r\nx: y", "\xa0\x7f"])
def test_a_control_character_is_found_beside_others_that_are_not_ascii(value: str) -> None:
    assert refusal(headers=[("X-A", value)]).field == "X-A"
    assert head_from_wsgi("200 OK", [("X-A", "\xa0\xad\x85")]).headers == [
        (b"x-a", b"\xa0\xad\x85")
    ]
