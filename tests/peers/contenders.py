"""What the columns of the tables are: how each of them adapts an application.

Nothing is imported before it is used: a peer may be missing.
"""

from __future__ import annotations

import inspect
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One column.

    Attributes:
        package: The distribution.
        adapter: What adapts an application: ``"package.module:name"``.
        parameters: Those of the adapter, if it is a peer's. A new one may be the way to something
            that the table says there is not.
        adapter_on_trio: Another adapter for trio, if there is one.
        on_trio: Arguments for trio. None if trio cannot be asked for.
        threads: The argument that takes the number of threads, if there is one.
        on_loop: Adapts an application for a loop of asyncio that runs already.
        for_files: Arguments with which an application may send a file by its path.
    """

    package: str
    adapter: str
    parameters: str | None
    adapter_on_trio: str | None = None
    on_trio: dict[str, Any] | None = None
    threads: str | None = None
    on_loop: Callable[[Any, AbstractEventLoop], Any] | None = None
    for_files: dict[str, Any] | None = None

    def load(self) -> None:
        """Import the adapter."""
        _load(self.adapter)

    def adapt(self, app: Any, **arguments: Any) -> Any:
        return _make(self.adapter, app, **arguments)

    def adapt_on_trio(self, app: Any) -> Any:
        return _make(self.adapter_on_trio or self.adapter, app, **(self.on_trio or {}))

    def present_parameters(self) -> str:
        return " ".join(inspect.signature(_load(self.adapter)).parameters)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        return getattr(import_module(module), attribute)


def _make(name: str, *args: Any, **arguments: Any) -> Any:
    adapter = _load(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return adapter(*args, **arguments)


WSGI_ON_ASGI = {
    "gatebridge": Contender("gatebridge", "gatebridge:WsgiToAsgi", None, threads="threads"),
    "a2wsgi": Contender(
        "a2wsgi", "a2wsgi:WSGIMiddleware", "app workers send_queue_size", threads="workers"
    ),
    "asgiref": Contender(
        "asgiref", "asgiref.wsgi:WsgiToAsgi", "wsgi_application duplicate_header_limit"
    ),
    # The underscore: `WSGIMiddleware` of this module is a2wsgi's if that is installed.
    "Uvicorn": Contender(
        "uvicorn", "uvicorn.middleware.wsgi:_WSGIMiddleware", "app workers", threads="workers"
    ),
    # They call Hypercorn's wrapper as its workers do.
    "Hypercorn": Contender(
        "hypercorn",
        "hypercorn.middleware:AsyncioWSGIMiddleware",
        "wsgi_app max_body_size",
        adapter_on_trio="hypercorn.middleware:TrioWSGIMiddleware",
    ),
    "Starlette": Contender("starlette", "starlette.middleware.wsgi:WSGIMiddleware", "app"),
}


def _gatebridge_on_loop(app: Any, loop: AbstractEventLoop) -> Any:
    import asyncio

    from anyio.from_thread import BlockingPortal

    from gatebridge import AsgiToWsgi

    async def portal() -> BlockingPortal:
        return await BlockingPortal().__aenter__()

    running = asyncio.run_coroutine_threadsafe(portal(), loop).result()
    return AsgiToWsgi(app, portal=running)


def _a2wsgi_on_loop(app: Any, loop: AbstractEventLoop) -> Any:
    return _make("a2wsgi:ASGIMiddleware", app, loop=loop)


ASGI_ON_WSGI = {
    "gatebridge": Contender(
        "gatebridge",
        "gatebridge:AsgiToWsgi",
        None,
        on_trio={"backend": "trio"},
        for_files={"offer_pathsend": True},
        on_loop=_gatebridge_on_loop,
    ),
    "a2wsgi": Contender(
        "a2wsgi", "a2wsgi:ASGIMiddleware", "app wait_time loop", on_loop=_a2wsgi_on_loop
    ),
}
