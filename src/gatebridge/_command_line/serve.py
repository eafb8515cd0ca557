"""Serve an application of either kind: on Uvicorn, or on the standard library's server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec

from gatebridge._command_line.threaded_server import ThreadedServer
from gatebridge._lifespan.startable import Startable
from gatebridge._load import NamedApplication
from gatebridge.errors import UnavailableError

_SHUTDOWN_SECONDS = 10.0  # for the responses in progress
_POLL_SECONDS = 0.1

Say = Callable[[str], object]


def serve(application: NamedApplication, host: str, port: int, say: Say) -> bool:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        application: The application.
        host: The name or address to listen on.
        port: The port to listen on; 0 for any free one.
        say: Called with the address, once the server listens.

    Returns:
        Whether the server had started.

    Raises:
        UnavailableError: The server cannot listen there.
        LifespanError: The application's startup or shutdown failed; Uvicorn logs that itself.
    """
    listener = _bind(host, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    on_uvicorn = find_spec("uvicorn") is not None
    server = "Uvicorn" if on_uvicorn else "the standard library's server"
    what = f"{application.name} ({application.interface.upper()}) on {server}: {_url(listener)}"
    with listener, contextlib.suppress(KeyboardInterrupt):
        run = _run_uvicorn if on_uvicorn else _run_wsgiref
        return run(application, listener, lambda: say(what))
    return True


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, but does not listen: the application has not started yet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # on Windows it would let other processes bind the port, too
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as exc:
        raise UnavailableError(
            f"{host}:{port}", f"cannot listen there: {exc.strerror}; see --host and --port"
        ) from exc
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run_uvicorn(
    application: NamedApplication, listener: socket.socket, listens: Callable[[], object]
) -> bool:
    import uvicorn  # noqa: PLC0415 - optional

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                listens()

    app = application.for_asgi(multiprocess=False)
    server = Server(uvicorn.Config(app, interface="asgi3"))
    with contextlib.suppress(SystemExit):  # it has logged why
        server.run(sockets=[listener])
    return server.started


def _run_wsgiref(
    application: NamedApplication, listener: socket.socket, listens: Callable[[], object]
) -> bool:
    app = application.for_wsgi()
    server = ThreadedServer(listener, app)
    # Not in this thread: a signal while a request is passed to its thread would close the request.
    acceptor = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    try:
        with app if isinstance(app, Startable) else contextlib.nullcontext():
            server.server_activate()
            acceptor.start()
            try:
                listens()
                while acceptor.is_alive():
                    acceptor.join(_POLL_SECONDS)  # on Windows no signal interrupts it
            finally:
                server.shutdown()
                server.server_close()
                server.join(_SHUTDOWN_SECONDS)
    finally:
        server.join(_SHUTDOWN_SECONDS)  # for responses that only the application's shutdown ends
    return True
