"""`environ_from_scope`: SCRIPT_NAME, PATH_INFO, REQUEST_URI and RAW_URI."""

from __future__ import annotations

from typing import Any

import pytest

from gatebridge import environ_from_scope
from gatebridge.errors import RequestError
from translate.scopes import MISSING, make_scope

pytestmark = pytest.mark.direction("w2a")


def paths(**changes: Any) -> tuple[str, bytes]:
    environ = environ_from_scope(make_scope(**changes))
    return environ["SCRIPT_NAME"], environ["PATH_INFO"].encode("latin-1")


@pytest.mark.clause("W-ENV-02", "W-ENV-03", "A-HTTP-04", "A-HTTP-07", "D-01", "D-02")
@pytest.mark.parametrize(
    ("path", "raw_path", "root_path", "script_name", "path_info"),
    [
        # The table of translation.md, section 4, row by row.
        ("/api/x", b"/api/x", "/api", "/api", b"/x"),
        ("/api/x", b"/api/x", "/api/", "/api", b"/x"),
        ("/api", b"/api", "/api", "/api", b""),
        ("/api", b"/api", "/api/", "/api", b""),
        ("/apiary", b"/apiary", "/api", "/api", b"/apiary"),
        ("/x", b"/api/x", "/api", "/api", b"/x"),
        ("/api/x", b"/api/api/x", "/api", "/api", b"/api/x"),
        ("/api/x", b"/x", "/api", "/api", b"/x"),
        ("/api/x", None, "/api", "/api", b"/x"),
        ("/api/x", MISSING, "/api", "/api", b"/x"),
        ("/a/b", b"/a%2Fb", "", "", b"/a/b"),
        ("/\ufffd", b"/%FF", "", "", b"/\xff"),
        ("/\u00e9", b"/other", "", "", b"/\xc3\xa9"),
        ("/%41", b"/%2541", "", "", b"/%41"),
        # And around it.
        ("/", b"/", "", "", b"/"),
        ("/api/", b"/api/", "/api", "/api", b"/"),
        ("/a//b/", b"/a//b/", "", "", b"/a//b/"),
        ("/x", b"/x", MISSING, "", b"/x"),
        ("/x", b"/x", None, "", b"/x"),
        # Uvicorn with --root-path=/api/, and with --root-path=/
        ("/api//x", b"/api//x", "/api/", "/api", b"/x"),
        ("/api//\ufffd", b"/api//%FF", "/api/", "/api", b"/\xff"),
        ("/api//", b"/api//", "/api/", "/api", b"/"),
        ("//x", b"//x", "/", "", b"/x"),
        ("/api///x", b"/api///x", "/api/", "/api", b"//x"),
        ("/api//x", b"/api//x", "/api", "/api", b"//x"),
        # Below a mount, where only path had the server's root put before it.
        ("/site/api/\ufffd", b"/api/%FF", "/site/api", "/site/api", b"/\xff"),
        ("/site/a/b/\ufffd", b"/%62/%FF", "/site/a/b", "/site/a/b", b"/\xff"),
        ("/site/api/\ufffd", b"/pi/%FF", "/site/api", "/site/api", b"/\xef\xbf\xbd"),
    ],
)
def test_root_path_is_taken_off_on_segment_boundaries(
    path: str, raw_path: Any, root_path: Any, script_name: str, path_info: bytes
) -> None:
    found = paths(path=path, raw_path=raw_path, root_path=root_path)
    assert found == (script_name, path_info)


@pytest.mark.clause("C-22", "D-03", "W-STR-01")
@pytest.mark.parametrize(
    ("path", "raw_path", "path_info"),
    [
        ("/\ufffd\ufffd/\u00e9", b"/%FF%FE/%C3%A9", b"/\xff\xfe/\xc3\xa9"),
        ("/\udcff", b"/%FF", b"/\xff"),
        ("/\udcff", None, b"/\xff"),
        ("/\u4f60", None, b"/\xe4\xbd\xa0"),
    ],
)
def test_path_info_has_the_exact_bytes(path: str, raw_path: bytes | None, path_info: bytes) -> None:
    assert paths(path=path, raw_path=raw_path) == ("", path_info)


@pytest.mark.clause("D-03")
@pytest.mark.parametrize("field", ["path", "root_path"])
def test_a_surrogate_that_hides_no_byte_is_refused(field: str) -> None:
    with pytest.raises(RequestError, match=rf"^{field}: "):
        environ_from_scope(make_scope(raw_path=None, **{"path": "/x", field: "/\ud800"}))


