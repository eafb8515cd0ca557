"""`LifespanManager`: an application's lifespan, as an async context manager."""

from __future__ import annotations

from contextvars import copy_context
from types import TracebackType
from typing import Any

import anyio

from gatebridge._arguments import require_seconds
from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._detect.interface import require_asgi3
from gatebridge._lifespan.as_server import Lifespan
from gatebridge._wrong_server import for_asgi_servers
from gatebridge.types import ASGIApplication, Receive, Scope, Send


class LifespanManager:
    """Starts an ASGI application on entering ``async with``, and shuts it down on leaving.

    For tests, and for frameworks that include other applications. The value of the block is the
    application's state. An application that does not speak the lifespan protocol is left alone. The
    block may be entered in one task and left in another, as test fixtures are, and entered again
    after it was left.

    The manager is itself an ASGI application, for clients that call one: it calls ``app``, with a
    copy of the state in each scope that has none::

        manager = LifespanManager(app)
        async with manager as state:
            client = httpx.AsyncClient(transport=httpx.ASGITransport(manager), base_url="http://x")

    Args:
        app: The ASGI application.
        startup_timeout: Longest startup, in seconds; None for no limit.
        shutdown_timeout: Longest shutdown, in seconds, before the application is cancelled; None
            for no limit. A task that leaves the block because it is cancelled also grants this
            time, except with None: then the application is cancelled at once.
        state: The dictionary for ``scope["state"]`` of the lifespan; a new one if None.

    Attributes:
        app: As given.

    Raises:
        TypeError: ``app`` is not an ASGI 3 application, or a timeout is not a number.
        ValueError: A timeout is less than 0.

    Source: ASGI lifespan 2.0.
    """

    def __init__(
        self,
        app: ASGIApplication,
        *,
        startup_timeout: float | None = 120.0,
        shutdown_timeout: float | None = 30.0,
        state: dict[str, Any] | None = None,
    ) -> None:
        require_asgi3(app)
        require_seconds(
            or_none=True, startup_timeout=startup_timeout, shutdown_timeout=shutdown_timeout
        )
        self.app = app
        self._startup_timeout = startup_timeout
        self._shutdown_timeout = shutdown_timeout
        self._state = state
        self._lifespan: Lifespan | None = None
        self._task: object = None

    def __repr__(self) -> str:
        timeouts = (
            f"startup_timeout={self._startup_timeout}, shutdown_timeout={self._shutdown_timeout}"
        )
        return f"{type(self).__qualname__}({self.app!r}, {timeouts})"

    async def __aenter__(self) -> dict[str, Any]:
        """Start the application, and return its state.

        Raises:
            LifespanError: It failed, or took too long.
            RuntimeError: It is already running.
        """
        if self._lifespan is not None:
            raise RuntimeError("LifespanManager: entered already; leave the block first")
        self._lifespan = lifespan = Lifespan(self.app, required=False, state=self._state)
        self._task = current_loop().start_task(lifespan.run, copy_context())
        try:
            await lifespan.startup(self._startup_timeout)
        except BaseException:
            self._lifespan = None
            raise
        return lifespan.state

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down the application.

        Raises:
            LifespanError: It failed, or took too long.
            RuntimeError: It is not running.
        """
        if self._lifespan is None:
            raise RuntimeError("LifespanManager: not entered; use it with async with")
        lifespan, self._lifespan = self._lifespan, None
        with anyio.CancelScope(shield=self._shutdown_timeout is not None):
            await lifespan.shutdown(self._shutdown_timeout)

    @for_asgi_servers("wrap it in AsgiToWsgi for others")
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, with a copy of its state if the scope has none."""
        if self._lifespan is not None and "state" not in scope:
            scope = {**scope, "state": self._lifespan.state.copy()}
        await self.app(scope, receive, send)
