"""The rows of WSGI on ASGI: each a scenario that every contender goes through."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread

from peers.contenders import Contender
from peers.trial import HANG, Probes, Trial, yes
from wsgi_on_asgi.host import Message, http_scope, request_messages

PROBES = Probes()
ON_TRIO = "Runs on trio"

BLOCK = bytes(65536)
STALLED = 50  # clients

Environ = dict[str, Any]
WSGIApp = Callable[[Environ, Any], Iterable[bytes]]


class WsgiOnAsgi(Trial):
    """A trial on an event loop, with a task group in which the requests run."""

    def __init__(self, contender: Contender, expected: str, group: anyio.abc.TaskGroup) -> None:
        super().__init__(contender, expected)
        self._group = group
        self._limiter = anyio.CapacityLimiter(10)  # so that adapters have anyio's own

    async def happens(self, event: threading.Event, seconds: float) -> bool:
        """Say whether an event is set within some seconds."""
        return await anyio.to_thread.run_sync(
            event.wait, seconds, abandon_on_cancel=True, limiter=self._limiter
        )

    def serve(self, app: WSGIApp, client: Client) -> Client:
        """Let the contender serve an application to a client, in the background."""
        return self.call(self.contender.adapt(app), client)

    def call(self, asgi_app: Any, client: Client) -> Client:
        self._group.start_soon(client.run, asgi_app)
        return client

    async def answer(self, app: WSGIApp, **scope: Any) -> Client:
        """Serve an ordinary request to its end."""
        client = self.serve(app, Client(**scope))
        assert await self.happens(client.ended, HANG)
        return client


class Client:
    """One client and the server between it and an adapter.

    Args:
        body: The parts of the request's body.
        open_end: Whether more of it follows, with `finish`.
        reads: Whether it takes the response; if not, the first ``send`` does not return.
        raises: Whether ``send`` raises an `OSError` after the client has left (ASGI 2.4), or
            does nothing.
        scope: Changes of the scope.
    """

    def __init__(
        self,
        *body: bytes,
        open_end: bool = False,
        reads: bool = True,
        raises: bool = True,
        **scope: Any,
    ) -> None:
        self.scope = http_scope(**scope)
        self.sent: list[Message] = []
        self.error: Exception | None = None
        self.called = threading.Event()
        """The adapter was."""
        self.first_block = threading.Event()
        """A part of the response's body has arrived."""
        self.complete = threading.Event()
        self.ended = threading.Event()
        """The call of the adapter has."""
        self._messages = request_messages(*body)
        self._messages[-1]["more_body"] = open_end
        self._raises = raises
        self._left = False
        self._changed = anyio.Event()
        self._reads = anyio.Event()
        if reads:
            self._reads.set()

    async def run(self, app: Any) -> None:
        self.called.set()
        try:
            await app(self.scope, self._receive, self._send)
        except Exception as exc:  # noqa: BLE001 - a probe may look at it
            self.error = exc
        finally:
            self.ended.set()

    def finish(self, *body: bytes) -> None:
        """Send the rest of the request's body."""
        self._messages += request_messages(*body)
        self._change()

    def leave(self) -> None:
        self._left = True
        self._reads.set()
        self._change()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _receive(self) -> Message:
        while True:
            if self._messages:
                return self._messages.pop(0)
            if self._left or self.complete.is_set():
                return {"type": "http.disconnect"}
            await self._changed.wait()

    async def _send(self, message: Message) -> None:
        await self._reads.wait()
        if self._left:
            if self._raises:
                raise BrokenPipeError("the client has left")
            return
        self.sent.append(message)
        if message.get("body"):
            self.first_block.set()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete.set()
            self._change()


def saying(text: str) -> WSGIApp:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    return app


