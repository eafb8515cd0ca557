"""`environ_from_scope`: the ``tls`` extension as ``SSL_*`` variables."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from gatebridge import environ_from_scope
from translate.scopes import make_scope

pytestmark = pytest.mark.direction("w2a")

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def ssl_variables(**tls: Any) -> dict[str, str]:
    tls = {"server_cert": None, "tls_version": None, "cipher_suite": None, **tls}
    environ = environ_from_scope(make_scope(scheme="https", extensions={"tls": tls}))
    return {key[4:]: value for key, value in environ.items() if key.startswith("SSL_")}


@pytest.mark.clause("A-TLS-01", "D-16")
@pytest.mark.parametrize("extensions", [None, {}, {"http.response.push": {}}])
def test_without_the_extension_there_are_no_variables(extensions: Any) -> None:
    environ = environ_from_scope(make_scope(scheme="https", extensions=extensions))
    assert environ["HTTPS"] == "on"
    assert not [key for key in environ if key.startswith("SSL_")]


@pytest.mark.clause("A-TLS-06", "W-ENV-11")
@pytest.mark.parametrize(
    ("number", "name"),
    [(0x0301, "TLSv1"), (0x0302, "TLSv1.1"), (0x0303, "TLSv1.2"), (0x0304, "TLSv1.3")],
)
def test_protocol_version(number: int, name: str) -> None:
    assert ssl_variables(tls_version=number)["PROTOCOL"] == name


@pytest.mark.clause("A-TLS-06", "A-TLS-07", "W-ENV-13")
@pytest.mark.parametrize("number", [None, 0x0300, 0x7FFF])
def test_unknown_numbers_are_left_out(number: int | None) -> None:
    assert ssl_variables(tls_version=number, cipher_suite=number) == {"CLIENT_VERIFY": "NONE"}


@pytest.mark.clause("A-TLS-07")
@pytest.mark.parametrize(
    ("number", "name"),
    [(0x1301, "TLS_AES_128_GCM_SHA256"), (0xC02F, "ECDHE-RSA-AES128-GCM-SHA256")],
)
def test_cipher_suite_has_openssl_s_name(number: int, name: str) -> None:
    known = {cipher["name"] for cipher in ssl.create_default_context().get_ciphers()}
    if name not in known:
        pytest.skip(f"this OpenSSL has no {name}")
    assert ssl_variables(cipher_suite=number)["CIPHER"] == name


@pytest.mark.clause("A-TLS-02")
def test_server_certificate() -> None:
    assert ssl_variables(server_cert=PEM)["SERVER_CERT"] == PEM


@pytest.mark.clause("A-TLS-03")
def test_client_certificates() -> None:
    found = ssl_variables(client_cert_chain=(pem for pem in (PEM, "1", "2")))
    assert found["CLIENT_CERT"] == PEM
    assert found["CLIENT_CERT_CHAIN_0"] == "1"
    assert found["CLIENT_CERT_CHAIN_1"] == "2"
    assert "CLIENT_CERT_CHAIN_2" not in found
    assert not ssl_variables(client_cert_chain=[]).keys() & {"CLIENT_CERT", "CLIENT_CERT_CHAIN_0"}


@pytest.mark.clause("A-TLS-04", "W-STR-01")
def test_client_name_is_a_native_string() -> None:
    found = ssl_variables(client_cert_name="CN=J\u00f6rg,O=Example")
    assert found["CLIENT_S_DN"] == "CN=J\xc3\xb6rg,O=Example"


@pytest.mark.clause("A-TLS-05")
@pytest.mark.parametrize(
    ("tls", "verified"),
    [
        ({}, "NONE"),
        ({"client_cert_chain": [PEM]}, "SUCCESS"),
        ({"client_cert_name": "CN=a"}, "SUCCESS"),
        ({"client_cert_chain": [PEM], "client_cert_error": "expired"}, "FAILED:expired"),
        ({"client_cert_error": "expired"}, "FAILED:expired"),
    ],
)
def test_verification(tls: dict[str, Any], verified: str) -> None:
    assert ssl_variables(**tls)["CLIENT_VERIFY"] == verified
