"""The background loops: one event loop for each backend and process, in a thread of its own.

All adapters share it, so that what one request opened works in the next one. It is started at its
first use and ends with its last user. A forked child begins without.

Beside it, the ways to a loop of the caller's: through its portal, or to the bare loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import anyio
from anyio.from_thread import BlockingPortal

from gatebridge._concurrency.daemon_thread import DaemonThread
from gatebridge._concurrency.host_threads import require_threads, runner_options
from gatebridge._concurrency.per_process import PerProcess, Process, current_process
from gatebridge._concurrency.portal import LoopPortal, Portal, own_thread_error, run_portal
from gatebridge.errors import UnavailableError

_logger = logging.getLogger("gatebridge")

_CHECK_SECONDS = 1.0  # how often a thread looks whether a loop runs that another one starts
_JOIN_SECONDS = 5.0  # for what is left on a loop after its last user: generators, its executor


class _OfThread(threading.local):
    loop: tuple[Process, tuple[str, dict[str, Any]]] | None = None  # the process, and what kind


_of_thread = _OfThread()


class _BackgroundLoop:
    """An event loop in a daemon thread.

    Attributes:
        kind: Its backend and options.
        users: Who needs it.
        portal: To it, once it runs.
        usable: Whether it runs, or still may.
    """

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        self.kind = backend, dict(options)
        self._options = runner_options(backend, options)
        self.users: set[SharedLoop] = set()
        self.portal: Portal | None = None
        self.usable = True
        self._error: BaseException | None = None
        self._over = False  # it was stopped, and has nothing left to do
        self._starting = threading.Lock()  # taken once, by who starts the thread
        # Wakes who waits. Not an Event: a KeyboardInterrupt may leave its lock in disorder.
        self._opened: SimpleQueue[None] = SimpleQueue()
        # A daemon, for a loop that never ends must not hold up the process.
        self._thread = DaemonThread(self._run, f"gatebridge-{backend}")

    def start(self) -> Portal | None:
        """Start the thread, unless it was started, and return the portal once there is one.

        Returns:
            None if the thread that started the loop was interrupted.

        Raises:
            BaseException: Whatever kept the loop from running, such as a missing package.
        """
        try:
            if self._starting.acquire(blocking=False):
                self._thread.start()
            while self.usable and self.portal is None:
                with suppress(Empty):
                    self._opened.get(timeout=_CHECK_SECONDS)
            self._opened.put(None)  # for the next one who waits
        except BaseException:  # KeyboardInterrupt: it may run or not, now or soon
            self.stop()
            raise
        if self._error is not None and self.portal is None:
            raise self._error
        return self.portal if self.usable else None

    def stop(self) -> None:
        """Let the loop end, now or as soon as it runs; thread-safe."""
        self.usable = False
        self._opened.put(None)
        if self.portal is not None:
            self.portal.stop()

    def join(self) -> None:
        """Wait for the thread to end, up to a limit."""
        if self._thread.ident is None or threading.current_thread() is self._thread:
            return  # it has not begun to run, and then ends at once; or would wait for itself
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            _logger.warning("the event loop in thread %.80r does not end", self._thread.name)

    def _run(self) -> None:
        _of_thread.loop = current_process(), self.kind
        if not self.usable:
            return
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
            self.usable = False
            if self.portal is not None:
                self.portal.end()
            self._opened.put(None)

    async def _main(self) -> None:
        await run_portal(self._open)
        self._over = True

    def _open(self, portal: Portal) -> None:
        self.portal = portal
        self._opened.put(None)
        if not self.usable:  # `stop` either finds the portal, or has said so before
            portal.stop()


class _Loops:
    """The loops of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loops: list[_BackgroundLoop] = []


_processes = PerProcess(_Loops)


def runs_a_loop() -> bool:
    """Return whether this process has a background loop."""
    return any(loop.usable for loop in _processes.get().loops)


def was_forked_with_a_loop() -> bool:
    """Return whether a process that this one descends from had one when it forked."""
    return any(process.loops for process in _processes.inherited())


def refuse_loop_thread(backend: str, options: Mapping[str, Any]) -> None:
    """Raise `UnavailableError` on the thread of the loop that a `SharedLoop` is about.

    Also before that loop has a portal, and after it: without a lock, for whoever holds one may be
    waiting for this thread.
    """
    if _of_thread.loop == (current_process(), (backend, options)):
        raise own_thread_error()


