"""The interpreter's exit: every application shuts down."""

from __future__ import annotations

import atexit
import concurrent.futures
import logging
import threading
from typing import Protocol

from gatebridge._concurrency.per_process import PerProcess, Process, current_process
from gatebridge.errors import UnavailableError

_logger = logging.getLogger("gatebridge")


class Closable(Protocol):
    """What is closed at the exit."""

    def close(self) -> None: ...


open_sessions: PerProcess[dict[Closable, None]] = PerProcess(dict)
"""What is to be closed at the exit, unless it closes before; in the order in which it opened."""

_exiting: Process | None = None  # the process that is at its end, and takes no more sessions


def refuse_at_exit() -> None:
    """Raise `UnavailableError` if nothing would shut down what is started now."""
    if _exiting is current_process():
        raise UnavailableError("startup", "the interpreter exits")


def _close_open_sessions() -> None:
    global _exiting  # noqa: PLW0603 - the interpreter's state, not ours
    _exiting = current_process()
    for session in reversed(list(open_sessions.get())):
        try:
            session.close()
        except Exception as exc:  # noqa: BLE001, PERF203 - the others shall have their turn
            _logger.debug("at exit: %.200r", exc)


# Before the executors of concurrent.futures are shut down, which an application may need for its
# requests and its shutdown. Theirs is registered by their import, and the last one comes first.
_ = concurrent.futures.ThreadPoolExecutor
getattr(threading, "_register_atexit", atexit.register)(_close_open_sessions)
atexit.register(_close_open_sessions)  # for hosts that run nothing else
