"""There and back: what both sides can express survives both translations.

Not expressible on the other side, and therefore not drawn here or brought to a normal form first:

From scope to environ and back

* Repeated headers: an environ has one value for each name, so that they come back joined. With that
  go their order and the case of their names. White space around a value is no part of it.
* Header names with ``_`` and ``Proxy`` (dropped, because they would pose as others), and
  ``Transfer-Encoding`` (the coding is already removed). An empty Content-Type: CGI has it absent.
* ``root_path`` with bytes that are not UTF-8: it is text, and has no raw form. The rest of the path
  has one, and survives whatever its bytes. ``root_path`` also loses slashes at its end, and a
  ``path`` that does not contain it gains it (D-01).
* Surrogates in ``path``: U+FFFD stands for a bad byte on the way back (D-03). A ``#`` or ``?`` in
  ``raw_path``: there the path of a request target ends.
* A ``server`` without port, a unix socket or None: CGI demands a name and a port. They come back as
  the Host header's or as ``localhost``, with the scheme's port (D-08).
* A client's port that is None: it comes back as 0 (D-09).
* Numbers of TLS versions and cipher suites without a name; certificates and texts that are empty.
* Extensions but ``tls``, ``state`` and versions, which are offers of the server and not the
  request's; what WSGI offers of its own accord takes their place.

From environ to scope and back

* ``SCRIPT_NAME`` with bytes that are not UTF-8, for the same reason, or with a slash at its end; an
  empty path without ``SCRIPT_NAME``, which is ``/`` (H-URI-04).
* A ``REQUEST_URI`` that disagrees with the path or the query; one that has scheme, authority or
  fragment; the ``?`` before an empty query.
* ``REMOTE_HOST``, ``REMOTE_USER``, ``AUTH_TYPE`` and keys of servers: a scope has them in
  ``wsgi_environ`` only. A port or an address that is none, a protocol of no known version.
* Lower-case methods, ``HTTP_PROXY``, ``HTTP_TRANSFER_ENCODING``, and ``HTTP_*`` keys that give no
  header name. An empty ``CONTENT_TYPE`` or ``CONTENT_LENGTH`` counts as absent.
* ``SSL_CLIENT_S_DN`` in Apache's legacy form; ``SSL_CLIENT_VERIFY`` that disagrees with there being
  a certificate; other ``SSL_*`` variables than those of A-TLS.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatebridge import environ_from_scope, scope_from_environ
from translate.builders import ABSENT, make_environ
from translate.scopes import MISSING, make_scope

pytestmark = pytest.mark.direction("w2a", "a2w")

# Examples are cheap; a deadline would measure the machine.
many = settings(max_examples=200, deadline=None)


# --- paths ----------------------------------------------------------------------------------------

# A piece of a path is what a client may write and the bytes that it means.
Piece = tuple[bytes, bytes]

_TEXT_PIECES: list[Piece] = [
    *((b"a", b"a"), (b"api", b"api"), (b"%41", b"A"), (b".", b"."), (b"~;=@", b"~;=@")),
    *((b"%C3%A9", "é".encode()), (b"%c3%a9", "é".encode()), ("é".encode(), "é".encode())),
    *((b"%E2%82%AC", "€".encode()), (b"%EF%BF%BD", "\ufffd".encode())),
    *((b"%25", b"%"), (b"%2541", b"%41"), (b"%zz", b"%zz"), (b"+", b"+"), (b"%20", b" ")),
    *((b"%3F", b"?"), (b"%23", b"#"), (b"%00", b"\0"), (b"%0D%0A", b"\r\n"), (b"*", b"*")),
]
_SLASHES: list[Piece] = [(b"/", b"/"), (b"%2F", b"/"), (b"%2f", b"/"), (b"//", b"//")]
_BYTES: list[Piece] = [(b"%%%02X" % n, bytes([n])) for n in range(256)]
_LITERAL_BYTES: list[Piece] = [(bytes([n]), bytes([n])) for n in range(0x80, 0x100)]

text_pieces = st.sampled_from(_TEXT_PIECES)
any_pieces = st.one_of(
    text_pieces,
    st.sampled_from(_SLASHES),
    st.sampled_from(_BYTES),
    st.sampled_from(_LITERAL_BYTES),
)


def joined(*pieces: Piece) -> Piece:
    return b"".join(raw for raw, _ in pieces), b"".join(meant for _, meant in pieces)


# A mount point is text, and has no slash at its end.
roots = st.one_of(
    st.just((b"", b"")),
    st.builds(
        lambda slash, pieces, last: joined(slash, *pieces, last),
        st.sampled_from([(b"/", b"/"), (b"//", b"//")]),
        st.lists(st.one_of(text_pieces, st.sampled_from(_SLASHES)), max_size=4),
        text_pieces,
    ),
)
rests = st.builds(
    lambda slash, pieces: joined(slash, *pieces),
    st.sampled_from(_SLASHES),
    st.lists(any_pieces, max_size=6),
)


@st.composite
def paths(draw: st.DrawFn) -> tuple[Piece, Piece]:
    """Draw a mount point and the rest of the path; not both are empty."""
    root = draw(roots)
    rest = draw(st.one_of(st.just((b"", b"")), rests) if root[0] else rests)
    # A target begins with a slash that is written as one.
    return root, rest if root[0] or rest[0].startswith(b"/") else joined((b"/", b"/"), rest)


@many
@pytest.mark.clause("A-HTTP-04", "A-HTTP-05", "A-HTTP-07", "D-01", "D-02", "D-03", "D-04")
@given(paths(), st.binary(max_size=8))
def test_the_paths_of_a_scope_survive(path: tuple[Piece, Piece], query: bytes) -> None:
    root, rest = path
    raw, meant = joined(root, rest)
    given_paths = {
        "path": meant.decode("utf-8", "replace"),
        "raw_path": raw,
        "root_path": root[1].decode(),
        "query_string": query,
    }
    scope = there_and_back(make_scope(**given_paths))
    assert {key: scope[key] for key in given_paths} == given_paths


@many
@pytest.mark.clause("A-HTTP-04", "A-HTTP-07", "CGI-04", "H-URI-03")
@given(paths(), st.sampled_from([None, MISSING]))
def test_the_path_of_a_scope_survives_without_a_raw_one(
    path: tuple[Piece, Piece], missing: object
) -> None:
    root, rest = path
    text = (root[1] + rest[1]).decode("utf-8", "replace")
    scope = there_and_back(make_scope(path=text, raw_path=missing, root_path=root[1].decode()))
    assert (scope["path"], scope["root_path"]) == (text, root[1].decode())
    assert scope["raw_path"] == quoted(text.encode())


@many
@pytest.mark.clause("W-ENV-02", "W-ENV-03", "C-04", "CGI-04", "D-02", "D-03")
@given(paths(), st.booleans(), st.text(st.characters(max_codepoint=0xFF), max_size=8))
def test_the_paths_of_an_environ_survive(
    path: tuple[Piece, Piece], with_target: bool, query: str
) -> None:
    root, rest = path
    raw, meant = joined(root, rest)
    target = (raw if with_target else quoted(meant)).decode("latin-1")
    target += f"?{query}" if query else ""
    given_paths = {
        "SCRIPT_NAME": root[1].decode("latin-1"),
        "PATH_INFO": rest[1].decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "RAW_URI": target,
    }
    sent = given_paths if with_target else {**given_paths, "REQUEST_URI": ABSENT, "RAW_URI": ABSENT}
    environ = back_and_there(make_environ(**sent))
    assert {key: environ[key] for key in given_paths} == given_paths


@pytest.mark.clause("H-URI-02", "D-05")
def test_the_target_of_options_survives() -> None:
    scope = there_and_back(make_scope(method="OPTIONS", path="*", raw_path=b"*"))
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("*", b"*", "")
    environ = back_and_there(make_environ(REQUEST_METHOD="OPTIONS", PATH_INFO="*"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "*")


def quoted(path: bytes) -> bytes:
    return quote(path, safe="/:@!$&'()*+,;=").encode()


def there_and_back(scope: dict[str, Any]) -> dict[str, Any]:
    return dict(scope_from_environ(environ_from_scope(scope)))


def back_and_there(environ: dict[str, Any]) -> dict[str, Any]:
    return environ_from_scope(scope_from_environ(environ))


# --- headers --------------------------------------------------------------------------------------

_NOT_PLAIN = {b"proxy", b"transfer-encoding", b"content-type", b"content-length", b"host"}
_TOKEN = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyz"  # without _

names = st.one_of(
    st.sampled_from([b"accept", b"cookie", b"x-forwarded-for", b"connection", b"te"]),
    st.sampled_from([b"x-a", b"x--a", b"-", b"x-rare"]),
    st.text(_TOKEN, min_size=1, max_size=6).map(str.encode).filter(lambda n: n not in _NOT_PLAIN),
)
values = st.binary(max_size=10).map(lambda value: value.translate(None, b"\r\n\0"))
hosts = st.sampled_from(
    [b"a.example", b"A.example:8080", b"[2001:db8::1]:443", b"[2001:db8::1]", b"192.0.2.1:81"]
)
lengths = st.integers(0, 2**63 - 1).map(lambda length: b"%d" % length)
media_types = values.map(lambda value: value.strip(b" \t")).filter(bool)


@st.composite
def header_lists(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Draw headers of a scope: any names in any order, repeats where they have a meaning."""
    headers = draw(st.lists(st.tuples(names, values), max_size=6))
    for name, single in (
        (b"host", hosts),
        (b"content-length", lengths),
        (b"content-type", media_types),
    ):
        for value in draw(st.lists(single, max_size=1)):
            headers += [(name, value)] * draw(st.integers(1, 2))
    return draw(st.permutations(headers))


