"""Holds on an event loop: on a background loop, or on the loop of the user's portal.

The third kind, on a loop that the user runs, is in `given_loop`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from anyio.from_thread import BlockingPortal

from gatebridge._concurrency.background_loop import BackgroundLoop, background_loops
from gatebridge._concurrency.host_threads import require_threads
from gatebridge._concurrency.portal import Portal, PortalRun
from gatebridge.errors import UnavailableError


class LoopUse(ABC):
    """One user's hold on an event loop.

    A signal handler can raise in the middle of each method. `close` undoes whatever `open` has done
    by then, and is idempotent.

    Attributes:
        portal: The portal to the loop, once `open` has it.
    """

    def __init__(self) -> None:
        self.portal: Portal | None = None

    @abstractmethod
    def open(self) -> Portal:
        """Wait until the loop runs, and return the portal to it.

        Raises:
            UnavailableError: The loop does not run, or cannot run on this host.
            BaseException: Whatever prevents it from running, such as a missing package.
        """

    def close(self) -> None:  # noqa: B027 - nothing to release on a loop that the user runs
        """Release the loop without waiting, so that the loop's own thread can call it."""

    def join(self) -> None:  # noqa: B027 - a loop that the user runs does not end
        """Wait for the end of a background loop that has lost its last user."""


class SharedLoop(LoopUse):
    """A hold on the loop that the adapters of this process share, started if it does not run.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        options: Passed to `anyio.run`. Different options give different loops.
    """

    def __init__(self, backend: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._kind = backend, dict(options)
        self._loops = background_loops.get()
        self._loop: BackgroundLoop | None = None

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        portal = None
        while portal is None:
            self._loop = self._loops.hold(self._kind, self)
            portal = self._loop.start()
        self.portal = portal
        return portal

    def close(self) -> None:
        """See `LoopUse`."""
        self._loops.release(self)

    def join(self) -> None:
        """See `LoopUse`."""
        if self._loop is not None and not self._loop.users:
            self._loop.join()


class PortalUse(LoopUse):
    """A hold on the loop of the user's portal.

    Args:
        owner: The user's portal.
    """

    def __init__(self, owner: BlockingPortal) -> None:
        super().__init__()
        self._owner = owner
        self._portal_run = PortalRun()

    def open(self) -> Portal:
        """See `LoopUse`."""
        require_threads()
        run = self._portal_run
        try:
            future = self._owner.start_task_soon(run.run, self._owner.sleep_until_stopped)
        except RuntimeError as exc:
            raise UnavailableError("portal", f"takes no work: {exc}") from exc
        future.add_done_callback(lambda _: run.notify())
        run.wait()
        self.portal = run.portal
        if self.portal is None:
            raise UnavailableError("portal", "was stopped")
        return self.portal

    def close(self) -> None:
        """See `LoopUse`."""
        self._portal_run.stop()
