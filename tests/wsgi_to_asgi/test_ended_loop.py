"""A loop that ends without cancelling its tasks: no worker waits for it for ever."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gatebridge import WsgiToAsgi
from gatebridge._bodies import gate
from gatebridge.errors import ClientDisconnected
from wsgi_to_asgi.apps import HANG

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"9")]}

pytestmark = pytest.mark.direction("w2a")


@pytest.mark.clause("W-CLOSE-01")
@pytest.mark.parametrize("waits_in", ["read", "write"])
def test_a_worker_that_waits_is_freed(waits_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_CHECK_SECONDS", 0.01)
    received, freed = threading.Event(), threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        try:
            while waits_in == "write":
                write(b"x" * 70_000)
            environ["wsgi.input"].read()
        except ClientDisconnected:
            freed.set()
        return []

    async def receive() -> Any:
        if received.is_set():
            await asyncio.Event().wait()
        received.set()
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    served = WsgiToAsgi(app, window_bytes=100_000)
    task = loop.create_task(served(SCOPE, receive, send))
    stalled = threading.Event()
    pool_stall = served._pool.stall

    def stall() -> None:
        pool_stall()
        stalled.set()

    monkeypatch.setattr(served._pool, "stall", stall)
    loop.run_until_complete(asyncio.wait_for(asyncio.to_thread(stalled.wait, HANG), HANG))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert freed.wait(HANG)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    assert served._pool.close(HANG) == []
