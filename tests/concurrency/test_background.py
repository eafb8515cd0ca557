"""The background loops of a process: what becomes of one that nobody waits for."""

from __future__ import annotations

import threading

import pytest

from asgi_to_wsgi.host import HANG
from gatebridge._concurrency import background
from gatebridge._concurrency.background import SharedLoop
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

        def get(self) -> None:
            if opened:
                assert self.happened.wait(HANG)
            raise KeyboardInterrupt

    class Loop(background._BackgroundLoop):
        def start(self) -> Portal:
            threads.append(self._thread)
            self._opened = Opened()  # type: ignore[assignment]
            return super().start()

        def _run(self) -> None:
            assert held.wait(HANG)
            super()._run()

    monkeypatch.setattr(background, "_BackgroundLoop", Loop)
    if opened:
        held.set()
    use = SharedLoop("asyncio", {})
    with pytest.raises(KeyboardInterrupt):
        use.open()
    use.close()
    held.set()
    threads[0].join(HANG)
    assert not threads[0].is_alive()
    assert not background.runs_a_loop()
