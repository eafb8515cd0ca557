"""`LifespanShim`: a lifespan for an application without one, or around the one it has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from types import NoneType
from typing import Any, cast

import anyio.to_thread

from gatebridge._concurrency.per_loop import PerLoop
from gatebridge._detect.interface import require_asgi3
from gatebridge._lifespan.as_application import answer_lifespan
from gatebridge._lifespan.manager import LifespanManager
from gatebridge._wrong_server import for_asgi_servers
from gatebridge.types import ASGIApplication, Receive, Scope, Send

_AddedState = Mapping[str, Any] | None
LifespanFunction = Callable[
    [Any], AbstractAsyncContextManager[_AddedState] | AbstractContextManager[_AddedState]
]


class LifespanShim:
    """ASGI middleware that gives an application a lifespan.

    It answers the lifespan protocol for an application that does not speak it (Django, a WSGI
    application in `WsgiToAsgi`, a bare function). An application that speaks it is started within
    the context manager that ``lifespan`` returns, and shut down before the exit from that::

        @asynccontextmanager
        async def lifespan(app):
            async with open_database() as database:
                yield {"database": database}

        app = LifespanShim(WsgiToAsgi(flask_app), lifespan)

    A startup or shutdown that fails is reported to the server with the reason: the application's
    message if it sent one, otherwise the exception, which is also logged.

    Args:
        app: The ASGI application.
        lifespan: Called with ``app`` at each startup, it returns an async or sync context manager;
            a sync one is entered and left in worker threads. Its value is None, or a mapping that
            joins the state, for the application's own startup and for requests.

    Attributes:
        app: As given.

    Raises:
        TypeError: ``app`` is not an ASGI 3 application, or ``lifespan`` is not callable.

    Source: ASGI lifespan 2.0.
    """

    def __init__(self, app: ASGIApplication, lifespan: LifespanFunction | None = None) -> None:
        require_asgi3(app)
        if lifespan is not None and not callable(lifespan):
            raise TypeError(f"lifespan must be callable, got {lifespan!r:.80}")
        self.app = app
        self._lifespan = lifespan
        self._states: PerLoop[dict[str, Any]] = PerLoop()  # for servers without a state

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.app!r}, {self._lifespan!r})"

    @for_asgi_servers("wrap it in AsgiToWsgi for others")
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a lifespan; pass on everything else.

        Raises:
            HostError: The server breaks the lifespan protocol.
            Exception: Whatever the application raised.
        """
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send, self._run_lifespan(scope.get("state")))
            return
        scope = {**scope}
        if "state" not in scope and (state := self._states.get()) is not None:
            scope["state"] = state.copy()
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def _run_lifespan(self, state: dict[str, Any] | None) -> AsyncGenerator[None, None]:
        failure: BaseException | None = None
        async with AsyncExitStack() as stack:
            if state is None:
                state = {}
                stack.enter_context(self._states.hold(state))
            mapping = await stack.enter_async_context(self._given_lifespan())
            if not isinstance(mapping, (Mapping, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"lifespan must yield None or a mapping, got {mapping!r:.80}")
            state.update(mapping or {})
            try:
                await stack.enter_async_context(inner_lifespan(self.app, state))
            except BaseException as exc:
                failure = exc
                raise
            yield
        if failure is not None:  # the context manager suppressed it, but nothing has started
            raise failure

    def _given_lifespan(self) -> AbstractAsyncContextManager[_AddedState]:
        if self._lifespan is None:
            return nullcontext()
        manager = self._lifespan(self.app)
        if hasattr(manager, "__aenter__"):
            return cast("AbstractAsyncContextManager[_AddedState]", manager)
        if hasattr(manager, "__enter__"):
            return _in_threads(manager)  # pyright: ignore[reportArgumentType] - not narrowed by hasattr
        raise TypeError(
            f"lifespan must return a context manager, got {manager!r:.80}; "
            "decorate a generator function with contextlib.asynccontextmanager"
        )


@asynccontextmanager
async def _in_threads(
    manager: AbstractContextManager[_AddedState],
) -> AsyncGenerator[_AddedState, None]:
    """Enter and leave a sync context manager in worker threads, because it may block."""
    value = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield value
    except BaseException as exc:
        # Shielded, because this may be a cancellation.
        with anyio.CancelScope(shield=True):
            left = partial(manager.__exit__, type(exc), exc, exc.__traceback__)
            if not await anyio.to_thread.run_sync(left):
                raise
    else:
        with anyio.CancelScope(shield=True):  # otherwise it might not even begin
            await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


def inner_lifespan(app: ASGIApplication, state: dict[str, Any]) -> LifespanManager:
    """Return the lifespan of an application within another lifespan, which sets the time limits.

    Args:
        app: The ASGI application.
        state: For ``scope["state"]``; the application may add to it.
    """
    return LifespanManager(app, startup_timeout=None, shutdown_timeout=None, state=state)
