"""Hosts and ports: the Host header, socket addresses, brackets around IPv6."""

from __future__ import annotations

import re
from functools import lru_cache

from gatebridge.errors import RequestError

DEFAULT_PORTS = {"http": "80", "https": "443"}

_HOST = re.compile(
    r"(?P<host>\[[0-9A-Za-z:.%~_-]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)"
    r"(?::0*(?P<port>[0-9]*))?"
)


@lru_cache(maxsize=256)
def split_host(value: str) -> tuple[str, str]:
    """Split a Host header into host and port.

    Args:
        value: As a native string, trimmed.

    Returns:
        The host, with brackets if it is an IPv6 address, and the port's digits without leading
        zeros. Either may be empty. The port is also empty if it is above 65535, which the grammar
        allows but nothing can use.

    Raises:
        RequestError: It is not ``uri-host [ ":" port ]``.

    Source: RFC 9110 section 7.2; RFC 9112 section 3.2; RFC 3986 section 3.2.3 (``port``).
    """
    match = _HOST.fullmatch(value)
    if match is None:
        raise RequestError("host", f"not a valid host: {value[:80]!r}")
    port = match["port"] or ""
    # int() only if it is short: int() takes quadratic time, and raises past 4300 digits.
    return match["host"], "" if len(port) > 5 or int(port or 0) > 65535 else port


def with_brackets(host: str) -> str:
    """Return ``host`` as in a URL: an IPv6 address in brackets (RFC 3875, 4.1.14)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def without_brackets(host: str) -> str:
    """Return ``host`` as in a socket address, without brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
