"""environ to scope: request headers, and the length of the body."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from gatebridge import scope_from_environ
from gatebridge._translate.header_names import name_of_rare_key
from gatebridge.errors import HostError, RequestError
from translate.builders import ABSENT, make_environ

pytestmark = pytest.mark.direction("a2w")

_TOKEN = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyz"  # RFC 9110 section 5.6.2, without _
_HUGE = pytest.param("9" * 5000, id="5000 digits")  # int() refuses more than 4300
_BAD_LENGTHS = ["+5", "-1", "1_0", "0x5", "5a", "5 5", "\xb2", "5.0", "1e3", ",", "5,", ",5"]


def headers_of(**changes: Any) -> list[tuple[bytes, bytes]]:
    return list(scope_from_environ(make_environ(**changes))["headers"])


def refusal_of(**changes: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        scope_from_environ(make_environ(**changes))
    assert caught.value.status == 400
    return caught.value


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.clause("CGI-14", "A-HTTP-09", "H-HDR-01")
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("HTTP_HOST", b"host"),
        ("HTTP_ACCEPT_LANGUAGE", b"accept-language"),
        ("HTTP_X_SOMETHING_RARE_1", b"x-something-rare-1"),
        ("HTTP_X_Mixed_Case", b"x-mixed-case"),
        ("HTTP_X-DASHED", b"x-dashed"),
        ("HTTP__", b"-"),
        ("HTTP_" + _TOKEN.upper(), _TOKEN.encode()),
    ],
)
def test_a_key_is_a_lower_case_name_with_dashes(key: str, name: bytes) -> None:
    assert headers_of(**{key: "value"}) == [(name, b"value")]


@pytest.mark.clause("H-HDR-01")
@pytest.mark.parametrize(
    "key",
    [
        *("HTTP_", "HTTP_A B", "HTTP_A:", "HTTP_:PATH", "HTTP_A\n", "HTTP_\x00", "HTTP_A(B)"),
        *("HTTP_\xe9", "HTTP_\u0100", "HTTP_X\u212a", "HTTP_\udcff"),  # U+212A lowers to "k"
    ],
)
def test_a_key_that_gives_no_name_is_dropped_with_a_log_record(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gatebridge")
    assert headers_of(**{key: "value", "HTTP_ACCEPT": "*/*"}) == [(b"accept", b"*/*")]
    (record,) = caplog.records
    assert repr(key)[1:-1] in record.getMessage()


@pytest.mark.clause("W-ENV-09", "CGI-14")
def test_other_keys_are_no_headers() -> None:
    """Neither CGI variables nor what looks like a header, whatever the host adds."""
    cgi = {"REMOTE_ADDR": "192.0.2.7", "REMOTE_USER": "ada", "HTTPS": "on", "SSL_PROTOCOL": "x"}
    near = dict.fromkeys(
        ["http_x", "XHTTP_X", "HTTP", "HTTPX_Y", "wsgi.HTTP_X", "CONTENT_MD5"], "1"
    )
    doubles = {"HTTP_CONTENT_TYPE": "text/html", "HTTP_CONTENT_LENGTH": "5"}
    assert headers_of(**cgi, **near, **doubles) == []


@pytest.mark.clause("W-ENV-09")
@pytest.mark.parametrize("value", ["", "x"])
@pytest.mark.parametrize("key", ["HTTP_HOST", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_X_RARE"])
def test_a_header_is_there_if_its_key_is(key: str, value: str) -> None:
    name = key[5:].lower().replace("_", "-").encode()
    assert headers_of(**{key: value}) == [(name, value.encode())]
    assert headers_of() == []


@pytest.mark.clause("W-ENV-09")
def test_the_two_content_variables_win_over_their_http_doubles() -> None:
    doubles = {"HTTP_CONTENT_TYPE": "text/html", "HTTP_CONTENT_LENGTH": "6"}
    headers = headers_of(CONTENT_TYPE="text/plain", CONTENT_LENGTH="5", **doubles)
    assert headers == [(b"content-type", b"text/plain"), (b"content-length", b"5")]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-HTTP-08", "A-HTTP-35")
def test_headers_are_a_list_of_tuples_of_bytes_in_the_environs_order() -> None:
    headers = headers_of(HTTP_X_B="1", CONTENT_TYPE="t/t", HTTP_X_A="2", HTTP_HOST="h")
    assert type(scope_from_environ(make_environ(HTTP_HOST="h"))["headers"]) is list
    assert {(type(item), *map(type, item)) for item in headers} == {(tuple, bytes, bytes)}
    assert headers == [(b"x-b", b"1"), (b"content-type", b"t/t"), (b"x-a", b"2"), (b"host", b"h")]


@pytest.mark.clause("A-HTTP-34", "D-10")
@pytest.mark.parametrize(
    ("key", "value"),
    [("HTTP_ACCEPT", "text/html,text/plain, */*"), ("HTTP_COOKIE", "a=1; b=2")],
)
def test_what_the_host_joined_stays_joined(key: str, value: str) -> None:
    assert headers_of(**{key: value}) == [(key[5:].lower().encode(), value.encode())]


@pytest.mark.clause("H-HDR-05", "W-STR-01", "A-HTTP-35")
def test_opaque_octets_survive() -> None:
    octets = bytes(range(0x80, 0x100))
    assert headers_of(HTTP_X_OPAQUE=octets.decode("latin-1")) == [(b"x-opaque", octets)]


@pytest.mark.clause("H-HDR-04")
@pytest.mark.parametrize("key", ["HTTP_X_PADDED", "CONTENT_TYPE"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(" \t x \t y\t ", b"x \t y"), ("\xa0x\x0b", b"\xa0x\x0b"), ("\x1fx\x1f", b"\x1fx\x1f")],
)
def test_a_value_is_trimmed_of_space_and_tab_only(key: str, value: str, expected: bytes) -> None:
    ((_, actual),) = headers_of(**{key: value})
    assert actual == expected


@pytest.mark.clause("H-HDR-04", "W-ENV-09")
def test_a_value_of_white_space_is_an_empty_one() -> None:
    assert headers_of(HTTP_X_BLANK=" \t ") == [(b"x-blank", b"")]


@pytest.mark.clause("H-HDR-02")
@pytest.mark.parametrize("control", ["\r", "\n", "\0", "\r\n", "\r\n "])
@pytest.mark.parametrize("value", ["{}", "a{}b: c", "{}a", "a{}"])
@pytest.mark.parametrize(
    ("key", "name"),
    [("HTTP_X_RARE", "x-rare"), ("HTTP_HOST", "host"), ("CONTENT_TYPE", "content-type")],
)
def test_a_line_end_or_nul_in_a_value_is_refused_by_name(
    key: str, name: str, value: str, control: str
) -> None:
    error = refusal_of(**{key: value.format(control), "HTTP_ACCEPT": "*/*"})
    assert error.field == name
    assert control not in str(error)  # the reason may be logged


@pytest.mark.clause("H-HDR-02")
def test_other_control_characters_are_not_the_adapters_to_judge() -> None:
    """RFC 9110 section 5.5 demands a refusal of CR, LF and NUL; the value is otherwise opaque."""
    others = bytes(n for n in (*range(0x20), 0x7F) if n not in b"\r\n\0")
    value = f"a{others.decode()}b"
    assert headers_of(HTTP_X_ODD=value) == [(b"x-odd", value.encode())]


@pytest.mark.clause("W-STR-03")
@pytest.mark.parametrize("value", [b"5", 5, None, ["5"]])
@pytest.mark.parametrize("key", ["HTTP_HOST", "HTTP_X_RARE", "CONTENT_TYPE", "CONTENT_LENGTH"])
def test_a_value_that_is_no_str_is_the_hosts_error(key: str, value: object) -> None:
    with pytest.raises(HostError) as caught:
        headers_of(**{key: value})
    assert caught.value.field == key


# --- Content-Type and Content-Length --------------------------------------------------------------


@pytest.mark.clause("W-ENV-05", "CGI-02", "C-18")
@pytest.mark.parametrize("value", [ABSENT, ""])
def test_no_content_type_is_implied(value: object) -> None:
    assert headers_of(CONTENT_TYPE=value) == []


@pytest.mark.clause("W-ENV-05", "CGI-02", "C-18")
def test_the_content_type_passes_as_the_host_has_it() -> None:
    """Also the ``text/plain`` that wsgiref's server invents: it cannot be told apart."""
    assert headers_of(CONTENT_TYPE="text/plain") == [(b"content-type", b"text/plain")]


