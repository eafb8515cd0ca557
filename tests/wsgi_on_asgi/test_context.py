"""What a request carries with it into the application: its context, its scope, its state.

The application runs in another thread than the server, in a copy of the context in which the server
called the adapter. So what an ASGI middleware has set is seen by everything that belongs to the
request, and what the application sets is seen by nobody else. OpenTelemetry and Sentry rest on it.
"""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wsgi_on_asgi.apps import TEXT, Blocks, Environ, Gate, adapter
from wsgi_on_asgi.host import Host, in_background

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CALL-03")]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
local = threading.local()


def with_variable(app: Any, value: Callable[[Any], str] = lambda scope: scope["path"]) -> Any:
    """Return an ASGI middleware that sets the variable, and looks whether it stays as it is."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        token = variable.set(value(scope))
        try:
            await app(scope, receive, send)
            assert variable.get() == value(scope)
        finally:
            variable.reset(token)  # which fails in another context

    return middleware


class Places:
    """An application that notes the variable, and the thread, wherever it may look at them."""

    def __init__(self, *, sets: bool = False) -> None:
        self.values: dict[str, dict[str, str]] = {}  # by path, by place
        self.threads: dict[str, set[int]] = {}
        self._sets = sets

    def __call__(self, environ: Environ, start_response: Any) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        values = self.values[path] = {}
        threads = self.threads[path] = set()

        def note(place: str) -> None:
            threads.add(threading.get_ident())
            values[place] = variable.get()
            if self._sets:
                variable.set(f"set in the {place}")

        class Body(Blocks):
            def close(self) -> None:
                note("close")
                super().close()

        def blocks() -> Iterator[bytes]:
            note("generator")
            yield b"a"
            note("generator after a block")
            environ["wsgi.input"].read()
            note("generator after reading")
            yield b"b"

        note("call")
        write = start_response("200 OK", [TEXT])
        note("start_response")
        write(b"w")
        note("write")
        environ["wsgi.input"].read(2)
        note("read")
        return Body(source=blocks())


PLACES = [
    "call", "start_response", "write", "read", "generator", "generator after a block",
    "generator after reading", "close",
]  # fmt: skip


async def test_what_a_middleware_has_set_is_seen_everywhere() -> None:
    """In the call, around ``write`` and ``read`` that wait for the client, in blocks, in close."""
    app = Places()
    host = Host(b"part", b"part", path="/here", method="POST")
    await host.serve(with_variable(adapter(app)))
    assert host.body == b"wab"
    assert app.values["/here"] == dict.fromkeys(PLACES, "/here")
    assert len(app.threads["/here"]) == 1


async def test_what_the_application_sets_stays_in_the_request() -> None:
    """It is seen at each later place, not by the middleware, and not by the next request."""
    app = Places(sets=True)
    served = adapter(app, threads=1)
    for _ in range(2):
        await Host(b"part", b"part", path="/here", method="POST").serve(with_variable(served))
        before = ["/here", *(f"set in the {place}" for place in PLACES[:-1])]
        assert app.values["/here"] == dict(zip(PLACES, before, strict=True))
    assert variable.get() == "default"


async def test_requests_at_the_same_time_keep_their_values_apart() -> None:
    """All of them wait at one gate, so that each is there before any goes on."""
    gates = {f"/{number}": Gate() for number in range(5)}
    seen: dict[str, list[str]] = {path: [] for path in gates}

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        seen[path].append(variable.get())
        variable.set(f"{path} of the application")
        gates[path]()
        seen[path].append(variable.get())
        start_response("200 OK", [TEXT])
        yield b"x"
        seen[path].append(variable.get())

    hosts = [Host(path=path) for path in gates]
    async with in_background(with_variable(adapter(app)), hosts):
        for gate in gates.values():
            await gate.reached()
        for gate in gates.values():
            gate.open()
    for path in gates:
        assert seen[path] == [path, f"{path} of the application", f"{path} of the application"]


async def test_a_thread_that_the_application_starts_may_take_the_context_along() -> None:
    """As for any thread: a copy of the context has to be made by whoever starts it."""
    seen: list[str] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=[lambda: seen.append(variable.get())])
        thread.start()
        thread.join()
        start_response("200 OK", [TEXT])
        return [b"x"]

    await Host(path="/here").serve(with_variable(adapter(app)))
    assert seen == ["/here"]


@pytest.mark.clause("C-05", "D-18", "A-HTTP-13", "A-LIFE-10")
async def test_scope_and_state_are_the_very_objects() -> None:
    """From the call to ``close``: what a lifespan has put into the state is at hand everywhere."""
    seen: list[Any] = []
    pool = object()

    class Body(Blocks):
        def __init__(self, environ: Environ) -> None:
            super().__init__(b"x")
            self.environ = environ

        def __next__(self) -> bytes:
            seen.append(self.environ["asgi.scope"])
            return super().__next__()

        def close(self) -> None:
            seen.append(self.environ["asgi.scope"])
            super().close()

    def app(environ: Environ, start_response: Any) -> Any:
        seen.append(environ["asgi.scope"])
        start_response("200 OK", [TEXT])
        return Body(environ)

    state = {"pool": pool}
    host = Host(state=state)
    await host.serve(adapter(app))
    assert len(seen) == 4
    assert all(scope is host.scope for scope in seen)
    assert all(scope["state"] is state and scope["state"]["pool"] is pool for scope in seen)


@pytest.mark.clause("C-05", "D-18")
async def test_what_a_middleware_puts_into_the_scope_is_reachable() -> None:
    """A middleware copies the scope (ASGI "Middleware"): it is this copy that the app sees."""
    seen: list[Any] = []

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ["asgi.scope"])
        start_response("200 OK", [TEXT])
        return []

    served = adapter(app)
    scopes: list[Any] = []

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        scopes.append({**scope, "user": "somebody"})
        await served(scopes[0], receive, send)

    await Host().serve(middleware)
    assert seen[0] is scopes[0]
    assert seen[0]["user"] == "somebody"


async def test_the_application_may_run_a_loop_of_its_own(anyio_backend: Any) -> None:
    """`anyio.run` leaves a note in the context that one runs. In the worker's thread none does."""

    async def answer() -> bytes:
        await anyio.lowlevel.checkpoint()
        return b"from another loop"

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        return [anyio.run(answer, backend=anyio_backend[0])]

    host = Host()
    await host.serve(adapter(app))
    assert host.body == b"from another loop"


class Marker:
    """Something of the server's that is in the scope."""


async def test_nothing_keeps_a_streamed_request_when_it_is_over() -> None:
    """Not even a cycle of references, which would stay until the collector runs."""

    def app(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield environ["wsgi.input"].read()
        for _ in range(20):
            yield b"x" * 1000

    parts = iter([b"two ", b"parts"])

    async def receive() -> Any:
        part = next(parts, None)
        if part is None:
            await anyio.sleep_forever()  # somebody waits for a client to leave that does not
        return {"type": "http.request", "body": part, "more_body": part == b"two "}

    served = adapter(app, window_bytes=1000)
    host = Host(method="POST")
    marker = Marker()
    gone = weakref.ref(marker)
    gc.collect()
    gc.disable()
    try:
        await served({**host.scope, "extensions": {"marker": marker}}, receive, host.send)
        del marker
        await Host().serve(served)  # the thread has let go of what it worked at
        assert gone() is None
    finally:
        gc.enable()
    assert host.body == b"two parts" + b"x" * 20_000
