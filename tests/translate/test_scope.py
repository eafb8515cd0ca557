"""environ to scope: everything but paths, headers and TLS data, which have files of their own."""

from __future__ import annotations

import copy
from typing import Any
from wsgiref.util import request_uri

import pytest

from gatebridge import scope_from_environ
from gatebridge.errors import HostError
from translate.builders import ABSENT, make_environ

pytestmark = pytest.mark.direction("a2w")


def scope_of(**changes: Any) -> dict[str, Any]:
    return dict(scope_from_environ(make_environ(**changes)))


def scheme(value: object) -> dict[str, object]:
    return {"wsgi.url_scheme": value}


# --- the scope as a whole -------------------------------------------------------------------------


@pytest.mark.clause("A-CORE-02")
def test_the_scope_is_a_builtin_dict_of_type_http() -> None:
    scope = scope_from_environ(make_environ())
    assert type(scope) is dict
    assert scope["type"] == "http"


@pytest.mark.clause("A-CORE-02")
def test_every_request_gets_a_scope_of_its_own() -> None:
    """A change to what one call returned, at any depth, does not show in the next."""
    environ = make_environ(HTTP_HOST="server.example")
    spoiled: Any = scope_from_environ(environ)
    expected = copy.deepcopy({k: v for k, v in spoiled.items() if k != "wsgi_environ"})
    spoiled["asgi"]["version"] = "2.0"
    spoiled["extensions"]["spoiled"] = {}
    spoiled["headers"].clear()
    fresh = dict(scope_from_environ(environ))
    del fresh["wsgi_environ"]
    assert fresh == expected


@pytest.mark.clause("A-CORE-02", "W-ENV-22")
def test_the_scope_has_the_keys_of_the_specification_and_one_more() -> None:
    """``state`` belongs to a lifespan, of which the translation knows nothing."""
    assert set(scope_from_environ(make_environ())) == {
        *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "root_path"),
        *("query_string", "headers", "client", "server", "extensions", "wsgi_environ"),
    }


@pytest.mark.clause("W-ENV-22", "C-06")
def test_the_environ_is_not_changed() -> None:
    environ = make_environ(HTTP_X_ONE=" 1 ", CONTENT_LENGTH="5, 5", REQUEST_METHOD="get")
    before = dict(environ)
    scope_from_environ(environ)
    assert environ == before


@pytest.mark.clause("C-06", "D-18")
def test_wsgi_environ_is_the_very_environ() -> None:
    environ = make_environ()
    assert scope_from_environ(environ)["wsgi_environ"] is environ


@pytest.mark.clause("CGI-08")
def test_the_servers_authentication_is_reached_through_wsgi_environ_only() -> None:
    authenticated = scope_of(REMOTE_USER="ada", AUTH_TYPE="Basic")
    environ = authenticated.pop("wsgi_environ")
    assert (environ["REMOTE_USER"], environ["AUTH_TYPE"]) == ("ada", "Basic")
    anonymous = scope_of()
    del anonymous["wsgi_environ"]
    assert authenticated == anonymous


@pytest.mark.clause("A-CORE-03", "A-CORE-04", "D-47")
def test_the_versions_are_those_that_the_adapter_keeps_to() -> None:
    assert scope_of()["asgi"] == {"version": "3.0", "spec_version": "2.5"}


@pytest.mark.clause("C-14")
def test_proxy_headers_change_nothing_but_headers() -> None:
    plain = scope_of()
    proxied = scope_of(
        HTTP_FORWARDED='for="[2001:db8::1]";host=other.example;proto=https',
        HTTP_X_FORWARDED_FOR="203.0.113.9",
        HTTP_X_FORWARDED_HOST="other.example",
        HTTP_X_FORWARDED_PORT="443",
        HTTP_X_FORWARDED_PREFIX="/prefix",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_REAL_IP="203.0.113.9",
        HTTP_X_SCHEME="https",
        HTTP_X_SCRIPT_NAME="/prefix",
        HTTP_SCRIPT_NAME="/prefix",
    )
    names = {name for name, _ in proxied.pop("headers")}
    assert {b"forwarded", b"x-forwarded-proto", b"script-name"} <= names
    assert plain.pop("headers") == []
    del plain["wsgi_environ"], proxied["wsgi_environ"]
    assert proxied == plain


