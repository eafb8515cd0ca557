"""`environ_from_scope`: every key of the environ but paths, headers and TLS."""

from __future__ import annotations

import io
import os
import sys
from typing import Any
from wsgiref.util import request_uri

import pytest

from gatebridge import __version__, environ_from_scope
from gatebridge.errors import HostError, RequestError
from translate.scopes import MISSING, make_scope

pytestmark = pytest.mark.direction("w2a")


@pytest.mark.clause("W-ENV-01", "CGI-09", "A-HTTP-02")
@pytest.mark.parametrize("method", ["GET", "POST", "PROPFIND", "M-SEARCH", "get"])
def test_method_is_the_scope_s_unaltered(method: str) -> None:
    assert environ_from_scope(make_scope(method=method))["REQUEST_METHOD"] == method


@pytest.mark.clause("W-ENV-01")
@pytest.mark.parametrize("method", [MISSING, "", None, b"GET"])
def test_a_missing_or_empty_method_is_the_host_s_error(method: Any) -> None:
    with pytest.raises(HostError, match=r"^method: "):
        environ_from_scope(make_scope(method=method))


@pytest.mark.clause("W-ENV-14")
def test_strings_of_a_subclass_become_plain() -> None:
    class Text(str):
        __slots__ = ()

    names = ("method", "path", "root_path", "scheme", "http_version")
    scope = make_scope(raw_path=None, **dict.fromkeys(names, Text("/1.1")))
    scope["server"] = scope["client"] = (Text("h"), 1)
    environ = environ_from_scope(scope)
    assert {type(value) for key, value in environ.items() if "." not in key} == {str}


@pytest.mark.clause("W-CALL-11")
def test_environ_is_a_new_builtin_dict_for_each_request() -> None:
    scope = make_scope()
    first, second = environ_from_scope(scope), environ_from_scope(scope)
    assert type(first) is dict
    assert first is not second


@pytest.mark.clause("W-ENV-04", "A-HTTP-06", "A-HTTP-35", "CGI-05", "D-06")
@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        (b"", ""),
        (MISSING, ""),
        (None, ""),
        (b"a=%20b&c=%C3%A9", "a=%20b&c=%C3%A9"),
        (b"q=\xe9\xff", "q=\xe9\xff"),
        (b"a=1?b=2", "a=1?b=2"),
    ],
)
def test_query_string_passes_byte_for_byte(query_string: Any, expected: str) -> None:
    environ = environ_from_scope(make_scope(query_string=query_string))
    assert environ["QUERY_STRING"] == expected


@pytest.mark.clause("W-ENV-08", "CGI-12", "D-07")
@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        ("1.0", "HTTP/1.0"),
        ("1.1", "HTTP/1.1"),
        ("2", "HTTP/2.0"),
        ("3", "HTTP/3.0"),
        (MISSING, "HTTP/1.1"),
    ],
)
def test_protocol_has_a_minor_number(version: Any, protocol: str) -> None:
    assert environ_from_scope(make_scope(http_version=version))["SERVER_PROTOCOL"] == protocol


@pytest.mark.clause("W-ENV-07", "CGI-10", "CGI-11", "H-URI-05", "A-HTTP-12", "D-08")
@pytest.mark.parametrize(
    ("server", "host", "scheme", "expected"),
    [
        (("192.0.2.1", 8000), b"example.com:1", "http", ("192.0.2.1", "8000")),
        (["192.0.2.1", 8000], b"example.com", "http", ("192.0.2.1", "8000")),
        (("2001:db8::1", 80), b"x", "http", ("[2001:db8::1]", "80")),
        (("[2001:db8::1]", 80), b"x", "http", ("[2001:db8::1]", "80")),
        (MISSING, b"example.com:8080", "http", ("example.com", "8080")),
        (None, b"example.com", "http", ("example.com", "80")),
        (None, b"example.com", "https", ("example.com", "443")),
        (None, b"[2001:db8::1]:81", "http", ("[2001:db8::1]", "81")),
        (("/run/app.sock", None), b"example.com", "https", ("example.com", "443")),
        (("/run/app.sock", None), MISSING, "http", ("localhost", "80")),
        (("", 8000), b"example.com", "http", ("example.com", "80")),
        (None, MISSING, "https", ("localhost", "443")),
        (None, b"", "http", ("localhost", "80")),
    ],
)
def test_server_name_and_port_are_always_there(
    server: Any, host: Any, scheme: str, expected: tuple[str, str]
) -> None:
    headers = [] if host is MISSING else [(b"host", host)]
    environ = environ_from_scope(make_scope(server=server, headers=headers, scheme=scheme))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == expected


