"""`gatebridge.compat.ASGIMiddleware`, used as projects use that of a2wsgi."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from io import BytesIO
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request

from asgi_on_wsgi.apps import Event, Gate, body, http, sending, start, started, stopped
from asgi_on_wsgi.host import HANG, Host
from asgi_on_wsgi.scripts import run_script
from asgi_on_wsgi.threads import Thread
from compat.loops import LoopThread
from gatebridge.compat import ASGIMiddleware, ASGIResponder
from gatebridge.errors import UnavailableError
from gatebridge.types import Receive, Scope, Send, StartResponse, WSGIEnvironment


@http
async def say_loop(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the identity of the loop that runs this."""
    await send(start())
    await send(body(str(id(asyncio.get_running_loop())).encode()))


def loop_of(middleware: ASGIMiddleware) -> str:
    return Host().serve(middleware).body.decode()


class Lived:
    """A FastAPI application that counts its lifespans."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.app = FastAPI(lifespan=self.lifespan)

        @self.app.get("/")
        async def page(request: Request) -> list[str]:
            return self.events

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.events.append("startup")
        yield
        self.events.append("shutdown")

    async def enter(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.app.router.lifespan_context(self.app))


def test_the_arguments_are_those_of_a2wsgi() -> None:
    theirs = pytest.importorskip("a2wsgi.asgi")
    for ours in (ASGIMiddleware, ASGIResponder):
        parameters = inspect.signature(getattr(theirs, ours.__name__)).parameters.values()
        wanted = [(each.name, each.default) for each in parameters]
        offered = inspect.signature(ours).parameters.values()
        assert [(each.name, each.default) for each in offered][: len(wanted)] == wanted


# --- the process's loop -------------------------------------------------------------------------


def test_the_loop_starts_when_it_is_asked_for_and_requests_run_on_it() -> None:
    before = set(threading.enumerate())
    middleware = ASGIMiddleware(say_loop)
    assert set(threading.enumerate()) <= before

    loop = middleware.loop
    assert asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "ran"), loop).result(HANG) == "ran"
    assert loop_of(middleware) == str(id(loop))
    assert middleware.loop is loop
    assert ASGIMiddleware(say_loop).loop is loop  # one for the process
    middleware.close()


@pytest.mark.parametrize("nothing", [None, False, 0])
def test_a_false_loop_is_the_one_of_the_process(nothing: Any) -> None:
    middleware = ASGIMiddleware(say_loop, None, nothing)
    assert loop_of(middleware) == str(id(middleware.loop))
    middleware.close()


def test_the_loop_after_the_first_request_is_the_one_that_this_ran_on() -> None:
    lived = Lived()
    middleware = ASGIMiddleware(lived.app)
    Host().serve(middleware)
    assert middleware.loop.is_running()
    assert lived.events == ["startup"]
    middleware.close()
    assert lived.events == ["startup", "shutdown"]


def test_a_lifespan_that_airflow_runs_on_the_loop_runs_once() -> None:
    lived = Lived()
    middleware = ASGIMiddleware(lived.app)
    stack = AsyncExitStack()
    asyncio.run_coroutine_threadsafe(lived.enter(stack), middleware.loop).result(HANG)
    transport = httpx.WSGITransport(app=middleware)
    with httpx.Client(transport=transport, base_url="http://in-process") as client:
        assert client.get("/").json() == ["startup"]
    asyncio.run_coroutine_threadsafe(stack.aclose(), middleware.loop).result(HANG)
    middleware.close()
    assert lived.events == ["startup", "shutdown"]


def test_a_lifespan_that_is_wanted_runs_although_the_loop_is_asked_for() -> None:
    lived = Lived()
    with ASGIMiddleware(lived.app, lifespan="on") as middleware:
        assert middleware.loop.is_running()
        assert lived.events == ["startup"]


def test_each_process_has_a_loop_of_its_own() -> None:
    run_script(
        """
        from gatebridge.compat import ASGIMiddleware

        async def where():
            say(os.getpid() == (parent if pid else child))

        middleware = ASGIMiddleware(sending(start(), body(b"ok")))
        parents_loop = middleware.loop
        parent = os.getpid()
        pid = os.fork()
        child = os.getpid()
        if pid:
            wait_for(pid)
        say(middleware.loop is parents_loop)
        asyncio.run_coroutine_threadsafe(where(), middleware.loop).result(5)
        serve(middleware)
        """,
        ("asyncio", {}),
        says=[
            *("child: False", "child: True", "child: ok"),
            *("status 0", "True", "True", "ok"),
        ],
    )


# --- a loop of the user's -----------------------------------------------------------------------


def test_requests_run_on_a_given_loop_which_is_left_alone(own: LoopThread) -> None:
    own.start()
    middleware = ASGIMiddleware(say_loop, None, own.loop)
    assert middleware.loop is own.loop
    assert loop_of(middleware) == str(id(own.loop))
    middleware.close()
    assert own.tasks() == set()
    assert own.run(asyncio.sleep(0, "runs on")) == "runs on"


def test_a_request_waits_for_a_loop_that_starts_later(own: LoopThread) -> None:
    middleware = ASGIMiddleware(say_loop, loop=own.loop)
    serving = Host().serve_in_thread(middleware)
    own.start()
    assert serving.join().body.decode() == str(id(own.loop))


def test_a_lifespan_that_airflow_runs_on_its_own_loop_runs_once(own: LoopThread) -> None:
    """Its loop stops when the transport is collected, before the adapter is."""
    lived = Lived()
    own.start()
    stack = AsyncExitStack()
    own.run(lived.enter(stack))
    middleware = ASGIMiddleware(lived.app, loop=own.loop)
    transport = httpx.WSGITransport(app=middleware)

    def end() -> None:
        own.run(stack.aclose())
        own.stop()
        own.loop.close()

    weakref.finalize(transport, end)
    client = httpx.Client(transport=transport, base_url="http://in-process")
    assert client.get("/").json() == ["startup"]
    del transport, client
    gc.collect()
    assert lived.events == ["startup", "shutdown"]
    with pytest.raises(UnavailableError, match="loop: is closed"):
        Host().serve(middleware)


def test_a_lifespan_that_is_wanted_runs_on_a_given_loop(own: LoopThread) -> None:
    own.start()
    loops: list[Any] = []

    async def life(receive: Receive, send: Send) -> None:
        await started(receive, send)
        loops.append(asyncio.get_running_loop())
        await stopped(receive, send)
        loops.append(asyncio.get_running_loop())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await life(receive, send)
        else:
            await say_loop(scope, receive, send)

    with ASGIMiddleware(app, None, own.loop, lifespan="on") as middleware:
        assert loop_of(middleware) == str(id(own.loop))
    assert loops == [own.loop, own.loop]


def test_a_request_hears_that_the_thread_of_its_loop_has_ended(own: LoopThread) -> None:
    reached = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await asyncio.Event().wait()

    own.start()
    serving = Host().serve_in_thread(ASGIMiddleware(app, loop=own.loop))
    reached.happens()
    (task,) = own.tasks()
    own.stop()
    with pytest.raises(UnavailableError, match="event loop"):
        serving.join()
    task.cancel()
    own.loop.run_until_complete(asyncio.wait([task]))


def test_a_request_hears_that_another_thread_has_ended_which_took_over_the_loop(
    own: LoopThread,
) -> None:
    """The first thread ends while the second one runs the loop."""
    stopped, ends, reached = Event(), Event(), Event()

    def run() -> None:
        own.loop.run_forever()
        stopped.set()
        ends.happens()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            await say_loop(scope, receive, send)
            return
        reached.set()
        await asyncio.Event().wait()

    middleware = ASGIMiddleware(app, loop=own.loop)
    first = Thread(run)
    Host(path="/").call(middleware)
    own.loop.call_soon_threadsafe(own.loop.stop)
    stopped.happens()
    own.start()
    ends.set()
    first.join()
    serving = Host(path="/waits").serve_in_thread(middleware)
    reached.happens()
    (task,) = own.tasks()
    own.stop()
    with pytest.raises(UnavailableError, match="event loop"):
        serving.join()
    task.cancel()
    own.loop.run_until_complete(asyncio.wait([task]))


def test_a_closed_loop_is_refused(own: LoopThread) -> None:
    own.loop.close()
    with pytest.raises(UnavailableError, match="loop: is closed"):
        Host().call(ASGIMiddleware(say_loop, loop=own.loop))


class Application:
    """Something to refer to weakly."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await say_loop(scope, receive, send)


