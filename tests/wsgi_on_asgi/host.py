"""A strict ASGI server for one request, in this process: it feeds, records, and objects.

What it objects to is in `Host.violations`: a message that the ASGI specification forbids, or one
that comes too early, too late, twice, or from another thread. `Host.serve` raises these, and the
fixture in conftest.py looks again at the end of the test for what came later.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

Message = dict[str, Any]

HANG = 5  # seconds after which a wait is a failure with a name, not a stuck run

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # lower-case only (ASGI HTTP "Response Start")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_KEYS = {  # message type: its keys, and those that may be missing
    "http.response.start": ({"type", "status", "headers"}, set()),
    "http.response.body": ({"type", "body", "more_body"}, set()),
    "http.response.early_hint": ({"type", "links"}, set()),
    "http.response.zerocopysend": ({"type", "file"}, {"offset", "count", "more_body"}),
    "http.response.pathsend": ({"type", "path"}, set()),
}
_CORE = {"http.response.start", "http.response.body"}


def http_scope(**changes: Any) -> dict[str, Any]:
    """Return the scope of ``GET / HTTP/1.1`` with changes; None removes a key."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"example.org")],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.80", 80),
        **changes,
    }
    return {key: value for key, value in scope.items() if value is not None}


def bury(task: asyncio.Task[None]) -> None:
    """End a task whose loop was closed: now, rather than in another test, when it is collected."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine: Any = task.get_coro()
    with suppress(RuntimeError):  # a task group of anyio ends in a running loop only
        coroutine.close()


def request_messages(*parts: bytes) -> list[Message]:
    """Return a body as one message for each part; without parts it is empty."""
    last = len(parts) - 1
    return [
        {"type": "http.request", "body": part, "more_body": number < last}
        for number, part in enumerate(parts)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]


def extensions(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {} for name in names}


class Host:
    """Serves one request.

    Args:
        body: What ``receive`` gives first: bytes for a part of the body, or whole messages.
            Afterwards it waits for `feed`, for `disconnect`, or for the end of the response.
        open_end: Whether the body goes on after these parts.
        raises: Whether ``send`` raises an `OSError` once the client has left (ASGI 2.4), or does
            nothing (before).
        scope: Changes for `http_scope`.
    """

    all: list[Host] = []  # noqa: RUF012 - emptied by a fixture for each test

    def __init__(
        self, *body: bytes, open_end: bool = False, raises: bool = True, **scope: Any
    ) -> None:
        self.scope = http_scope(**scope)
        self.sent: list[Message] = []
        self.violations: list[str] = []
        self.error: Exception | None = None  # of a call in the background
        self.receives = 0  # calls of receive
        self.complete = False  # the last message was sent
        self.ended = False  # the ASGI call was
        self.receive_error: Exception | None = None
        self.send_error: Exception | None = None
        self._messages = [] if open_end and not body else request_messages(*body)
        if open_end and body:
            self._messages[-1]["more_body"] = True
        self._raises = raises
        self._gone = False
        self._receiving = self._sending = False
        self._length: int | None = None
        self._body_bytes = 0
        self._done = anyio.Event()
        self._changed = anyio.Event()
        self._reads = anyio.Event()
        self._reads.set()
        self._thread = threading.get_ident()
        Host.all.append(self)

    # --- what the server's client does ------------------------------------------------------------

    def feed(self, *messages: Message) -> None:
        """Let ``receive`` give further messages."""
        self._messages.extend(messages)
        self._change()

    def disconnect(self) -> None:
        """Let the client leave."""
        self._gone = True
        self._reads.set()
        self._change()

    def stop_reading(self) -> None:
        """Let each ``send`` wait, as if the socket's buffer were full."""
        self._reads = anyio.Event()

    def read_on(self) -> None:
        self._reads.set()

    # --- what a test looks at ---------------------------------------------------------------------

    async def serve(self, app: Any) -> None:
        """Call the application; raise what it raises, or what it violated."""
        try:
            with anyio.fail_after(HANG):
                await app(self.scope, self.receive, self.send)
            if not (self.complete or self._gone or self.send_error or self.receive_error):
                self._object("returned without a complete response")
        finally:
            self.ended = True
            if self._receiving or self._sending:
                self._object("receive or send is still being called after the end")
            self._done.set()
        assert self.violations == []

    @asynccontextmanager
    async def background(self, app: Any) -> AsyncIterator[anyio.CancelScope]:
        """Serve in a task, which has to end by itself after the block; its error is in `error`."""

        async def serve() -> None:
            try:
                await self.serve(app)
            except Exception as exc:  # noqa: BLE001 - tests look at it
                self.error = exc

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            yield group.cancel_scope
            with anyio.fail_after(HANG):
                await self._done.wait()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that depends on calls of ``receive`` and ``send``."""
        with anyio.fail_after(HANG):
            while not holds():
                await self._changed.wait()

    @property
    def status(self) -> int:
        return self._start["status"]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return self._start["headers"]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def types(self) -> list[str]:
        return [message["type"].removeprefix("http.response.") for message in self.sent]

    @property
    def _start(self) -> Message:
        (start,) = [item for item in self.sent if item["type"] == "http.response.start"]
        return start

    # --- the callables ----------------------------------------------------------------------------

    async def receive(self) -> Message:
        self._check_call("receive", already=self._receiving)
        self._receiving = True
        self.receives += 1
        self._change()
        try:
            while True:
                if self.receive_error is not None:
                    raise self.receive_error
                if self._gone or (self.complete and not self._messages):
                    return {"type": "http.disconnect"}
                if self._messages:
                    return self._messages.pop(0)
                await self._changed.wait()
        finally:
            self._receiving = False

    async def send(self, message: Message) -> None:
        self._check_call("send", already=self._sending)
        if self.send_error is not None:
            raise self.send_error
        if self._gone:
            return self._departed()
        self._sending = True
        try:
            self._check(message)
            self.sent.append(message)
            self._change()
            await self._reads.wait()
            if self._gone:
                self._departed()
        finally:
            self._sending = False

    def _departed(self) -> None:
        if self._raises:
            raise BrokenPipeError("the client has left")

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # --- the rules --------------------------------------------------------------------------------

    def _object(self, what: str) -> None:
        self.violations.append(what)

    def _check_call(self, name: str, *, already: bool) -> None:
        if already:
            self._object(f"{name} called while another call of it is pending")
        if self.ended:
            self._object(f"{name} called after the end of the ASGI call")
        if threading.get_ident() != self._thread:
            self._object(f"{name} called from another thread")

    def _check(self, message: Message) -> None:
        kind = message.get("type")
        if type(message) is not dict or kind not in _KEYS:
            return self._object(f"no such message: {message!r}")
        keys, optional = _KEYS[kind]
        if not keys <= set(message) <= keys | optional:
            self._object(f"keys of {kind}: {sorted(message)}")
        if kind not in _CORE and kind not in (self.scope.get("extensions") or {}):
            self._object(f"not offered: {kind}")
        if self.complete:
            self._object(f"after the last message: {kind}")
        started = any(item["type"] == "http.response.start" for item in self.sent)
        if started is (kind in ("http.response.start", "http.response.early_hint")):
            self._object(f"not in order: {kind} after {self.types}")
        getattr(self, f"_check_{kind.rpartition('.')[2]}")(message)
        return None

    def _check_start(self, message: Message) -> None:
        if type(message["status"]) is not int or not 200 <= message["status"] <= 999:
            self._object(f"status: {message['status']!r}")
        for name, value in message["headers"]:
            if type(name) is not bytes or type(value) is not bytes or not _TOKEN.fullmatch(name):
                self._object(f"header: {name!r}: {value!r}")
            elif _CONTROL.search(value) or value != value.strip(b" \t"):
                self._object(f"value of {name!r}: {value!r}")
            elif name == b"content-length":
                if self._length is not None:
                    self._object("two lengths")
                self._length = int(value)

    def _check_body(self, message: Message) -> None:
        if type(message["body"]) is not bytes or type(message["more_body"]) is not bool:
            self._object(f"types of {message!r}")
        self._count(len(message["body"]), last=not message["more_body"])

    def _check_early_hint(self, message: Message) -> None:
        if not all(type(link) is bytes for link in message["links"]):
            self._object(f"links: {message['links']!r}")

    def _check_zerocopysend(self, message: Message) -> None:
        if type(message["file"].fileno()) is not int or type(message["count"]) is not int:
            self._object(f"types of {message!r}")
        self._count(message["count"], last=not message.get("more_body", False))

    def _check_pathsend(self, message: Message) -> None:
        if "body" in self.types or not Path(message["path"]).is_absolute():
            self._object(f"{message!r} after {self.types}")
        self._count(Path(message["path"]).stat().st_size, last=True)

    def _count(self, size: int, *, last: bool) -> None:
        self._body_bytes += size
        self.complete = last
        has_content = self.scope["method"] != "HEAD" and self.status not in (204, 205, 304)
        if size and not has_content:
            self._object(f"{size} bytes in a response without content")
        if self._length is not None and has_content:
            if self._body_bytes > self._length:
                self._object(f"{self._body_bytes} bytes of {self._length}")
            if last and self._body_bytes < self._length:
                self._object(f"complete after {self._body_bytes} bytes of {self._length}")


@asynccontextmanager
async def in_background(app: Any, hosts: Iterable[Host]) -> AsyncIterator[None]:
    """Serve several requests in the background at once."""
    async with AsyncExitStack() as stack:
        for host in hosts:
            await stack.enter_async_context(host.background(app))
        yield
