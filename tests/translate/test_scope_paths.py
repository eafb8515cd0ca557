"""environ to scope: SCRIPT_NAME, PATH_INFO and request targets to the three paths of a scope."""

from __future__ import annotations

from typing import Any

import pytest

from gatebridge import scope_from_environ
from gatebridge.errors import RequestError
from translate.builders import ABSENT, make_environ

pytestmark = pytest.mark.direction("a2w")


def scope_of(script_name: object, path_info: object, **changes: Any) -> dict[str, Any]:
    return dict(
        scope_from_environ(make_environ(SCRIPT_NAME=script_name, PATH_INFO=path_info, **changes))
    )


# --- path and root_path ---------------------------------------------------------------------------


@pytest.mark.clause("W-ENV-02", "W-ENV-03", "CGI-04", "A-HTTP-04", "A-HTTP-07", "D-01", "D-04")
@pytest.mark.parametrize(
    ("script_name", "path_info", "path", "root_path"),
    [
        ("", "/", "/", ""),
        ("", "/x/Y", "/x/Y", ""),
        ("/api", "/x", "/api/x", "/api"),
        ("/api", "", "/api", "/api"),
        ("/api", "/", "/api/", "/api"),
        ("/api", "/api/x", "/api/api/x", "/api"),
        ("/a/b", "//c", "/a/b//c", "/a/b"),
        # Mount points that end in a slash, which PEP 3333 does not foresee:
        ("/x/", "", "/x/", "/x"),  # as wsgiref.util.shift_path_info leaves it
        ("/x/", "/y", "/x/y", "/x"),
        ("/", "/y", "/y", ""),
        ("/", "", "/", ""),
    ],
)
def test_the_path_is_both_parts_and_the_root_is_the_first(
    script_name: str, path_info: str, path: str, root_path: str
) -> None:
    scope = scope_of(script_name, path_info)
    assert (scope["path"], scope["root_path"]) == (path, root_path)


@pytest.mark.clause("W-ENV-02", "W-ENV-03", "H-URI-04", "A-HTTP-04", "D-05")
@pytest.mark.parametrize("script_name", [ABSENT, ""])
@pytest.mark.parametrize("path_info", [ABSENT, ""])
def test_an_empty_path_is_a_slash(script_name: object, path_info: object) -> None:
    scope = scope_of(script_name, path_info)
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("/", b"/", "")


@pytest.mark.clause("A-HTTP-04", "A-HTTP-35", "W-STR-01", "D-03")
@pytest.mark.parametrize(
    ("script_name", "path_info", "path", "root_path"),
    [
        ("/caf\xc3\xa9", "/\xe2\x82\xac", "/café/€", "/café"),
        ("/\xff", "/x\xe9y", "/\ufffd/x\ufffdy", "/\ufffd"),
        ("", "/\xed\xa0\x80", "/\ufffd\ufffd\ufffd", ""),  # a surrogate, which UTF-8 has not
    ],
)
def test_paths_are_utf_8_with_replacements_for_other_bytes(
    script_name: str, path_info: str, path: str, root_path: str
) -> None:
    scope = scope_of(script_name, path_info)
    assert (scope["path"], scope["root_path"]) == (path, root_path)
    scope["path"].encode()  # a lone surrogate would raise


@pytest.mark.clause("CGI-04", "H-URI-03", "A-HTTP-04")
def test_a_path_is_not_decoded_again() -> None:
    scope = scope_of("/%2561", "/%41", REQUEST_URI="/%252561/%2541")
    assert (scope["path"], scope["root_path"]) == ("/%2561/%41", "/%2561")
    assert scope["raw_path"] == b"/%252561/%2541"


@pytest.mark.clause("W-VAL-02", "D-05")
@pytest.mark.parametrize("path_info", ["x", "x/y", "*", "ftp://server.example/", "httpx://h/"])
def test_a_path_without_leading_slash_is_refused(path_info: str) -> None:
    with pytest.raises(RequestError) as caught:
        scope_of("", path_info)
    assert (caught.value.field, caught.value.status) == ("PATH_INFO", 400)


@pytest.mark.clause("H-URI-02", "D-05")
@pytest.mark.parametrize("method", ["OPTIONS", "options"])
@pytest.mark.parametrize("target", [{}, {"REQUEST_URI": "*"}, {"RAW_URI": "*"}])
def test_options_may_ask_for_the_server_itself(method: str, target: dict[str, str]) -> None:
    scope = scope_of("", "*", REQUEST_METHOD=method, **target)
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("*", b"*", "")


# --- absolute forms -------------------------------------------------------------------------------


