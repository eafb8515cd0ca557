"""`WsgiInput` read by several threads of an application at once."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from gatebridge._wsgi_on_asgi.input import WsgiInput
from wsgi_on_asgi.apps import HANG

pytestmark = pytest.mark.direction("w2a")


@pytest.mark.clause("W-IN-01")
def test_every_thread_that_waits_in_a_read_goes_on() -> None:
    at_the_gate = threading.Semaphore(0)

    @contextmanager
    def waiting() -> Any:
        at_the_gate.release()
        yield

    body = WsgiInput(
        length=None,
        max_size=None,
        window_bytes=10,
        on_demand=False,
        wake=lambda: True,
        waiting=waiting,
        request="POST '/'",
    )
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(body.read()), daemon=True) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
        assert at_the_gate.acquire(timeout=HANG)
    body.feed(b"all", more_body=False)
    for thread in threads:
        thread.join(HANG)
    assert b"".join(found) == b"all"
    assert len(found) == 3


@pytest.mark.clause("W-IN-01")
@pytest.mark.parametrize("method", ["read", "read1", "readline"])
def test_threads_that_read_at_once_share_the_body(method: str) -> None:
    """Which one gets which byte is open; that each byte is read once is not."""
    body = WsgiInput(
        length=None,
        max_size=None,
        window_bytes=1 << 20,
        on_demand=False,
        wake=lambda: True,
        waiting=nullcontext,
        request="POST '/'",
    )
    found: list[bytes] = []

    def reader() -> None:
        while block := getattr(body, method)(3):
            found.append(block)

    threads = [threading.Thread(target=reader, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(500):
        body.feed(b"%03d" % number, more_body=number < 499)
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()
    assert sum(map(len, found)) == 1500