def combined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return one value for each name: RFC 9110 section 5.3, RFC 9113 section 8.2.3."""
    lines: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lines.setdefault(name, []).append(value.strip(b" \t"))
    single = {b"host", b"content-length", b"content-type"}
    return {
        name: each[0] if name in single else (b"; " if name == b"cookie" else b",").join(each)
        for name, each in lines.items()
    }


@many
@pytest.mark.clause("A-HTTP-08", "A-HTTP-34", "H-HDR-05", "H-HDR-04", "CGI-14", "D-10")
@given(header_lists())
def test_the_headers_of_a_scope_survive(headers: list[tuple[bytes, bytes]]) -> None:
    back = there_and_back(make_scope(headers=headers))["headers"]
    expected = {name: value.strip(b" \t") for name, value in combined(headers).items()}
    assert len(back) == len(expected)
    assert dict(back) == expected


@many
@pytest.mark.clause("W-ENV-09", "W-ENV-05", "W-ENV-06", "CGI-14", "H-HDR-05")
@given(header_lists())
def test_the_headers_of_an_environ_survive(headers: list[tuple[bytes, bytes]]) -> None:
    variables = {
        key_of(name): value.strip(b" \t").decode("latin-1")
        for name, value in combined(headers).items()
    }
    back = back_and_there(make_environ(**variables))
    kept = {key: back[key] for key in back if key[:5] == "HTTP_" or key[:8] == "CONTENT_"}
    assert kept == variables


def key_of(name: bytes) -> str:
    key = name.decode().upper().replace("-", "_")
    return key if name in (b"content-length", b"content-type") else f"HTTP_{key}"


# --- request line, connection ---------------------------------------------------------------------

methods = st.sampled_from(["GET", "POST", "M-SEARCH", "OPTIONS", "X!"])
versions = st.sampled_from(
    [("1.0", "HTTP/1.0"), ("1.1", "HTTP/1.1"), ("2", "HTTP/2.0"), ("3", "HTTP/3.0")]
)
schemes = st.sampled_from(["http", "https"])
ports = st.integers(0, 65535)
addresses = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["fe80::1%eth0", "testclient", "höst.example"])
)
clients = st.one_of(st.none(), st.tuples(addresses, ports))
servers = st.tuples(addresses, ports)
incomplete_servers = st.one_of(
    st.none(), st.just(("/run/web.sock", None)), st.tuples(addresses, st.none())
)


def native(text: str) -> str:
    return text.encode().decode("latin-1")


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@many
@pytest.mark.clause("A-HTTP-01", "A-HTTP-02", "A-HTTP-03", "A-HTTP-11", "A-HTTP-12", "CGI-10")
@pytest.mark.clause("D-07", "D-08", "D-09")
@given(methods, versions, schemes, clients, servers, st.lists(hosts, max_size=1))
def test_the_connection_of_a_scope_survives(
    method: str,
    version: tuple[str, str],
    scheme: str,
    client: tuple[str, int] | None,
    server: tuple[str, int],
    host: list[bytes],
) -> None:
    connection = {
        "method": method,
        "http_version": version[0],
        "scheme": scheme,
        "client": client,
        "server": server,
    }
    headers = [(b"host", value) for value in host]
    scope = there_and_back(make_scope(**connection, headers=headers))
    assert {key: scope[key] for key in connection} == connection
    assert scope["type"] == "http"


@many
@pytest.mark.clause("W-ENV-07", "A-HTTP-12", "D-08")
@given(incomplete_servers, schemes, st.sampled_from([None, b"a.example", b"[2001:db8::1]:81"]))
def test_an_incomplete_server_becomes_the_named_one(
    server: tuple[str, None] | None, scheme: str, host: bytes | None
) -> None:
    default = 443 if scheme == "https" else 80
    named = {
        None: ("localhost", default),
        b"a.example": ("a.example", default),
        b"[2001:db8::1]:81": ("2001:db8::1", 81),
    }
    headers = [] if host is None else [(b"host", host)]
    scope = there_and_back(make_scope(server=server, scheme=scheme, headers=headers))
    assert scope["server"] == named[host]


@many
@pytest.mark.clause("W-ENV-01", "W-ENV-07", "W-ENV-08", "W-ENV-16", "CGI-06", "CGI-10", "CGI-11")
@pytest.mark.clause("C-03", "W-STR-01")
@given(methods, versions, schemes, clients, servers)
def test_the_connection_of_an_environ_survives(
    method: str,
    version: tuple[str, str],
    scheme: str,
    client: tuple[str, int] | None,
    server: tuple[str, int],
) -> None:
    connection = {
        "REQUEST_METHOD": method,
        "SERVER_PROTOCOL": version[1],
        "SERVER_NAME": native(bracketed(server[0])),
        "SERVER_PORT": str(server[1]),
        "wsgi.url_scheme": scheme,
    }
    if client:
        connection["REMOTE_ADDR"] = connection["REMOTE_HOST"] = native(client[0])
        connection |= {"REMOTE_PORT": str(client[1])} if client[1] else {}
    if scheme == "https":
        connection["HTTPS"] = "on"
    environ = back_and_there(make_environ(**connection))
    of_connection = ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTPS")
    kept = {key: environ[key] for key in of_connection if key in environ}
    kept |= {key: value for key, value in environ.items() if key.startswith("REMOTE_")}
    assert {**kept, "wsgi.url_scheme": environ["wsgi.url_scheme"]} == connection


# --- TLS ------------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=8)
optional_texts = st.one_of(st.none(), texts)
subjects = st.one_of(st.none(), texts.filter(lambda name: not name.startswith("/")))
protocols = [
    (None, None),
    (0x301, "TLSv1"),
    (0x302, "TLSv1.1"),
    (0x303, "TLSv1.2"),
    (0x304, "TLSv1.3"),
]
suites = [
    *((None, None), (0x1301, "TLS_AES_128_GCM_SHA256"), (0x1302, "TLS_AES_256_GCM_SHA384")),
    *((0xC02F, "ECDHE-RSA-AES128-GCM-SHA256"), (0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384")),
]
tls_data = st.tuples(
    st.sampled_from(protocols),
    st.sampled_from(suites),
    optional_texts,
    st.lists(texts, max_size=3),
    subjects,
    optional_texts,
)


@many
@pytest.mark.clause("A-TLS-01", "A-TLS-02", "A-TLS-03", "A-TLS-04", "A-TLS-05", "A-TLS-06")
@pytest.mark.clause("A-TLS-07", "C-11", "D-16")
@given(tls_data)
def test_the_tls_data_of_a_scope_survive(data: Any) -> None:
    version, suite, server_cert, chain, name, error = data
    tls = {
        "server_cert": server_cert,
        "client_cert_chain": chain,
        "client_cert_name": name,
        "client_cert_error": error,
        "tls_version": version[0],
        "cipher_suite": suite[0],
    }
    back = there_and_back(make_scope(scheme="https", extensions={"tls": tls}))["extensions"]["tls"]
    assert {**back, "client_cert_chain": list(back["client_cert_chain"])} == tls


@many
@pytest.mark.clause("A-TLS-01", "A-TLS-02", "A-TLS-03", "A-TLS-04", "A-TLS-05", "A-TLS-06")
@pytest.mark.clause("A-TLS-07", "C-11", "D-16", "W-STR-01")
@given(tls_data)
def test_the_tls_data_of_an_environ_survive(data: Any) -> None:
    version, suite, server_cert, chain, name, error = data
    given_texts = {
        "SSL_PROTOCOL": version[1],
        "SSL_CIPHER": suite[1],
        "SSL_SERVER_CERT": server_cert,
        "SSL_CLIENT_S_DN": name,
        "SSL_CLIENT_VERIFY": (
            f"FAILED:{error}" if error else "SUCCESS" if chain or name else "NONE"
        ),
    }
    for n, certificate in enumerate(chain):
        given_texts[f"SSL_CLIENT_CERT_CHAIN_{n - 1}" if n else "SSL_CLIENT_CERT"] = certificate
    variables = {key: native(text) for key, text in given_texts.items() if text is not None}
    environ = back_and_there(make_environ(**{"wsgi.url_scheme": "https"}, **variables))
    assert {key: value for key, value in environ.items() if key[:4] == "SSL_"} == variables