@pytest.mark.clause("D-05", "A-HTTP-04")
@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://target.example/x", "/x", b"target.example"),
        ("HTTPS://target.example:8443/x/", "/x/", b"target.example:8443"),
        ("http://user:secret@target.example/x", "/x", b"target.example"),
        ("http://[2001:db8::1]:81", "/", b"[2001:db8::1]:81"),
        ("http://target.example:99999/x", "/x", b"target.example:99999"),
    ],
)
def test_the_authority_of_an_absolute_form_is_the_host(target: str, path: str, host: bytes) -> None:
    scope = scope_of("", target, REQUEST_URI=target, HTTP_HOST="other.example", HTTP_ACCEPT="*/*")
    assert (scope["path"], scope["raw_path"]) == (path, path.encode())
    assert sorted(scope["headers"]) == [(b"accept", b"*/*"), (b"host", host)]


@pytest.mark.clause("D-05")
def test_the_authority_of_an_absolute_form_is_the_host_also_where_there_was_none() -> None:
    assert scope_of("", "http://target.example/")["headers"] == [(b"host", b"target.example")]


@pytest.mark.clause("D-05", "A-HTTP-05")
def test_an_absolute_form_keeps_its_spelling_in_raw_path() -> None:
    target = "http://target.example/a%2Fb%20c?q=/x"
    scope = scope_of("", "http://target.example/a/b c", REQUEST_URI=target)
    assert (scope["path"], scope["raw_path"]) == ("/a/b c", b"/a%2Fb%20c")


# --- raw_path -------------------------------------------------------------------------------------


@pytest.mark.clause("A-HTTP-05", "C-04", "D-02")
@pytest.mark.parametrize(
    ("script_name", "path_info", "target", "raw_path"),
    [
        # It says what SCRIPT_NAME and PATH_INFO say, in whatever spelling:
        ("", "/a/b", "/a%2Fb", b"/a%2Fb"),
        ("", "/a/b", "/a%2fb", b"/a%2fb"),
        ("", "/a", "/%61", b"/%61"),
        ("/api", "/x y", "/api/x%20y", b"/api/x%20y"),
        ("/api", "/x", "/%61pi/x", b"/%61pi/x"),
        ("/api", "", "/api", b"/api"),
        ("/api/", "/x", "/api/x", b"/api/x"),
        ("", "/\xff", "/%FF", b"/%FF"),
        ("", "/\xff", "/\xff", b"/\xff"),
        ("", "//x/y", "//x/y", b"//x/y"),
        ("", "/a;b=1,c", "/a;b=1,c", b"/a;b=1,c"),
        ("", "/100%", "/100%", b"/100%"),
        ("", "/a+b", "/a+b", b"/a+b"),
        # The host leaves the mount point out:
        ("/api", "/x", "/x", b"/api/x"),
        ("/caf\xc3\xa9", "/a/b", "/a%2Fb", b"/caf%C3%A9/a%2Fb"),
        # Query and fragment are no part of it:
        ("", "/a/b", "/a%2Fb?c=%2F", b"/a%2Fb"),
        ("", "/x", "/x?y?z", b"/x"),
        ("", "/a/b", "/a%2Fb#c", b"/a%2Fb"),
        ("", "/a?b", "/a%3Fb?c", b"/a%3Fb"),
        # And neither are scheme and authority:
        ("", "/a/b", "http://server.example/a%2Fb?c", b"/a%2Fb"),
        ("", "/", "http://server.example", b"/"),
    ],
)
@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
def test_raw_path_is_the_target_where_that_agrees(
    key: str, script_name: str, path_info: str, target: str, raw_path: bytes
) -> None:
    assert scope_of(script_name, path_info, **{key: target})["raw_path"] == raw_path