def test_a_stopped_loop_keeps_no_application(own: LoopThread) -> None:
    """The loop runs in this thread, which lives on when the loop has stopped."""
    app = Application()
    alive = weakref.ref(app)
    middleware = ASGIMiddleware(app, loop=own.loop)
    serving = Host().serve_in_thread(middleware)
    own.loop.run_until_complete(asyncio.to_thread(serving.join))
    del app, middleware
    gc.collect()
    assert alive() is None


def test_close_returns_although_the_given_loop_stops(
    own: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread lives on; a background task is left on it."""
    closing = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        tasks.append(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        finally:
            tasks.clear()

    async def main() -> Thread:
        await asyncio.to_thread(Host().serve, middleware)
        thread = Thread(close)
        await asyncio.to_thread(closing.happens)
        return thread

    def close() -> None:
        own.loop.call_soon_threadsafe(closing.set)
        middleware.close()

    tasks: list[Any] = []
    middleware = ASGIMiddleware(app, loop=own.loop)
    own.loop.run_until_complete(main()).join()
    assert "the application was not shut down" in caplog.text
    (task,) = tasks
    task.cancel()
    own.loop.run_until_complete(asyncio.wait([task]))


def test_its_own_loop_does_not_wait_for_itself(own: LoopThread) -> None:
    own.start()
    middleware = ASGIMiddleware(say_loop, loop=own.loop)

    async def call() -> None:
        Host().call(middleware)

    with pytest.raises(UnavailableError, match="called on its own thread"):
        own.run(call())


def test_a_given_loop_is_not_for_a_forked_child() -> None:
    run_script(
        """
        from gatebridge.compat import ASGIMiddleware
        from gatebridge.errors import UnavailableError

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        middleware = ASGIMiddleware(sending(start(), body(b"ok")), loop=loop)
        serve(middleware)
        pid = os.fork()
        if pid:
            wait_for(pid)
        try:
            serve(middleware)
        except UnavailableError as exc:
            say(exc.field)
        """,
        ("asyncio", {}),
        says=["ok", "child: loop", "status 0", "ok"],
    )


def test_the_interpreter_exits_whatever_became_of_the_loop() -> None:
    run_script(
        """
        from gatebridge.compat import ASGIMiddleware

        def run(end):
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, daemon=True)
            thread.start()
            middleware = ASGIMiddleware(sending(start(), body(b"ok")), None, loop)
            serve(middleware)
            if end:
                loop.call_soon_threadsafe(loop.stop)
                thread.join()
            if end == "close":
                loop.close()
            return middleware

        kept = [run("")], run("stop"), run("close")
        run("")
        run("stop")
        run("close")
        """,
        ("asyncio", {}),
        says=["ok"] * 6,
    )


def test_the_interpreter_exits_after_a_loop_of_the_main_thread() -> None:
    run_script(
        """
        from gatebridge.compat import ASGIMiddleware

        loop = asyncio.new_event_loop()
        kept = ASGIMiddleware(sending(start(), body(b"ok")), None, loop)
        loop.run_until_complete(asyncio.to_thread(serve, kept))
        """,
        ("asyncio", {}),
        says=["ok"],
    )


def test_the_interpreter_exits_after_a_loop_that_stopped_in_the_middle() -> None:
    """What ends the adapter was begun, and will not be done."""
    run_script(
        """
        from gatebridge.compat import ASGIMiddleware

        async def main():
            adapter = ASGIMiddleware(sending(start(), body(b"ok")), None, loop)
            await asyncio.to_thread(serve, adapter)
            del adapter
            gc.collect()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        sys.exit(1)  # asyncio complains
        """,
        ("asyncio", {}),
        status=1,
        says=["ok"],
    )


# --- ASGIResponder ------------------------------------------------------------------------------


class Pooled(ASGIMiddleware):
    """As Odoo's FastAPI module has it: no loop at first, and one of a pool for each request."""

    def __init__(self, app: Any, pool: list[asyncio.AbstractEventLoop]) -> None:
        super().__init__(app, None, False)  # type: ignore[arg-type]
        self.pool = pool

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        loop = self.pool.pop()
        try:
            return ASGIResponder(self.app, loop)(environ, start_response)
        finally:
            self.pool.append(loop)


