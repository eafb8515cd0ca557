"""`environ_from_scope`: request headers, Content-Type and Content-Length."""

from __future__ import annotations

from typing import Any

import pytest

from gatebridge import environ_from_scope
from gatebridge._translate.header_names import _FIELD_OF_NAME
from gatebridge._translate.host import split_host
from gatebridge.errors import HostError, RequestError
from translate.scopes import make_scope

pytestmark = pytest.mark.direction("w2a")


def translated(*headers: Any) -> dict[str, str]:
    """Return what the headers become, and nothing that is there without them."""
    environ = environ_from_scope(make_scope(headers=headers))
    names = ("HTTP_", "CONTENT_", "TRANSFER_")
    return {key: value for key, value in environ.items() if key.startswith(names)}


def refusal(*headers: Any) -> RequestError:
    with pytest.raises(RequestError) as info:
        environ_from_scope(make_scope(headers=list(headers)))
    assert info.value.status == 400
    return info.value


@pytest.mark.clause("CGI-14", "W-ENV-09", "A-HTTP-08", "A-HTTP-09")
@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"accept", "HTTP_ACCEPT"),
        (b"X-Mixed-Case", "HTTP_X_MIXED_CASE"),
        (b"ACCEPT", "HTTP_ACCEPT"),
        (b"x.y~z!", "HTTP_X.Y~Z!"),
        (b"authorization", "HTTP_AUTHORIZATION"),
    ],
)
def test_a_header_becomes_one_key(name: bytes, key: str) -> None:
    assert translated((name, b"v")) == {key: "v"}


@pytest.mark.clause("W-ENV-09")
def test_a_key_is_there_iff_the_header_was_even_if_empty() -> None:
    assert translated((b"x-empty", b"")) == {"HTTP_X_EMPTY": ""}
    assert translated() == {}


@pytest.mark.clause("A-HTTP-08")
@pytest.mark.parametrize(
    "headers",
    [
        [[b"a", b"1"], [b"b", b"2"]],
        ((b"a", b"1"), (b"b", b"2")),
        (pair for pair in [(b"a", b"1"), (b"b", b"2")]),
        iter([iter([b"a", b"1"]), iter([b"b", b"2"])]),
    ],
    ids=["lists", "tuples", "generator", "iterators"],
)
def test_headers_may_be_any_iterables(headers: Any) -> None:
    environ = environ_from_scope(make_scope(headers=headers))
    assert (environ["HTTP_A"], environ["HTTP_B"]) == ("1", "2")


@pytest.mark.clause("CGI-15", "A-HTTP-34", "H-HDR-06", "H-HDR-07", "D-10")
def test_repeated_headers_are_joined_by_commas_in_order() -> None:
    found = translated((b"x-a", b"2"), (b"x-b", b"b"), (b"X-A", b" 1 "), (b"x-a", b"3, 4"))
    assert found == {"HTTP_X_A": "2,1,3, 4", "HTTP_X_B": "b"}


@pytest.mark.clause("H-COOKIE-01", "A-HTTP-34", "D-10")
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_cookie_crumbs_are_joined_by_semicolons(version: str) -> None:
    headers = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2; c=3")]
    environ = environ_from_scope(make_scope(headers=headers, http_version=version))
    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


@pytest.mark.clause("CGI-15", "D-10")
def test_very_many_repeats_are_one_value() -> None:
    assert len(translated(*[(b"x-a", b"v")] * 20_000)["HTTP_X_A"].split(",")) == 20_000


@pytest.mark.clause("CGI-15", "D-10")
@pytest.mark.parametrize("name", [b"x-a", b"cookie", b"content-type", b"content-length"])
def test_a_header_may_come_as_often_as_allowed_and_no_oftener(name: bytes) -> None:
    scope = make_scope(headers=[(name, b"1"), (b"x-other", b""), (name.title(), b"1")])
    environ_from_scope(scope, duplicate_header_limit=2)
    with pytest.raises(RequestError, match=f"^{name.decode()}: sent 2 times, over the limit of 1$"):
        environ_from_scope(scope, duplicate_header_limit=1)