@pytest.mark.clause("A-HTTP-04", "A-HTTP-05", "C-04", "D-02", "H-URI-03")
@pytest.mark.parametrize(
    ("script_name", "path_info", "target", "path", "raw_path"),
    [
        # Cheroot decodes all but encoded slashes, and writes those in upper case:
        ("", "/a%2Fb c", "/a%2Fb%20c", "/a/b c", b"/a%2Fb%20c"),
        ("", "/a%2Fb%2Fc", "/a%2fb%2Fc", "/a/b/c", b"/a%2fb%2Fc"),
        ("", "/a%2F\xc3\xa9", "/a%2F%C3%A9?q=%2F", "/a/é", b"/a%2F%C3%A9"),
        ("", "/a%2Fb", "http://server.example/a%2Fb", "/a/b", b"/a%2Fb"),
        # Apache leaves them as they are:
        ("", "/a%2fb c", "/a%2fb%20c", "/a/b c", b"/a%2fb%20c"),
        # Below a mount point:
        ("/api", "/a%2Fb", "/api/a%2Fb", "/api/a/b", b"/api/a%2Fb"),
        ("/api", "/a%2Fb", "/a%2Fb", "/api/a/b", b"/api/a%2Fb"),
        ("/caf\xc3\xa9", "/%2F", "/caf%C3%A9/%2F", "/café//", b"/caf%C3%A9/%2F"),
        # What was encoded twice is decoded once, beside slashes that were encoded once:
        ("", "/a%2Fb", "/a%252Fb", "/a%2Fb", b"/a%252Fb"),
        ("", "/a%2Fb%2Fc", "/a%2Fb%252Fc", "/a/b%2Fc", b"/a%2Fb%252Fc"),
        ("", "/a/b%2Fc", "/a%2Fb%252Fc", "/a/b%2Fc", b"/a%2Fb%252Fc"),
        ("", "/a%2fb%2Fc", "/a%252fb%2Fc", "/a%2fb/c", b"/a%252fb%2Fc"),
        ("", "/a%252Fb%2Fc", "/a%25252Fb%2Fc", "/a%252Fb/c", b"/a%25252Fb%2Fc"),
        # Other escapes are not left over; what has them was put there by somebody else:
        ("", "/a%20b", "/a%20b", "/a%20b", b"/a%2520b"),
        ("", "/a%2Fb%20c", "/a%2Fb%20c", "/a%2Fb%20c", b"/a%252Fb%2520c"),
        ("", "/a%2Fb", "/other%2Fb", "/a%2Fb", b"/a%252Fb"),
        # Nor is the mount point's own path guessed at:
        ("/x%2Fy", "/z", "/x%2Fy/z", "/x%2Fy/z", b"/x%252Fy/z"),
    ],
)
@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
def test_slashes_that_the_host_left_encoded_are_decoded(
    key: str, script_name: str, path_info: str, target: str, path: str, raw_path: bytes
) -> None:
    scope = scope_of(script_name, path_info, **{key: target})
    assert (scope["path"], scope["raw_path"]) == (path, raw_path)
    assert scope["path"].startswith(scope["root_path"])


@pytest.mark.clause("C-04", "D-02")
def test_a_target_that_is_the_path_goes_before_one_with_slashes_left_encoded() -> None:
    scope = scope_of("", "/a%2Fb", REQUEST_URI="/a%2Fb", RAW_URI="/a%252Fb")
    assert (scope["path"], scope["raw_path"]) == ("/a%2Fb", b"/a%252Fb")


@pytest.mark.clause("A-HTTP-05", "C-04", "D-02")
@pytest.mark.parametrize(
    "target",
    [
        *("", "/other", "/a%252Fb", "/api", "/api/a%2Fb/", "/a%2Fb/", "/x/a%2Fb", "*"),
        "http://server.example/other",
    ],
)
def test_a_target_that_does_not_agree_is_not_used(target: str) -> None:
    scope = scope_of("/api", "/a/b", REQUEST_URI=target, RAW_URI=target)
    assert scope["raw_path"] == b"/api/a/b"


@pytest.mark.clause("C-04", "D-02")
@pytest.mark.parametrize(
    ("request_uri", "raw_uri", "raw_path"),
    [
        ("/a%2Fb", "/%61/b", b"/a%2Fb"),
        ("/other", "/%61/b", b"/%61/b"),
        ("", "/%61/b", b"/%61/b"),
        ("/a%2Fb", "/other", b"/a%2Fb"),
    ],
)
def test_request_uri_goes_before_raw_uri(request_uri: str, raw_uri: str, raw_path: bytes) -> None:
    assert scope_of("", "/a/b", REQUEST_URI=request_uri, RAW_URI=raw_uri)["raw_path"] == raw_path


@pytest.mark.clause("A-HTTP-05", "D-02", "D-03")
@pytest.mark.parametrize(
    ("script_name", "path_info", "raw_path"),
    [
        ("", "/aZ0-._~/:@!$&'()*+,;=", b"/aZ0-._~/:@!$&'()*+,;="),
        ("", '/ "#%<>?[\\]^`{|}', b"/%20%22%23%25%3C%3E%3F%5B%5C%5D%5E%60%7B%7C%7D"),
        ("", "/%41", b"/%2541"),
        ("/caf\xc3\xa9", "/\xff\x00\x7f", b"/caf%C3%A9/%FF%00%7F"),
        ("/x/", "/y", b"/x/y"),
        ("/x/", "", b"/x/"),
    ],
)
def test_without_a_target_raw_path_is_the_quoted_path(
    script_name: str, path_info: str, raw_path: bytes
) -> None:
    assert scope_of(script_name, path_info)["raw_path"] == raw_path


@pytest.mark.clause("A-HTTP-05", "A-HTTP-06", "A-HTTP-35")
def test_path_and_root_path_are_text_and_raw_path_is_bytes() -> None:
    scope = scope_of("/caf\xc3\xa9", "/x", REQUEST_URI="/caf%C3%A9/x?y")
    assert [type(scope[key]) for key in ("path", "root_path", "raw_path")] == [str, str, bytes]