class Dispatcher:
    """As Odoo's: its ``start_response`` demands three arguments."""

    def start_response(self, status: str, headers: Any, exc_info: Any, /) -> Any:
        self.status = status[:3]
        self.exc_info = exc_info

    def dispatch(self, app: Any, content: bytes = b"") -> bytes:
        environ = {**Host().environ, "wsgi.input": BytesIO(content)}
        if content:
            environ.update(REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(content)))
        return b"".join(app(environ, self.start_response))


def test_odoo_serves_each_request_on_a_loop_of_its_pool(own: LoopThread) -> None:
    user: ContextVar[str] = ContextVar("user")
    app = FastAPI()

    @app.post("/")
    async def echo(request: Request) -> list[str]:
        same = asyncio.get_running_loop() is own.loop
        return [user.get(), (await request.body()).decode(), str(same)]

    middleware = Pooled(app, [own.start().loop])
    before = set(threading.enumerate())
    dispatcher = Dispatcher()
    user.set("admin")
    for _ in range(2):
        assert dispatcher.dispatch(middleware, b"content") == b'["admin","content","True"]'
    assert (dispatcher.status, dispatcher.exc_info) == ("200", None)
    assert set(threading.enumerate()) <= before


def test_odoo_is_raised_what_the_application_raises(own: LoopThread) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Dispatcher().dispatch(Pooled(app, [own.start().loop]))