@pytest.mark.clause("W-ENV-10", "W-ENV-13", "CGI-06", "CGI-07", "C-03", "A-HTTP-11", "D-09")
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("192.0.2.7", 50123), {"ADDR": "192.0.2.7", "HOST": "192.0.2.7", "PORT": "50123"}),
        (["2001:db8::7", 1], {"ADDR": "2001:db8::7", "HOST": "2001:db8::7", "PORT": "1"}),
        (("[2001:db8::7]", 1), {"ADDR": "2001:db8::7", "HOST": "2001:db8::7", "PORT": "1"}),
        (("192.0.2.7", 0), {"ADDR": "192.0.2.7", "HOST": "192.0.2.7"}),
        (("192.0.2.7", None), {"ADDR": "192.0.2.7", "HOST": "192.0.2.7"}),
        (("", 0), {}),
        ((None, 5), {}),
        (None, {}),
        (MISSING, {}),
    ],
)
def test_client_address_is_there_as_far_as_it_is_known(
    client: Any, expected: dict[str, str]
) -> None:
    environ = environ_from_scope(make_scope(client=client))
    found = {key: value for key, value in environ.items() if key.startswith("REMOTE_")}
    assert found == {f"REMOTE_{key}": value for key, value in expected.items()}


@pytest.mark.clause("W-ENV-16", "W-VAL-03", "A-HTTP-03")
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("http", "http"), ("https", "https"), (MISSING, "http"), ("", "http"), ("coap", "coap")],
)
def test_url_scheme_is_the_scope_s_or_http(scheme: Any, expected: str) -> None:
    assert environ_from_scope(make_scope(scheme=scheme))["wsgi.url_scheme"] == expected


@pytest.mark.clause("W-ENV-11", "C-11", "D-16")
def test_https_says_on_only_for_https() -> None:
    assert environ_from_scope(make_scope(scheme="https"))["HTTPS"] == "on"
    assert "HTTPS" not in environ_from_scope(make_scope(scheme="http"))


@pytest.mark.clause("W-ENV-15", "W-ENV-21")
def test_constant_wsgi_keys() -> None:
    environ = environ_from_scope(make_scope())
    assert environ["wsgi.version"] == (1, 0)
    assert type(environ["wsgi.version"]) is tuple
    assert environ["wsgi.run_once"] is False


@pytest.mark.clause("W-ENV-20", "D-17")
def test_multiprocess_is_true_unless_the_caller_says_otherwise() -> None:
    assert environ_from_scope(make_scope())["wsgi.multiprocess"] is True
    assert environ_from_scope(make_scope(), multiprocess=False)["wsgi.multiprocess"] is False


@pytest.mark.clause("W-ENV-19")
@pytest.mark.parametrize("multithread", [True, False])
def test_multithread_is_what_the_caller_says(multithread: bool) -> None:
    environ = environ_from_scope(make_scope(), multithread=multithread)
    assert environ["wsgi.multithread"] is multithread


@pytest.mark.clause("W-ENV-17", "W-ENV-18", "C-01")
def test_streams_are_those_given_or_empty_input_and_stderr() -> None:
    environ = environ_from_scope(make_scope())
    assert environ["wsgi.input"].read() == b""
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.input_terminated"] is True

    body, errors = io.BytesIO(b"x"), io.StringIO()
    environ = environ_from_scope(make_scope(), body=body, errors=errors)
    assert environ["wsgi.input"] is body
    assert environ["wsgi.errors"] is errors


@pytest.mark.clause("CGI-13")
def test_server_software_is_gatebridge_with_its_version() -> None:
    assert environ_from_scope(make_scope())["SERVER_SOFTWARE"] == f"gatebridge/{__version__}"


@pytest.mark.clause("C-05", "D-18")
def test_the_scope_itself_is_reachable() -> None:
    scope = make_scope()
    assert environ_from_scope(scope)["asgi.scope"] is scope


