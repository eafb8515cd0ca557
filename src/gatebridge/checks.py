"""What on this host would cause the adapters trouble, and what to do about it.

It is seen from inside: call `check_host` in the server's worker, at the application's import or in
a request. On the command line, ``gatebridge check package.module:app`` sees only this
interpreter, and what the import of the application changes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Literal, NamedTuple

from gatebridge._concurrency.background_loop import runs_a_loop, was_forked_with_a_loop
from gatebridge._concurrency.host_threads import ONE_LOOP, find_obstacle, patched_by_gevent
from gatebridge._detect.interface import interface
from gatebridge._detect.undeclared_length import needs_length

__all__ = ["CHECKS", "Finding", "check_application", "check_host", "check_import"]

CHECKS: tuple[str, ...] = (
    "uwsgi",
    "eventlet",
    "gevent",
    "threads",
    "fork",
    "sub-interpreter",
    "wsproto",
    "body-length",
)
"""The names of all checks, as in `Finding`; ``"body-length"`` is that of `check_application`."""

_START_LATER = (
    "leave startup() to the first request, or call it after the fork: in Gunicorn's "
    "post_worker_init, or at import with uWSGI's lazy-apps"
)


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        name: What it is about, such as ``"uwsgi"``, ``"gevent"`` or ``"fork"``.
        problem: What goes wrong, or does not work as well as it could.
        remedy: What to do about it.
        severity: ``"error"`` for what fails, ``"note"`` for what to know.
    """

    name: str
    problem: str
    remedy: str
    severity: Literal["error", "note"]


def check_host() -> list[Finding]:
    """Return what is found in this process, as it is now; nothing is changed."""
    return list(_findings())


def _findings() -> Iterator[Finding]:
    obstacle = find_obstacle()
    if obstacle is not None:
        yield Finding(obstacle.host, obstacle.problem, obstacle.remedy, "error")
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None and (was_forked_with_a_loop() or (_forks_later(uwsgi) and runs_a_loop())):
        problem = "an event loop was started before the fork: now and then a worker never wakes"
        yield Finding("fork", problem, _START_LATER, "error")
    elif was_forked_with_a_loop():
        problem = "an event loop was started before the fork: the parent has a lifespan as well"
        yield Finding("fork", problem, _START_LATER, "note")
    if patched_by_gevent() and not {"uvloop", "trio"}.isdisjoint(sys.modules):
        remedy = "use neither for AsgiToWsgi, nor below WsgiToAsgi, whose server would stand still"
        yield Finding("gevent", f"{ONE_LOOP}; uvloop or trio is there", remedy, "note")
    if _in_sub_interpreter():
        yield Finding(
            "sub-interpreter",
            "some packages written in C fail, or share their state, outside of the main one",
            "use the main interpreter: on mod_wsgi, WSGIApplicationGroup %{GLOBAL}",
            "note",
        )
    if find_spec("wsproto") is None:
        yield Finding(
            "wsproto",
            "not installed: AsgiToWsgi serves WebSockets on no server",
            "install gatebridge[websocket] if the application has some",
            "note",
        )


def check_import() -> list[Finding]:
    """Return what `check_host` does, and what fails if a server imports before it forks.

    For a process that has imported the application and done nothing else.
    """
    findings = check_host()
    if runs_a_loop() and not any(finding.name == "fork" for finding in findings):
        problem = "the import starts an event loop, and with it the application: also in a master "
        problem += "that imports it before it forks (uWSGI; Gunicorn with preload_app)"
        findings.append(Finding("fork", problem, _START_LATER, "error"))
    return findings


def check_application(app: object) -> list[Finding]:
    """Return what is found in an application itself, whatever the host.

    That is what `WsgiToAsgi` needs for a WSGI application; in an ASGI application nothing is found.

    Args:
        app: The application, not in an adapter. It is not called. If its signature does not show
            which kind it is, it counts as WSGI.
    """
    if _is_asgi(app) or not needs_length(app):
        return []
    return [
        Finding(
            "body-length",
            "the application may take a request body without Content-Length for empty",
            "pass spool_bodies=True to WsgiToAsgi; to_asgi, serve and gatebridge.auto do that",
            "note",
        )
    ]


def _is_asgi(app: object) -> bool:
    try:
        return interface(app) == "asgi"
    except TypeError:
        return False


def _forks_later(uwsgi: ModuleType) -> bool:
    """Return whether this is uWSGI's process that imports the application for its workers."""
    return uwsgi.worker_id() == 0 and bool(uwsgi.masterpid() or uwsgi.numproc > 1)


def _in_sub_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # from 3.13 on, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() != interpreters.get_main())
    return False