@pytest.mark.clause("C-15")
def test_the_processs_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dict.fromkeys(
        ("SCRIPT_NAME", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"), ABSENT
    )
    missing["wsgi.url_scheme"] = ABSENT
    before = scope_of(**missing)
    process = {
        "SCRIPT_NAME": "/process",
        "QUERY_STRING": "process",
        "REQUEST_URI": "/%2F",
        "SERVER_NAME": "process",
        "SERVER_PORT": "1",
        "SERVER_PROTOCOL": "HTTP/2",
        "HTTPS": "on",
        "wsgi.url_scheme": "https",
        "SSL_PROTOCOL": "TLSv1.3",
        "REMOTE_ADDR": "203.0.113.9",
        "REMOTE_PORT": "1",
        "HTTP_PROXY": "http://process",
        "CONTENT_TYPE": "text/process",
        "CONTENT_LENGTH": "5",
    }
    for name, value in process.items():
        monkeypatch.setenv(name, value)
    after = scope_of(**missing)
    del before["wsgi_environ"], after["wsgi_environ"]
    assert after == before


# --- method, version, scheme, query ---------------------------------------------------------------


@pytest.mark.clause("W-ENV-01", "A-HTTP-02")
@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", "GET"), ("get", "GET"), ("Patch", "PATCH"), ("M-SEARCH", "M-SEARCH")],
)
def test_the_method_is_upper_case(method: str, expected: str) -> None:
    assert scope_of(REQUEST_METHOD=method)["method"] == expected


@pytest.mark.clause("W-ENV-01")
@pytest.mark.parametrize("method", [ABSENT, "", None, b"GET"])
def test_an_environ_without_method_is_the_hosts_error(method: object) -> None:
    with pytest.raises(HostError) as caught:
        scope_of(REQUEST_METHOD=method)
    assert caught.value.field == "REQUEST_METHOD"


@pytest.mark.clause("W-ENV-08", "CGI-12", "A-HTTP-01", "C-19", "D-07")
@pytest.mark.parametrize(
    ("protocol", "version"),
    [
        ("HTTP/1.0", "1.0"),
        ("HTTP/1.1", "1.1"),
        ("HTTP/2", "2"),
        ("HTTP/2.0", "2"),
        ("HTTP/3", "3"),
        ("HTTP/3.0", "3"),
        ("http/1.1", "1.1"),
        ("Http/2", "2"),
    ],
)
def test_the_version_is_that_of_the_protocol_in_any_case(protocol: str, version: str) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol)["http_version"] == version


@pytest.mark.clause("W-ENV-08", "A-HTTP-01", "D-07")
@pytest.mark.parametrize(
    "protocol", [ABSENT, None, "", "HTTP/0.9", "INCLUDED", "1.1", "HTTP", "HTTP/", "SPDY/3"]
)
def test_no_known_version_counts_as_the_oldest(protocol: object) -> None:
    assert scope_of(SERVER_PROTOCOL=protocol)["http_version"] == "1.0"


@pytest.mark.clause("W-ENV-16", "A-HTTP-03")
@pytest.mark.parametrize(
    ("given", "expected"), [("http", "http"), ("https", "https"), ("HTTPS", "https")]
)
def test_the_scheme_is_that_of_the_url_in_lower_case(given: str, expected: str) -> None:
    assert scope_of(**scheme(given))["scheme"] == expected


@pytest.mark.clause("W-ENV-16", "A-HTTP-03", "C-11")
@pytest.mark.parametrize("missing", [ABSENT, ""])
@pytest.mark.parametrize(
    ("https", "expected"),
    [
        *(("on", "https"), ("1", "https"), ("yes", "https")),
        *((ABSENT, "http"), ("", "http"), ("off", "http"), ("0", "http"), ("no", "http")),
    ],
)
def test_https_stands_in_for_no_scheme(missing: object, https: object, expected: str) -> None:
    assert scope_of(HTTPS=https, **scheme(missing))["scheme"] == expected


@pytest.mark.clause("C-11")
@pytest.mark.parametrize(("given", "https"), [("http", "on"), ("https", ABSENT), ("https", "off")])
def test_the_scheme_decides_against_https(given: str, https: object) -> None:
    assert scope_of(HTTPS=https, **scheme(given))["scheme"] == given