@pytest.mark.clause("A-HTTP-13", "A-LIFE-10")
def test_the_lifespan_s_state_is_reachable_through_the_scope() -> None:
    state = {"pool": object()}
    environ = environ_from_scope(make_scope(state=state))
    assert environ["asgi.scope"]["state"] is state


@pytest.mark.clause("W-ENV-22", "C-09", "CGI-08")
def test_no_key_promises_what_is_not_there() -> None:
    environ = environ_from_scope(make_scope(extensions={"http.response.push": {}}))
    dotted = {key for key in environ if "." in key}
    assert all(key.startswith(("wsgi.", "asgi.", "gatebridge.")) for key in dotted)
    assert not dotted & {"wsgi.websocket", "werkzeug.socket", "gunicorn.socket"}
    assert not {"REMOTE_USER", "AUTH_TYPE", "GATEWAY_INTERFACE"} & environ.keys()


@pytest.mark.clause("W-ENV-25", "C-15")
def test_the_process_s_environment_has_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environ_from_scope(make_scope()).keys()
    for name in ("SCRIPT_NAME", "HTTP_PROXY", "REMOTE_USER", "HTTPS", "GATEBRIDGE_SECRET"):
        monkeypatch.setitem(os.environ, name, "/from-the-process")
    environ = environ_from_scope(make_scope())
    assert environ.keys() == before
    assert "/from-the-process" not in environ.values()


@pytest.mark.clause("W-ENV-14", "W-STR-01", "W-STR-02", "A-HTTP-35")
def test_every_cgi_value_is_a_native_string_whatever_the_scope_holds() -> None:
    scope = make_scope(
        path="/caf\u00e9/\u4f60",
        raw_path=None,
        root_path="/caf\u00e9",
        query_string=b"\xff",
        server=("b\u00fccher.example", 80),
        client=("f\u00fcnf", 5),
        headers=[(b"host", b"example.com"), (b"x-opaque", bytes(range(0x20, 0x7F)) + b"\x80\xff")],
        extensions={"tls": {"server_cert": "\u4f60", "tls_version": None, "cipher_suite": None}},
        scheme="https",
    )
    environ = environ_from_scope(scope)
    for key, value in environ.items():
        if "." not in key:
            assert type(value) is str, key
            value.encode("latin-1")
    assert environ["SCRIPT_NAME"] == "/caf\xc3\xa9"
    assert environ["PATH_INFO"] == "/\xe4\xbd\xa0"
    assert environ["SERVER_NAME"] == "b\xc3\xbccher.example"
    assert environ["HTTP_X_OPAQUE"].endswith("~\x80\xff")


@pytest.mark.clause("W-ENV-23")
@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({"path": "/a/b", "query_string": b"c=d"}, "http://example.com/a/b?c=d"),
        ({"headers": [], "path": "/a"}, "http://192.0.2.1:8000/a"),
        ({"headers": [], "server": ("::1", 80)}, "http://[::1]/"),
        ({"headers": [], "server": ("::1", 8443), "scheme": "https"}, "https://[::1]:8443/"),
        (
            {"path": "/m/\u00e9", "raw_path": b"/m/%C3%A9", "root_path": "/m"},
            "http://example.com/m/%C3%A9",
        ),
    ],
)
def test_the_url_can_be_rebuilt(changes: dict[str, Any], url: str) -> None:
    assert request_uri(environ_from_scope(make_scope(**changes))) == url


@pytest.mark.clause("A-HTTP-15")
def test_the_keys_of_the_wsgi_compatibility_list() -> None:
    """The list in the ASGI specification, section "WSGI Compatibility", row by row."""
    environ = environ_from_scope(
        make_scope(
            method="POST",
            root_path="/mount",
            path="/mount/x",
            query_string=b"q",
            headers=[
                (b"content-type", b"text/plain"),
                (b"content-length", b"3"),
                (b"x-other", b"1"),
            ],
        )
    )
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/mount",
        "PATH_INFO": "/x",
        "QUERY_STRING": "q",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "8000",
        "REMOTE_HOST": "192.0.2.7",
        "REMOTE_ADDR": "192.0.2.7",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_X_OTHER": "1",
        "wsgi.url_scheme": "http",
    }
    assert {key: environ.get(key) for key in expected} == expected