def refuse_loop_threads() -> None:
    """Do as `refuse_loop_thread` for all of this process's loops."""
    if _of_thread.loop is not None and _of_thread.loop[0] is current_process():
        raise own_thread_error()


def refuse_portal_thread(owner: BlockingPortal) -> None:
    """Do as `refuse_loop_thread` for a caller's portal."""
    # A private attribute, for what is public there either waits or starts a task.
    if getattr(owner, "_event_loop_thread_id", None) == threading.get_ident():
        raise own_thread_error()


class LoopUse(Protocol):
    """One user's hold on an event loop.

    A signal handler may raise in the middle of each method. Whatever `open` has done by then,
    `close` undoes, and to close twice is to close once.
    """

    @property
    def portal(self) -> Portal | None:
        """The portal, once `open` has it."""
        ...

    def open(self) -> Portal:
        """Return the portal to the loop, which runs by now.

        Raises:
            UnavailableError: The loop does not run, or the host's threads do not allow for it.
            BaseException: Whatever keeps it from running, such as a missing package.
        """
        ...

    def close(self) -> None:
        """Release the loop without waiting, so that the loop's own thread can call it."""

    def join(self) -> None:
        """Wait for the end of a loop that has lost its last user."""


class SharedLoop:
    """A hold on the loop that this process's adapters share, started if it does not run.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        options: For `anyio.run`. Different options give different loops.
    """

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        self._kind = backend, options
        self._process = _processes.get()
        self._loop: _BackgroundLoop | None = None

    @property
    def portal(self) -> Portal | None:
        """See `LoopUse`."""
        return None if self._loop is None else self._loop.portal

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        portal = None
        while portal is None:
            portal = self._hold().start()
        return portal

    def _hold(self) -> _BackgroundLoop:
        """Take hold of the process's loop, started or not."""
        # The lock is not held while a loop starts: others take it when a user of theirs leaves.
        with self._process.lock:
            loops = self._process.loops
            loops[:] = [loop for loop in loops if loop.usable]
            loop = next((each for each in loops if each.kind == self._kind), None)
            if loop is None:
                loop = _BackgroundLoop(*self._kind)
                loops.append(loop)
            self._loop = loop  # before it counts this user: `close` looks here
            loop.users.add(self)
            return loop

    def close(self) -> None:
        """See `LoopUse`."""
        loop = self._loop
        if loop is not None:
            with self._process.lock:
                loop.users.discard(self)
                if not loop.users:
                    loop.stop()
                    if loop in self._process.loops:
                        self._process.loops.remove(loop)

    def join(self) -> None:
        """See `LoopUse`."""
        if self._loop is not None and not self._loop.users:
            self._loop.join()


class PortalUse:
    """A hold on the loop of a caller's portal.

    Args:
        owner: That portal.
    """

    def __init__(self, owner: BlockingPortal) -> None:
        self._owner = owner
        self._closed = False
        self.portal: Portal | None = None
        self._opened: SimpleQueue[None] = SimpleQueue()  # as that of a background loop

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        try:
            future = self._owner.start_task_soon(
                run_portal, self._take, self._owner.sleep_until_stopped
            )
        except RuntimeError as exc:
            raise UnavailableError("portal", f"takes no work: {exc}") from exc
        future.add_done_callback(lambda _: self._opened.put(None))
        self._opened.get()
        if self.portal is None:
            raise UnavailableError("portal", "was stopped")
        return self.portal

    def _take(self, portal: Portal) -> None:
        self.portal = portal
        self._opened.put(None)
        if self._closed:  # `close` either finds the portal, or has said so before
            portal.stop()

    def close(self) -> None:
        """See `LoopUse`."""
        self._closed = True
        if self.portal is not None:
            self.portal.stop()

    def join(self) -> None:
        """Do nothing: the loop is the caller's."""


class GivenLoop:
    """A hold on a caller's loop, which is never stopped.

    Args:
        loop: Runs in another thread, or will soon.
        timeout: For how many seconds to wait for that; None for any time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._timeout = timeout
        self.portal: Portal | None = None

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        self.portal = portal = LoopPortal(self._loop)
        running: SimpleQueue[None] = SimpleQueue()
        if not portal.handle.call_soon(partial(running.put, None)):
            raise UnavailableError("loop", "is closed")
        try:
            running.get(timeout=self._timeout)
        except Empty:
            reason = f"no thread has run it for {self._timeout:g} seconds"
            raise UnavailableError("loop", reason) from None
        return portal

    def close(self) -> None:
        """Do nothing, as `join`."""

    def join(self) -> None:
        """Do nothing: the loop is the caller's."""
