"""The adapters that are measured, each as well configured as it allows, and the floor."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from queue import SimpleQueue
from typing import Any, cast

from gatebridge import WsgiToAsgi, environ_from_scope
from gatebridge.types import ASGIApplication, Receive, Scope, Send, WSGIApplication

THREADS = 40

Factory = Callable[[WSGIApplication, int], ASGIApplication]
"""Makes an ASGI application of a WSGI application and a number of worker threads."""


def _gatebridge(app: WSGIApplication, threads: int) -> ASGIApplication:
    return WsgiToAsgi(app, threads=threads)


def _a2wsgi(app: WSGIApplication, threads: int) -> ASGIApplication:
    from a2wsgi import WSGIMiddleware  # a peer may be missing

    # 10 workers by default. A longer send queue (10 messages by default) is no faster.
    return cast("ASGIApplication", WSGIMiddleware(cast("Any", app), workers=threads))


def _asgiref(app: WSGIApplication, _threads: int) -> ASGIApplication:
    from asgiref.wsgi import WsgiToAsgi as AsgirefWsgiToAsgi

    # Its one thread for all requests, as under any server: it takes no number of threads.
    return cast("ASGIApplication", cast("Any", AsgirefWsgiToAsgi)(app))


def _uvicorn(app: WSGIApplication, threads: int) -> ASGIApplication:
    # The underscore: `WSGIMiddleware` of this module is a2wsgi's if that is installed.
    from uvicorn.middleware.wsgi import _WSGIMiddleware

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        adapter = _WSGIMiddleware(cast("Any", app), workers=threads)  # 10 by default
    return cast("ASGIApplication", adapter)


class _HypercornShim:
    """Hypercorn's wrapper outside of Hypercorn: hands it what its worker would."""

    def __init__(self, app: WSGIApplication, threads: int) -> None:
        from hypercorn.app_wrappers import WSGIWrapper

        # Hypercorn's own limit, 16 MiB by default, would refuse the large uploads.
        self._wrapper: Any = WSGIWrapper(app, max_body_size=sys.maxsize)
        # Hypercorn takes the loop's default executor, which is smaller on most machines.
        self._executor = ThreadPoolExecutor(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()

        def call_soon(function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401
            return asyncio.run_coroutine_threadsafe(function(*args), loop).result()

        spawn: Callable[..., Awaitable[Any]] = partial(loop.run_in_executor, self._executor)
        await self._wrapper(scope, receive, send, spawn, call_soon)


_FACTORIES: dict[str, Factory] = {
    "gatebridge": _gatebridge,
    "a2wsgi": _a2wsgi,
    "asgiref": _asgiref,
    "uvicorn": _uvicorn,
    "hypercorn": _HypercornShim,
}

CONTENDERS = {name: factory for name, factory in _FACTORIES.items() if find_spec(name)}
"""Those that are installed, by the names of their distributions."""


class RawHop:
    """The floor: to a thread and back, without a translation and without an application.

    It receives the body and answers what it was given, start and body in one message each.
    """

    def __init__(self, answer: bytes, threads: int) -> None:
        self._answer = answer
        self._queue: SimpleQueue[tuple[Callable[..., object], asyncio.Future[bytes]]] = (
            SimpleQueue()
        )
        for _ in range(threads):  # they end with the process, which is the measurement's own
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            call_soon_threadsafe, future = self._queue.get()
            call_soon_threadsafe(future.set_result, self._answer)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._queue.put((loop.call_soon_threadsafe, future))
        answer = await future
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})


class OnEventLoop:
    """The limit: the application called on the event loop itself, without any thread.

    No adapter may do this, because one slow request would stall every other. It checks nothing and
    sends the response in one piece.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no lifespan: servers carry on without one
        blocks: list[bytes] = []
        more = True
        while more:
            message: Any = await receive()
            blocks.append(message.get("body", b""))
            more = message.get("more_body", False)
        head: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:  # noqa: ANN401
            head[:] = status, headers

        environ = environ_from_scope(scope, body=BytesIO(b"".join(blocks)), multithread=False)
        iterable: Any = self._app(environ, start_response)
        try:
            body = b"".join(iterable)
        finally:
            if hasattr(iterable, "close"):
                iterable.close()
        status, headers = head
        pairs = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": pairs})
        await send({"type": "http.response.body", "body": body})