@pytest.mark.clause("A-CORE-03", "A-CORE-04", "A-CORE-09", "A-CORE-13")
@pytest.mark.parametrize(
    "changes",
    [
        {"asgi": MISSING},
        {"asgi": {"version": "3.0"}},
        {"extensions": None},
        {"extensions": {}},
        {"a_key_of_the_future": object()},
    ],
)
def test_optional_and_additional_keys_make_no_difference(changes: dict[str, Any]) -> None:
    environ = environ_from_scope(make_scope(**changes))
    plain = environ_from_scope(make_scope())
    for key in plain.keys() - {"asgi.scope", "wsgi.input"}:
        assert environ[key] == plain[key]
    assert environ.keys() == plain.keys()


@pytest.mark.clause("C-14", "C-16")
def test_proxy_headers_are_only_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGI_THREADS", "1")
    environ = environ_from_scope(
        make_scope(
            headers=[
                (b"host", b"example.com"),
                (b"x-forwarded-for", b"203.0.113.9"),
                (b"x-forwarded-proto", b"https"),
                (b"x-forwarded-prefix", b"/evil"),
                (b"forwarded", b"for=203.0.113.9;proto=https"),
                (b"script-name", b"/evil"),
            ]
        )
    )
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["wsgi.multithread"] is True
    assert environ["HTTP_X_FORWARDED_PREFIX"] == "/evil"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"path": MISSING}, "path"),
        ({"path": b"/"}, "path"),
        ({"raw_path": "/"}, "raw_path"),
        ({"query_string": "q"}, "query_string"),
        ({"root_path": 5}, "root_path"),
        ({"scheme": b"http"}, "scheme"),
        ({"http_version": 1.1}, "http_version"),
        ({"headers": 5}, "headers"),
        ({"client": (5, 5)}, "client"),
        ({"extensions": 5}, "extensions"),
        ({"extensions": {"tls": 5}}, "extensions"),
        ({"extensions": {"tls": {"client_cert_name": b"x"}}}, "SSL_CLIENT_S_DN"),
        ({"server": ("a", 1, 2)}, "server"),
        ({"client": 5}, "client"),
    ],
)
def test_a_scope_of_wrong_types_is_the_host_s_error(changes: dict[str, Any], field: str) -> None:
    if "path" in changes:
        changes["raw_path"] = b"/"
    with pytest.raises(HostError) as info:
        environ_from_scope(make_scope(**changes))
    assert info.value.field == field


@pytest.mark.clause("H-HDR-09", "D-08")
def test_a_port_may_have_leading_zeros() -> None:
    """RFC 3986 section 3.2.3: a port is any number of digits."""
    scope = make_scope(headers=[(b"host", b"server.example:0000080")], server=None)
    environ = environ_from_scope(scope)
    assert environ["HTTP_HOST"] == "server.example:0000080"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("server.example", "80")


@pytest.mark.clause("H-HDR-09", "D-08", "CGI-11", "H-URI-05")
@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("65535", "65535"),
        ("65536", "443"),
        ("99999", "443"),
        ("0", "443"),
        ("9" * 5000, "443"),
        ("0" * 5000 + "81", "81"),
    ],
)
@pytest.mark.parametrize("host", ["server.example", "[2001:db8::1]"])
def test_a_port_that_no_address_can_have_is_not_taken_over(
    host: str, port: str, expected: str
) -> None:
    """``port`` is ``*DIGIT``, so that such a Host is valid; int() takes 4300 digits at most."""
    headers = [(b"host", f"{host}:{port}".encode())]
    environ = environ_from_scope(make_scope(headers=headers, server=None, scheme="https"))
    assert environ["HTTP_HOST"] == f"{host}:{port}"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (host, expected)


@pytest.mark.clause("H-HDR-09")
@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a/b",
        b"user@a",
        b"a:port",
        b"a:-1",
        b"a:1:2",
        b"[::1",
        b"a?b",
        b"a\\b",
        b"\xc3\xa9.de",
    ],
)
def test_an_invalid_host_is_refused(host: bytes) -> None:
    with pytest.raises(RequestError, match=r"^host: "):
        environ_from_scope(make_scope(headers=[(b"host", host)]))
