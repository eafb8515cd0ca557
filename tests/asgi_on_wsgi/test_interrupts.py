"""An exception from a signal handler, at any point of a thread: Ctrl-C, a server's time-out.

It ends what it interrupts, and nothing else: the next request is served, the application shuts down
as often as it has started, `close` and the exit do not hang, and no thread is left.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from asgi_on_wsgi.apps import http, sending
from asgi_on_wsgi.scripts import run_script
from gatebridge._asgi_on_wsgi.http_on_loop import HttpCall
from gatebridge.errors import UnavailableError

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-54")]

SWEEP = """
import dis, faulthandler, logging

logging.disable()
sys.unraisablehook = lambda unraisable: None  # an interrupt within __del__ goes no further
faulthandler.dump_traceback_later(15, exit=True)  # what hangs is shown
counts = {"startup": 0, "end": 0}

async def respond(scope, receive, send):
    await receive()
    if scope["path"] == "/stream":
        await send(start())
        await send(body(b"o", more=True))
        await send(body(b"k", more=True))
        await send(body())
    elif scope["path"] == "/wait":
        await send(start())
        await send(body(b"o", more=True))
        await receive()  # the disconnect
    else:
        await sending(start(), body(b"ok"))(scope, receive, send)

async def counted_life(scope, receive, send):
    async def counting(message):
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            counts["startup"] += 1
            up.append(1)

    up = []
    try:
        await started(receive, counting)
        await stopped(receive, send)
    finally:
        counts["end"] += len(up)

class Interrupt(BaseException):
    pass

instructions = {}  # of each code, by their offsets

def is_point(frame, before):
    \"\"\"Return whether CPython runs signal handlers here: after a call, in a loop, at first.\"\"\"
    if frame.f_code not in instructions:
        each = list(dis.get_instructions(frame.f_code))
        following = [*each[1:], each[-1]]
        instructions[frame.f_code] = {
            one.offset: (one.opname, next.offset) for one, next in zip(each, following)
        }
    name, next_offset = instructions[frame.f_code].get(before, ("", 0))
    if name.startswith(("JUMP_BACKWARD", "JUMP_ABSOLUTE")):
        return True
    # CPython 3.13 does not report every instruction: the next one may lie behind the call's block.
    return name.startswith(("CALL", "RESUME")) and frame.f_lasti == next_offset

def interrupted_at(number, action):
    \"\"\"Run an action; raise at the point of this number. Return whether there was one.\"\"\"
    points = 0
    previous = {}  # where the instruction is that each frame has executed last

    def trace(frame, event, argument):
        nonlocal points
        frame.f_trace_opcodes = True
        if event == "opcode":
            before = previous.get(frame)
            previous[frame] = frame.f_lasti
            if is_point(frame, before):
                points += 1
                if points == number:
                    raise Interrupt
        return trace

    sys._getframe().f_trace_opcodes = True  # CPython 3.12 looks whether any frame has it
    try:
        sys.settrace(trace)
        action()
    except Interrupt:
        pass
    finally:
        sys.settrace(None)
        previous.clear()  # the frames, which keep what the interrupted request would release
    return points >= number

def new_adapter():
    return AsgiToWsgi(
        living(counted_life, respond),
        backend=backend, backend_options=options, shutdown_timeout=60,
    )

def serves(adapter):
    adapter.startup()
    return [Host(path=path).serve(adapter).body for path in ("/", "/stream")] == [b"ok"] * 2

def is_released(adapter):
    adapter.close()
    for thread in threading.enumerate():
        if thread.name.startswith("gatebridge") and thread.is_alive():
            thread.join(5)  # one whose start was interrupted may just be ending
            if thread.is_alive():
                return False
    return counts["startup"] == counts["end"]

def sweep(act, *, prepare=None):
    \"\"\"Interrupt an action at each of its points; all has to be right afterwards.\"\"\"
    number = 0
    more = True
    while more:
        number += 1
        adapter = new_adapter()
        if prepare:
            prepare(adapter)
        more = interrupted_at(number, lambda: act(adapter))
        assert serves(adapter), number
        assert is_released(adapter), (number, counts, threading.enumerate())
        faulthandler.dump_traceback_later(15, exit=True)
    say("many points" if number > 50 else number)

def serve(adapter, path):
    if path != "/wait":
        Host(path=path).serve(adapter)
        return
    body = adapter(Host(path=path).environ, lambda *args: None)
    try:
        next(body)
    finally:
        body.close()

def sweep_requests(path):
    \"\"\"The same for a request of an adapter that has started.\"\"\"
    number = 0
    more = True
    adapter = new_adapter()
    adapter.startup()
    while more:
        number += 1
        more = interrupted_at(number, lambda: serve(adapter, path))
        Host.all.clear()
        assert serves(adapter), number
        faulthandler.dump_traceback_later(15, exit=True)
    assert is_released(adapter), (counts, threading.enumerate())
    say("many points" if number > 50 else number)
