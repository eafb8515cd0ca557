"""How hosts change threads: whether a background loop can run, and how.

Most servers leave threads as they are. The exceptions:

* uWSGI, up to 2.0.21 and unless configured otherwise, lets no thread run between two requests.
* gevent replaces threads with greenlets, which take turns in one system thread: everything must
  wait in gevent's functions. It replaces the selector of asyncio, but not those of uvloop and trio.
* eventlet does the same, but without such a selector.
"""

from __future__ import annotations

import selectors
import sys
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, NamedTuple

from gatebridge._concurrency.daemon_thread import DaemonThread
from gatebridge.errors import UnavailableError


class Obstacle(NamedTuple):
    """A host where no thread can wait for an event loop in another thread.

    Attributes:
        host: Its name.
        problem: The failure to expect.
        remedy: The way to avoid it.
        holds: Returns whether this process runs on that host; cheap.
    """

    host: str
    problem: str
    remedy: str
    holds: Callable[[], bool]


def require_threads() -> None:
    """Check that this process can wait for an event loop in another thread.

    Raises:
        UnavailableError: It cannot; the message contains the remedy.
    """
    obstacle = find_obstacle()
    if obstacle is not None:
        raise UnavailableError(obstacle.host, f"{obstacle.problem}; {obstacle.remedy}")


def find_obstacle() -> Obstacle | None:
    """Return what prevents waiting for an event loop in another thread; None if nothing does."""
    # In this order: the last check starts a thread, which may never run on the other hosts.
    return next((obstacle for obstacle in _OBSTACLES if obstacle.holds()), None)


def _uwsgi_without_threads() -> bool:
    return not getattr(sys.modules.get("uwsgi"), "has_threads", True)


def _patched_by_eventlet() -> bool:
    eventlet = sys.modules.get("eventlet.patcher")
    return eventlet is not None and bool(eventlet.is_monkey_patched("thread"))


def _starts_no_thread() -> bool:
    try:
        probe = DaemonThread(int, "gatebridge-probe")
        probe.start()
        probe.join()
    except RuntimeError:
        return True
    return False


def patched_by_gevent() -> bool:
    """Return whether threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


def _fits_gevent() -> bool:
    """Return whether gatebridge waits in a way that lets greenlets run, if the process has any."""
    patched = patched_by_gevent()
    if patched != SimpleQueue.__module__.startswith("gevent."):  # when it was imported above
        return False
    if patched:
        return selectors.DefaultSelector.__module__.startswith("gevent.")
    gevent = sys.modules.get("gevent")
    if gevent is None or not hasattr(gevent, "Greenlet"):  # another thread is importing it
        return True
    return not isinstance(gevent.getcurrent(), gevent.Greenlet)


_OBSTACLES = (
    Obstacle(
        "uwsgi",
        "without its option enable-threads, no event loop runs between requests",
        "set enable-threads, or threads to a number",
        _uwsgi_without_threads,
    ),
    Obstacle(
        "eventlet",
        "no event loop can run beside it",
        "use threads, or gevent, instead",
        _patched_by_eventlet,
    ),
    Obstacle(
        "gevent",
        "greenlets would wait for threads that are none, or stop those that are",
        "call gevent.monkey.patch_all() before gatebridge is imported, or do without gevent",
        lambda: not _fits_gevent(),
    ),
    Obstacle(
        "threads",
        "no daemon thread can be started",
        "use the main interpreter of a CPython that has threads, and see to the system's limits",
        _starts_no_thread,
    ),
)

ONE_LOOP = "in a process patched by gevent only asyncio's own event loop can run"


def runner_options(backend: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``backend_options`` of `anyio.run` for a background loop on this host.

    Raises:
        UnavailableError: Such a loop would block the whole process indefinitely.
    """
    if not patched_by_gevent():
        return dict(options)
    if backend != "asyncio" or options.get("use_uvloop") or options.get("loop_factory"):
        raise UnavailableError("backend", f"{ONE_LOOP}; use asyncio without uvloop")
    # Imported late: it subclasses gevent's replacement of the selector.
    from gatebridge._concurrency.gevent_loop import new_event_loop  # noqa: PLC0415

    return {**options, "loop_factory": new_event_loop}
