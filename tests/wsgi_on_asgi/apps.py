"""WSGI applications to serve, the adapters that serve them, and waiting for their threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import anyio.lowlevel
import anyio.to_thread

from gatebridge import WsgiToAsgi
from wsgi_on_asgi.host import HANG, Host

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

TEXT = ("content-type", "text/plain")

Made = TypeVar("Made", bound=WsgiToAsgi)

_adapters: list[WsgiToAsgi] = []


def adapter(app: Any, **options: Any) -> WsgiToAsgi:
    """Return an adapter, whose threads end with the test."""
    return ending(WsgiToAsgi(app, **options))


def ending(made: Made) -> Made:
    """Let the threads of an adapter end with the test."""
    _adapters.append(made)
    return made


def end_adapters() -> list[str]:
    """End the threads of all adapters; return the jobs that did not end."""
    running = [job for each in _adapters for job in each._pool.close(HANG)]
    _adapters.clear()
    return running


async def serve(app: Any, *body: bytes, **scope: Any) -> Host:
    """Serve one request by an adapter of its own."""
    host = Host(*body, **scope)
    await host.serve(adapter(app))
    return host


def result_app(result: Any, *headers: tuple[str, str], status: str = "200 OK") -> Any:
    """Return an application that answers with ``result`` as it is."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response(status, [TEXT, *headers])
        return result

    return app


def body_app(make_body: Callable[[Environ], Iterable[bytes]]) -> Any:
    """Return an application whose body a function of the environ makes."""

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        body = make_body(environ)
        start_response("200 OK", [TEXT])
        return body

    return app


def file_app(make_file: Callable[[], Any], *headers: tuple[str, str], seek: int = 0) -> Any:
    """Return an application that sends a file from a position; the file is in `opened`."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, *headers])
        file = make_file()
        app.opened.append(file)  # type: ignore[attr-defined]
        if seek:
            file.seek(seek)
        return environ["wsgi.file_wrapper"](file)

    app.opened = []  # type: ignore[attr-defined]
    return app


class Minimal:
    """Only ``read`` is required."""

    def __init__(self, content: bytes = b"") -> None:
        self._file = io.BytesIO(content)
        self.sizes: list[int] = []

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return self._file.read(size)


class Blocks:
    """An iterable, neither list nor tuple, that counts what is done to it.

    Args:
        blocks: What it yields; an exception among them is raised; a callable is called and yields
            what it returns.
    """

    def __init__(self, *blocks: Any, source: Iterable[Any] | None = None) -> None:
        self._source = iter(blocks if source is None else source)
        self.taken = 0
        self.closes = 0
        self.closed = threading.Event()
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.threads.add(threading.get_ident())
        block = next(self._source)
        self.taken += 1
        if isinstance(block, BaseException):
            raise block
        return block() if callable(block) else block

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closes += 1
        self.closed.set()


def endless(block: bytes = b"x" * 1024) -> Blocks:
    """Return blocks that never run out."""
    return Blocks(source=iter(lambda: block, None))


class Gate:
    """A place where an application stops until the test lets it go on."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, block: bytes = b"") -> bytes:
        """Stop here; return ``block``."""
        self._reached.set()
        assert self._open.wait(HANG), "the test did not open the gate"
        return block

    def yields(self, block: bytes) -> Callable[[], bytes]:
        return lambda: self(block)

    async def reached(self) -> None:
        await happens(self._reached)

    def open(self) -> None:
        self._open.set()


async def happens(event: threading.Event) -> None:
    """Wait for a thread's event."""
    assert await anyio.to_thread.run_sync(event.wait, HANG), "it did not happen"


async def waits_with_a_full_window(host: Host, gate: Gate, messages: int) -> None:
    """Wait until a window is full, see that no more is received, and let the application read."""
    await gate.reached()
    await host.until(lambda: host.receives >= messages)
    for _ in range(20):  # nothing more comes, however often the loop turns
        await anyio.lowlevel.checkpoint()
    assert host.receives <= messages + 1  # one may cross the window's end
    gate.open()


async def statistics_say(app: WsgiToAsgi, **numbers: int) -> None:
    """Wait until the statistics have these numbers. Nothing tells of it, so they are asked."""
    with anyio.fail_after(HANG):
        while any(  # noqa: ASYNC110
            getattr(app.statistics(), name) != each for name, each in numbers.items()
        ):
            await anyio.sleep(0.001)


async def shutdown_begins(served: WsgiToAsgi) -> None:
    """Wait until the pool takes no more requests, which nothing announces."""
    with anyio.fail_after(HANG):
        while not served._pool._closed:  # noqa: ASYNC110
            await anyio.sleep(0.001)
