"""The background loops: in each process one event loop of each kind, in a daemon thread.

All adapters share it, so that resources opened by one request work in the next one. It starts at
its first use and ends with its last user. A forked child begins without one.
"""

from __future__ import annotations

import logging
import threading
from enum import Enum

import anyio

from gatebridge._concurrency.daemon_thread import DaemonThread
from gatebridge._concurrency.host_threads import runner_options
from gatebridge._concurrency.own_thread import LoopKind, mark_background_thread
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._concurrency.portal import Portal, PortalRun

_logger = logging.getLogger("gatebridge")

_START_CHECK_SECONDS = 1.0  # poll interval while another thread starts the loop
_JOIN_SECONDS = 5.0  # for a loop to clean up after its last user: generators, its executor


class _Phase(Enum):
    """The phase of a background loop, which only its own thread advances."""

    STARTING = "the loop does not run yet"
    RUNNING = "its portal is open"
    CLOSING = "its portal was closed, and the loop is about to be"
    ENDED = "the loop is closed, or never ran"


class BackgroundLoop:
    """An event loop in a daemon thread.

    Attributes:
        kind: Its backend and options.
        users: The loop ends when the last one has left.
    """

    def __init__(self, kind: LoopKind) -> None:
        self.kind = kind
        self.users: set[object] = set()
        self._options = runner_options(*kind)
        self._phase = _Phase.STARTING
        self._portal_run = PortalRun()
        self._error: BaseException | None = None  # what prevented the loop from running
        self._starting = threading.Lock()  # acquired once, by whichever thread starts the loop
        # A daemon, because a loop that never ends must not hold up the process.
        self._thread = DaemonThread(self._run, f"gatebridge-{kind[0]}")

    @property
    def usable(self) -> bool:
        """Whether the loop runs, or can still start."""
        return not self._portal_run.stopped and self._phase in (_Phase.STARTING, _Phase.RUNNING)

    def start(self) -> Portal | None:
        """Start the thread, unless it was started, and return the portal once there is one.

        Returns:
            None if the thread that started the loop was interrupted.

        Raises:
            BaseException: Whatever prevented the loop from running, such as a missing package.
        """
        try:
            if self._starting.acquire(blocking=False):
                self._thread.start()
            while self.usable and self._portal_run.portal is None:
                self._portal_run.wait(_START_CHECK_SECONDS)
        except BaseException:  # KeyboardInterrupt: the thread may be running, or about to
            self.stop()
            raise
        if self._error is not None:
            raise self._error
        return self._portal_run.portal if self.usable else None

    def stop(self) -> None:
        """End the loop, now or as soon as it runs; thread-safe."""
        self._portal_run.stop()

    def join(self) -> None:
        """Wait for the thread to end, up to a limit."""
        if self._thread.ident is None or threading.current_thread() is self._thread:
            return  # a thread that has not begun to run ends at once; this one would deadlock
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            _logger.warning("the event loop in thread %.80r does not end", self._thread.name)

    def _run(self) -> None:
        mark_background_thread(self.kind)
        try:
            if not self._portal_run.stopped:
                anyio.run(self._main, backend=self.kind[0], backend_options=self._options)
        except BaseException as exc:
            if self._phase is _Phase.STARTING:
                self._error = exc
            elif self._phase is _Phase.RUNNING:
                # On asyncio, a task that raises SystemExit ends the loop.
                _logger.critical("the event loop was ended by an error", exc_info=exc)
            else:
                # At its exit, CPython 3.12 starts no thread to shut down the executor.
                _logger.debug("the event loop could not be closed: %.200r", exc)
        finally:
            self._phase = _Phase.ENDED
            if self._portal_run.portal is not None:
                self._portal_run.portal.end()  # an error may have prevented that on the loop
            self._portal_run.notify()

    async def _main(self) -> None:
        self._phase = _Phase.RUNNING
        await self._portal_run.run()
        self._phase = _Phase.CLOSING


class BackgroundLoops:
    """The background loops of one process.

    A signal handler can raise in the middle of either method. `release` undoes whatever `hold` has
    done by then.
    """

    def __init__(self) -> None:
        # Not held while a loop starts: users of other loops can leave meanwhile.
        self._lock = threading.Lock()
        self.loops: list[BackgroundLoop] = []

    def hold(self, kind: LoopKind, user: object) -> BackgroundLoop:
        """Return the loop of this kind, started or not, and add a user to it."""
        with self._lock:
            usable = (loop for loop in self.loops if loop.usable and loop.kind == kind)
            loop = next(usable, None)
            if loop is None:
                loop = BackgroundLoop(kind)
                self.loops.append(loop)
            loop.users.add(user)
            return loop

    def release(self, user: object) -> None:
        """Remove a user from its loops, and stop and forget the loops without users."""
        with self._lock:
            for loop in self.loops:
                loop.users.discard(user)
                if not loop.users:
                    loop.stop()
            self.loops = [loop for loop in self.loops if loop.users]


background_loops = PerProcess(BackgroundLoops)


def runs_a_loop() -> bool:
    """Return whether this process has a background loop."""
    return any(loop.usable for loop in background_loops.get().loops)


def was_forked_with_a_loop() -> bool:
    """Return whether an ancestor of this process had a background loop when it forked."""
    return any(process.loops for process in background_loops.inherited())
