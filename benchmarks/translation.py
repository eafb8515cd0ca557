"""What the translation of a request costs, as a multiple of a bare loop over its headers.

    python benchmarks/translation.py

The yardstick is the least that any translation must do: decode twelve headers and build their keys.
The variants are measured in turns, so that a machine that changes its speed changes it for all; the
best round of each counts, because noise only adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gatebridge import environ_from_scope, scope_from_environ
from gatebridge._translate.head_from_asgi import head_from_asgi
from gatebridge._translate.head_from_wsgi import head_from_wsgi

ROUNDS = 30
CALLS_PER_ROUND = 2000

HEADERS = [
    (b"host", b"shop.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.5"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"referer", b"https://shop.example.com/items?page=2"),
    (b"connection", b"keep-alive"),
    (b"cookie", b"session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
    (b"upgrade-insecure-requests", b"1"),
    (b"sec-fetch-mode", b"navigate"),
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-company-trace", b"9f86d081884c7d659a2feaa0c55ad015"),
]
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/items/42",
    "raw_path": b"/items/42",
    "query_string": b"page=2",
    "root_path": "",
    "headers": HEADERS,
    "client": ("203.0.113.7", 53124),
    "server": ("192.0.2.1", 8000),
}
WSGI_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Length", "5120"),
    ("Vary", "Cookie"),
    ("Set-Cookie", "session=8f14e45f; HttpOnly; Path=/"),
    ("Cache-Control", "no-store"),
]
ASGI_HEADERS = [(name.lower().encode(), value.encode()) for name, value in WSGI_HEADERS]


def bare_loop(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    environ = {}
    for name, value in headers:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        environ[key] = value.decode("latin-1")
    return environ


def best_of(variants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return for each variant the seconds per call of its best round."""
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(ROUNDS):
        for name, call in variants.items():
            begin = time.perf_counter()
            for _ in range(CALLS_PER_ROUND):
                call()
            best[name] = min(best[name], (time.perf_counter() - begin) / CALLS_PER_ROUND)
    return best


def main() -> None:
    environ = environ_from_scope(SCOPE)
    yardstick = "bare loop over 12 headers"
    seconds = best_of(
        {
            yardstick: lambda: bare_loop(HEADERS),
            "environ_from_scope": lambda: environ_from_scope(SCOPE),
            "scope_from_environ": lambda: scope_from_environ(environ),
            "response head, WSGI to ASGI": lambda: head_from_wsgi("200 OK", WSGI_HEADERS),
            "response head, ASGI to WSGI": lambda: head_from_asgi(200, ASGI_HEADERS),
        }
    )
    for name, value in seconds.items():
        print(f"{name:30} {value / seconds[yardstick]:5.2f} x")


if __name__ == "__main__":
    main()
