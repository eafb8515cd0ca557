"""Threads that the tests start."""

from __future__ import annotations

import threading
from collections.abc import Callable

from asgi_on_wsgi.host import HANG


class Thread:
    """A thread; what it raises is raised by `join`."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as exc:  # noqa: BLE001 - raised by join()
            self.error = exc

    def join(self, seconds: float = HANG) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the thread hangs"
        if self.error is not None:
            raise self.error