"""


def test_at_each_point_of_a_request(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep_requests("/")
sweep_requests("/stream")
sweep_requests("/wait")
""",
        anyio_backend,
        says=["many points"] * 3,
    )


def test_at_each_point_of_the_startup(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep(AsgiToWsgi.startup)
""",
        anyio_backend,
        says=["many points"],
    )


def test_at_each_point_of_close(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep(AsgiToWsgi.close, prepare=AsgiToWsgi.startup)
""",
        anyio_backend,
        says=["many points"],
    )


def test_at_random_points_by_real_signals(anyio_backend: Any) -> None:
    """Requests, startups and closes, until enough of them were interrupted; then the exit."""
    run_script(
        SWEEP
        + """
import random, signal, time

def interrupt(*args):
    global interrupts
    interrupts += 1
    raise Interrupt  # which goes no further if this interrupts a __del__

def attempt(number):
    before = interrupts
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.002))
    if number % 2:
        adapter.close()
        adapter.startup()
    for path in ("/", "/stream", "/"):
        Host(path=path).serve(adapter)
    while interrupts == before:
        time.sleep(0.001)  # to give up the mutex is what lets CPython see each signal

signal.signal(signal.SIGALRM, interrupt)
adapter = new_adapter()
adapter.startup()
interrupts = number = 0
while interrupts < 100:
    number += 1
    try:
        attempt(number)
    except Interrupt:
        pass
    assert serves(adapter)
    faulthandler.dump_traceback_later(15, exit=True)
assert is_released(adapter), (counts, threading.enumerate())
adapter.startup()
say("interrupted")
""",
        anyio_backend,
        says=["interrupted"],
    )


@pytest.mark.clause("A-LIFE-05")
def test_a_startup_that_completes_after_its_interrupt_is_shut_down(anyio_backend: Any) -> None:
    """Not just cancelled: it may block the loop, and so learn of the interrupt too late."""
    run_script(
        SWEEP
        + """
import signal

async def connecting(scope, receive, send):
    await receive()
    blocks.set()
    interrupted.wait()
    await send({"type": "lifespan.startup.complete"})
    say((await receive())["type"])
    await anyio.sleep(0.01)
    say("closed")
    await send({"type": "lifespan.shutdown.complete"})

def interrupt(*args):
    interrupted.set()
    raise Interrupt

def send_signal():
    blocks.wait()
    while not interrupted.wait(0.1):  # the one that comes just before the wait has no effect
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

blocks, interrupted = threading.Event(), threading.Event()
signal.signal(signal.SIGALRM, interrupt)
threading.Thread(target=send_signal, daemon=True).start()
adapter = AsgiToWsgi(
    living(connecting, respond), backend=backend, backend_options=options, lifespan="on"
)
try:
    adapter.startup()
except Interrupt:
    say("interrupted")
""",
        anyio_backend,
        says=["lifespan.shutdown", "closed", "interrupted"],
    )


def test_an_interrupt_at_the_start_of_a_call_lets_neither_its_thread_nor_the_close_wait() -> None:
    """A loop in the main thread may be interrupted in the callback that starts the task."""
    ended: list[object] = []

    class Interrupt(BaseException):
        pass

    def spawn(*_: object) -> None:
        raise Interrupt

    portal: Any = SimpleNamespace(ended=False, handle=None, spawn=spawn)
    scope = {"method": "GET", "path": "/", "extensions": {}}
    call = HttpCall(http(sending()), scope, None, portal, 1, ended.append)
    with pytest.raises(Interrupt):
        call.start()
    call.cut_off()
    assert ended == [call]
    assert isinstance(call.response.tasks.get_nowait(), UnavailableError)


def test_ctrl_c_during_a_request_on_trios_own_loop_ends_the_program_not_the_request() -> None:
    """It comes in the main thread, where the loop runs, and is no error of the application."""
    run_script(
        """
import signal, trio
from anyio.from_thread import BlockingPortal

async def respond(scope, receive, send):
    signal.raise_signal(signal.SIGINT)
    await sending(start(), body(b"ok"))(scope, receive, send)

async def main():
    async with BlockingPortal() as portal:
        adapter = AsgiToWsgi(http(respond), portal=portal, lifespan="off")
        await anyio.to_thread.run_sync(serve, adapter)

try:
    trio.run(main)
except BaseException as exc:
    while isinstance(exc, BaseExceptionGroup):
        (exc,) = exc.exceptions
    say(type(exc).__name__)
""",
        ("trio", {}),
        before="try:\n    BaseExceptionGroup\nexcept NameError:\n"
        "    from exceptiongroup import BaseExceptionGroup\n",
        says=["ok", "KeyboardInterrupt"],
    )
