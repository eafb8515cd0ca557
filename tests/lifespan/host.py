"""A server's side of the lifespan protocol, strict; and applications that record their lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

HANG = 5  # seconds after which a wait is a failure with a name, not a stuck run

Message = dict[str, Any]


class LifespanHost:
    """Calls an application with a lifespan scope, and objects to answers out of order.

    Args:
        state: For the scope; None if the server has none.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
        if state is not None:
            self.scope["state"] = state
        self.sent: list[Message] = []
        self.received: list[str] = []
        self.error: BaseException | None = None
        """What the application raised."""
        self._answered = anyio.Event()
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self.cancel_scope = anyio.CancelScope()

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """Start up, and shut down after the block, if the application started."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._run, app)
            try:
                with anyio.fail_after(HANG):
                    await self._answered.wait()
                yield
                self._stopping.set()
                with anyio.fail_after(HANG):
                    await self._ended.wait()
            finally:
                group.cancel_scope.cancel()

    async def live(self, app: Any) -> list[str]:
        """Start up and shut down; return the types of the answers, without ``lifespan.``."""
        async with self.running(app):
            pass
        return self.answers

    @property
    def answers(self) -> list[str]:
        return [message["type"].removeprefix("lifespan.") for message in self.sent]

    @property
    def reason(self) -> str:
        """The message of the last answer, a failure."""
        return str(self.sent[-1]["message"])

    async def _run(self, app: Any) -> None:
        try:
            with self.cancel_scope:
                await app(self.scope, self._receive, self._send)
        except BaseException as exc:  # noqa: BLE001 - tests look at it
            self.error = exc
        self._answered.set()
        self._ended.set()

    async def _receive(self) -> Message:
        if not self.received:
            self.received.append("lifespan.startup")
        else:
            await self._stopping.wait()
            assert self.received == ["lifespan.startup"], "received after the shutdown"
            assert self.answers == ["startup.complete"], f"shutdown after {self.answers}"
            self.received.append("lifespan.shutdown")
        return {"type": self.received[-1]}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        assert kind.rpartition(".")[0] == self.received[-1], f"{kind} after {self.received}"
        assert len(self.sent) == len(self.received) - 1, f"{kind} after {self.answers}"
        if kind.endswith(".failed"):
            assert type(message["message"]) is str
            assert set(message) == {"type", "message"}
        else:
            assert set(message) == {"type"}
        self.sent.append(message)
        self._answered.set()


class Living:
    """An application that speaks the lifespan protocol, and answers requests by its state.

    Args:
        name: What it is called in the log.
        log: Where its events go.
        state: What it adds to the state.
        fails: The event that it answers with ``.failed``.
        raises: The event at which it raises, and never answers.
    """

    def __init__(
        self,
        name: str,
        log: list[str],
        *,
        state: dict[str, Any] | None = None,
        fails: str = "",
        raises: str = "",
    ) -> None:
        self.name = name
        self.scopes: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        """As they were when the lifespan began, and at each request."""
        self._log = log
        self._state = state or {}
        self._fails = fails
        self._raises = raises

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if "state" in scope:
            self.states.append(dict(scope["state"]))
        if scope["type"] != "lifespan":
            await respond(scope, receive, send)
            return
        for event in ("startup", "shutdown"):
            assert await receive() == {"type": f"lifespan.{event}"}
            self._log.append(f"{self.name} {event}")
            if self._raises == event:
                raise RuntimeError(f"{self.name} at {event}")
            if self._fails == event:
                message = f"{self.name} cannot"
                await send({"type": f"lifespan.{event}.failed", "message": message})
                return
            scope["state"].update(self._state)
            await send({"type": f"lifespan.{event}.complete"})


async def respond(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request with where it came to."""
    text = f"{scope['root_path']} | {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text, "more_body": False})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that returns at once from what it does not know."""
    if scope["type"] == "http":
        await respond(scope, receive, send)


async def raising(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that raises for what it does not know."""
    if scope["type"] != "http":
        raise ValueError(f"only http, not {scope['type']}")
    await respond(scope, receive, send)


async def careless(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that takes everything for a request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


WITHOUT_LIFESPAN: list[Callable[..., Any]] = [silent, raising, careless]