class Blocks:
    """An iterable that tells when it is closed."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.closed = threading.Event()
        self._blocks = iter(blocks)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        self.closed.set()


def answering(blocks: Iterable[bytes]) -> WSGIApp:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return blocks

    return app


# --- bodies ---------------------------------------------------------------------------------------


@PROBES.row("Request bodies are streamed")
async def _(trial: WsgiOnAsgi) -> str:
    called = threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        called.set()
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"thanks"]

    client = trial.serve(app, Client(b"first", open_end=True, method="POST"))
    streams = await trial.happens(called, trial.patience("yes"))
    client.finish(b"last")
    assert await trial.happens(client.complete, HANG)
    return yes(streams)


@PROBES.row("Responses are streamed")
async def _(trial: WsgiOnAsgi) -> str:
    go_on = threading.Event()

    def blocks() -> Iterator[bytes]:
        yield b"first"
        go_on.wait()
        yield b"last"

    client = trial.serve(answering(blocks()), Client())
    streams = await trial.happens(client.first_block, trial.patience("yes"))
    go_on.set()
    assert await trial.happens(client.complete, HANG)
    assert client.body == b"firstlast"
    return yes(streams)


@PROBES.row("Memory is bounded while a client stalls")
async def _(trial: WsgiOnAsgi) -> str:
    all_made = threading.Event()

    def blocks() -> Iterator[bytes]:
        for _ in range(256):  # 16 MiB
            yield BLOCK
        all_made.set()

    trial.serve(answering(blocks()), Client(reads=False))
    return yes(not await trial.happens(all_made, trial.patience("no")))


@PROBES.row("Others are served while 50 downloads stall")
async def _(trial: WsgiOnAsgi) -> str:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return (BLOCK for _ in range(16 if environ["PATH_INFO"] == "/download" else 1))

    contender = trial.contender
    adapted = contender.adapt(app, **({contender.threads: 10} if contender.threads else {}))
    stalled = [trial.call(adapted, Client(reads=False, path="/download")) for _ in range(STALLED)]
    for client in stalled:
        assert await trial.happens(client.called, HANG)
    for _ in range(100):  # turns of the loop, in which their threads are asked for
        await anyio.lowlevel.checkpoint()
    other = trial.call(adapted, Client())
    return yes(await trial.happens(other.complete, trial.patience("yes")))


@PROBES.row("The number of threads can be chosen")
async def _(trial: WsgiOnAsgi) -> str:
    lock = threading.Lock()
    inside = 0
    all_inside, go_on = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        nonlocal inside
        with lock:
            inside += 1
            if inside == 50:
                all_inside.set()
        go_on.wait()
        start_response("200 OK", [])
        return []

    contender = trial.contender
    adapted = contender.adapt(app, **({contender.threads: 50} if contender.threads else {}))
    for _ in range(50):
        trial.call(adapted, Client())
    return yes(await trial.happens(all_inside, trial.patience("yes")))


# --- PEP 3333 -------------------------------------------------------------------------------------


@PROBES.row("`write()`")
async def _(trial: WsgiOnAsgi) -> str:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"written, ")
        return [b"returned"]

    return yes((await trial.answer(app)).body == b"written, returned")


@PROBES.row("`wsgi.file_wrapper`")
async def _(trial: WsgiOnAsgi) -> str:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"content"))  # type: ignore[no-any-return]

    return yes((await trial.answer(app)).body == b"content")


@PROBES.row("`close()` is called at the end")
async def _(trial: WsgiOnAsgi) -> str:
    blocks = Blocks([b"one", b"two"])
    client = await trial.answer(answering(blocks))
    assert client.body == b"onetwo"
    return yes(blocks.closed.is_set())


@PROBES.row("`close()` is called when the client leaves")
async def _(trial: WsgiOnAsgi) -> str:
    def ticks() -> Iterator[bytes]:
        while True:
            yield b"tick"
            time.sleep(0.001)  # an adapter that does not wait for its client keeps all of them

    closed = []
    for raises, outcomes in ((True, ["yes", "partly"]), (False, ["yes"])):
        blocks = Blocks(ticks())
        client = trial.serve(answering(blocks), Client(raises=raises))
        assert await trial.happens(client.first_block, HANG)
        client.leave()
        closed.append(await trial.happens(blocks.closed, trial.patience(*outcomes)))
    return {(True, True): "yes", (True, False): "partly"}.get((closed[0], closed[1]), "no")


@PROBES.row("`Cookie` headers become one")
async def _(trial: WsgiOnAsgi) -> str:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["HTTP_COOKIE"].encode()]

    headers = [(b"host", b"example.org"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    client = await trial.answer(app, headers=headers, http_version="2")
    return yes(client.body == b"a=1; b=2")


# --- ASGI -----------------------------------------------------------------------------------------


@PROBES.row("Lifespan is answered")
async def _(trial: WsgiOnAsgi) -> str:
    answers = []
    wanted = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Message:
        if wanted:
            return {"type": wanted.pop(0)}
        return await anyio.sleep_forever()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        answers.append(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    try:
        await trial.contender.adapt(saying("hello"))(scope, receive, send)
    except Exception:  # noqa: BLE001 - tells the server that it is not spoken
        return "no"
    return yes(answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"])


@PROBES.row("Lifespan state reaches the application")
async def _(trial: WsgiOnAsgi) -> str:
    database = object()
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        scopes = [value for value in environ.values() if isinstance(value, Mapping)]
        seen.extend(scope["state"]["database"] for scope in scopes if "state" in scope)
        return saying("seen")(environ, start_response)

    await trial.answer(app, state={"database": database})
    return yes(database in seen)


_request_id: ContextVar[str] = ContextVar("request_id")


async def _carries(adapt: Callable[[WSGIApp], Any]) -> bool:
    """Say whether an application sees what a middleware around its adapter has set."""
    seen = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append(_request_id.get(None))
        return saying("seen")(environ, start_response)

    async def receive() -> Message:
        return request_messages()[0]

    async def send(message: Message) -> None:
        pass

    _request_id.set("42")
    with anyio.fail_after(HANG):
        await adapt(app)(http_scope(), receive, send)
    return seen == ["42"]


@PROBES.row("Context variables")
async def _(trial: WsgiOnAsgi) -> str:
    on_asyncio = await _carries(trial.contender.adapt)

    def try_trio() -> bool:
        try:
            return anyio.run(_carries, trial.contender.adapt_on_trio, backend="trio")
        except Exception:  # noqa: BLE001 - there is a row of its own for that
            return on_asyncio

    on_trio = await anyio.to_thread.run_sync(try_trio)
    return "partly" if on_asyncio is not on_trio else yes(on_asyncio)


@PROBES.row(ON_TRIO)
async def _(trial: WsgiOnAsgi) -> str:
    try:
        client = trial.call(trial.contender.adapt_on_trio(saying("hello")), Client())
    except Exception:  # noqa: BLE001
        return "no"
    assert await trial.happens(client.ended, HANG)
    return yes(client.body == b"hello")
