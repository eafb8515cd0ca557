"""Parts of the interpreter's exit, and of an interrupt, without leaving the process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from asgi_on_wsgi.apps import Event, Recorder
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.threads import Thread
from gatebridge._asgi_on_wsgi import interpreter_exit
from gatebridge.errors import UnavailableError

pytestmark = pytest.mark.direction("a2w")


def test_the_exit_closes_what_is_open_and_refuses_more(
    adapt: Adapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter_exit, "_exiting", None)  # to be put back
    app = Recorder()
    adapter = adapt(app)
    adapter.startup()
    interpreter_exit._close_open_sessions()
    assert app.events == ["startup", "shutdown"]
    with pytest.raises(UnavailableError, match="the interpreter is exiting"):
        adapter.startup()


def test_a_thread_that_waits_for_the_main_thread_is_found() -> None:
    assert not interpreter_exit._main_thread_is_waited_for()
    waits, found = Event(), Event()

    def wait() -> None:
        waits.set()
        for _ in range(HANG * 20):
            if not found.is_set():
                threading.main_thread().join(0.05)

    waiting = Thread(wait)
    waits.happens()
    while not interpreter_exit._main_thread_is_waited_for():
        assert waiting._thread.is_alive()
    found.set()
    waiting.join()


def test_an_interrupt_while_a_request_is_handed_over_leaves_nothing(adapt: Adapt) -> None:
    adapter = adapt(Recorder(), shutdown_timeout=HANG * 10)
    adapter.startup()
    session = adapter._processes.get().session
    assert session is not None
    handle = session.portal.handle
    call_soon = handle.call_soon
    interrupts = 1

    def interrupted(callback: Callable[[], None]) -> bool:
        nonlocal interrupts
        if interrupts:
            interrupts -= 1
            raise KeyboardInterrupt
        return call_soon(callback)

    handle.call_soon = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        adapter(Host().environ, lambda *args: print)
    del handle.call_soon  # type: ignore[attr-defined]
    assert Host().serve(adapter).body == b"ok"
    closing = Thread(adapter.close)
    closing.join()  # it does not wait for the request that never began
