"""WSGI applications with a startup and a shutdown, although WSGI has no lifespan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from gatebridge._concurrency.per_process import PerProcess


@runtime_checkable
class Startable(Protocol):
    """A WSGI application with a startup and a shutdown, such as `AsgiToWsgi` and `WsgiMounts`."""

    def startup(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, *exc_info: object) -> object: ...


def lifespan_of(app: Startable) -> Callable[[object], AbstractContextManager[None]]:
    """Return a lifespan for `LifespanShim`; the last of several event loops closes it."""
    loops = PerProcess(_LoopCount)

    @contextmanager
    def lifespan(_: object) -> Generator[None, None, None]:
        loop_count = loops.get()
        with loop_count.lock:
            app.startup()
            loop_count.count += 1
        try:
            yield
        finally:
            with loop_count.lock:
                loop_count.count -= 1
                if not loop_count.count:
                    app.close()

    return lifespan


class _LoopCount:
    """The number of event loops in one process that have started an application."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.count = 0