@pytest.mark.clause("CGI-04", "H-URI-03")
def test_the_path_is_decoded_once() -> None:
    environ = environ_from_scope(make_scope(path="/%2541/%zz", raw_path=b"/%252541/%zz"))
    assert environ["PATH_INFO"] == "/%2541/%zz"


@pytest.mark.clause("CGI-04")
def test_case_and_dots_are_kept() -> None:
    assert paths(path="/A/../b/./C") == ("", b"/A/../b/./C")


@pytest.mark.clause("W-VAL-02", "W-ENV-02", "D-04")
@pytest.mark.parametrize(
    ("root_path", "script_name"),
    [("/", ""), ("", ""), ("api", "/api"), ("/api//", "/api"), ("/a/b", "/a/b"), ("//", "")],
)
def test_script_name_is_empty_or_starts_with_a_slash_and_ends_without(
    root_path: str, script_name: str
) -> None:
    environ = environ_from_scope(make_scope(path="/other", root_path=root_path))
    assert environ["SCRIPT_NAME"] == script_name
    assert environ["PATH_INFO"] == "/other"


@pytest.mark.clause("W-VAL-02", "D-05")
@pytest.mark.parametrize("raw_path", [b"", None])
def test_an_empty_path_at_the_root_is_a_slash(raw_path: bytes | None) -> None:
    assert paths(path="", raw_path=raw_path) == ("", b"/")


@pytest.mark.clause("H-URI-02", "D-05")
def test_options_may_ask_for_the_whole_server() -> None:
    assert paths(method="OPTIONS", path="*") == ("", b"*")


@pytest.mark.clause("H-URI-02", "D-05", "W-VAL-02")
@pytest.mark.parametrize("path", ["*", "x", "example.com:80", "ftp://a/b"])
def test_other_targets_without_a_slash_are_refused(path: str) -> None:
    with pytest.raises(RequestError, match=r"^path: "):
        environ_from_scope(make_scope(path=path))


@pytest.mark.clause("H-URI-01", "D-05")
@pytest.mark.parametrize(
    ("path", "raw_path", "host", "path_info"),
    [
        ("http://other.example/a", b"http://other.example/a", "other.example", b"/a"),
        ("HTTPS://other.example:81", b"HTTPS://other.example:81", "other.example:81", b"/"),
        ("http://me:pw@other.example/", b"http://me:pw@other.example/", "other.example", b"/"),
        ("http://o.example/\ufffd", b"http://o.example/%FF", "o.example", b"/\xff"),
    ],
)
def test_an_absolute_target_replaces_host(
    path: str, raw_path: bytes, host: str, path_info: bytes
) -> None:
    scope = make_scope(path=path, raw_path=raw_path, server=None)
    environ = environ_from_scope(scope)
    assert environ["HTTP_HOST"] == host
    assert environ["PATH_INFO"].encode("latin-1") == path_info
    assert environ["SERVER_NAME"] == host.partition(":")[0]


@pytest.mark.clause("H-URI-01", "H-HDR-02")
@pytest.mark.parametrize("authority", ["a\r\nx-evil: 1", "a b", "a\x00"])
def test_an_absolute_target_injects_nothing(authority: str) -> None:
    with pytest.raises(RequestError, match=r"^host: "):
        environ_from_scope(make_scope(path=f"http://{authority}/", raw_path=None))


@pytest.mark.clause("C-04", "A-HTTP-05", "W-ENV-10")
@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"path": "/a/b", "raw_path": b"/a%2Fb"}, "/a%2Fb"),
        ({"path": "/a", "raw_path": b"/a", "query_string": b"x=%20"}, "/a?x=%20"),
        ({"path": "/a", "raw_path": b"/a?left=in", "query_string": b"x=1"}, "/a?x=1"),
        ({"path": "/\u00e9 ", "raw_path": None}, "/%C3%A9%20"),
        ({"path": "/\u00e9", "raw_path": b""}, "/%C3%A9"),
        ({"path": "/m/a", "raw_path": None, "root_path": "/m"}, "/m/a"),
        ({"path": "/~:@!$&'()*+,;=", "raw_path": None}, "/~:@!$&'()*+,;="),
    ],
)
def test_request_uri_is_the_target_as_received(changes: dict[str, Any], target: str) -> None:
    environ = environ_from_scope(make_scope(**changes))
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == target


@pytest.mark.clause("A-HTTP-05", "D-02")
def test_a_query_left_in_raw_path_is_no_part_of_the_path() -> None:
    assert paths(path="/\ufffd", raw_path=b"/%FF?q=%FE") == ("", b"/\xff")
