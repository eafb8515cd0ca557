"""`to_asgi` and `to_wsgi`: adapt an application only where it needs that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MethodType, TracebackType
from typing import Protocol, TypeVar, cast, runtime_checkable

from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._concurrency.per_process import PerProcess
from gatebridge._detect.interface import interface
from gatebridge._detect.undeclared_length import needs_length
from gatebridge._lifespan.shim import LifespanShim
from gatebridge._mounts.table import by_prefix
from gatebridge._wsgi_on_asgi.adapter import WsgiToAsgi
from gatebridge.types import ASGIApplication, WSGIApplication

AnyApplication = ASGIApplication | WSGIApplication

T = TypeVar("T", ASGIApplication, WSGIApplication)


@runtime_checkable
class Living(Protocol):
    """A WSGI application that starts and ends, as `AsgiToWsgi` and `WsgiMounts` do."""

    def startup(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> object: ...


def to_asgi(app: AnyApplication) -> ASGIApplication:
    """Return the application itself if it is an ASGI application, else within `WsgiToAsgi`.

    The adapter has its default arguments, except that it spools request bodies without a length
    (``spool_bodies``) for every application but Flask and Pyramid, which read such bodies
    themselves. An application that starts and ends, as `WsgiMounts` does, does so with the lifespan
    of the result.

    Args:
        app: As for `interface`.

    Raises:
        TypeError: As `interface`.

    Source: PEP 3333; ASGI main specification 3.0 "Applications".
    """
    if interface(app) == "asgi":
        return cast("ASGIApplication", app)
    return adapt_wsgi(cast("WSGIApplication", app))


def adapt_wsgi(app: WSGIApplication, *, multiprocess: bool = True) -> ASGIApplication:
    """Return a WSGI application as an ASGI application, as `to_asgi` does.

    Args:
        app: The application.
        multiprocess: As for `WsgiToAsgi`.
    """
    adapted = WsgiToAsgi(app, spool_bodies=needs_length(app), multiprocess=multiprocess)
    return LifespanShim(adapted, _life_of(app)) if isinstance(app, Living) else adapted


def _life_of(app: Living) -> Callable[[object], AbstractContextManager[None]]:
    """Return a lifespan for `LifespanShim`; of several event loops the last one closes it."""
    processes = PerProcess(_Process)

    @contextmanager
    def lifespan(_: object) -> Generator[None, None, None]:
        process = processes.get()
        with process.lock:
            app.startup()
            process.loops += 1
        try:
            yield
        finally:
            with process.lock:
                process.loops -= 1
                if not process.loops:
                    app.close()

    return lifespan


class _Process:
    """The event loops of one process on which an application lives."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # of startup and shutdown
        self.loops = 0


def to_wsgi(app: AnyApplication) -> WSGIApplication:
    """Return the application itself if it is a WSGI application, else within `AsgiToWsgi`.

    The adapter has its default arguments.

    Args:
        app: As for `interface`.

    Raises:
        TypeError: As `interface`.

    Source: PEP 3333; ASGI main specification 3.0 "Applications".
    """
    if interface(app) == "wsgi":
        return cast("WSGIApplication", app)
    return AsgiToWsgi(cast("ASGIApplication", app))


def adapt_all(
    adapt: Callable[[AnyApplication], T],
    default: AnyApplication,
    mounts: Mapping[str, AnyApplication],
) -> tuple[T, dict[str, T], list[tuple[str, T]]]:
    """Adapt a default application and those that are mounted beside it.

    Returns:
        The default application; the others by their decoded prefixes, in the order given; all of
        them with names for messages, each once, however often it was given.

    Raises:
        TypeError: An application is of neither kind; names its prefix.
        ValueError: As `by_prefix`.
    """
    parts: dict[object, tuple[str, T]] = {}

    def adapted(name: str, app: AnyApplication) -> T:
        # A bound method is made anew at each access, but is equal to itself.
        key = app if isinstance(app, MethodType) else id(app)
        if key not in parts:
            try:
                parts[key] = name, adapt(app)
            except TypeError as exc:
                raise TypeError(f"{name}: {exc}") from None
        return parts[key][1]

    first = adapted("the default application", default)
    others = {prefix: adapted(prefix, app) for prefix, app in by_prefix(mounts).items()}
    return first, others, list(parts.values())