@pytest.mark.clause("W-ENV-06", "C-18")
@pytest.mark.parametrize("value", [ABSENT, ""])
def test_an_empty_length_is_none(value: object) -> None:
    assert headers_of(CONTENT_LENGTH=value) == []


@pytest.mark.clause("W-ENV-06", "H-MSG-01", "H-MSG-02", "H-MSG-03", "W-VAL-02")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("0", b"0"), ("5", b"5"), (" 5\t", b"5"), ("05", b"05")),
        *(("5, 5", b"5"), ("5,5,5", b"5")),
        ("9" * 19, b"9" * 19),
        (str(2**63 - 1), b"9223372036854775807"),
    ],
)
def test_a_length_is_decimal_digits_and_repeats_collapse(value: str, expected: bytes) -> None:
    assert headers_of(CONTENT_LENGTH=value) == [(b"content-length", expected)]


@pytest.mark.clause("H-MSG-01", "H-MSG-02", "H-MSG-04", "W-VAL-02")
@pytest.mark.parametrize("value", [*_BAD_LENGTHS, "1" * 20, "0" * 20, _HUGE])
def test_a_length_that_is_none_is_refused(value: str) -> None:
    assert refusal_of(CONTENT_LENGTH=value).field == "content-length"


@pytest.mark.clause("H-MSG-03", "H-MSG-04")
@pytest.mark.parametrize("value", ["5, 6", "5,6,5", "05, 5", "5, -5"])
def test_lengths_that_differ_are_refused(value: str) -> None:
    assert refusal_of(CONTENT_LENGTH=value).field == "content-length"


