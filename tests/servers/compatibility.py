"""A pytest plugin: writes what the last full run of the matrix saw to the compatibility page.

``--compatibility-file=PATH`` wants its equals sign, as ``--conformance-file`` does. With xdist the
reports of all workers come together here.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from servers import hosts
from servers.kinds import ASGI_SERVERS, ASGI_SITES, WSGI_SERVERS, WSGI_SITES, Kind

Results = dict[str, Counter[str]]
"""By the pair, ``server-site``: how many checks passed, failed, were skipped."""

_MATRIX = "tests/servers/test_matrix.py::"

_HEAD = """\
# Compatibility

`make compatibility` wrote this page, from a run of every pair below on CPython {python}. A number
says how many checks the pair passed. The checks are in `tests/servers/test_matrix.py`, the command
line of each server in `tests/servers/kinds.py`, and the site in each framework in
`tests/servers/sites/`.

Every pair is checked with a path and a query in UTF-8, repeated headers, cookies both ways, a form,
a multipart upload of 5 MiB, a chunked upload, an upload by curl that asks for `100 Continue`, a
streamed response whose first block arrives before the last is made, HEAD, 304, error pages,
concurrent requests, a client that leaves, and a stop while a request runs. ASGI applications are
also checked with the lifespan, its state, a background task and server-sent events, and the
application without a framework (plain) with `write()` and `wsgi.file_wrapper`.

Django, Bottle and Falcon take a body without Content-Length for empty, so `gatebridge.auto` spools
it for them (`spool_bodies`). Flask and Pyramid read it as it arrives.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("compatibility").addoption(
        "--compatibility-file", metavar="PATH", help="write the matrix of servers to this file"
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--compatibility-file")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(config.rootpath / path))


class _Recorder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: Results = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        node = report.nodeid.partition("@")[0]  # xdist has the group after it
        test, _, pair = node.removeprefix(_MATRIX).removesuffix("]").partition("[")
        if f"{_MATRIX}{test}[{pair}]" == node and (
            report.when == "call" or report.outcome != "passed"
        ):
            self._results.setdefault(pair, Counter())[report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        self._path.write_text("\n".join(as_markdown(self._results)) + "\n", "utf-8")


def as_markdown(results: Results) -> Iterator[str]:
    """Yield the lines of the page."""
    yield _HEAD.format(python=platform.python_version())
    yield "## WSGI applications on ASGI servers\n"
    yield from _matrix(results, ASGI_SERVERS, WSGI_SITES)
    yield "\n## ASGI applications on WSGI servers\n"
    yield from _matrix(results, WSGI_SERVERS, ASGI_SITES)
    yield "\n## What the servers give\n"
    yield "As seen by a probe in each (`tests/servers/test_gives.py`), and by the checks above.\n"
    yield from _table(
        ["ASGI server", "lifespan state", "extensions", "HTTP/2", "a running request at SIGTERM"],
        (
            [
                name,
                _yes("state" in kind.gives),
                ", ".join(sorted(set(kind.gives) - {"state"})) or "none",
                _yes(kind.http2),
                "is served" if kind.graceful else "is cut off",
            ]
            for name, kind in ASGI_SERVERS.items()
        ),
    )
    yield ""
    yield from _table(
        [
            "WSGI server",
            "chunked uploads",
            "repeated headers",
            "`wsgi.file_wrapper`",
            "early hints",
            "raw socket",
            "requests at once",
            "shutdown runs after",
        ],
        (
            [
                name,
                "yes" if kind.chunked else "411",
                "all" if kind.repeats else "the last one",
                *(_yes(each in kind.gives) for each in ("file_wrapper", "early_hints", "socket")),
                _yes(kind.threads),
                kind.signal.name,
            ]
            for name, kind in WSGI_SERVERS.items()
        ),
    )
    yield "\n## Versions\n"
    packages = {package for kind in _kinds() for package in kind.packages}
    for package in sorted({*packages, *WSGI_SITES, *ASGI_SITES}, key=str.lower):
        version = _version_of(package)
        if version:
            yield f"- {package} {version}"
    for name, version in hosts.versions():
        yield f"- {name} {version}"


def _kinds() -> Iterable[Kind]:
    return [*ASGI_SERVERS.values(), *WSGI_SERVERS.values()]


def _matrix(results: Results, servers: Collection[str], sites: Sequence[str]) -> Iterator[str]:
    yield from _table(
        ["", *sites],
        (
            [server, *(_cell(results.get(f"{server}-{site}")) for site in sites)]
            for server in servers
        ),
    )


def _cell(outcomes: Counter[str] | None) -> str:
    if not outcomes or not outcomes["passed"]:
        return "not run" if not outcomes or not outcomes["failed"] else "fails"
    failed = outcomes["failed"]
    return f"{outcomes['passed']}" + (f", **{failed} fail**" if failed else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _version_of(package: str) -> str | None:
    """Return the version of a module's distribution."""
    distributions = metadata.packages_distributions().get(package)
    return metadata.version(distributions[0]) if distributions else None