@pytest.mark.clause("D-10")
def test_names_that_are_not_passed_on_do_not_count() -> None:
    scope = make_scope(headers=[(b"x_a", b"1"), (b"x_a", b"1"), (b"x-a", b"1")])
    assert environ_from_scope(scope, duplicate_header_limit=1)["HTTP_X_A"] == "1"


@pytest.mark.clause("H-HDR-09", "A-HTTP-10", "D-10")
def test_equal_hosts_collapse_and_different_ones_are_refused() -> None:
    found = translated((b"host", b"Example.com"), (b"host", b"example.com "))
    assert found == {"HTTP_HOST": "Example.com"}
    assert refusal((b"host", b"a.example"), (b"host", b"b.example")).field == "host"


@pytest.mark.clause("D-10", "W-ENV-05")
def test_equal_content_types_collapse_and_different_ones_are_refused() -> None:
    found = translated((b"content-type", b"text/plain"), (b"content-type", b" text/plain"))
    assert found == {"CONTENT_TYPE": "text/plain"}
    assert refusal((b"content-type", b"a/b"), (b"content-type", b"A/b")).field == "content-type"


@pytest.mark.clause("W-ENV-05", "CGI-02", "CGI-17", "W-VAL-01")
def test_content_type_is_passed_once_and_never_guessed() -> None:
    assert translated((b"content-type", b"a/b; c=d")) == {"CONTENT_TYPE": "a/b; c=d"}
    assert "CONTENT_TYPE" not in translated((b"x", b"y"))


@pytest.mark.clause("W-ENV-06", "CGI-01", "CGI-17", "W-VAL-01", "H-MSG-01", "H-MSG-03", "W-VAL-02")
@pytest.mark.parametrize(
    ("values", "length"),
    [
        ([b"5"], "5"),
        ([b"5", b"5"], "5"),
        ([b"5, 5"], "5"),
        ([b" 5\t"], "5"),
        ([b"0"], "0"),
        ([b"007"], "007"),
        ([b"9" * 19], "9" * 19),
        ([], None),
    ],
)
def test_a_declared_length_is_passed_once(values: list[bytes], length: str | None) -> None:
    found = translated(*((b"content-length", value) for value in values))
    assert found == ({} if length is None else {"CONTENT_LENGTH": length})


@pytest.mark.clause("H-MSG-01", "H-MSG-02", "H-MSG-04", "D-13")
@pytest.mark.parametrize("coding", [(), ((b"transfer-encoding", b"chunked"),)])
@pytest.mark.parametrize(
    "values",
    [
        [b"5", b"6"],
        [b"5, 6"],
        [b"05", b"5"],
        [b""],
        [b"-1"],
        [b"+5"],
        [b"1_0"],
        [b"5a"],
        [b"0x5"],
        [b"5 5"],
        [b"1" * 20],
        ["\u0665".encode()],
        [b"\xb2"],
        [b"5,"],
    ],
)
def test_any_other_length_is_refused(values: list[bytes], coding: Any) -> None:
    error = refusal(*((b"content-length", value) for value in values), *coding)
    assert error.field == "content-length"


@pytest.mark.clause("H-MSG-05", "H-MSG-06", "D-13", "D-14")
def test_a_transfer_coding_is_hidden_and_overrides_the_length() -> None:
    found = translated(
        (b"transfer-encoding", b"chunked"), (b"content-length", b"5"), (b"te", b"trailers")
    )
    assert found == {"HTTP_TE": "trailers"}


@pytest.mark.clause("D-14", "H-HOP-04")
def test_other_hop_by_hop_request_headers_pass() -> None:
    found = translated((b"connection", b"Upgrade"), (b"upgrade", b"h2c"), (b"keep-alive", b"5"))
    assert found == {
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "h2c",
        "HTTP_KEEP_ALIVE": "5",
    }


@pytest.mark.clause("C-13", "H-HDR-08", "D-11")
@pytest.mark.parametrize("order", [1, -1])
def test_a_name_with_an_underscore_is_dropped(order: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "gatebridge")
    headers = [(b"x_forwarded_for", b"evil"), (b"x-forwarded-for", b"proxy")][::order]
    assert translated(*headers) == {"HTTP_X_FORWARDED_FOR": "proxy"}
    assert translated((b"content_length", b"5"), (b"Content_Type", b"a")) == {}
    assert "x_forwarded_for" in caplog.text


