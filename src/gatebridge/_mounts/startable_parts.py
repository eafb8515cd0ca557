"""Startup and shutdown of several WSGI applications: in order, and in reverse.

A failure names its application. If one fails to start, those that have started are closed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from gatebridge._concurrency.own_thread import refuse_background_thread
from gatebridge._concurrency.per_process import PerProcess, Process, current_process
from gatebridge._lifespan.startable import Startable
from gatebridge._mounts.table import failure_of
from gatebridge.errors import LifespanError

_logger = logging.getLogger("gatebridge")


class _Progress:
    """The state of startup and shutdown in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.failed: tuple[str, LifespanError] | None = None  # the one that did not start, and why


class StartableParts:
    """The applications among several that must be started and closed.

    Args:
        parts: All applications, with their names.

    Attributes:
        parts: Those to be started and closed.
    """

    def __init__(self, parts: Iterable[tuple[str, object]]) -> None:
        self.parts = [(name, app) for name, app in parts if isinstance(app, Startable)]
        self._progress = PerProcess(_Progress)
        self._settled: set[Process] = set()  # where they were started or closed

    def ensure_started(self) -> None:
        """Start all before the first request of a process; after `close`, do nothing.

        Raises:
            Exception: As `start`.
        """
        if current_process() not in self._settled:  # inlined: each request asks
            self.start(reopen=False)

    def start(self, *, reopen: bool) -> None:
        """Start all, unless they run.

        Args:
            reopen: Whether to start them again after `close`.

        Raises:
            LifespanError: One of them did not start, now or the last time.
            UnavailableError: Called on the thread of an event loop of this library.
            Exception: Whatever else prevents one from starting.
        """
        # Before waiting for a lock whose holder waits for an event loop.
        refuse_background_thread()
        progress = self._progress.get()
        with progress.lock:
            if progress.failed is not None:
                name, failure = progress.failed
                raise failure_of(name, failure) from failure
            if not reopen and current_process() in self._settled:
                return
            for number, (name, app) in enumerate(self.parts):
                try:
                    app.startup()
                except BaseException as exc:  # noqa: PERF203
                    _close_all(self.parts[:number])
                    if not isinstance(exc, LifespanError):
                        raise
                    progress.failed = name, exc
                    raise failure_of(name, exc) from exc
            self._settled.add(current_process())

    def close(self) -> None:
        """Close all, in reverse; raise the first failure."""
        refuse_background_thread()
        progress = self._progress.get()
        with progress.lock:
            self._settled.add(current_process())
            progress.failed = None
            failure = _close_all(self.parts)
        if failure is not None:
            raise failure


def _close_all(parts: Sequence[tuple[str, Startable]]) -> Exception | None:
    """Close applications in reverse; return the first failure. All are in the log."""
    failures: list[Exception] = []
    for name, app in reversed(parts):
        try:
            app.close()
        except LifespanError as exc:  # noqa: PERF203
            failures.append(failure_of(name, exc))
        except Exception as exc:  # of an application from elsewhere
            _logger.exception("%s: close() failed", name)
            failures.append(exc)
    return failures[0] if failures else None
