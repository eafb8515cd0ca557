"""The lifespans of all that is mounted: they begin in order, and end in reverse.

A failure names the application. One that fails to start ends those before it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any

from gatebridge._concurrency.own_thread import refuse_background_thread
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._lifespan.living import Living
from gatebridge._lifespan.manager import LifespanManager
from gatebridge._lifespan.shim import running
from gatebridge.errors import LifespanError
from gatebridge.types import ASGIApplication

_logger = logging.getLogger("gatebridge")


def _named(name: str, error: LifespanError) -> LifespanError:
    return LifespanError(error.field, f"{name}: {error.reason}")


# --- of ASGI applications -------------------------------------------------------------------------


@asynccontextmanager
async def running_all(
    parts: Iterable[tuple[str, ASGIApplication]],
    given: Mapping[str, Any],
    states: dict[int, dict[str, Any]],
) -> AsyncGenerator[None, None]:
    """Run the lifespans of ASGI applications.

    Args:
        parts: The applications, with their names.
        given: The server's state.
        states: Is filled, by the identity of each application, with what its lifespan has added.
    """
    async with AsyncExitStack() as stack:
        for name, app in parts:
            manager = running(app, dict(given))
            try:
                state = await manager.__aenter__()
            except LifespanError as exc:
                raise _named(name, exc) from exc
            stack.push_async_exit(partial(_leave, name, manager))
            # Only what is new: what the server's state holds may change for a request.
            states[id(app)] = {
                key: value
                for key, value in state.items()
                if key not in given or given[key] is not value
            }
        yield


async def _leave(
    name: str,
    manager: LifespanManager,
    exc_type: type[BaseException] | None,
    exc: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Shut one application down; of several failures the first one is raised."""
    try:
        await manager.__aexit__(exc_type, exc, traceback)
    except LifespanError as failure:
        if exc is None:
            raise _named(name, failure) from failure
        _logger.error("%s: %s", name, failure)  # noqa: TRY400 - where it was raised says nothing


# --- of WSGI applications -------------------------------------------------------------------------


class _Progress:
    """How far the lifespans have come in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.settled = False  # started or closed: requests have nothing to do
        self.failed: tuple[str, LifespanError] | None = None  # which one did not start, and why


class LivingParts:
    """Those of several WSGI applications that start and end.

    Args:
        parts: All applications, with their names.

    Attributes:
        parts: Those that start and end.
        processes: How far they have come in each process.
    """

    def __init__(self, parts: Iterable[tuple[str, object]]) -> None:
        self.parts = [(name, app) for name, app in parts if isinstance(app, Living)]
        self.processes = PerProcess(_Progress)

    def start(self, *, reopen: bool) -> None:
        """Start all, unless they run.

        Args:
            reopen: Whether to start them also after `close`.

        Raises:
            LifespanError: One of them did not start, now or the last time.
            UnavailableError: Called on the thread of an event loop of this library.
            Exception: Whatever else kept one from starting.
        """
        # Before waiting for a lock whose holder waits for an event loop.
        refuse_background_thread()
        progress = self.processes.get()
        with progress.lock:
            if progress.failed is not None:
                name, failure = progress.failed
                raise _named(name, failure) from failure
            if progress.settled and not reopen:
                return
            for number, (name, app) in enumerate(self.parts):
                try:
                    app.startup()
                except BaseException as exc:  # noqa: PERF203
                    _close_all(self.parts[:number])
                    if not isinstance(exc, LifespanError):
                        raise
                    progress.failed = name, exc
                    raise _named(name, exc) from exc
            progress.settled = True

    def close(self) -> None:
        """End all, in reverse; raise the first failure."""
        refuse_background_thread()
        progress = self.processes.get()
        with progress.lock:
            progress.settled = True
            progress.failed = None
            failure = _close_all(self.parts)
        if failure is not None:
            raise failure


def _close_all(parts: Sequence[tuple[str, Living]]) -> Exception | None:
    """Close applications in reverse; return the first failure. All are in the log."""
    failures: list[Exception] = []
    for name, app in reversed(parts):
        try:
            app.close()
        except LifespanError as exc:  # noqa: PERF203
            failures.append(_named(name, exc))
        except Exception as exc:  # of an application that is none of this library's
            _logger.exception("%s: close() failed", name)
            failures.append(exc)
    return failures[0] if failures else None
