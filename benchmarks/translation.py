"""What a translation costs, called alone: with a request that repeats, and with an all-new one.

The yardstick is the least that any translation must do: decode the headers and build their keys.
Each call gets new objects, as real servers make them from the bytes received.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeAlias

from benchmarks.measure import Round, interleave, ratio
from benchmarks.report import Cell, Section

YARDSTICK = "bare loop over as many headers"
KINDS = {"repeated": False, "all new": True}

Pairs: TypeAlias = list[tuple[bytes, bytes]]

REQUEST_HEADERS: Pairs = [
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
RESPONSE_HEADERS: Pairs = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-length", b"5120"),
    (b"vary", b"Cookie"),
    (b"set-cookie", b"session=8f14e45f; HttpOnly; Path=/"),
    (b"cache-control", b"no-store"),
]
_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/items/42",
    "raw_path": b"/items/42",
    "query_string": b"page=2",
    "root_path": "",
    "client": ("203.0.113.7", 53124),
    "server": ("192.0.2.1", 8000),
}

_number = count(10_000_000).__next__  # what makes a value a new one, in as many digits


def fresh(headers: Pairs, *, new: bool) -> Pairs:
    """Return the headers as new objects, on request with values that were never used before."""
    if new:
        return [(_copy(name), b"%b%d" % (value, _number())) for name, value in headers]
    return [(_copy(name), _copy(value)) for name, value in headers]


def new_scope(*, new: bool) -> dict[str, Any]:
    return {**_SCOPE, "headers": fresh(REQUEST_HEADERS, new=new)}


def native(headers: Pairs) -> list[tuple[str, str]]:
    """Return headers as WSGI has them."""
    return [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in headers]


def section(
    functions: dict[str, tuple[Callable[[Any], object], Callable[..., Any], Pairs]],
    *,
    quick: bool,
) -> Section:
    """Measure functions beside the bare loop over their headers.

    Args:
        functions: By name: the function, what makes its argument (with ``new`` as in `fresh`), and
            the headers.
        quick: Whether few rounds will do.
    """
    calls, rounds = (10, 2) if quick else (300, 30)
    rows: dict[str, dict[str, Cell]] = {}
    for name, (function, make, headers) in functions.items():
        row = rows[f"{name}, {len(headers)} headers"] = {}
        for kind, new in KINDS.items():
            contenders: dict[str, Round] = {
                YARDSTICK: partial(_timed, _bare_loop, partial(fresh, headers, new=new), calls),
                name: partial(_timed, function, partial(make, new=new), calls),
            }
            results: Any = interleave(contenders, rounds, 10)
            row[kind] = Cell(ratio(results[name], results[YARDSTICK]))
    return Section(
        title="Translations called alone",
        unit="Time as a multiple of that of a bare loop over as many headers; less is better",
        rows=rows,
        remarks="The bare loop decodes each name and value and builds the environ's key. Every "
        "call gets new objects, as from a server. *Repeated*: equal to those before; *all "
        "new*: each header's value has never come before.",
        drawn=False,
    )


def _timed(function: Callable[[Any], object], make: Callable[[], Any], calls: int) -> float:
    arguments: Sequence[Any] = [make() for _ in range(calls)]
    begin = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - begin) / calls


def _bare_loop(headers: Pairs) -> dict[str, str]:
    environ = {}
    for name, value in headers:
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        environ[key] = value.decode("latin-1")
    return environ


def _copy(value: bytes) -> bytes:
    return bytes(bytearray(value))
