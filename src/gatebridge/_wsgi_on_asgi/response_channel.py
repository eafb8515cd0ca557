"""The bounded channel that carries a response from a worker thread to the event loop.

The worker puts in messages and blocks of the body; the loop takes out messages that are ready to
send. The bound is in bytes: a worker that is ahead of its client by a window waits. The loop is
woken only if it waits, so that a response that is complete at once costs one wake, and a fast
stream one for each window.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum, IntEnum

from gatebridge._concurrency.gate import Gate
from gatebridge._protocol.presence import CLOSED, HERE, LEFT, LOST, Presence
from gatebridge._protocol.window import Window
from gatebridge.errors import ClientDisconnected
from gatebridge.types import HTTPSendMessage


class Progress(IntEnum):
    """What the worker has put in. It only advances."""

    HINTS = 0
    """Nothing but hints, if anything."""
    PART = 1
    WHOLE = 2
    """The whole response, which is perhaps not sent yet."""
    DONE = 3
    """All that the worker will ever put in; it has ended, perhaps without a whole response."""


HINTS, PART, WHOLE, DONE = Progress


class _Loop(Enum):
    """What the loop's side is doing."""

    WAITS = "it has to be woken"
    COMES = "it was woken, or has nothing more to take"
    SENDS = "it sends what it took, so that files must stay open"
    ENDED = "it sends nothing more"


_WAITS, _COMES, _SENDS, _ENDED = _Loop


