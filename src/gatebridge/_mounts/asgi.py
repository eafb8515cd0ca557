"""`AsgiMounts`: applications of both kinds below one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gatebridge._adapt import AnyApplication, to_asgi
from gatebridge._concurrency.per_loop import PerLoop
from gatebridge._lifespan.as_application import answer_lifespan
from gatebridge._mounts.lifespans_on_loop import all_lifespans
from gatebridge._mounts.table import adapt_all, find_mount, longest_first
from gatebridge._translate.paths import mount_point, starts_with, with_one_slash
from gatebridge._wrong_server import for_asgi_servers
from gatebridge.types import ASGIApplication, Receive, Scope, Send


class AsgiMounts:
    """An ASGI application that passes requests and WebSockets to others, by the path's prefix.

    The longest matching prefix counts. It matches whole segments: ``/api`` matches ``/api`` and
    ``/api/x``, but not ``/apiary``. The prefix moves into ``root_path``, as with Starlette's
    ``Mount``; ``path`` and ``raw_path`` stay whole. WSGI applications are adapted by `to_asgi`;
    pass a `WsgiToAsgi` to set its options.

    All lifespans run: the default application's first, then the others in the order given, and
    they end in reverse. If one fails to start, those before it are shut down, and the server gets
    the reason. Each application has a separate state, in addition to what the server's state holds;
    one that is mounted twice starts once.

    Args:
        default: The application for all other paths.
        mounts: Prefixes, such as ``"/api"``, and the applications there. A prefix may be
            percent-encoded, and the slashes around it are optional.

    Attributes:
        default: The default application, adapted if it is of the other kind.
        mounts: The mounted applications by their decoded prefixes, adapted in the same way.

    Raises:
        TypeError: An application is of neither kind (names its prefix), or ``mounts`` is not a
            mapping.
        ValueError: A prefix is empty, given twice, or not UTF-8.

    Source: ASGI HTTP 2.5 "HTTP Connection Scope"; ASGI lifespan 2.0; D-43 of the clauses.
    """

    def __init__(self, default: AnyApplication, mounts: Mapping[str, AnyApplication]) -> None:
        self.default, self.mounts, self._parts = adapt_all(to_asgi, default, mounts)
        self._longest_first = longest_first(self.mounts)
        # By the identity of an application: what its lifespan has added to the state.
        self._states: PerLoop[dict[int, dict[str, Any]]] = PerLoop()

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.default!r}, {self.mounts!r})"

    @for_asgi_servers("give others WsgiMounts")
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a lifespan; pass on everything else.

        Raises:
            HostError: The server breaks the lifespan protocol.
            RequestError: A ``root_path`` cannot be encoded as UTF-8.
            Exception: Whatever an application raised.
        """
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send, self._run_lifespan(scope.get("state") or {}))
            return
        app, scope = self._route(scope)
        if (states := self._states.get()) is not None:
            own = states.get(id(app))
            if own or "state" not in scope:
                scope = {**scope, "state": {**(scope.get("state") or {}), **(own or {})}}
        await app(scope, receive, send)

    def _route(self, scope: Scope) -> tuple[ASGIApplication, Scope]:
        """Return the application to call, and a new scope for it."""
        path = scope.get("path")
        if path is None:  # neither HTTP nor WebSocket
            return self.default, {**scope}
        root_path = scope.get("root_path") or ""
        path, raw_path = with_one_slash(path, scope.get("raw_path"), root_path)
        root = mount_point(root_path)
        # A server may have removed the root from the path: the new scope's path starts with it.
        rest = path[len(root) :] if starts_with(path, root) else path
        found = find_mount(rest, self._longest_first)
        if found is None:
            return self.default, {**scope}
        prefix, app = found
        scope = {**scope, "root_path": root + prefix, "path": root + rest}
        if raw_path is not None:
            scope["raw_path"] = raw_path
        return app, scope

    @asynccontextmanager
    async def _run_lifespan(self, given: Mapping[str, Any]) -> AsyncGenerator[None, None]:
        """Run the lifespans of all applications while the server's lifespan runs."""
        states: dict[int, dict[str, Any]] = {}
        with self._states.hold(states):
            async with all_lifespans(self._parts, given, states):
                yield
