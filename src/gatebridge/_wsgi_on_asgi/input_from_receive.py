"""`input_from_receive`: a request's body as a file, read as `WsgiToAsgi` reads it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from io import BufferedIOBase
from typing import Any

import anyio.lowlevel

from gatebridge._arguments import require_int
from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._concurrency.own_thread import own_thread_error
from gatebridge._translate.environ import environ_from_scope
from gatebridge._translate.text import request_line
from gatebridge._wsgi_on_asgi.input import WsgiInput, broken_by, promised_body
from gatebridge.errors import ClientDisconnected
from gatebridge.types import Receive, Scope


def input_from_receive(
    scope: Scope,
    receive: Receive,
    *,
    max_body_size: int | None = None,
    window_bytes: int = 262144,
) -> AbstractAsyncContextManager[BufferedIOBase]:
    """Return the body of an HTTP request as a synchronous binary file, for worker threads.

    The file exists for a block of ``async with``. Meanwhile a task on the event loop receives
    ahead of the reader, by no more than the window; other code must not call ``receive``. Nothing
    is received before the first read if the client waits for ``100 Continue``. The block must be
    entered and left in one task. ::

        async with input_from_receive(scope, receive) as file:
            form = await anyio.to_thread.run_sync(parse, file)

    The file behaves like an `io.BytesIO` of the whole body, without ``seek``, and only ``read1``
    returns the bytes that are already available. Bytes beyond a declared length are not readable. A
    body that cannot be completed never looks like a short one: the read that needs the missing
    bytes raises, and so does each later one. What a read raises:

    - `ClientDisconnected`: the client left, ``receive`` failed, the block's task was cancelled, or
      the block has ended. A thread that waits in a read then continues.
    - `RequestBodyError`: the body ended before its declared length (status 400), or has no declared
      length and is larger than ``max_body_size`` (status 413).
    - `HostError`: ``receive`` returned something that is not a message of a request.
    - `UnavailableError`: it would deadlock, because it is called on the event loop's own thread.

    At the end of the block the task has ended. Data that was received and not read is lost; the
    rest can still be received.

    Args:
        scope: Of type ``"http"``; its headers declare the length of the file.
        receive: The server's callable.
        max_body_size: The largest body in bytes, None for any.
        window_bytes: The part of the body that may wait for the reader, in bytes; a message is
            never split, so the last one may exceed this.

    Raises:
        RequestError: The request is one that `environ_from_scope` refuses (400).
        RequestBodyError: The declared length is over ``max_body_size`` (413).
        HostError: The scope breaks the ASGI specification; at the end of the block, a message did.
        TypeError: A number is of the wrong type.
        ValueError: A number is out of range.
        Exception: At the end of the block, whatever ``receive`` raised, except for a
            `ConnectionError`, which is a departure. An error of the block is then its
            ``__context__``.

    Source: PEP 3333 "Input and Error Streams"; ASGI HTTP 2.5 "Request".
    """
    require_int(1, window_bytes=window_bytes)
    require_int(0, or_none=True, max_body_size=max_body_size)
    length, on_demand = promised_body(environ_from_scope(scope), max_body_size)
    make = partial(
        _ReceivedInput,
        length=length,
        max_size=max_body_size,
        window_bytes=window_bytes,
        on_demand=on_demand,
        request=request_line(scope["method"], scope.get("path")),
    )
    return _fed_input(receive, make)


class _ReceivedInput(WsgiInput):
    """A file for any thread except that of the event loop it was created on."""

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - as its base class
        super().__init__(**arguments)
        self._loop_thread = threading.get_ident()

    def _fill(self) -> bool:
        # Even if there is something to read: otherwise the error would depend on timing.
        if threading.get_ident() == self._loop_thread:
            raise own_thread_error()
        return super()._fill()


@asynccontextmanager
async def _fed_input(
    receive: Receive, make: Callable[..., _ReceivedInput]
) -> AsyncGenerator[BufferedIOBase, None]:
    """Make a file, and feed it from ``receive`` during the block."""
    wanted = current_loop().new_signal()
    body = make(wake=wanted.set_soon, waiting=nullcontext)

    async def feed() -> None:
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()  # if the block was left at once
            await body.feed_from(receive, wanted.wait)
        except Exception as exc:
            body.abort(broken_by(exc))
            raise
        finally:
            # On cancellation too: the block may be waiting for a thread that waits in a read.
            body.abort(ClientDisconnected("receive"))

    async with _beside(feed):
        try:
            yield body
        except ClientDisconnected:
            await anyio.lowlevel.checkpoint_if_cancelled()  # which may have caused the error
            raise
        finally:
            body.abort(ClientDisconnected("receive", "the block that read it has ended"))


@asynccontextmanager
async def _beside(task: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Run a task until the block ends; raise the error of either, but not in a group."""
    error: BaseException | None = None
    failures: list[Exception] = []

    async def run() -> None:
        try:
            await task()
        except Exception as exc:  # noqa: BLE001 - raised at the end of the block
            failures.append(exc)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            try:
                yield
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as exc:  # noqa: BLE001 - raised below
                error = exc
            finally:
                group.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        if error is None and not failures:  # otherwise those win, as in any group
            raise
    try:
        if error is not None:
            raise error
    finally:
        del error  # no cycle through the traceback's frames
        if failures:
            raise failures.pop()
