"""The lifespan protocol as an application speaks it: `answer_lifespan`.

Source: ASGI lifespan 2.0.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import anyio

from gatebridge.errors import HostError, LifespanError
from gatebridge.types import Receive, Send

_logger = logging.getLogger("gatebridge")


async def answer_lifespan(
    receive: Receive, send: Send, lifespan: AbstractAsyncContextManager[object]
) -> None:
    """Speak the protocol for a context manager: entered at startup, left at shutdown.

    An error on entry or exit is reported to the server with the reason, and also raised if it is
    not an `Exception`. An error in between is logged and raised.

    Raises:
        HostError: The server sent the wrong message.
    """
    await _receive(receive, "lifespan.startup")
    try:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(lifespan)
            except BaseException as exc:  # noqa: BLE001 - raised again if it is the task's end
                await _report(send, "lifespan.startup.failed", exc)
                return
            await send({"type": "lifespan.startup.complete"})
            await _receive(receive, "lifespan.shutdown")
            try:
                await stack.aclose()
            except BaseException as exc:  # noqa: BLE001 - raised again if it is the task's end
                await _report(send, "lifespan.shutdown.failed", exc)
                return
            # Not after the block: the context manager may suppress what ended the block early.
            await send({"type": "lifespan.shutdown.complete"})
    except Exception:
        # Uvicorn concludes that the application does not speak the protocol, and logs nothing.
        _logger.exception("the lifespan ended before lifespan.shutdown")
        raise


async def _receive(receive: Receive, event: str) -> None:
    message = await receive()
    if message["type"] != event:
        raise HostError("type", f"not {event}: {message['type']!r:.80}")


async def _report(send: Send, kind: str, exc: BaseException) -> None:
    if _ends_the_task(exc):
        raise exc
    if isinstance(exc, LifespanError):
        reason = exc.reason  # as an inner application has reported it
    else:
        reason = f"{type(exc).__name__}: {exc}"
        _logger.error("%s: %s", kind, reason, exc_info=exc)
    await send({"type": kind, "message": reason})
    if not isinstance(exc, Exception):
        raise exc


def _ends_the_task(exc: BaseException) -> bool:
    if isinstance(exc, GeneratorExit):  # perhaps no loop runs any more
        return True
    cancelled = anyio.get_cancelled_exc_class()
    split: Any = getattr(exc, "split", None)  # trio's nurseries make groups of these
    return isinstance(exc, cancelled) or (split is not None and split(cancelled)[1] is None)
