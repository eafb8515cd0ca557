"""`WsgiMounts`: applications of both kinds below one WSGI application."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType

from typing_extensions import Self

from gatebridge._adapt import AnyApplication, to_wsgi
from gatebridge._mounts.startable_parts import StartableParts
from gatebridge._mounts.table import adapt_all, find_mount, longest_first
from gatebridge._translate.paths import mount_point
from gatebridge._wrong_server import for_wsgi_servers
from gatebridge.types import StartResponse, WSGIEnvironment


class WsgiMounts:
    """A WSGI application that passes requests to others, by the path's prefix.

    The longest matching prefix counts. It matches whole segments: ``/api`` matches ``/api`` and
    ``/api/x``, but not ``/apiary``. The prefix moves from ``PATH_INFO`` to ``SCRIPT_NAME``, in the
    server's environ itself, as with Werkzeug's ``DispatcherMiddleware``. ASGI applications are
    served by `AsgiToWsgi`; pass an `AsgiToWsgi` to set its options.

    The lifespans of ASGI applications begin with `startup`, or otherwise before the first request
    to any application: the default's first, then the others in the order given. They end in
    reverse, with `close`, at the end of the ``with`` block, or at the interpreter's exit. If one
    fails to start, those before it are shut down, and every request raises the reason. One that is
    mounted twice starts once. A forked child starts them again.

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

    Source: PEP 3333 "environ Variables"; ASGI lifespan 2.0; D-43 of the clauses.
    """

    def __init__(self, default: AnyApplication, mounts: Mapping[str, AnyApplication]) -> None:
        self.default, self.mounts, parts = adapt_all(to_wsgi, default, mounts)
        # In an environ, each byte of a path is a character.
        self._longest_first = longest_first(
            {prefix.encode().decode("latin-1"): app for prefix, app in self.mounts.items()}
        )
        self._startable = StartableParts(parts)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.default!r}, {self.mounts!r})"

    @for_wsgi_servers("give others AsgiMounts")
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request; the result is that of the application called.

        Raises:
            LifespanError: An application did not start up.
            UnavailableError: The mounts were closed, and the request is for an ASGI application.
            Exception: Whatever an application raised.
        """
        startable = self._startable
        if startable.parts:
            startable.ensure_started()
        path = environ.get("PATH_INFO") or ""
        found = find_mount(path, self._longest_first)
        if found is None:
            return self.default(environ, start_response)
        prefix, app = found
        environ["SCRIPT_NAME"] = mount_point(environ.get("SCRIPT_NAME") or "") + prefix
        environ["PATH_INFO"] = path[len(prefix) :]
        return app(environ, start_response)

    def startup(self) -> None:
        """Start all ASGI applications, unless they run; also after `close`.

        Raises:
            LifespanError: One of them did not start up. Requests raise it as well, until `close`.
            UnavailableError: Called on the thread of an event loop of this library.
            Exception: Whatever else kept one from starting, such as a missing package.
        """
        self._startable.start(reopen=True)

    def close(self) -> None:
        """Shut down all ASGI applications, in reverse. Idempotent.

        Raises:
            LifespanError: The first shutdown that failed. The others are shut down nevertheless.
            UnavailableError: Called on the thread of an event loop of this library.
            Exception: The first failure of an application from elsewhere that has a ``close``.
        """
        self._startable.close()

    def __enter__(self) -> Self:
        """Like `startup`."""
        self.startup()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Like `close`."""
        self.close()
