"""An event loop's own thread, which must not wait for that loop.

Callers check this before they acquire a lock whose holder may be waiting for this thread.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, TypeAlias

from anyio.from_thread import BlockingPortal

from gatebridge._concurrency.per_process import Process, current_process
from gatebridge.errors import UnavailableError

LoopKind: TypeAlias = tuple[str, dict[str, Any]]
"""The backend of a background loop, and its options."""


class _ThisThread(threading.local):
    background_loop: tuple[Process, LoopKind] | None = None  # a child forked here inherits it


_this_thread = _ThisThread()


def own_thread_error() -> UnavailableError:
    """Return the error for a call that would make a loop's thread wait for itself."""
    return UnavailableError(
        "event loop", "called on its own thread, which would wait for itself; call in another one"
    )


def mark_background_thread(kind: LoopKind) -> None:
    """Mark this thread as one that runs a background loop of this kind, and nothing else."""
    _this_thread.background_loop = current_process(), kind


def refuse_background_thread(kind: LoopKind | None = None) -> None:
    """Raise `UnavailableError` on the thread of a background loop of this kind; None for any."""
    found = _this_thread.background_loop
    if found is not None and found[0] is current_process() and kind in (None, found[1]):
        raise own_thread_error()


def refuse_portal_thread(owner: BlockingPortal) -> None:
    """Raise `UnavailableError` on the thread of the user's portal."""
    # A private attribute: everything public either waits or starts a task.
    if getattr(owner, "_event_loop_thread_id", None) == threading.get_ident():
        raise own_thread_error()


def refuse_loop_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Raise `UnavailableError` on the thread that runs this loop."""
    if asyncio._get_running_loop() is loop:  # it is None where no loop runs
        raise own_thread_error()