@pytest.mark.clause("C-12", "D-11")
@pytest.mark.parametrize("name", [b"proxy", b"Proxy", b"PROXY"])
def test_proxy_never_becomes_http_proxy(name: bytes) -> None:
    assert translated((name, b"http://evil.example")) == {}


@pytest.mark.clause("H-HDR-01", "A-HTTP-10", "A-HTTP-20")
@pytest.mark.parametrize(
    "name",
    [b"", b":authority", b"a b", b"a:", b"a\r\n", b"a\x00", b"\xe9", b"(a)", "\u212a".encode()],
)
def test_a_name_that_is_no_token_is_refused_by_name(name: bytes) -> None:
    assert refusal((name, b"v")).field == repr(name)


@pytest.mark.clause("H-HDR-02", "D-12")
@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\0", b"\r\n"])
@pytest.mark.parametrize("value", [b"a%sb", b"%sb", b"a%s"])
def test_cr_lf_and_nul_in_a_value_are_refused_by_name(bad: bytes, value: bytes) -> None:
    error = refusal((b"x-fine", b"1"), (b"x-bad", value % bad))
    assert error.field == "x-bad"
    assert "\r" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.clause("H-HDR-02", "D-11", "D-12")
@pytest.mark.parametrize("name", [b"proxy", b"x_y", b"transfer-encoding"])
def test_cr_lf_and_nul_are_refused_in_hidden_headers_too(name: bytes) -> None:
    assert refusal((name, b"a\r\nb")).field == name.decode()


@pytest.mark.clause("H-HDR-03", "H-HDR-05", "D-12", "A-HTTP-35")
def test_other_octets_survive() -> None:
    value = bytes(set(range(1, 256)) - {9, 10, 13, 32})
    assert translated((b"x-a", b"." + value + b"."))["HTTP_X_A"].encode("latin-1")[1:-1] == value


@pytest.mark.clause("H-HDR-04")
def test_blanks_around_a_value_are_no_part_of_it() -> None:
    assert translated((b"x-a", b" \t a \t b\t ")) == {"HTTP_X_A": "a \t b"}


@pytest.mark.clause("H-TRL-01")
def test_a_trailer_announcement_is_only_a_header() -> None:
    assert translated((b"trailer", b"x-checksum")) == {"HTTP_TRAILER": "x-checksum"}


@pytest.mark.parametrize(
    "item",
    [("host", "a"), (b"host", "a"), (b"host", None), (b"a",), (b"a", b"b", b"c"), b"ab", 5, None],
    ids=repr,
)
def test_an_item_that_is_no_pair_of_bytes_is_the_host_s_error(item: Any) -> None:
    with pytest.raises(HostError, match=r"^headers: ") as info:
        environ_from_scope(make_scope(headers=[(b"x-fine", b"1"), item]))
    assert repr(item)[:80].strip("()[],") in info.value.reason


def test_long_names_hosts_and_addresses_are_not_remembered() -> None:
    """Or a client that invents them could fill the caches with megabytes."""
    before = len(_FIELD_OF_NAME), split_host.cache_info().misses
    for number in range(3):
        long = f"{number}x".rjust(1000, "x")
        headers = [(long.encode(), b"1"), (b"host", long.encode())]
        environ = environ_from_scope(make_scope(headers=headers, client=(long, 80)))
        assert environ[f"HTTP_{long.upper()}"] == "1"
        assert environ["HTTP_HOST"] == environ["REMOTE_ADDR"] == long
    assert (len(_FIELD_OF_NAME), split_host.cache_info().misses) == before


def test_the_names_that_a_client_invents_are_forgotten_again() -> None:
    for number in range(5000):
        assert translated((b"x-%d" % number, b"1")) == {f"HTTP_X_{number}": "1"}
        assert len(_FIELD_OF_NAME) <= 1024
    assert translated((b"accept", b"1"), (b"Proxy", b"1")) == {"HTTP_ACCEPT": "1"}
