"""The interpreter's exit: every application shuts down, but not before the last server has ended.

The end of the main thread is not that of the process: a server in another thread, as embedding
hosts start it, serves on for as long as the interpreter waits for its threads.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from gatebridge._concurrency.per_process import PerProcess, Process, current_process
from gatebridge.errors import UnavailableError

_logger = logging.getLogger("gatebridge")


class Closable(Protocol):
    """What is closed at the exit."""

    def close(self) -> None: ...


open_sessions: PerProcess[dict[Closable, None]] = PerProcess(dict)
"""Sessions to close at the exit unless closed before, in the order in which they opened."""

known_servers: set[int] = set()
"""Identifiers of the threads that have called an adapter."""

_not_serving: set[threading.Thread] = set()  # they were there before there was an adapter
_in_main_thread = False  # requests come in the main thread, or in an executor that ends with it
_in_other_threads = False  # requests come in other threads

_WARN_SECONDS = 5.0  # how long the exit waits for a thread before it says so
_DEADLOCK_CHECK_SECONDS = 0.5  # how often it checks whether that thread waits for this one

_expects_requests = False  # there is an adapter that a server may have
_exiting: Process | None = None  # the process that is at its end, and takes no more sessions


def expect_requests() -> None:
    """At the exit, wait for the threads that may serve requests, as there is an adapter now.

    Threads that were there before the first adapter are not among them, except for the one that
    makes it.
    """
    global _expects_requests  # noqa: PLW0603 - the interpreter's state, not ours
    if not _expects_requests:
        _expects_requests = True
        _not_serving.update(set(threading.enumerate()) - {threading.current_thread()})


def note_server() -> None:
    """Note that this thread has called an adapter, for the first time."""
    global _in_main_thread, _in_other_threads  # noqa: PLW0603 - the interpreter's state, not ours
    known_servers.add(threading.get_ident())
    thread = threading.current_thread()
    if thread is threading.main_thread() or thread in _workers_of_executors():
        _in_main_thread = True
    else:
        _in_other_threads = True
        _not_serving.discard(thread)


def refuse_at_exit() -> None:
    """Raise `UnavailableError` if nothing would shut down what is started now."""
    if _exiting is current_process():
        raise UnavailableError("startup", "the interpreter is exiting")


def _at_exit() -> None:
    later = False
    try:
        # Where all requests came in the main thread, as on Gunicorn, its server has ended with it.
        serving = _in_other_threads or (_expects_requests and not _in_main_thread)
        later = serving and not _wait_for_servers()
    finally:
        if not later:
            _close_open_sessions()


def _wait_for_servers() -> bool:
    """Wait for the threads that may serve requests, as the interpreter would a moment later.

    Returns:
        False if another thread waits for the end of the main thread, which cannot come before this
        function returns, and a server for that thread perhaps.
    """
    for thread in _serving_threads():
        warn_at = time.monotonic() + _WARN_SECONDS
        while thread.is_alive():
            if _main_thread_is_waited_for():
                return False
            thread.join(_DEADLOCK_CHECK_SECONDS)
            if time.monotonic() > warn_at and thread.is_alive():
                _logger.warning(
                    "the applications shut down when thread %.80r has ended; "
                    "if it serves no requests, make it a daemon",
                    thread.name,
                )
                warn_at = math.inf
    return True


def _main_thread_is_waited_for() -> bool:
    """Return whether a thread is in ``threading.main_thread().join()``."""
    code, main_thread = threading.Thread.join.__code__, threading.main_thread()
    for top in sys._current_frames().values():  # pyright: ignore[reportPrivateUsage]
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code is code and frame.f_locals.get("self") is main_thread:
                return True
            frame = frame.f_back
    return False


def _serving_threads() -> Iterator[threading.Thread]:
    """Iterate over the threads that keep the process alive and that nothing but themselves ends."""
    while True:
        ended_later = _workers_of_executors() | _not_serving | {threading.current_thread()}
        for thread in threading.enumerate():
            worker_of_anyio = type(thread).__module__.startswith("anyio.")
            if not (thread.daemon or worker_of_anyio or thread in ended_later):
                yield thread
                break
        else:
            return


def _workers_of_executors() -> set[threading.Thread]:
    return {
        *getattr(concurrent.futures.thread, "_threads_queues", ()),
        *getattr(sys.modules.get("concurrent.futures.process"), "_threads_wakeups", ()),
    }


def _close_open_sessions() -> None:
    global _exiting  # noqa: PLW0603 - the interpreter's state, not ours
    _exiting = current_process()
    for session in reversed(list(open_sessions.get())):
        try:
            session.close()
        except Exception as exc:  # noqa: BLE001, PERF203 - the others must still run
            _logger.debug("at exit: %.200r", exc)


# Before the executors of concurrent.futures are shut down, which an application may need for its
# requests and its shutdown. Theirs is registered by their import, and the last one comes first.
_ = concurrent.futures.ThreadPoolExecutor
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
atexit.register(_close_open_sessions)  # for hosts that run nothing else, and for `later`
