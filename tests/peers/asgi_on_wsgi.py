"""The rows of ASGI on WSGI: each a scenario that every contender goes through."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from peers.trial import HANG, Probes, Trial, yes

PROBES = Probes()

BLOCK = bytes(65536)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HttpApp = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class AsgiOnWsgi(Trial):
    def answer(self, app: HttpApp, **environ: Any) -> Request:
        """Serve an ordinary request to its end."""
        request = Request(self.contender.adapt(app), **environ)
        assert request.ended.wait(HANG)
        return request


def plain_environ(**changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "192.0.2.80",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **changes,
    }


class Request:
    """One request in a thread of a WSGI server.

    Args:
        app: The WSGI application.
        stops: Whether the client takes the first block only.
        leaves: Whether the client leaves after the first block.
        environ: Changes of the environ.
    """

    def __init__(
        self, app: Any, *, stops: bool = False, leaves: bool = False, **environ: Any
    ) -> None:
        self.environ = plain_environ(**environ)
        self.error: Exception | None = None
        self.blocks: list[bytes] = []
        self.first_block = threading.Event()
        self.ended = threading.Event()
        """The server has come to the end of the response, and closed it."""
        self._read_on = threading.Event()
        self._stops, self._leaves = stops, leaves
        threading.Thread(target=self._run, args=(app,), daemon=True).start()

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    def _run(self, app: Any) -> None:
        try:
            result = app(self.environ, self._start_response)
            try:
                self._take(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
        except Exception as exc:  # noqa: BLE001 - a probe may look at it
            self.error = exc
        finally:
            self.ended.set()

    def _take(self, result: Any) -> None:
        for block in result:
            if block:
                self.blocks.append(block)
                self.first_block.set()
                if self._leaves:
                    return
                if self._stops:
                    self._read_on.wait()

    def _start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        self.status = status
        return self.blocks.append


class Upload:
    """``wsgi.input`` of parts, between which something has to happen."""

    def __init__(self, *parts: bytes | threading.Event) -> None:
        self._parts = list(parts)

    def read(self, size: int) -> bytes:
        while self._parts:
            part = self._parts.pop(0)
            if isinstance(part, bytes):
                assert len(part) <= size
                return part
            part.wait()
        return b""


def http(function: HttpApp) -> HttpApp:
    """Return an application without a lifespan."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await function(scope, receive, send)

    return app


async def until(event: threading.Event) -> None:
    await anyio.to_thread.run_sync(event.wait, HANG, abandon_on_cancel=True)


# --- bodies ---------------------------------------------------------------------------------------


@PROBES.row("Request bodies are streamed")
def _(trial: AsgiOnWsgi) -> str:
    arrived, go_on = threading.Event(), threading.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        message = await receive()
        arrived.set()
        while message["more_body"]:
            message = await receive()
        await send(START)
        await send(body(b"thanks"))

    upload = Upload(BLOCK, go_on, BLOCK)
    request = Request(
        trial.contender.adapt(app),
        REQUEST_METHOD="POST",
        CONTENT_LENGTH=str(2 * len(BLOCK)),
        **{"wsgi.input": upload},
    )
    streams = arrived.wait(trial.patience("yes"))
    go_on.set()
    assert request.ended.wait(HANG)
    assert request.body == b"thanks"
    return yes(streams)


@PROBES.row("Request bodies without a length")
def _(trial: AsgiOnWsgi) -> str:
    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        data, more = b"", True
        while more:
            message = await receive()
            data += message["body"]
            more = message["more_body"]
        await send(START)
        await send(body(data))

    request = trial.answer(
        app,
        REQUEST_METHOD="POST",
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input": Upload(b"chunk"), "wsgi.input_terminated": True},
    )
    return yes(request.body == b"chunk")


@PROBES.row("Responses are streamed")
def _(trial: AsgiOnWsgi) -> str:
    go_on = threading.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"first", more=True))
        await until(go_on)
        await send(body(b"last"))

    request = Request(trial.contender.adapt(app))
    streams = request.first_block.wait(trial.patience("yes"))
    go_on.set()
    assert request.ended.wait(HANG)
    assert request.body == b"firstlast"
    return yes(streams)


@PROBES.row("Memory is bounded while a client stalls")
def _(trial: AsgiOnWsgi) -> str:
    all_made = threading.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(256):  # 16 MiB
            await send(body(BLOCK, more=True))
        all_made.set()
        await send(body())

    request = Request(trial.contender.adapt(app), stops=True)
    assert request.first_block.wait(HANG)
    return yes(not all_made.wait(trial.patience("no")))


@PROBES.row("The application is told when the client leaves")
def _(trial: AsgiOnWsgi) -> str:
    told = threading.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            told.set()

        await send(START)
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            with suppress(OSError):
                while True:
                    await send(body(b"tick", more=True))
                    await anyio.sleep(0.001)

    request = Request(trial.contender.adapt(app), leaves=True)
    assert request.ended.wait(HANG)
    return yes(told.wait(trial.patience("yes")))


