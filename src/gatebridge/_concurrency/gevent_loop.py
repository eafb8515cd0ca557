"""The event loop of asyncio as one greenlet of many; imported only where gevent patched the rest.

The greenlets of the requests run while this one waits in its selector, in the same thread of the
system. Whatever asyncio keeps for each thread is therefore theirs as well.
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
        asyncio._set_running_loop(None)  # or Django, for one, would refuse the others its database
        try:
            return super().select(timeout)
        finally:
            if os.getpid() != self._pid:
                threading.Event().wait()  # a greenlet is forked with its thread; its place is there
            asyncio._set_running_loop(loop)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that lets the other greenlets run while it has nothing to do."""
    return asyncio.SelectorEventLoop(_Selector())
