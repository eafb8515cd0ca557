"""What hurts on a host: each finding, with stand-ins for the hosts, and its exceptions."""

from __future__ import annotations

import ast
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gatebridge import AsgiToWsgi, checks
from gatebridge._concurrency import host_threads, per_process
from gatebridge.checks import CHECKS, Finding, check_application, check_host, check_import

Stand = Callable[..., None]


@pytest.fixture
def uwsgi(stand_in: Stand) -> Callable[[int, int], None]:
    """A function that makes this a process of uWSGI: its number, and how many there are."""

    def stand(worker: int, processes: int) -> None:
        stand_in(
            *("uwsgi",),
            has_threads=1,
            worker_id=lambda: worker,
            masterpid=lambda: 0,
            numproc=processes,
        )

    return stand


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


def found(findings: list[Finding]) -> list[tuple[str, str]]:
    assert all(finding.problem and finding.remedy for finding in findings)
    return [(finding.name, finding.severity) for finding in findings if finding.name != "wsproto"]


def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be taken for a child of itself."""
    monkeypatch.setattr(per_process, "_process", per_process._process)  # to be put back
    process = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: process)


def test_nothing_is_found_on_a_host_that_leaves_threads_alone() -> None:
    assert found(check_host()) == []
    assert found(check_import()) == []


def test_uwsgi_without_threads_hurts(stand_in: Stand) -> None:
    stand_in("uwsgi", has_threads=0, worker_id=lambda: 1)
    assert found(check_host()) == [("uwsgi", "error")]
    assert "enable-threads" in check_host()[0].remedy


def test_eventlet_hurts(stand_in: Stand) -> None:
    stand_in("eventlet.patcher", is_monkey_patched=lambda name: name == "thread")
    assert found(check_host()) == [("eventlet", "error")]


def test_gevent_that_patched_late_hurts(stand_in: Stand) -> None:
    stand_in("gevent.monkey", is_module_patched=lambda name: True)
    assert ("gevent", "error") in found(check_host())
    assert "before gatebridge is imported" in check_host()[0].remedy


@pytest.mark.parametrize("loop", ["uvloop", "trio"])
def test_another_loop_beside_gevent_is_noted(
    stand_in: Stand, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    for name in ("uvloop", "trio"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    stand_in("gevent.monkey", is_module_patched=lambda name: True)
    monkeypatch.setattr(host_threads, "_fits_gevent", lambda: True)
    assert found(check_host()) == []
    stand_in(loop)
    assert found(check_host()) == [("gevent", "note")]


def test_a_process_that_starts_no_threads_hurts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert found(check_host()) == [("threads", "error")]


@pytest.mark.parametrize("name", ["_interpreters", "_xxsubinterpreters"])
def test_a_sub_interpreter_is_noted(
    stand_in: Stand, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in ("_interpreters", "_xxsubinterpreters"):
        monkeypatch.setitem(sys.modules, each, None)
    assert found(check_host()) == []  # nobody knows
    stand_in(name, get_current=lambda: (1, 0), get_main=lambda: (0, 1))
    assert found(check_host()) == [("sub-interpreter", "note")]


def test_wsproto_is_noted_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [finding for finding in check_host() if finding.name == "wsproto"]
    assert bool(notes) is (find_spec("wsproto") is None)
    monkeypatch.setitem(sys.modules, "wsproto", None)
    assert ("wsproto", "note") in [(f.name, f.severity) for f in check_host()]


def test_a_loop_before_the_fork_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with AsgiToWsgi(app):
        assert found(check_host()) == []
        with monkeypatch.context() as patch:
            forked(patch)
            assert found(check_host()) == [("fork", "note")]
            assert found(check_import()) == [("fork", "note")]


def test_a_loop_that_ended_before_the_fork_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with AsgiToWsgi(app):
        pass
    forked(monkeypatch)
    assert found(check_host()) == []


def test_a_loop_before_the_fork_of_uwsgi_hurts(
    uwsgi: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with AsgiToWsgi(app):
        uwsgi(0, 2)
        assert found(check_host()) == [("fork", "error")]
        assert found(check_import()) == [("fork", "error")]
        uwsgi(0, 1)  # no master, no fork
        assert found(check_host()) == []
        uwsgi(1, 2)  # by lazy-apps
        assert found(check_host()) == []
        with monkeypatch.context() as patch:
            forked(patch)
            assert found(check_host()) == [("fork", "error")]


def test_an_import_that_starts_a_loop_hurts() -> None:
    with AsgiToWsgi(app):
        assert found(check_import()) == [("fork", "error")]


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    raise NotImplementedError


def any_arguments(*args: Any) -> Any:
    raise NotImplementedError


@pytest.mark.clause("D-13")
@pytest.mark.parametrize("application", [wsgi, any_arguments])
def test_an_application_that_may_need_the_length_of_a_body_is_noted(application: Any) -> None:
    assert found(check_application(application)) == [("body-length", "note")]


@pytest.mark.clause("D-13")
@pytest.mark.parametrize("application", [app, AsgiToWsgi(app)])
def test_one_that_never_needs_it_is_not(application: Any) -> None:
    assert check_application(application) == []


def test_the_name_of_each_finding_is_listed() -> None:
    """Also of those that no test can bring about on this host."""
    calls = [
        (node.func.id, node.args[0])
        for path in Path(checks.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
    ]
    names = {
        argument.value
        for function, argument in calls
        if function in ("Finding", "Obstacle") and isinstance(argument, ast.Constant)
    }
    assert names == set(CHECKS)