@PROBES.row("Responses end before background tasks")
def _(trial: AsgiOnWsgi) -> str:
    go_on, done = threading.Event(), threading.Event()

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"done"))
        await until(go_on)
        done.set()

    request = Request(trial.contender.adapt(app))
    ended = request.ended.wait(trial.patience("yes"))
    go_on.set()
    assert done.wait(HANG)
    return yes(ended)


# --- the application's life -----------------------------------------------------------------------


@PROBES.row("Lifespan, with its state")
def _(trial: AsgiOnWsgi) -> str:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["database"] = "opened"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send(START)
            await send(body(scope.get("state", {}).get("database", "not opened").encode()))

    return yes(trial.answer(app).body == b"opened")


@PROBES.row("One event loop for all requests")
def _(trial: AsgiOnWsgi) -> str:
    loops = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await send(START)
        await send(body())

    adapted = trial.contender.adapt(app)
    for _ in range(2):
        assert Request(adapted).ended.wait(HANG)
    first, second = loops
    return yes(first is second)


@PROBES.row("An event loop of your own")
def _(trial: AsgiOnWsgi) -> str:
    if trial.contender.on_loop is None:
        return "no"
    loops = []

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await send(START)
        await send(body())

    own = asyncio.new_event_loop()
    threading.Thread(target=own.run_forever, daemon=True).start()
    request = Request(trial.contender.on_loop(app, own))
    assert request.ended.wait(HANG)
    return yes(loops == [own])


@PROBES.row("Runs on trio")
def _(trial: AsgiOnWsgi) -> str:
    if trial.contender.on_trio is None:
        return "no"

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        import trio

        await trio.lowlevel.checkpoint()
        await send(START)
        await send(body(b"on trio"))

    request = Request(trial.contender.adapt_on_trio(app))
    assert request.ended.wait(HANG)
    return yes(request.body == b"on trio")


_request_id: ContextVar[str] = ContextVar("request_id")


@PROBES.row("Context variables")
def _(trial: AsgiOnWsgi) -> str:
    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(_request_id.get("none").encode()))

    adapted = trial.contender.adapt(app)

    def middleware(environ: Any, start_response: Any) -> Any:
        _request_id.set("42")
        return adapted(environ, start_response)

    request = Request(middleware)
    assert request.ended.wait(HANG)
    return yes(request.body == b"42")


# --- what a server offers -------------------------------------------------------------------------


@PROBES.row("WebSocket")
def _(trial: AsgiOnWsgi) -> str:
    called, over = threading.Event(), threading.Event()
    kinds = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        kinds.append(scope["type"])
        called.set()
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await until(over)
        else:
            await send(START)
            await send(body(b"not a WebSocket"))

    client, server = socket.socketpair()
    client.settimeout(HANG)
    with client, server:
        Request(
            trial.contender.adapt(app),
            HTTP_CONNECTION="Upgrade",
            HTTP_UPGRADE="websocket",
            HTTP_SEC_WEBSOCKET_VERSION="13",
            HTTP_SEC_WEBSOCKET_KEY="dGhlIHNhbXBsZSBub25jZQ==",
            **{"werkzeug.socket": server},
        )
        assert called.wait(HANG)
        accepted = kinds == ["websocket"] and client.recv(12) == b"HTTP/1.1 101"
        over.set()
    return yes(accepted)


@PROBES.row("Files by `wsgi.file_wrapper`")
def _(trial: AsgiOnWsgi) -> str:
    wrapped = []

    def file_wrapper(file: Any, block_size: int = 8192) -> Iterator[bytes]:
        wrapped.append(file.name)
        return iter(lambda: file.read(block_size), b"")

    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        if "http.response.pathsend" in scope.get("extensions", {}):
            await send({"type": "http.response.pathsend", "path": __file__})
        else:
            await send(body(b"not offered"))

    adapter = trial.contender.adapt(app, **(trial.contender.for_files or {}))
    request = Request(adapter, **{"wsgi.file_wrapper": file_wrapper})
    assert request.ended.wait(HANG)
    return yes(wrapped == [__file__] and request.body == Path(__file__).read_bytes())


@PROBES.row("Works after a fork")
def _(trial: AsgiOnWsgi) -> str:
    @http
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"served"))

    adapted = trial.contender.adapt(app)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if b"".join(adapted(plain_environ(), lambda *_: None)) == b"served" else 1)
    ended = threading.Event()
    statuses = []

    def wait() -> None:
        statuses.append(os.waitpid(pid, 0)[1])
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    if not ended.wait(trial.patience("yes")):
        os.kill(pid, 9)
        assert ended.wait(HANG)
    return yes(statuses == [0])
