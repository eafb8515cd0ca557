"""The background loops: one event loop for each backend and process, in a thread of its own.

All adapters share it, so that what one request opened works in the next one. It is started at its
first use and ends with its last user. A forked child begins without.

Beside it, the ways to a loop of the caller's: through its portal, or to the bare loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal

from gatebridge._concurrency.host_threads import require_threads, runner_options
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._concurrency.portal import LoopPortal, Portal, own_thread_error, run_portal
from gatebridge.errors import UnavailableError

_logger = logging.getLogger("gatebridge")

_JOIN_SECONDS = 5.0  # for what is left on a loop after its last user: generators, its executor


class _OfThread(threading.local):
    loop: tuple[int, tuple[str, dict[str, Any]]] | None = None  # the process, and what kind


_of_thread = _OfThread()


class _BackgroundLoop:
    """An event loop in a daemon thread."""

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        self.kind = backend, dict(options)
        self._options = runner_options(backend, options)
        self.users = 0
        self.portal: Portal | None = None
        self._error: BaseException | None = None
        self._over = False  # it was stopped, and has nothing left to do
        self._unwanted = False  # nobody has waited for it
        self._opened = threading.Event()
        # A daemon, for a loop that never ends must not hold up the process.
        run = partial(contextvars.Context().run, self._run)  # with nothing of the first request's
        self._thread = threading.Thread(target=run, name=f"gatebridge-{backend}", daemon=True)

    def start(self) -> Portal:
        """Start the thread, and return its portal.

        Raises:
            BaseException: Whatever kept the loop from running, such as a missing package.
        """
        try:
            self._thread.start()
            self._opened.wait()
        except BaseException:  # KeyboardInterrupt
            self._unwanted = True
            if self.portal is not None:
                self.portal.stop()
            raise
        if self.portal is None:
            assert self._error is not None
            raise self._error
        return self.portal

    def join(self) -> None:
        """Stop the loop and wait for the thread, though not for ever."""
        assert self.portal is not None
        self.portal.stop()
        if threading.current_thread() is self._thread:
            return
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            _logger.warning("the event loop in thread %.80r does not end", self._thread.name)

    def _run(self) -> None:
        _of_thread.loop = os.getpid(), self.kind
        try:
            anyio.run(self._main, backend=self.kind[0], backend_options=self._options)
        except BaseException as exc:
            self._error = exc
            if self._over:
                # As in CPython 3.12, which starts no thread at the exit to end the executor in.
                _logger.debug("the event loop could not be closed: %.200r", exc)
            elif self.portal is not None:
                # On asyncio a task that raises SystemExit ends the loop.
                _logger.critical("the event loop was ended by an error", exc_info=exc)
        finally:
            if self.portal is not None:
                self.portal.end()
            self._opened.set()

    async def _main(self) -> None:
        await run_portal(self._open)
        self._over = True

    def _open(self, portal: Portal) -> None:
        self.portal = portal
        self._opened.set()
        if self._unwanted:  # who gave up either finds the portal, or has said so before
            portal.stop()


class _Process:
    """The loops of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loops: list[_BackgroundLoop] = []


_processes = PerProcess(_Process)


def runs_a_loop() -> bool:
    """Return whether this process has a background loop."""
    return bool(_processes.get().loops)


def was_forked_with_a_loop() -> bool:
    """Return whether a process that this one descends from had one when it forked."""
    return any(process.loops for process in _processes.inherited())


def refuse_loop_thread(backend: str, options: Mapping[str, Any]) -> None:
    """Raise `UnavailableError` on the thread of the loop that `share_loop` is about.

    Also before that loop has a portal, and after it: without a lock, for whoever holds one may be
    waiting for this thread.
    """
    if _of_thread.loop == (os.getpid(), (backend, options)):
        raise own_thread_error()


def refuse_loop_threads() -> None:
    """Do as `refuse_loop_thread` for all of this process's loops."""
    if _of_thread.loop is not None and _of_thread.loop[0] == os.getpid():
        raise own_thread_error()


def refuse_portal_thread(owner: BlockingPortal) -> None:
    """Do as `refuse_loop_thread` for a caller's portal."""
    # A private attribute, for what is public there either waits or starts a task.
    if getattr(owner, "_event_loop_thread_id", None) == threading.get_ident():
        raise own_thread_error()


def share_loop(backend: str, options: Mapping[str, Any]) -> tuple[Portal, Callable[[], None]]:
    """Return the portal of this process's loop, and what to call when it is no longer needed.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        options: For `anyio.run`. Different options give different loops.

    Raises:
        UnavailableError: The host's threads do not allow for it.
        BaseException: Whatever keeps the loop from running, such as a missing package.
    """
    require_threads()
    process = _processes.get()
    with process.lock:
        process.loops = [
            loop for loop in process.loops if loop.portal is not None and not loop.portal.ended
        ]
        for loop in process.loops:
            if loop.kind == (backend, options):
                break
        else:
            loop = _BackgroundLoop(backend, options)
            loop.start()
            process.loops.append(loop)
        loop.users += 1
    assert loop.portal is not None

    def release() -> None:
        with process.lock:
            loop.users -= 1
            if loop.users:
                return
            if loop in process.loops:
                process.loops.remove(loop)
        loop.join()

    return loop.portal, release


def open_portal(owner: BlockingPortal) -> tuple[Portal, Callable[[], None]]:
    """Return a portal to the loop of a caller's portal, and what to call at its end.

    Raises:
        UnavailableError: The caller's portal does not run, or the host's threads are no help.
    """
    require_threads()
    opened = threading.Event()
    portals: list[Portal] = []

    def take(portal: Portal) -> None:
        portals.append(portal)
        opened.set()

    try:
        future = owner.start_task_soon(run_portal, take, owner.sleep_until_stopped)
    except RuntimeError as exc:
        raise UnavailableError("portal", f"takes no work: {exc}") from exc
    future.add_done_callback(lambda _: opened.set())
    opened.wait()
    if not portals:
        raise UnavailableError("portal", "was stopped")
    return portals[0], portals[0].stop


def open_loop(
    loop: asyncio.AbstractEventLoop, timeout: float | None
) -> tuple[Portal, Callable[[], None]]:
    """Return a portal to a caller's loop, which is never stopped, and what to call at its end.

    Args:
        loop: Runs in another thread, or will soon.
        timeout: For how many seconds to wait for that; None for any time.

    Raises:
        UnavailableError: The loop does not run, or the host's threads are no help.
    """
    require_threads()
    portal = LoopPortal(loop)
    running = threading.Event()

    if not portal.handle.call_soon(running.set):
        raise UnavailableError("loop", "is closed")
    if not running.wait(timeout):
        raise UnavailableError("loop", f"no thread has run it for {timeout:g} seconds")
    return portal, lambda: None
