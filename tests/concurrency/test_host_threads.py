"""What the host makes of threads: refusals in this process, with stand-ins for the hosts."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
from collections.abc import Callable
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from gatebridge import AsgiToWsgi
from gatebridge._concurrency import gevent_loop, host_threads
from gatebridge.errors import UnavailableError

pytestmark = pytest.mark.direction("a2w")

Stand = Callable[..., None]


async def app(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


def refusal(**arguments: Any) -> str:
    with pytest.raises(UnavailableError) as caught:
        AsgiToWsgi(app, **arguments).startup()
    assert [t.name for t in threading.enumerate() if t.name.startswith("gatebridge")] == []
    return str(caught.value)


def test_uwsgi_without_threads_is_refused(stand_in: Stand) -> None:
    stand_in("uwsgi", has_threads=0)
    assert "enable-threads" in refusal()


@pytest.mark.parametrize("attributes", [{"has_threads": 1}, {}], ids=["enabled", "unknown"])
def test_uwsgi_with_threads_is_served(stand_in: Stand, attributes: dict[str, int]) -> None:
    stand_in("uwsgi", **attributes)
    with AsgiToWsgi(app):
        pass


def test_eventlet_is_refused_if_it_patched_threads(stand_in: Stand) -> None:
    stand_in("eventlet.patcher", is_monkey_patched=lambda name: name == "thread")
    assert "eventlet" in refusal()


def test_a_callers_portal_is_no_way_around(stand_in: Stand) -> None:
    stand_in("uwsgi", has_threads=0)
    with start_blocking_portal() as portal:
        assert "enable-threads" in refusal(portal=portal)


def test_gevent_that_patched_after_the_import_is_refused(stand_in: Stand) -> None:
    stand_in("gevent.monkey", is_module_patched=lambda name: True)
    assert "before gatebridge is imported" in refusal()


def test_a_greenlet_without_patches_is_refused(stand_in: Stand) -> None:
    stand_in("gevent", Greenlet=int, getcurrent=lambda: 1)
    assert "gevent.monkey.patch_all()" in refusal()


@pytest.mark.parametrize(
    "attributes",
    [{"Greenlet": int, "getcurrent": object}, {}],
    ids=["none-runs", "being-imported"],
)
def test_gevent_that_is_only_there_does_no_harm(
    stand_in: Stand, attributes: dict[str, Any]
) -> None:
    stand_in("gevent", **attributes)
    with AsgiToWsgi(app):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        {"backend": "trio"},
        {"backend_options": {"use_uvloop": True}},
        {"backend_options": {"loop_factory": asyncio.new_event_loop}},
    ],
    ids=["trio", "uvloop", "another"],
)
def test_under_gevent_only_one_loop_is_possible(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    monkeypatch.setattr(host_threads, "patched_by_gevent", lambda: True)
    monkeypatch.setattr(host_threads, "_fits_gevent", lambda: True)
    assert "asyncio's own event loop" in refusal(**arguments)


def test_under_gevent_nobody_else_finds_the_loop_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run, in the same thread, while the loop waits in its selector."""
    found: list[Any] = []
    below = selectors.DefaultSelector.select

    def select(*arguments: Any) -> Any:
        found.append(asyncio._get_running_loop())
        return below(*arguments)

    monkeypatch.setattr(selectors.DefaultSelector, "select", select)
    monkeypatch.setattr(host_threads, "patched_by_gevent", lambda: True)
    monkeypatch.setattr(host_threads, "_fits_gevent", lambda: True)
    with AsgiToWsgi(app, backend_options={"debug": True}):
        pass
    assert found
    assert set(found) == {None}


def test_under_gevent_a_forked_loop_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parked(BaseException):
        pass

    class Event:
        def wait(self) -> None:
            raise Parked

    async def fork() -> None:
        process = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: process)
        monkeypatch.setattr(threading, "Event", Event)
        await asyncio.sleep(0)

    loop = gevent_loop.new_event_loop()
    with pytest.raises(Parked):
        loop.run_until_complete(fork())
    monkeypatch.undo()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