@pytest.mark.clause("W-ENV-04", "CGI-05", "A-HTTP-06", "A-HTTP-35", "D-06", "H-URI-03")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&b=%2541+%C3%A9", b"a=1&b=%2541+%C3%A9"),
        ("?", b"?"),
        ("q=\xff\xc3\xa9", b"q=\xff\xc3\xa9"),
    ],
)
def test_the_query_string_keeps_every_byte(query: str, expected: bytes) -> None:
    assert scope_of(QUERY_STRING=query)["query_string"] == expected


@pytest.mark.clause("W-ENV-04", "A-HTTP-06")
@pytest.mark.parametrize("query", [ABSENT, ""])
def test_no_query_string_is_an_empty_one(query: object) -> None:
    assert scope_of(QUERY_STRING=query)["query_string"] == b""


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.clause("CGI-10", "CGI-11", "W-ENV-07", "A-HTTP-12", "D-08")
@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("server.example", "80", ("server.example", 80)),
        ("192.0.2.1", "8080", ("192.0.2.1", 8080)),
        ("[2001:db8::1]", "443", ("2001:db8::1", 443)),
        ("2001:db8::1", "443", ("2001:db8::1", 443)),
        ("server.example", "0", ("server.example", 0)),
        ("server.example", "65535", ("server.example", 65535)),
    ],
)
def test_the_server_is_name_and_port_without_brackets(
    name: str, port: str, expected: tuple[str, int]
) -> None:
    server = scope_of(SERVER_NAME=name, SERVER_PORT=port)["server"]
    assert server == expected
    assert [type(part) for part in server] == [str, int]


@pytest.mark.clause("W-ENV-07", "A-HTTP-12", "C-17", "D-08")
@pytest.mark.parametrize("port", [ABSENT, "", "http", "-1", "+80", "8_0", "65536", "/run/w.sock"])
def test_a_server_port_that_is_no_port_is_none(port: object) -> None:
    assert scope_of(SERVER_PORT=port)["server"] == ("server.example", None)


@pytest.mark.clause("A-HTTP-12", "D-08")
@pytest.mark.parametrize("port", ["", "80", "/run/web.sock"])
def test_a_unix_socket_is_a_path_without_port(port: str) -> None:
    server = scope_of(SERVER_NAME="/run/web.sock", SERVER_PORT=port)["server"]
    assert server == ("/run/web.sock", None)


@pytest.mark.clause("W-ENV-07", "A-HTTP-12", "D-08")
@pytest.mark.parametrize("name", [ABSENT, ""])
def test_no_server_name_is_no_server(name: object) -> None:
    assert scope_of(SERVER_NAME=name, HTTP_HOST="other.example:81")["server"] is None


@pytest.mark.clause("CGI-06", "A-HTTP-11", "C-03", "D-09")
@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("192.0.2.7", "50000", ("192.0.2.7", 50000)),
        ("2001:db8::7", "50000", ("2001:db8::7", 50000)),
        ("[2001:db8::7]", "50000", ("2001:db8::7", 50000)),
        ("fe80::7%eth0", "50000", ("fe80::7%eth0", 50000)),
        ("192.0.2.7", 50000, ("192.0.2.7", 50000)),
    ],
)
def test_the_client_is_address_and_port_without_brackets(
    address: str, port: object, expected: tuple[str, int]
) -> None:
    client = scope_of(REMOTE_ADDR=address, REMOTE_PORT=port)["client"]
    assert client == expected
    assert [type(part) for part in client] == [str, int]


@pytest.mark.clause("CGI-06", "A-HTTP-11", "C-17", "D-09")
@pytest.mark.parametrize("address", [ABSENT, ""])
def test_no_address_is_no_client(address: object) -> None:
    changes = {"REMOTE_HOST": "client.example", "REMOTE_PORT": "50000"}
    assert scope_of(REMOTE_ADDR=address, **changes)["client"] is None


@pytest.mark.clause("A-HTTP-11", "C-03", "C-17", "D-09")
@pytest.mark.parametrize("port", [ABSENT, None, "", "0", 0, "-1", "http", "65536"])
def test_an_unknown_client_port_is_zero(port: object) -> None:
    assert scope_of(REMOTE_ADDR="192.0.2.7", REMOTE_PORT=port)["client"] == ("192.0.2.7", 0)


