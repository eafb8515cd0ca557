"""ASGI applications that the tests serve, and the messages that they send."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread

from asgi_on_wsgi.host import HANG
from gatebridge.types import Receive, Scope, Send

Message = dict[str, Any]
Http = Callable[[Scope, Receive, Send], Awaitable[Any]]

TEXT = (b"content-type", b"text/plain")


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [TEXT, *headers], **more}


def body(content: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def http(function: Http) -> Http:
    """Return an application that does not speak the lifespan protocol."""

    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        return await function(scope, receive, send)

    return app


def sending(*messages: Any) -> Http:
    """Return an application that sends these messages, whatever the request."""

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


class Event(threading.Event):
    """A `threading.Event` that a test, or an application's thread, cannot wait for in vain."""

    def happens(self) -> None:
        assert self.wait(HANG), "it did not happen"


class Gate:
    """A place in an application where it waits until the test opens it; the loop runs on."""

    def __init__(self) -> None:
        self._reached = Event()
        self._open = Event()

    async def __call__(self) -> None:
        self._reached.set()
        await anyio.to_thread.run_sync(self._open.happens, abandon_on_cancel=True)

    def reached(self) -> None:
        """Wait until the application is there."""
        self._reached.happens()

    def open(self) -> None:
        self._open.set()


async def receive_all(receive: Receive) -> list[Any]:
    """Receive to the end of the body, or until the client is gone."""
    messages: list[Any] = []
    more = True
    while more:
        messages.append(await receive())
        more = messages[-1].get("more_body", False)
    return messages


async def receive_body(receive: Receive) -> bytes:
    return b"".join(message["body"] for message in await receive_all(receive))


@http
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    content = await receive_body(receive)
    await send(start())
    await send(body(content))


class Recorder:
    """An application that speaks both protocols, and records what it is sent.

    Args:
        respond: What it does with a request, by default a short response.
    """

    def __init__(self, respond: Http | None = None) -> None:
        self.events: list[str] = []
        self.scopes: list[Scope] = []
        self._respond = respond or sending(start(), body(b"ok"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                message = await receive()
                assert message == {"type": f"lifespan.{event}"}
                self.events.append(event)
                await send({"type": f"lifespan.{event}.complete"})
        else:
            self.scopes.append(scope)
            self.events.append("request")
            await self._respond(scope, receive, send)


def living(lifespan: Http, respond: Http | None = None) -> Http:
    """Return an application of a function for the lifespan, and one for requests."""
    answer = respond or sending(start(), body(b"ok"))

    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        return await (lifespan if scope["type"] == "lifespan" else answer)(scope, receive, send)

    return app


async def started(receive: Any, send: Any) -> None:
    """Be an application that starts up."""
    assert await receive() == {"type": "lifespan.startup"}
    await send({"type": "lifespan.startup.complete"})


async def stopped(receive: Any, send: Any) -> None:
    """Be an application that waits for its shutdown, and shuts down."""
    assert await receive() == {"type": "lifespan.shutdown"}
    await send({"type": "lifespan.shutdown.complete"})


async def awhile(event: threading.Event) -> None:
    """Let the event loop go on until another thread has set the event."""
    with anyio.fail_after(HANG):
        while not event.is_set():  # noqa: ASYNC110 - set on another thread
            await anyio.sleep(0.001)
