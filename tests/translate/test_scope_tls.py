"""environ to scope: ``SSL_*`` variables to the ``tls`` extension."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from gatebridge import scope_from_environ
from translate.builders import ABSENT, make_environ

pytestmark = pytest.mark.direction("a2w")


def pem(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def tls_of(**changes: Any) -> dict[str, Any] | None:
    """Return the ``tls`` extension for an environ, by default with scheme https."""
    environ = make_environ(**{"wsgi.url_scheme": "https", **changes})
    extensions: dict[str, Any] = dict(scope_from_environ(environ)["extensions"] or {})
    return extensions.get("tls")


def known_tls_of(**changes: Any) -> dict[str, Any]:
    tls = tls_of(**changes)
    assert tls is not None
    return tls


# --- presence -------------------------------------------------------------------------------------


@pytest.mark.clause("A-TLS-01", "A-CORE-13", "C-11", "D-16")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"HTTPS": "on"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"SSL_SOMETHING_ELSE": "x"},
        {"HTTP_SSL_PROTOCOL": "TLSv1.3"},
    ],
)
def test_the_scheme_alone_is_no_evidence_of_tls(changes: dict[str, str]) -> None:
    assert tls_of(**changes) is None


@pytest.mark.clause("A-TLS-01", "C-11", "D-16")
@pytest.mark.parametrize("changes", [{}, {"HTTPS": "on"}])
def test_variables_alone_are_no_evidence_of_tls(changes: dict[str, str]) -> None:
    plain = {"wsgi.url_scheme": "http", "SSL_PROTOCOL": "TLSv1.3", "SSL_SERVER_CERT": pem("s")}
    assert tls_of(**plain, **changes) is None


@pytest.mark.clause("A-TLS-01", "C-11", "D-16")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("SSL_CIPHER", "TLS_AES_128_GCM_SHA256"),
        ("SSL_SERVER_CERT", "pem"),
        ("SSL_CLIENT_CERT", "pem"),
        ("SSL_CLIENT_CERT_CHAIN_0", "pem"),
        ("SSL_CLIENT_S_DN", "CN=ada"),
        ("SSL_CLIENT_VERIFY", "NONE"),
    ],
)
def test_any_variable_under_https_is_evidence_of_tls(key: str, value: str) -> None:
    assert tls_of(**{key: value}) is not None


@pytest.mark.clause("A-TLS-01", "C-11", "D-16")
def test_https_stands_in_for_the_scheme() -> None:
    changes = {"wsgi.url_scheme": ABSENT, "HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3"}
    assert known_tls_of(**changes)["tls_version"] == 0x0304


@pytest.mark.clause("A-TLS-01", "A-TLS-02", "A-TLS-06", "A-TLS-07")
def test_the_three_mandatory_keys_are_none_where_unknown() -> None:
    tls = known_tls_of(SSL_CLIENT_VERIFY="NONE")
    mandatory = {"server_cert", "tls_version", "cipher_suite"}
    assert {key: tls.get(key, "missing") for key in mandatory} == dict.fromkeys(mandatory)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.clause("A-TLS-02")
def test_the_servers_certificate_passes() -> None:
    assert known_tls_of(SSL_SERVER_CERT=pem("s"))["server_cert"] == pem("s")


@pytest.mark.clause("A-TLS-03")
@pytest.mark.parametrize(
    ("certificates", "chain"),
    [
        ({}, []),
        ({"SSL_CLIENT_CERT": pem("c")}, [pem("c")]),
        ({"SSL_CLIENT_CERT": pem("c"), "SSL_CLIENT_CERT_CHAIN_0": pem("i")}, [pem("c"), pem("i")]),
        (
            {
                "SSL_CLIENT_CERT_CHAIN_1": pem("j"),
                "SSL_CLIENT_CERT_CHAIN_0": pem("i"),
                "SSL_CLIENT_CERT": pem("c"),
            },
            [pem("c"), pem("i"), pem("j")],
        ),
    ],
)
def test_the_chain_begins_with_the_clients_certificate(
    certificates: dict[str, str], chain: list[str]
) -> None:
    tls = known_tls_of(SSL_PROTOCOL="TLSv1.3", **certificates)
    assert list(tls.get("client_cert_chain", ())) == chain


@pytest.mark.clause("A-TLS-03")
def test_a_chain_of_more_than_nine_keeps_its_order() -> None:
    """Ordered by number: CHAIN_10 is not next to CHAIN_1."""
    chain = [pem(f"n{n}") for n in range(12)]
    keys = ["SSL_CLIENT_CERT", *(f"SSL_CLIENT_CERT_CHAIN_{n}" for n in range(11))]
    assert known_tls_of(**dict(zip(keys, chain, strict=True)))["client_cert_chain"] == chain


@pytest.mark.clause("A-TLS-04", "A-HTTP-35", "W-STR-01")
@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=ada,O=Example,C=GB", "CN=ada,O=Example,C=GB"),
        ("CN=J\xc3\xbcrgen", "CN=Jürgen"),
        ("/C=GB/O=Example/CN=ada", None),  # Apache's legacy form
        (ABSENT, None),
    ],
)
def test_the_clients_name_is_the_subject_in_rfc_4514_form(subject: object, name: str) -> None:
    tls = known_tls_of(SSL_PROTOCOL="TLSv1.3", SSL_CLIENT_S_DN=subject)
    assert tls.get("client_cert_name") == name


@pytest.mark.clause("A-TLS-05")
@pytest.mark.parametrize(
    ("verify", "error"),
    [
        *((ABSENT, None), ("NONE", None), ("SUCCESS", None)),
        ("FAILED:certificate has expired", "certificate has expired"),
        ("FAILED:a: b", "a: b"),
    ],
)
def test_the_clients_certificate_has_an_error_if_verification_failed(
    verify: object, error: str | None
) -> None:
    tls = known_tls_of(SSL_PROTOCOL="TLSv1.3", SSL_CLIENT_VERIFY=verify)
    assert tls.get("client_cert_error") == error


@pytest.mark.clause("A-TLS-06")
@pytest.mark.parametrize(
    ("protocol", "number"),
    [
        *(("TLSv1", 0x0301), ("TLSv1.1", 0x0302), ("TLSv1.2", 0x0303), ("TLSv1.3", 0x0304)),
        *(("SSLv3", None), ("TLSv9", None), ("", None), (ABSENT, None)),
    ],
)
def test_the_protocols_number_is_known_or_none(protocol: object, number: int | None) -> None:
    tls = known_tls_of(SSL_SERVER_CERT=pem("s"), SSL_PROTOCOL=protocol)
    assert tls["tls_version"] == number


# The numbers of IANA's registry "TLS Cipher Suites", under the names of OpenSSL.
_SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F,
    "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
}


@pytest.mark.clause("A-TLS-07")
@pytest.mark.parametrize(("name", "number"), _SUITES.items())
def test_the_cipher_suites_number_is_that_of_its_openssl_name(name: str, number: int) -> None:
    tls = known_tls_of(SSL_CIPHER=name)
    assert tls["cipher_suite"] == number


@pytest.mark.clause("A-TLS-07")
def test_every_suite_that_a_connection_may_have_is_known() -> None:
    ciphers = ssl.create_default_context().get_ciphers()
    numbers = {c["name"]: known_tls_of(SSL_CIPHER=c["name"])["cipher_suite"] for c in ciphers}
    # OpenSSL's own number has 32 bits; the protocol's are the lower 16.
    assert numbers == {cipher["name"]: cipher["id"] & 0xFFFF for cipher in ciphers}


@pytest.mark.clause("A-TLS-07")
@pytest.mark.parametrize("name", [ABSENT, "", "NULL", "TLS_NO_SUCH_SUITE"])
def test_an_unknown_cipher_suite_is_none(name: object) -> None:
    assert known_tls_of(SSL_PROTOCOL="TLSv1.3", SSL_CIPHER=name)["cipher_suite"] is None
