"""Header values that repeat: remembered by name with what they were translated to.

Clients and applications send most values again and again. A value that was checked and translated
once costs one look-up from then on. What this module rests on:

* Only names listed here have memory. Their values are no secrets and do not identify a person or a
  request: no cookie, credential, token, address, referer, nonce, date or length.
* A table belongs to one name, so that values a client invents for one cannot push out another's. It
  holds `MAX_VALUES` values of at most `MAX_REMEMBERED` bytes, and is emptied when it is full.
* A translation adds at most one value for each head, so a head of new values costs hardly more than
  without memory, and a client that invents values empties a table once in `MAX_VALUES` requests.
* Only exact `bytes` or `str` are looked up and kept: a subclass, or a `memoryview`, may equal a
  value that it is not.

Each operation on a table is atomic, also without the interpreter's lock. Threads that add at the
same time can exceed the bound by as many values as there are threads.
"""

from __future__ import annotations

from typing import AnyStr, TypeVar

from gatebridge._translate.text import MAX_REMEMBERED

Translated = TypeVar("Translated")

MAX_VALUES = 64
"""Values that may be remembered for one name, in each translation."""

REQUEST_NAMES = frozenset(
    """
    accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method cache-control connection dnt early-data ect expect
    host origin pragma priority save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform
    sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions
    sec-websocket-version te upgrade upgrade-insecure-requests user-agent via x-forwarded-host
    x-forwarded-port x-forwarded-proto x-forwarded-scheme x-forwarded-server x-requested-with
    x-scheme
    """.split()
)
"""Request headers, lower-case, whose values are remembered."""

RESPONSE_NAMES = frozenset(
    """
    accept-ranges access-control-allow-credentials access-control-allow-headers
    access-control-allow-methods access-control-allow-origin access-control-expose-headers
    access-control-max-age allow alt-svc cache-control content-encoding content-language
    content-type cross-origin-embedder-policy cross-origin-opener-policy
    cross-origin-resource-policy permissions-policy pragma referrer-policy server
    strict-transport-security vary x-content-type-options x-dns-prefetch-control x-frame-options
    x-permitted-cross-domain-policies x-powered-by x-robots-tag x-ua-compatible x-xss-protection
    """.split()
)
"""Response headers, lower-case, whose values are remembered."""


def remember(known: dict[AnyStr, Translated], value: AnyStr, translated: Translated) -> None:
    """Keep what a value was translated to, unless the value is long.

    Args:
        known: The table of one name.
        value: Checked, and an exact `bytes` or `str`.
        translated: Immutable, because later requests get the same object.
    """
    if len(value) <= MAX_REMEMBERED:
        if len(known) >= MAX_VALUES:
            known.clear()
        known[value] = translated
