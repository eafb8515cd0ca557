"""`WsgiMounts`: applications of both kinds below one WSGI application."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

from typing_extensions import Self

from gatebridge._adapt import AnyApplication, Living, adapt_all, to_wsgi
from gatebridge._concurrency.own_thread import refuse_background_thread
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._detect.wrong_server import for_wsgi_servers
from gatebridge._mounts.table import find_mount, longest_first
from gatebridge._translate.paths import mount_point
from gatebridge.errors import LifespanError
from gatebridge.types import StartResponse, WSGIEnvironment

_logger = logging.getLogger("gatebridge")


class _Process:
    """What the mounts have in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.settled = False  # started or closed: requests have nothing to do
        self.failure: LifespanError | None = None  # of the startup


class WsgiMounts:
    """A WSGI application that hands requests on to others, by the path's prefix.

    The longest prefix counts, and ends where a segment ends: ``/api`` has ``/api`` and ``/api/x``,
    but not ``/apiary``. It moves from ``PATH_INFO`` to ``SCRIPT_NAME``, in the environ that the
    server gave, as with Werkzeug's ``DispatcherMiddleware``. ASGI applications are served by
    `AsgiToWsgi`; pass one of your own to give it options.

    The lifespans of ASGI applications begin with `startup`, or else before the first request of
    any application: the default's first, then the others in the order given. They end in reverse,
    with `close`, at the end of the ``with`` block, or at the interpreter's exit. If one fails to
    start, those before it are shut down, and every request raises the reason. One that is mounted
    twice starts once. A forked child begins anew.

    Args:
        default: The application for all other paths.
        mounts: Prefixes, such as ``"/api"``, and the applications there. They may be
            percent-encoded, and have slashes around them or not.

    Attributes:
        default: The default application, adapted if need be.
        mounts: The others, likewise, by their decoded prefixes.

    Raises:
        TypeError: An application is of neither kind (names its prefix), or ``mounts`` is not a
            mapping.
        ValueError: A prefix is empty, given twice, or not UTF-8.

    Source: PEP 3333 "environ Variables"; ASGI lifespan 2.0; D-43 of the clauses.
    """

    def __init__(self, default: AnyApplication, mounts: Mapping[str, AnyApplication]) -> None:
        self.default, self.mounts, parts = adapt_all(to_wsgi, default, mounts)
        # An environ has the bytes of a path, each as a character.
        self._longest_first = longest_first(
            {prefix.encode().decode("latin-1"): app for prefix, app in self.mounts.items()}
        )
        self._living = [(name, app) for name, app in parts if isinstance(app, Living)]
        self._processes = PerProcess(_Process)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({self.default!r}, {self.mounts!r})"

    @for_wsgi_servers("give others AsgiMounts")
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request; the result is that of the application called.

        Raises:
            LifespanError: An application did not start up.
            UnavailableError: The mounts were closed, and an ASGI application is asked for.
            Exception: Whatever an application raised.
        """
        if self._living and not self._processes.get().settled:
            self._start(reopen=False)
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
        self._start(reopen=True)

    def close(self) -> None:
        """Shut all ASGI applications down, in reverse; twice does nothing.

        Raises:
            LifespanError: The first shutdown that failed. The others are shut down nevertheless.
            UnavailableError: Called on the thread of an event loop of this library.
            Exception: Likewise, from an application with a ``close`` of its own.
        """
        refuse_background_thread()
        process = self._processes.get()
        with process.lock:
            process.settled = True
            process.failure = None
            failure = _close(self._living)
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        """Do as `startup`."""
        self.startup()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do as `close`."""
        self.close()

    def _start(self, *, reopen: bool) -> None:
        # Before waiting for a lock whose holder waits for an event loop.
        refuse_background_thread()
        process = self._processes.get()
        with process.lock:
            if process.failure is not None:
                raise LifespanError(
                    process.failure.field, process.failure.reason
                ) from process.failure.__cause__
            if process.settled and not reopen:
                return
            for number, (name, app) in enumerate(self._living):
                try:
                    app.startup()
                except BaseException as exc:  # noqa: PERF203
                    _close(self._living[:number])
                    if not isinstance(exc, LifespanError):
                        raise
                    process.failure = LifespanError(exc.field, f"{name}: {exc.reason}")
                    raise process.failure from exc
            process.settled = True


def _close(living: Sequence[tuple[str, Living]]) -> Exception | None:
    """Shut applications down, in reverse; return the first failure. All are in the log."""
    failures: list[Exception] = []
    for name, app in reversed(living):
        try:
            app.close()
        except LifespanError as exc:  # noqa: PERF203
            failures.append(LifespanError(exc.field, f"{name}: {exc.reason}"))
        except Exception as exc:  # of an application that is none of this library's
            _logger.exception("%s: close() failed", name)
            failures.append(exc)
    return failures[0] if failures else None
