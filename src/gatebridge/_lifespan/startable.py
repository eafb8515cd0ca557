"""WSGI applications that start and end, although WSGI has no lifespan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from gatebridge._concurrency.per_process import PerProcess


@runtime_checkable
class Startable(Protocol):
    """A WSGI application that starts and ends, as `AsgiToWsgi` and `WsgiMounts` do."""

    def startup(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *exc_info: object) -> object: ...


def lifespan_of(app: Startable) -> Callable[[object], AbstractContextManager[None]]:
    """Return a lifespan for `LifespanShim`; of several event loops the last one closes it."""
    loops = PerProcess(_LoopCount)

    @contextmanager
    def lifespan(_: object) -> Generator[None, None, None]:
        running = loops.get()
        with running.lock:
            app.startup()
            running.count += 1
        try:
            yield
        finally:
            with running.lock:
                running.count -= 1
                if not running.count:
                    app.close()

    return lifespan


class _LoopCount:
    """The number of event loops in one process on which an application lives."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.count = 0
