"""TLS data of the connection: ASGI's ``tls`` extension to Apache's ``SSL_*`` variables and back.

Source: ASGI TLS extension 0.2; PEP 3333 "environ Variables"; the variables of Apache's mod_ssl.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gatebridge._translate.text import native_from_text, text_from_native
from gatebridge.types import TLSExtension, WSGIEnvironment

_TLS_VERSIONS = {0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
_TLS_NUMBERS = {name: number for number, name in _TLS_VERSIONS.items()}

_CHAIN_PREFIX = "SSL_CLIENT_CERT_CHAIN_"
_VARIABLES = (
    "SSL_PROTOCOL",
    "SSL_CIPHER",
    "SSL_SERVER_CERT",
    "SSL_CLIENT_CERT",
    f"{_CHAIN_PREFIX}0",
    "SSL_CLIENT_S_DN",
    "SSL_CLIENT_VERIFY",
)


@lru_cache(maxsize=1)
def _cipher_names() -> dict[int, str]:
    """Return OpenSSL's names of the cipher suites by their 16-bit number."""
    try:
        import ssl  # noqa: PLC0415 - slow to import, and missing from some builds of Python
    except ImportError:  # pragma: no cover - depends on the build
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    # OpenSSL numbers a suite in 32 bits; the lower 16 are the number in the protocol.
    return {cipher["id"] & 0xFFFF: cipher["name"] for cipher in context.get_ciphers()}


@lru_cache(maxsize=1)
def _cipher_numbers() -> dict[str, int]:
    return {name: number for number, name in _cipher_names().items()}


def add_tls(environ: WSGIEnvironment, tls: Mapping[str, Any]) -> None:
    """Add the ``SSL_*`` variables for the ``tls`` extension of a scope; unknown ones are left out.

    Raises:
        RequestError: A text cannot be encoded.
    """
    chain = list(tls.get("client_cert_chain") or ())
    name, error = tls.get("client_cert_name"), tls.get("client_cert_error")
    if error:
        verified = f"FAILED:{error}"
    else:
        verified = "SUCCESS" if chain or name else "NONE"
    texts = {
        "SSL_PROTOCOL": _TLS_VERSIONS.get(tls.get("tls_version") or 0),
        "SSL_CIPHER": (suite := tls.get("cipher_suite")) and _cipher_names().get(suite),
        "SSL_SERVER_CERT": tls.get("server_cert"),
        "SSL_CLIENT_CERT": chain[0] if chain else None,
        **{f"{_CHAIN_PREFIX}{n}": certificate for n, certificate in enumerate(chain[1:])},
        "SSL_CLIENT_S_DN": name,
        "SSL_CLIENT_VERIFY": verified,
    }
    environ.update({key: native_from_text(key, text) for key, text in texts.items() if text})


def tls_from_environ(environ: WSGIEnvironment) -> TLSExtension | None:
    """Return the ``tls`` extension for an environ, or None if it holds no TLS data.

    Raises:
        HostError: A value is not a native string; the error names the key.
    """
    if not any(environ.get(key) for key in _VARIABLES):
        return None

    def text(key: str) -> str | None:
        value = environ.get(key)
        return text_from_native(key, value) if value else None

    chain: list[str] = []
    certificate = text("SSL_CLIENT_CERT")
    while certificate:
        chain.append(certificate)
        certificate = text(f"{_CHAIN_PREFIX}{len(chain) - 1}")
    name = text("SSL_CLIENT_S_DN")
    verified = text("SSL_CLIENT_VERIFY") or ""
    return {
        "server_cert": text("SSL_SERVER_CERT"),
        "client_cert_chain": chain,
        # A leading "/" is Apache's legacy form, which does not follow RFC 4514.
        "client_cert_name": None if name is None or name.startswith("/") else name,
        "client_cert_error": verified[7:] if verified.startswith("FAILED:") else None,
        "tls_version": _TLS_NUMBERS.get(text("SSL_PROTOCOL") or ""),
        "cipher_suite": _cipher_numbers().get(text("SSL_CIPHER") or ""),
    }