@pytest.mark.clause("H-MSG-05", "H-MSG-06", "D-13")
@pytest.mark.parametrize("coding", ["chunked", "gzip, chunked"])
def test_a_transfer_coding_overrides_the_length(coding: str) -> None:
    headers = headers_of(CONTENT_LENGTH="5", HTTP_TRANSFER_ENCODING=coding)
    assert headers == [(b"transfer-encoding", coding.encode())]


# --- hop-by-hop, trailers -------------------------------------------------------------------------


@pytest.mark.clause("W-HTTP-04", "H-HOP-04", "D-14")
def test_hop_by_hop_headers_pass_for_information_and_frame_nothing() -> None:
    """No body is announced or taken away because of them: that takes a length or a coding."""
    hop_by_hop = {
        "HTTP_CONNECTION": "upgrade, te",
        "HTTP_KEEP_ALIVE": "timeout=5",
        "HTTP_PROXY_AUTHORIZATION": "Basic eDp5",
        "HTTP_PROXY_CONNECTION": "close",
        "HTTP_TE": "trailers",
        "HTTP_TRAILER": "x-checksum",
        "HTTP_UPGRADE": "h2c",
    }
    passed = [(key[5:].lower().replace("_", "-"), value) for key, value in hop_by_hop.items()]
    expected = [(name.encode(), value.encode()) for name, value in passed]
    assert headers_of(**hop_by_hop) == expected
    with_length = headers_of(CONTENT_LENGTH="5", **hop_by_hop)
    assert sorted(with_length) == sorted([*expected, (b"content-length", b"5")])


@pytest.mark.clause("W-HTTP-04", "D-14")
def test_a_transfer_coding_passes_for_information() -> None:
    assert headers_of(HTTP_TRANSFER_ENCODING="chunked") == [(b"transfer-encoding", b"chunked")]


@pytest.mark.clause("H-TRL-01")
def test_trailers_are_not_headers() -> None:
    """What a host knows of trailers stays with the host, announced or not."""

    class InputWithTrailers(io.BytesIO):
        trailers = (("X-Checksum", "1"),)

    environ = make_environ(HTTP_TRAILER="x-checksum", HTTP_TE="trailers")
    environ["wsgi.input"] = InputWithTrailers()
    environ["wsgi.trailers"] = {"HTTP_X_CHECKSUM": "1"}
    scope = scope_from_environ(environ)
    assert scope["headers"] == [(b"trailer", b"x-checksum"), (b"te", b"trailers")]


def test_a_key_that_is_no_str_is_the_hosts_error() -> None:
    with pytest.raises(HostError, match="not a str"):
        scope_from_environ({**make_environ(), 5: "x"})  # type: ignore[dict-item]


def test_a_long_name_is_not_remembered() -> None:
    """Or a client that invents them could fill the cache with megabytes."""
    before = name_of_rare_key.cache_info().misses
    name = "X" * 1000
    assert headers_of(**{f"HTTP_{name}": "1"})[-1] == (name.lower().encode(), b"1")
    assert name_of_rare_key.cache_info().misses == before
