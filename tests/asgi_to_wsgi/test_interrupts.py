"""An exception from a signal handler, at any point of a thread: Ctrl-C, a server's time-out.

It ends what it interrupts, and nothing else: the next request is served, the application shuts down
as often as it has started, `close` and the exit do not hang, and no thread is left.
"""

from __future__ import annotations

from typing import Any

import pytest

from asgi_to_wsgi.scripts import run_script

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

def interrupted_at(number, action):
    \"\"\"Run an action; raise at the point of this number. Return whether there was one.\"\"\"
    points = 0
    previous = {}  # the instruction that each frame has executed last

    def trace(frame, event, argument):
        nonlocal points
        frame.f_trace_opcodes = True
        if event == "opcode":
            before = previous.get(frame, "")
            previous[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            # Where CPython runs signal handlers: after calls, at loops, at the start of a function.
            if before.startswith(("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "RESUME")):
                points += 1
                if points == number:
                    raise Interrupt
        return trace

    try:
        sys.settrace(trace)
        action()
    except Interrupt:
        pass
    finally:
        sys.settrace(None)
    return points >= number

def sweep(prepare, act):
    \"\"\"Interrupt an action at each of its points; all has to be right afterwards.\"\"\"
    number = 0
    more = True
    while more:
        number += 1
        adapter = AsgiToWsgi(
            living(counted_life, respond),
            backend=backend, backend_options=options, shutdown_timeout=60,
        )
        prepare(adapter)
        more = interrupted_at(number, lambda: act(adapter))
        adapter.startup()
        for path in ("/", "/stream"):
            assert Host(path=path).serve(adapter).body == b"ok", number
        adapter.close()
        assert counts["startup"] == counts["end"], (number, counts)
        threads = [t for t in threading.enumerate() if t.name.startswith("gatebridge")
                   and t.is_alive()]
        assert threads == [], (number, threads)
        faulthandler.dump_traceback_later(15, exit=True)
    say("many points" if number > 50 else number)
"""


def test_at_each_point_of_a_request(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep(lambda adapter: adapter.startup(), lambda adapter: Host().serve(adapter))
sweep(lambda adapter: adapter.startup(), lambda adapter: Host(path="/stream").serve(adapter))
""",
        anyio_backend,
        says=["many points"] * 2,
    )


def test_at_each_point_of_the_startup(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep(lambda adapter: None, lambda adapter: adapter.startup())
""",
        anyio_backend,
        says=["many points"],
    )


def test_at_each_point_of_close(anyio_backend: Any) -> None:
    run_script(
        SWEEP
        + """
sweep(lambda adapter: adapter.startup(), lambda adapter: adapter.close())
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

signal.signal(signal.SIGALRM, interrupt)
adapter = AsgiToWsgi(
    living(counted_life, respond),
    backend=backend, backend_options=options, shutdown_timeout=60,
)
adapter.startup()
interrupts = number = 0
while interrupts < 100:
    number += 1
    before = interrupts
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.002))
        for path in ("/", "/stream", "/"):
            Host(path=path).serve(adapter)
        if number % 4 == 0:
            adapter.close()
            adapter.startup()
        while interrupts == before:
            time.sleep(0.001)  # to give up the mutex is what lets CPython see each signal
    except Interrupt:
        pass
    faulthandler.dump_traceback_later(15, exit=True)
    adapter.startup()
    assert Host().serve(adapter).body == b"ok"
adapter.close()
assert counts["startup"] == counts["end"] > 1, counts
adapter.startup()
say("interrupted")
""",
        anyio_backend,
        says=["interrupted"],
    )