def test_a_responder_lasts_as_long_as_its_response(own: LoopThread) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first ", more=True))
        await gate()
        await send(body(b"last"))

    responder = ASGIResponder(app, own.start().loop)
    alive = weakref.ref(responder)
    host = Host().call(responder)
    del responder
    gc.collect()
    assert host.next() == b"first "
    assert alive() is not None
    gate.open()
    assert host.next() == b"last"
    assert host.next() is None
    host.close()


# --- wait_time, app, the environ ----------------------------------------------------------------


def staying(ended: Event) -> Any:
    """Return an application that goes on after its response until it is cancelled."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"before ", more=True))
        await anyio.sleep(0.02)  # longer than the time after the response
        await send(body(b"the end"))
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    return app


def test_wait_time_is_what_the_application_has_after_its_response() -> None:
    ended = Event()
    with ASGIMiddleware(staying(ended), 0.01) as middleware:
        assert Host().serve(middleware).body == b"before the end"
        ended.happens()


def test_without_wait_time_the_application_goes_on() -> None:
    ended, gate = Event(), Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"ok"))(scope, receive, send)
        await gate()
        ended.set()

    with ASGIMiddleware(app) as middleware:
        assert middleware.wait_time is None
        Host().serve(middleware)
        gate.reached()
        gate.open()
        ended.happens()


def test_another_application_serves_the_next_request() -> None:
    with ASGIMiddleware(sending(start(), body(b"old"))) as middleware:
        assert Host().serve(middleware).body == b"old"
        middleware.app = sending(start(), body(b"new"))
        assert Host().serve(middleware).body == b"new"


def test_the_environ_is_in_the_scope() -> None:
    scopes: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await sending(start(), body())(scope, receive, send)

    with ASGIMiddleware(app) as middleware:
        host = Host().serve(middleware)
    assert scopes[0]["wsgi_environ"] is host.environ
