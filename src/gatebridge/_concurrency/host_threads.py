"""What the host makes of threads: whether a background loop can run, and how.

Most servers leave threads as they are. Those that do not:

* uWSGI, up to 2.0.21 and unless it is told otherwise, lets no thread run between two requests.
* gevent replaces threads by greenlets: all of them share one thread of the system, in turns, so
  that nothing may wait but by gevent's means. asyncio's selector then is one of these; how uvloop
  and trio wait is not.
* eventlet does the same, without such a selector.
"""

from __future__ import annotations

import selectors
import sys
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

from gatebridge.errors import UnavailableError


def require_threads() -> None:
    """See to it that what waits for an event loop in another thread does not wait in vain.

    Raises:
        UnavailableError: It would; says what to do about it.
    """
    uwsgi = sys.modules.get("uwsgi")
    if not getattr(uwsgi, "has_threads", True):
        raise UnavailableError(
            "uwsgi",
            "without its option enable-threads, no event loop runs between requests",
        )
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        raise UnavailableError(
            "eventlet", "no event loop can run beside it; use threads, or gevent, instead"
        )
    if not _fits_gevent():
        raise UnavailableError(
            "gevent", "call gevent.monkey.patch_all() before gatebridge is imported"
        )


def _patched_by_gevent() -> bool:
    """Return whether threads are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


def _fits_gevent() -> bool:
    """Return whether nothing here waits in a way that stops greenlets, and there are some."""
    patched = _patched_by_gevent()
    if patched != SimpleQueue.__module__.startswith("gevent."):  # as it was when imported here
        return False
    if patched:
        return selectors.DefaultSelector.__module__.startswith("gevent.")
    gevent = sys.modules.get("gevent")
    if gevent is None or not hasattr(gevent, "Greenlet"):  # is being imported
        return True
    return not isinstance(gevent.getcurrent(), gevent.Greenlet)


def runner_options(backend: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``backend_options`` of `anyio.run` for a loop in what passes for a thread here.

    Raises:
        UnavailableError: Such a loop would block the process, for ever.
    """
    if not _patched_by_gevent():
        return dict(options)
    if backend != "asyncio" or options.get("use_uvloop") or options.get("loop_factory"):
        raise UnavailableError(
            "backend", "in a process patched by gevent only asyncio's own event loop can run"
        )
    # Not before: it is made for what gevent has put in the place of the selectors.
    from gatebridge._concurrency.greenlets import new_event_loop  # noqa: PLC0415

    return {**options, "loop_factory": new_event_loop}
