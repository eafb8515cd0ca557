"""The lifespan protocol as a server speaks it: `Lifespan`.

Source: ASGI lifespan 2.0.
"""

from __future__ import annotations

import inspect
import logging
import math
from contextlib import suppress
from typing import Any, Literal

import anyio

from gatebridge.errors import AsgiAppError, LifespanError
from gatebridge.types import ASGIApplication, LifespanScope, Message

_logger = logging.getLogger("gatebridge")

LifespanMode = Literal["auto", "on", "off"]

_CLEANUP_SECONDS = 1.0  # for an application's clean-up after a failure or a cancellation


class Lifespan:
    """One startup and one shutdown of an application.

    One task calls `run`; another task of the same loop calls `startup` and `shutdown`.

    Args:
        app: The ASGI application.
        required: Whether an application that does not speak the protocol is an error.
        state: For ``scope["state"]``, which the application may fill; a new one if None.

    Attributes:
        state: That dictionary; if the application has no lifespan, a copy without its additions.
    """

    def __init__(
        self, app: ASGIApplication, *, required: bool, state: dict[str, Any] | None = None
    ) -> None:
        self._app = app
        self._required = required
        self.state: dict[str, Any] = {} if state is None else state
        self._given = dict(self.state)
        self._completed = ""  # the last event that the application has completed
        self._events = iter(("lifespan.startup", "lifespan.shutdown"))
        self._event = ""  # the event that the application has to answer
        self._failure: LifespanError | None = None
        self._error: BaseException | None = None  # what the application raised
        self._answered = anyio.Event()  # set when the application has answered the current event
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Call the application. Raises nothing."""
        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            with self._scope:
                call = self._app(scope, self._receive, self._send)
                if not inspect.isawaitable(call):
                    raise AsgiAppError("return value", f"not awaitable: {type(call).__name__}")
                await call
        except BaseException as exc:  # noqa: BLE001 - SystemExit would end the loop
            self._error = exc
        if self._completed and not self._stopping.is_set():
            _logger.error("the lifespan ended before lifespan.shutdown", exc_info=self._error)
        self._ended.set()
        self._answered.set()

    async def startup(self, seconds: float | None) -> None:
        """Run the application's startup.

        Args:
            seconds: Seconds it may take; None for no limit.

        Raises:
            LifespanError: It failed or took too long, or the application does not speak the
                protocol although that is required.
        """
        await self._answer_within(seconds)
        if self._failure is not None:
            await self._end_within(_CLEANUP_SECONDS)
            raise self._failure
        if not self._answered.is_set():
            await self._end_within(0)
            raise LifespanError("lifespan.startup", f"no answer within {seconds:g} seconds")
        if self._completed:
            return
        what = "returned" if self._error is None else f"raised {self._error!r:.200}"
        if self._required:
            raise LifespanError(
                "lifespan.startup",
                f"the application {what} without an answer; lifespan='auto' allows that",
            ) from self._error
        _logger.debug("the application %s without an answer to lifespan.startup", what)
        self.state = self._given

    async def shutdown(self, seconds: float | None) -> None:
        """Run the application's shutdown, if it started and its task has not ended.

        Args:
            seconds: Seconds it may take before it is cancelled; None for no limit until it answers.

        Raises:
            LifespanError: It failed, or took too long.
        """
        if not self._completed or self._ended.is_set():
            return
        self._answered = anyio.Event()
        self._stopping.set()
        if seconds is None:
            await self._answer_within(None)
            seconds = _CLEANUP_SECONDS
        # The application may still clean up after its answer.
        in_time = await self._end_within(seconds)
        if self._failure is not None:
            raise self._failure
        if not in_time and self._completed != "lifespan.shutdown":
            raise LifespanError("lifespan.shutdown", f"no answer within {seconds:g} seconds")
        if self._error is not None:
            raise LifespanError(
                "lifespan.shutdown", f"the application raised {self._error!r:.200}"
            ) from self._error

    async def _answer_within(self, seconds: float | None) -> None:
        """Wait for the application's answer, or for its end; if cancelled, end the application."""
        try:
            with anyio.move_on_after(math.inf if seconds is None else seconds):
                await self._answered.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._undo()
            raise

    async def _undo(self) -> None:
        """End the application after the wait for its answer was cancelled."""
        if not self._stopping.is_set():
            # It may be about to answer, and must then be shut down, not just cancelled.
            with anyio.move_on_after(_CLEANUP_SECONDS):
                await self._answered.wait()
            with suppress(LifespanError):  # the caller raises what interrupted the wait
                await self.shutdown(_CLEANUP_SECONDS)
        await self._cancel()

    async def _end_within(self, seconds: float) -> bool:
        """Wait for the application's task to end, or cancel it; return whether it ended in time."""
        in_time = False
        try:
            with anyio.move_on_after(seconds):
                await self._ended.wait()
                in_time = True
        finally:
            await self._cancel()
        return in_time

    async def _cancel(self) -> None:
        """Cancel the application's task, and give it a moment to clean up."""
        self._scope.cancel()
        with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await self._ended.wait()

    async def _receive(self) -> Message:
        event = next(self._events, None)
        if event is None or self._failure is not None:
            self._scope.cancel()  # nothing is left to wait for
            await anyio.sleep_forever()
        assert event is not None
        if event == "lifespan.shutdown":
            await self._stopping.wait()
        self._event = event
        return {"type": event}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        if not self._event or self._answered.is_set():
            raise AsgiAppError("type", f"nothing is to be answered: {kind!r:.80}")
        if kind == f"{self._event}.complete":
            self._completed = self._event
        elif kind == f"{self._event}.failed":
            reason = message.get("message") or "no reason given"
            self._failure = LifespanError(str(kind), str(reason))
        else:
            raise AsgiAppError("type", f"not an answer to {self._event}: {kind!r:.80}")
        self._answered.set()
