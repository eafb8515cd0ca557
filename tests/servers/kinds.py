"""Every server as its users start it, and what it can do; every framework's site."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from servers import hosts, needs

Direction = Literal["w2a", "a2w"]
Command = Callable[[Path, socket.socket], Sequence[str]]


class Kind(NamedTuple):
    """A way to start a server.

    Attributes:
        packages: Whose modules it needs.
        command: Given a folder of its own, and the listening socket, returns what to run.
        inherits: Whether it takes that socket over; otherwise it is told the port.
        threads: Whether it serves several requests at once.
        chunked: Whether it gives the application a chunked request body; if not, the answer is 411.
        http2: Whether it is asked in HTTP/2.
        repeats: Whether it hands on a header of the client's own that comes twice; if not, the
            application has the last one.
        keeps_alive: Whether a connection serves several requests, or the client is told that it
            does not.
        graceful: Whether a request that runs is answered after the signal.
        signal: What ends it; SIGINT for one that SIGTERM kills.
        gives: What it offers an application beyond what it has to: ``state`` and the names of
            extensions (ASGI); ``file_wrapper``, ``early_hints``, ``socket`` (WSGI).
        nginx: Whether nginx stands before it.
        lacks: Returns what is not there beside packages, if something is not.
    """

    packages: Sequence[str]
    command: Command
    inherits: bool = True
    threads: bool = True
    chunked: bool = True
    http2: bool = False
    repeats: bool = True
    keeps_alive: bool = True
    graceful: bool = True
    signal: signal.Signals = signal.SIGTERM
    gives: Collection[str] = ()
    nginx: bool = False
    lacks: Callable[[], str | None] = lambda: None


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _uvicorn(*arguments: str) -> Command:
    return lambda folder, listener: _python(
        "uvicorn", f"--fd={listener.fileno()}", *arguments, "gatebridge.auto:asgi"
    )


def _hypercorn(*arguments: str) -> Command:
    return lambda folder, listener: _python(
        "hypercorn", f"--bind=fd://{listener.fileno()}", *arguments, "gatebridge.auto:asgi"
    )


def _daphne(folder: Path, listener: socket.socket) -> list[str]:
    # The socket is a file descriptor of Twisted's, which has no host.
    port = listener.getsockname()[1]
    return [_script("daphne"), "-b", "127.0.0.1", "-p", str(port), "gatebridge.auto:asgi"]


def _granian(folder: Path, listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    arguments = ["--interface=asgi", "--host=127.0.0.1", f"--port={port}"]
    return [_script("granian"), *arguments, "gatebridge.auto:asgi"]


def _gunicorn(worker: str, *arguments: str, entry: str = "wsgi") -> Command:
    def command(folder: Path, listener: socket.socket) -> list[str]:
        return _python(
            "gunicorn",
            f"--bind=fd://{listener.fileno()}",
            f"--worker-class={worker}",
            f"--worker-tmp-dir={folder}",
            *arguments,
            f"gatebridge.auto:{entry}",
        )

    return command


def _waitress(folder: Path, listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    return [
        *(_script("waitress-serve"), f"--listen=127.0.0.1:{port}", "--threads=12"),
        "gatebridge.auto:wsgi",
    ]


def _cheroot(folder: Path, listener: socket.socket) -> list[str]:
    port = listener.getsockname()[1]
    return [
        *(_script("cheroot"), f"--bind=127.0.0.1:{port}", "--threads=12", "gatebridge.auto:wsgi")
    ]


def _uwsgi(*options: str) -> Kind:
    return Kind(
        ["pyuwsgi"],
        hosts.uwsgi(*options),
        inherits=False,
        chunked=False,
        keeps_alive=False,
        gives=["file_wrapper"],
    )


def _mod_wsgi(process_group: str) -> Kind:
    return Kind(
        [],
        hosts.mod_wsgi(process_group),
        inherits=False,
        signal=signal.SIGWINCH,
        gives=["file_wrapper"],
        lacks=hosts.lacks_mod_wsgi_for_this_python,
    )


def _function(name: str) -> Command:
    return lambda folder, listener: _python("servers.serve", name, str(listener.fileno()))


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


_OF_HTTP2 = ("http.response.early_hint", "http.response.push", "http.response.trailers")
_OF_GRANIAN = ("http.response.pathsend", "websocket.http.response")

ASGI_SERVERS = {
    "uvicorn-httptools-uvloop": Kind(
        ["uvicorn", "httptools", "uvloop"],
        _uvicorn("--http=httptools", "--loop=uvloop"),
        gives=["state"],
    ),
    "uvicorn-h11-asyncio": Kind(
        ["uvicorn"], _uvicorn("--http=h11", "--loop=asyncio"), gives=["state"]
    ),
    "hypercorn-asyncio": Kind(["hypercorn"], _hypercorn("--worker-class=asyncio"), gives=["state"]),
    "hypercorn-uvloop": Kind(
        ["hypercorn", "uvloop"], _hypercorn("--worker-class=uvloop"), gives=["state"]
    ),
    "hypercorn-trio": Kind(
        ["hypercorn", "trio"], _hypercorn("--worker-class=trio"), gives=["state"]
    ),
    "hypercorn-http2": Kind(
        ["hypercorn", "h2"],
        _hypercorn("--worker-class=asyncio"),
        http2=True,
        gives=["state", *_OF_HTTP2],
    ),
    "daphne": Kind(["daphne"], _daphne, inherits=False, graceful=False),
    "granian": Kind(["granian"], _granian, inherits=False, gives=["state", *_OF_GRANIAN]),
    "gunicorn-asgi": Kind(["gunicorn"], _gunicorn("asgi", entry="asgi"), gives=["state"]),
    "gunicorn-uvicorn": Kind(
        ["gunicorn", "uvicorn_worker"],
        _gunicorn("uvicorn_worker.UvicornWorker", entry="asgi"),
        gives=["state"],
    ),
    "nginx-uvicorn": Kind(
        ["uvicorn"], _uvicorn(), gives=["state"], nginx=True, lacks=hosts.lacks_nginx
    ),
}

_OF_GUNICORN = ("file_wrapper", "early_hints", "socket")

WSGI_SERVERS = {
    "gunicorn-sync": Kind(["gunicorn"], _gunicorn("sync"), threads=False, gives=_OF_GUNICORN),
    "gunicorn-gthread": Kind(
        ["gunicorn"], _gunicorn("gthread", "--threads=12"), gives=_OF_GUNICORN
    ),
    "gunicorn-gthread-preload": Kind(
        ["gunicorn"], _gunicorn("gthread", "--threads=12", "--preload"), gives=_OF_GUNICORN
    ),
    "gunicorn-gevent": Kind(["gunicorn", "gevent"], _gunicorn("gevent"), gives=_OF_GUNICORN),
    "waitress": Kind(
        ["waitress"], _waitress, inherits=False, signal=signal.SIGINT, gives=["file_wrapper"]
    ),
    "cheroot": Kind(["cheroot"], _cheroot, inherits=False, repeats=False, signal=signal.SIGINT),
    # Its threads are daemons: what is still to be written when the process ends is lost.
    "werkzeug": Kind(["werkzeug"], _function("werkzeug"), graceful=False, gives=["socket"]),
    "wsgiref": Kind([], _function("wsgiref"), chunked=False, gives=["file_wrapper"]),
    # Without the hooks a worker waits at its end for threads of the master, such as the one that
    # Litestar has for its log.
    "uwsgi-threads": _uwsgi("--threads=12", "--py-call-uwsgi-fork-hooks"),
    "uwsgi-lazy-apps": _uwsgi("--threads=12", "--lazy-apps"),
    "mod_wsgi-daemon": _mod_wsgi("site"),
    "mod_wsgi-embedded": _mod_wsgi("%{GLOBAL}"),
    "nginx-gunicorn-gthread": Kind(
        ["gunicorn"],
        _gunicorn("gthread", "--threads=12"),
        gives=_OF_GUNICORN,
        nginx=True,
        lacks=hosts.lacks_nginx,
    ),
}

PLAIN = "plain"  # no framework
WSGI_SITES = ["flask", "django", "pyramid", "bottle", "falcon", PLAIN]
ASGI_SITES = ["starlette", "fastapi", "django", "quart", "sanic", "litestar", "falcon"]

LEAVES_TO_COLLECTOR = {("a2w", "django")}
"""Whose framework does not end the generator of a response when the client has left: a cycle of
references (in Django, by way of the traceback of `RequestAborted`) keeps it until the garbage
collector runs."""


def lacks(kind: Kind, site: str) -> str | None:
    """Return what this machine has not, if something is missing."""
    frameworks = [] if site == PLAIN else [site]
    return needs.missing(*kind.packages, *frameworks) or kind.lacks()
