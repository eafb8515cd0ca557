"""The background loops of a process: what becomes of one that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from asgi_on_wsgi.host import HANG
from asgi_on_wsgi.threads import Thread
from gatebridge._concurrency import background_loop
from gatebridge._concurrency.loop_use import SharedLoop
from gatebridge._concurrency.portal import Portal


@pytest.mark.parametrize("opened", [False, True], ids=["before", "after"])
def test_a_loop_ends_whose_start_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    """By Ctrl-C, before or after the loop runs."""
    threads: list[threading.Thread] = []
    held = threading.Event()

    class Opened:
        def __init__(self) -> None:
            self.happened = threading.Event()

        def put(self, _: None) -> None:
            self.happened.set()

        def get(self, timeout: float) -> None:
            if opened:
                assert self.happened.wait(HANG)
            raise KeyboardInterrupt

    class Loop(background_loop.BackgroundLoop):
        def start(self) -> Portal | None:
            threads.append(self._thread)
            self._portal_run._changed = Opened()  # type: ignore[assignment]
            return super().start()

        def _run(self) -> None:
            assert held.wait(HANG)
            super()._run()

    monkeypatch.setattr(background_loop, "BackgroundLoop", Loop)
    if opened:
        held.set()
    use = SharedLoop("asyncio", {})
    with pytest.raises(KeyboardInterrupt):
        use.open()
    use.close()
    held.set()
    threads[0].join(HANG)
    assert not threads[0].is_alive()
    assert not background_loop.runs_a_loop()


def test_a_loop_that_takes_its_time_to_start_holds_up_no_other() -> None:
    """As when a user of another loop leaves it, which happens on that loop."""
    begun, may_start = threading.Event(), threading.Event()

    def slow_factory() -> asyncio.AbstractEventLoop:
        begun.set()
        assert may_start.wait(HANG)
        return asyncio.new_event_loop()

    slow = SharedLoop("asyncio", {"loop_factory": slow_factory})
    quick = SharedLoop("asyncio", {})
    portal = quick.open()
    starting = Thread(slow.open)
    assert begun.wait(HANG)

    async def close() -> None:
        quick.close()

    closing = Thread(lambda: portal.call(close))
    closing.join()
    may_start.set()
    starting.join()
    slow.close()
    slow.join()
    quick.join()
    assert not background_loop.runs_a_loop()


def test_all_who_open_a_loop_while_it_starts_get_it() -> None:
    uses = [SharedLoop("asyncio", {}) for _ in range(8)]
    portals: list[Portal] = []
    all_there = threading.Barrier(8)

    def open_(use: SharedLoop) -> None:
        all_there.wait(HANG)
        portals.append(use.open())

    for thread in [Thread(partial(open_, use)) for use in uses]:
        thread.join()
    assert len({id(portal) for portal in portals}) == 1
    for use in uses:
        assert background_loop.runs_a_loop()
        use.close()
    uses[0].join()
    assert not background_loop.runs_a_loop()
