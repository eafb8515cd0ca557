"""Processes that are forked before or after the first use, with Python's knowledge or without."""

from __future__ import annotations

import os
from typing import Any

import pytest

from asgi_on_wsgi.scripts import run_script

pytestmark = [
    pytest.mark.direction("a2w"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

CHILD = ["child: startup", "child: ok", "child: shutdown", "child: cleanup"]
PARENT = ["status 0", "ok", "shutdown", "cleanup"]

_NO_HOOKS = """
import os, threading
os.register_at_fork = lambda **hooks: None
"""


@pytest.fixture(params=["", _NO_HOOKS], ids=["os.fork", "a foreign fork"])
def before(request: pytest.FixtureRequest) -> Any:
    """Python source to run first.

    After a foreign fork, as uWSGI's, no hook of `os.register_at_fork` runs in the child, though the
    interpreter's own locks and threads are put in order.
    """
    return request.param


@pytest.mark.clause("A-LIFE-09")
def test_a_fork_before_the_first_use(anyio_backend: Any, before: str) -> None:
    run_script(
        """
adapter = Adapter(living(life))
pid = os.fork()
if pid:
    wait_for(pid)
serve(adapter)
""",
        anyio_backend,
        before=before,
        says=[*CHILD, "status 0", "startup", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-09")
def test_a_fork_after_the_first_use(anyio_backend: Any, before: str) -> None:
    """The child has a loop and a lifespan of its own; the parent's go on."""
    run_script(
        """
adapter = Adapter(living(life))
serve(adapter)
pid = os.fork()
if pid:
    wait_for(pid)
serve(adapter)
""",
        anyio_backend,
        before=before,
        says=["startup", "ok", *CHILD, *PARENT],
    )


@pytest.mark.clause("A-LIFE-09")
@pytest.mark.parametrize(
    "act",
    ["", "adapter.close()", "del adapter", "serve(adapter)\n    adapter.close()"],
    ids=["nothing", "close", "forget", "serve and close"],
)
def test_what_the_parent_runs_is_never_cleaned_up_in_the_child(
    anyio_backend: Any, before: str, act: str
) -> None:
    """Not by its collector, nor at its exit: lifespan, requests, generators, tasks."""
    served = "serve" in act
    run_script(
        f"""
async def generate():
    try:
        yield 1
        await anyio.sleep_forever()
    finally:
        say("generator's cleanup")

async def lifespan(scope, receive, send):
    async for _ in generate():
        await life(scope, receive, send)

async def respond(scope, receive, send):
    await sending(start(), body(b"ok"))(scope, receive, send)
    if os.getpid() == first:
        try:
            busy.set()
            await anyio.sleep_forever()
        finally:
            say("request's cleanup")

busy = threading.Event()
adapter = Adapter(living(lifespan if {not served} else life, respond))
adapter._shutdown_timeout = 0.2
serve(adapter)
busy.wait()
pid = os.fork()
if not pid:
    gc.collect()
    {act or "pass"}
    gc.collect()
    gc.collect()
    say("end")
    sys.exit(0)
import logging
logging.disable()
wait_for(pid)
os._exit(0)
""",
        anyio_backend,
        before=before,
        says=[
            "startup",
            "ok",
            *(CHILD if served else []),
            "child: end",
            "status 0",
        ],
    )


@pytest.mark.clause("A-LIFE-09")
def test_a_task_of_the_application_is_not_cleaned_up_in_the_child(
    anyio_backend: Any, before: str
) -> None:
    """One that only the application itself keeps alive."""
    if anyio_backend[0] == "trio":
        pytest.skip("trio keeps its tasks itself")
    run_script(
        """
class Poller:
    async def run(self):
        self.event = asyncio.Event()
        try:
            await self.event.wait()
        finally:
            say("poller's cleanup")

async def lifespan(scope, receive, send):
    poller = scope["state"]["poller"] = Poller()
    poller.task = asyncio.create_task(poller.run())
    await life(scope, receive, send)

adapter = Adapter(living(lifespan))
serve(adapter)
pid = os.fork()
if pid:
    wait_for(pid)
    os._exit(0)
del adapter, lifespan, Poller
gc.collect()
""",
        anyio_backend,
        before=before,
        says=["startup", "ok", "status 0"],
    )


@pytest.mark.clause("A-LIFE-09")
def test_a_fork_while_the_application_starts_up(anyio_backend: Any, before: str) -> None:
    run_script(
        """
begun, may_go_on = threading.Event(), threading.Event()

async def lifespan(scope, receive, send):
    begun.set()
    while not may_go_on.is_set():
        await anyio.sleep(0.001)
    await life(scope, receive, send)

adapter = Adapter(living(lifespan))
thread = threading.Thread(target=adapter.startup)
thread.start()
begun.wait()
pid = os.fork()
if pid:
    wait_for(pid)
may_go_on.set()
if pid:
    thread.join()
serve(adapter)
""",
        anyio_backend,
        before=before,
        says=[*CHILD, "status 0", "startup", "ok", "shutdown", "cleanup"],
    )


@pytest.mark.clause("A-LIFE-09")
def test_a_closed_adapter_and_a_failed_startup_begin_anew_in_the_child(
    anyio_backend: Any, before: str
) -> None:
    run_script(
        """
from gatebridge.errors import LifespanError

async def failing(scope, receive, send):
    await receive()
    if os.getpid() == first:
        await send({"type": "lifespan.startup.failed", "message": "in the parent"})
    else:
        await send({"type": "lifespan.startup.complete"})
        await stopped(receive, send)

adapter, closed = Adapter(living(failing)), Adapter(living(life))
closed.close()
try:
    serve(adapter)
except LifespanError as exc:
    say(exc)
pid = os.fork()
if pid:
    wait_for(pid)
else:
    serve(adapter)
    serve(closed)
""",
        anyio_backend,
        before=before,
        says=[
            "lifespan.startup.failed: in the parent",
            "child: ok",
            *CHILD,
            "status 0",
        ],
    )


@pytest.mark.clause("A-LIFE-09")
def test_a_portal_of_the_parent_is_refused_in_the_child(anyio_backend: Any, before: str) -> None:
    reason = "runs in the process that this one was forked from; open it after the fork"
    run_script(
        """
from anyio.from_thread import start_blocking_portal
from gatebridge.errors import UnavailableError

with start_blocking_portal(backend, options) as portal:
    used, unused = (AsgiToWsgi(living(life), portal=portal) for _ in range(2))
    serve(used)
    pid = os.fork()
    if not pid:
        for adapter in (used, unused):
            try:
                serve(adapter)
            except UnavailableError as exc:
                say(exc)
            adapter.close()
        os._exit(0)
    wait_for(pid)
""",
        anyio_backend,
        before=before,
        says=[
            "startup",
            "ok",
            *[f"child: portal: {reason}"] * 2,
            "status 0",
            "shutdown",
            "cleanup",
        ],
    )
