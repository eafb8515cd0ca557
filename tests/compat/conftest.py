"""Loops of the user's, and what holds at the end of every test here."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

import asgi_on_wsgi.host
import wsgi_on_asgi.host
from compat.loops import NEW_LOOPS, LoopThread
from wsgi_on_asgi import apps


@pytest.fixture(params=NEW_LOOPS)
def own(request: pytest.FixtureRequest) -> Iterator[LoopThread]:
    """A loop of the user's, which no thread runs yet."""
    own = LoopThread(NEW_LOOPS[request.param])
    yield own
    if not own.loop.is_closed():
        own.stop()
        own.loop.close()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No worker and no loop of ours runs any more, and no server was called wrongly."""
    yield
    assert apps.end_adapters() == []
    gc.collect()
    for thread in threading.enumerate():
        if thread.name in ("gatebridge-asyncio", "gatebridge-trio"):
            thread.join(5)
            assert not thread.is_alive()
    hosts = [*asgi_on_wsgi.host.Host.all, *wsgi_on_asgi.host.Host.all]
    asgi_on_wsgi.host.Host.all.clear()
    wsgi_on_asgi.host.Host.all.clear()
    assert [violation for host in hosts for violation in host.violations] == []