class ResponseChannel:
    """Messages of one response, from any thread to one task.

    Args:
        window_bytes: How many bytes of the body may wait here before the worker does.
        lock: Guards all that is here. Reentrant, because the collector of cycles may run while it
            is held, and end the abandoned ASGI call of this very request.
        wake: Called in the worker's thread when the loop waits and there is something to take;
            returns False if the loop has ended.
        waiting: Makes a context manager that the worker waits in.

    Attributes:
        progress: What the worker has put in.
        client: Whether somebody takes it.
        watched: Whether the loop's side is to notice a departure as soon as it can.
        delivered: Whether everything was taken, so that a departure takes nothing from the client.
    """

    __slots__ = (
        "_blocks",
        "_gate",
        "_lock",
        "_loop",
        "_messages",
        "_waiting",
        "_wake",
        "_window",
        "_window_bytes",
        "client",
        "delivered",
        "progress",
        "watched",
    )

    def __init__(
        self,
        window_bytes: int,
        lock: threading.RLock,
        wake: Callable[[], bool],
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._lock = lock
        self._wake = wake
        self._waiting = waiting
        self._messages: list[HTTPSendMessage] = []  # they go before the blocks
        self._blocks: list[bytes] = []  # not yet the body of a message
        self._window_bytes = window_bytes
        self._window: Window | None = None  # of the blocks; made for the first one
        self._loop = _WAITS
        self._gate: Gate | None = None  # made when somebody has to wait
        self.progress = HINTS
        self.client = HERE
        self.watched = False
        self.delivered = False

    # --- the worker's side ------------------------------------------------------------------------

    def put(
        self, block: bytes = b"", *, start: HTTPSendMessage | None = None, last: bool = False
    ) -> None:
        """Add the start of the response, if it is due, and a block of the body.

        This waits first while the window is full.

        Args:
            block: Bytes of the body; empty for none.
            start: The message that goes before the block.
            last: Whether the body is complete with this block.

        Raises:
            ClientDisconnected: The client is gone, also if it leaves during the wait.
        """
        messages = () if start is None else (start,)
        self._put(messages, block, WHOLE if last else PART, ends=last)

    def put_whole(self, messages: Sequence[HTTPSendMessage]) -> None:
        """Add a whole response, before any other part of it.

        Raises:
            ClientDisconnected: The client is gone.
        """
        self._put(messages, b"", WHOLE)

    def put_hint(self, message: HTTPSendMessage) -> None:
        """Add a message that goes before the start; drop it if it comes too late for that.

        Raises:
            ClientDisconnected: As `put`.
        """
        self._put((message,), b"", HINTS)

    def put_file(self, message: HTTPSendMessage) -> None:
        """Add a message that completes the body by itself, and wait until it has been sent.

        If the client leaves, this still waits for the ``send`` that is under way: the server may be
        reading from the descriptor, whose number could belong to another file once it is closed.

        Raises:
            ClientDisconnected: The client is gone.
        """
        self._put((message,), b"", WHOLE)
        while True:
            with self._lock:
                if self._loop is not _SENDS or self.client is LOST:
                    self._require_open()
                if self._loop is _WAITS:  # it comes back for more only after it has sent
                    return
                gate, barrier = self._shut()
            if not gate.wait(barrier):
                self.loop_ended()

    def _put(
        self,
        messages: Sequence[HTTPSendMessage],
        block: bytes,
        progress: Progress,
        *,
        ends: bool = False,
    ) -> None:
        must_wake = False
        while True:
            with self._lock:
                if progress is HINTS and self.progress is not HINTS:
                    return
                self._require_open()
                if self._window is None or not self._window.is_full:
                    self.progress = max(self.progress, progress)
                    self._add(messages, block, ends=ends)
                    must_wake = self._must_wake()
                    break
                gate, barrier = self._shut()
            if not gate.wait(barrier):  # opened by take or drop
                self.loop_ended()
        if must_wake and not self._wake():
            self.loop_ended()

    def _add(self, messages: Sequence[HTTPSendMessage], block: bytes, *, ends: bool) -> None:
        if messages:
            if self._blocks:
                self._end_message(more_body=True)
            self._messages.extend(messages)
        if block:
            if self._window is None:
                self._window = Window(self._window_bytes)
            self._window.put(len(block))
            self._blocks.append(block)
        if ends:
            self._end_message(more_body=False)

    def worker_done(self, messages: Sequence[HTTPSendMessage] = ()) -> None:
        """Record that the worker is done with the request; always its last call.

        Args:
            messages: A whole response to send with it, in one wake. Hints may have gone before,
                but nothing of the body; and it does not wait for a place.
        """
        with self._lock:
            if self.client < CLOSED:
                self._messages.extend(messages)
            self.progress = DONE
            must_wake = self._must_wake()
        if must_wake and not self._wake():
            self.loop_ended()

    def watch(self) -> None:
        """Let the loop's side notice a departure as soon as it can."""
        if not self.watched:
            self.watched = True
            self._wake()

    def wait_departed(self, timeout: float | None) -> bool:
        """Wait until the client is gone; return whether it is after ``timeout`` seconds."""
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            with self._lock:
                if self.client is not HERE:
                    return True
                gate, barrier = self._shut()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if not gate.wait(barrier, left):
                self.loop_ended()

    def _shut(self) -> tuple[Gate, threading.Lock]:
        if self._gate is None:
            self._gate = Gate(self._waiting, self._wake)
        return self._gate, self._gate.shut()

    def _must_wake(self) -> bool:
        """Return whether to wake the loop now; with the lock held."""
        if self._loop is not _WAITS:
            return False
        self._loop = _COMES
        return True

    def _require_open(self) -> None:
        if self.progress is DONE:
            raise ClientDisconnected("write", "the request is over")
        if self.client >= CLOSED:
            raise ClientDisconnected("write")

    def _end_message(self, *, more_body: bool) -> None:
        """Make a message of the blocks that are here."""
        blocks, self._blocks = self._blocks, []
        if self._window is not None:
            self._window.take_all()
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        self._messages.append({"type": "http.response.body", "body": body, "more_body": more_body})

    def loop_ended(self) -> None:
        """Drop what is here: the event loop has ended."""
        self._drop(LOST)

    # --- the loop's side --------------------------------------------------------------------------

    def take(self) -> tuple[list[HTTPSendMessage], bool]:
        """Return the messages to send now, blocks joined; call it again once they are sent.

        Returns:
            The messages, and whether nothing comes after them because the worker is done. If it
            is not, and there are no messages, ``wake`` follows.
        """
        with self._lock:
            if self._blocks:
                self._end_message(more_body=True)
            messages, self._messages = self._messages, []
            finished = self.progress is DONE
            self.delivered = self.progress >= WHOLE
            if messages:
                self._loop = _SENDS
            else:
                self._loop = _COMES if finished else _WAITS
            if self._gate is not None:
                self._gate.open()
        return messages, finished

    def client_left(self) -> None:
        """Record that the client is gone. What is here may still be sent."""
        with self._lock:
            self._advance(LEFT)

    def call_ended(self) -> None:
        """Record that the loop's side takes and sends nothing more."""
        with self._lock:
            self._loop = _ENDED
            self._drop(CLOSED)

    def drop(self) -> None:
        """Drop what is here, and let each later `put` raise."""
        self._drop(CLOSED)

    def _drop(self, client: Presence) -> None:
        with self._lock:
            self._messages, self._blocks, self._window = [], [], None
            self._advance(client)

    def _advance(self, client: Presence) -> None:
        self.client = max(self.client, client)
        if self._gate is not None:
            self._gate.open()
