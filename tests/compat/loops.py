"""Event loops that the tests run themselves, as users do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

from asgi_on_wsgi.apps import Event
from asgi_on_wsgi.host import HANG
from asgi_on_wsgi.threads import Thread

T = TypeVar("T")
NewLoop = Callable[[], asyncio.AbstractEventLoop]

NEW_LOOPS: dict[str, NewLoop] = {"asyncio": asyncio.new_event_loop}
if find_spec("uvloop"):
    import uvloop

    NEW_LOOPS["uvloop"] = uvloop.new_event_loop


class LoopThread:
    """A loop, and a thread that runs it once it was started."""

    def __init__(self, new_loop: NewLoop = asyncio.new_event_loop) -> None:
        self.loop = new_loop()
        self.thread: Thread | None = None

    def start(self) -> LoopThread:
        runs = Event()
        self.loop.call_soon_threadsafe(runs.set)
        self.thread = Thread(self.loop.run_forever)
        runs.happens()
        return self

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(HANG)

    def stop(self) -> None:
        """Stop the loop as it is, and wait for the thread."""
        if self.thread is not None:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.thread = None

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Return what is left on the loop."""

        async def others() -> set[asyncio.Task[Any]]:
            return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

        return self.run(others())
