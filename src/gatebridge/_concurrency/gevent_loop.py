"""asyncio's event loop as one greenlet of many; imported only in a process that gevent patched.

The greenlets of the requests run while this one waits in its selector, in the same system thread.
They therefore see whatever asyncio stores per thread.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading


class _Selector(selectors.DefaultSelector):  # gevent's
    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = asyncio._get_running_loop()
        # Otherwise Django, for example, refuses the other greenlets access to its database.
        asyncio._set_running_loop(None)
        try:
            return super().select(timeout)
        finally:
            if os.getpid() != self._pid:
                threading.Event().wait()  # a copy of the parent's greenlet: it must not run here
            asyncio._set_running_loop(loop)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that lets the other greenlets run while it has nothing to do."""
    return asyncio.SelectorEventLoop(_Selector())