# --- native strings -------------------------------------------------------------------------------


@pytest.mark.clause("W-STR-03")
@pytest.mark.parametrize(
    "key",
    [
        *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI"),
        *("SERVER_NAME", "REMOTE_ADDR", "wsgi.url_scheme"),
        *("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_X_RARE"),
    ],
)
def test_a_value_beyond_latin_1_is_the_hosts_error(key: str) -> None:
    with pytest.raises(HostError) as caught:
        scope_of(**{key: "/\u0100"})
    assert caught.value.field == key


@pytest.mark.clause("W-STR-03")
@pytest.mark.parametrize(
    "key",
    [
        *("SSL_PROTOCOL", "SSL_CIPHER", "SSL_SERVER_CERT", "SSL_CLIENT_CERT"),
        *("SSL_CLIENT_S_DN", "SSL_CLIENT_VERIFY"),
    ],
)
def test_a_tls_value_beyond_latin_1_is_the_hosts_error(key: str) -> None:
    with pytest.raises(HostError) as caught:
        scope_of(**scheme("https"), **{key: "\u0100"})
    assert caught.value.field == key


@pytest.mark.clause("W-STR-01", "A-HTTP-35")
def test_text_is_utf_8_and_bytes_are_latin_1() -> None:
    """The same native string is text in one key of the scope and bytes in another."""
    native = "/caf\xc3\xa9"
    scope = scope_of(PATH_INFO=native, QUERY_STRING=native, HTTP_X_PATH=native)
    assert scope["path"] == "/café"
    assert scope["query_string"] == b"/caf\xc3\xa9"
    assert scope["headers"] == [(b"x-path", b"/caf\xc3\xa9")]


# --- extensions -----------------------------------------------------------------------------------


@pytest.mark.clause("A-CORE-13", "A-EXT-09", "A-EXT-10", "D-37", "D-38", "D-39", "D-40")
@pytest.mark.parametrize("early_hints", [ABSENT, None, False, "no callable"])
def test_nothing_is_offered_unasked(early_hints: object) -> None:
    """Nor are files by their paths, which middleware that does not know them would drop."""
    extensions = scope_of(**{"wsgi.early_hints": early_hints})["extensions"]
    assert extensions == {}


@pytest.mark.clause("A-CORE-13", "D-37")
def test_early_hints_are_offered_where_the_host_sends_them() -> None:
    extensions = scope_of(**{"wsgi.early_hints": lambda headers: None})["extensions"]
    assert extensions == {"http.response.early_hint": {}}


# --- the URL --------------------------------------------------------------------------------------


@pytest.mark.clause("W-ENV-23")
@pytest.mark.parametrize(
    ("url", "changes"),
    [
        (
            "http://server.example/a%20b/c?d=%C3%A9",
            {"SCRIPT_NAME": "/a b", "PATH_INFO": "/c", "QUERY_STRING": "d=%C3%A9"},
        ),
        ("http://named.example:81/", {"HTTP_HOST": "named.example:81"}),
        (
            "https://[2001:db8::1]:8443/caf%C3%A9",
            {
                "PATH_INFO": "/caf\xc3\xa9",
                "SERVER_NAME": "[2001:db8::1]",
                "SERVER_PORT": "8443",
                "wsgi.url_scheme": "https",
            },
        ),
        ("http://[2001:db8::1]/", {"HTTP_HOST": "[2001:db8::1]", "SERVER_NAME": "10.0.0.1"}),
        ("https://server.example/", {"SERVER_PORT": "443", "wsgi.url_scheme": "https"}),
    ],
)
def test_the_url_of_the_scope_is_that_of_the_environ(url: str, changes: dict[str, str]) -> None:
    assert request_uri(make_environ(**changes)) == url  # what PEP 3333 says that it means
    assert url_of(scope_of(**changes)) == url


def url_of(scope: dict[str, Any]) -> str:
    """Return the URL of a request, as an ASGI application can tell it."""
    name, port = scope["server"]
    host = f"[{name}]" if ":" in name else name
    if port != {"http": 80, "https": 443}[scope["scheme"]]:
        host += f":{port}"
    for header, value in scope["headers"]:
        if header == b"host":
            host = value.decode()
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return f"{scope['scheme']}://{host}{(scope['raw_path'] + query).decode()}"
