"""The adapters that are measured, each as well configured as it allows, and the floor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

from gatebridge import AsgiToWsgi
from gatebridge.types import ASGIApplication, StartResponse, WSGIApplication, WSGIEnvironment

Factory = Callable[[ASGIApplication, str], WSGIApplication]
"""Makes a WSGI application of an ASGI application and the name of an event loop."""


def _gatebridge(app: ASGIApplication, loop: str) -> WSGIApplication:
    return AsgiToWsgi(app, backend_options={"use_uvloop": True} if loop == "uvloop" else None)


def _a2wsgi(app: ASGIApplication, loop: str) -> WSGIApplication:
    from a2wsgi import ASGIMiddleware  # a peer may be missing

    # It starts a thread with a loop for each application if it is given none. The process has one.
    return cast("WSGIApplication", ASGIMiddleware(cast("Any", app), loop=running_loop(loop)))


_FACTORIES: dict[str, Factory] = {"gatebridge": _gatebridge, "a2wsgi": _a2wsgi}

CONTENDERS = {name: factory for name, factory in _FACTORIES.items() if find_spec(name)}
"""Those that are installed, by the names of their distributions."""


class RawHop:
    """The floor: to the event loop's thread and back, without a translation or an application.

    It reads the body, lets the loop call the release of a lock, waits for that lock, and answers
    what it was given. Of all ways back to the thread, a lock of its own is among the cheapest.
    """

    def __init__(self, answer: bytes, loop: str) -> None:
        self._answer = answer
        self._call_soon = running_loop(loop).call_soon_threadsafe

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length:
            environ["wsgi.input"].read(int(length))
        lock = threading.Lock()
        lock.acquire()
        self._call_soon(lock.release)
        lock.acquire()
        start_response("200 OK", [("Content-Length", str(len(self._answer)))])
        return [self._answer]


@cache
def running_loop(name: str) -> asyncio.AbstractEventLoop:
    """Return a loop that runs in a thread of its own, until the process ends."""
    loop: asyncio.AbstractEventLoop
    if name == "uvloop":
        import uvloop  # not on every platform

        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop
