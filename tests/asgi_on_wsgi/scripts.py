"""Scripts that the tests run in a process of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gatebridge

_SECONDS = 20  # for a script that hangs; each takes less than two

_PATHS = [Path(gatebridge.__file__).parents[1], Path(__file__).parents[1]]

_PRELUDE = '''
import asyncio, functools, gc, json, os, sys, threading, warnings
import anyio, anyio.to_thread
from asgi_on_wsgi.apps import body, http, living, sending, start, started, stopped
from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
backend, options = json.loads(sys.argv[1])
Adapter = functools.partial(
    AsgiToWsgi, backend=backend, backend_options=options, shutdown_timeout=5
)
first = os.getpid()

def say(*words):
    """Write a line at once; in another process than the first with a mark."""
    mark = "" if os.getpid() == first else "child: "
    os.write(1, (mark + " ".join(map(str, words)) + "\\n").encode())

async def life(scope, receive, send):
    """A lifespan that says what happens."""
    try:
        await started(receive, send)
        say("startup")
        message = await receive()
        await anyio.sleep(0.01)
        say("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
    finally:
        say("cleanup")

def serve(adapter):
    say(Host().serve(adapter).body.decode())

def at_exit(call, *, last=False):
    """Call a function at the exit, before all that is registered by now, or after it.

    Executors and gatebridge end there, before the interpreter waits for the other threads. `atexit`
    comes only after that wait, and the standard library has no public way in between.
    """
    calls = threading._threading_atexits  # called from the end to the beginning
    calls.insert(0 if last else len(calls), call)

def wait_for(pid):
    say("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
'''


def run_script(
    source: str, anyio_backend: Any, *, before: str = "", status: int = 0, says: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run a script, and demand that it says these lines, and ends with this status.

    Without an error, nothing may come on its standard error. What is to run ``before`` comes
    before all imports.
    """
    script = before + _PRELUDE + textwrap.dedent(source)
    process = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(anyio_backend)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _PATHS))},
        start_new_session=True,  # so that children which hang can be ended as well
    )
    try:
        out, err = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    assert (result.stdout.splitlines(), result.returncode) == (says, status), result.stderr
    if status == 0:
        assert result.stderr == ""
    return result
