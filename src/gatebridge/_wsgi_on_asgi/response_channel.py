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


class Put(IntEnum):
    """What the worker has put in. It only advances."""

    HINTS = 0
    """Nothing but hints, if anything."""
    SOME = 1
    """A part of the response."""
    ALL = 2
    """The whole response; it is perhaps not yet sent."""
    LAST = 3
    """All that it will ever put in: the worker is done, perhaps without a whole response."""


HINTS, SOME, ALL, LAST = Put


class _Loop(Enum):
    """What the loop's side does about the channel."""

    WAITS = "it has to be woken"
    COMES = "it was woken, or has nothing more to take"
    SENDS = "it sends what it took, so that files must stay open"
    GONE = "it sends nothing more"


_WAITS, _COMES, _SENDS, _GONE = _Loop


class ResponseChannel:
    """Messages of one response, from any thread to one task.

    Args:
        window_bytes: How many bytes of the body may wait here before the worker does.
        wake: Called in the worker's thread when the loop waits and there is something to take;
            returns False if the loop has ended.
        waiting: Makes a context manager that the worker waits in.

    Attributes:
        has: What the worker has put in.
        presence: Who takes it.
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
        "delivered",
        "has",
        "presence",
    )

    def __init__(
        self,
        window_bytes: int,
        wake: Callable[[], bool],
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._wake = wake
        self._waiting = waiting
        # Guards all below. Reentrant, because the collector of cycles may run while it is held, and
        # end the abandoned ASGI call of this very request.
        self._lock = threading.RLock()
        self._messages: list[HTTPSendMessage] = []  # they go before the blocks
        self._blocks: list[bytes] = []  # not yet the body of a message
        self._window_bytes = window_bytes
        self._window: Window | None = None  # that of the blocks; few responses have one that waits
        self._loop = _WAITS
        self._gate: Gate | None = None  # made when somebody has to wait
        self.has = HINTS
        self.presence = HERE
        self.delivered = False

    # --- the worker's side ------------------------------------------------------------------------

    def put(
        self,
        block: bytes = b"",
        *,
        message: HTTPSendMessage | None = None,
        last: bool = False,
        completes: bool = False,
        hint: bool = False,
    ) -> None:
        """Add a message, then a block of the body; wait first while the window is full.

        Args:
            block: Bytes of the body; empty for none.
            message: One that goes before the block: the start, a hint, or a file.
            last: Whether the body is complete with this block.
            completes: Whether it is complete with this message, a file.
            hint: Whether the message goes before the start; it is dropped if it comes too late.

        Raises:
            ClientDisconnected: The client is gone, also if it leaves during the wait.
        """
        must_wake = False
        while True:
            with self._lock:
                if hint and self.has is not HINTS:
                    return
                self._require_open()
                if self._window is None or not self._window.is_full:
                    if not hint:
                        self.has = ALL if last or completes else SOME
                    self._add(block, message, last=last)
                    must_wake = self._must_wake()
                    break
                gate, barrier = self._shut()
            if not gate.wait(barrier):  # opened by take or close
                self.lose()
        if must_wake and not self._wake():
            self.lose()

    def _add(self, block: bytes, message: HTTPSendMessage | None, *, last: bool) -> None:
        if message is not None:
            if self._blocks:
                self._end_message(more_body=True)
            self._messages.append(message)
        if block:
            if self._window is None:
                self._window = Window(self._window_bytes)
            self._window.put(len(block))
            self._blocks.append(block)
        if last:
            self._end_message(more_body=False)

    def put_file(self, message: HTTPSendMessage) -> None:
        """Add a message that completes the body by itself, and wait until it has been sent.

        If the client leaves, this still waits for the ``send`` that is under way: the server may be
        reading from the descriptor, whose number could belong to another file once it is closed.

        Raises:
            ClientDisconnected: The client is gone.
        """
        self.put(message=message, completes=True)
        while True:
            with self._lock:
                if self._loop is not _SENDS or self.presence is LOST:
                    self._require_open()
                if self._loop is _WAITS:  # it comes back for more only after it has sent
                    return
                gate, barrier = self._shut()
            if not gate.wait(barrier):
                self.lose()

    def finish(self, messages: Sequence[HTTPSendMessage] = ()) -> None:
        """Say that the worker is done with the request; always its last call.

        Args:
            messages: A whole response to send with it, in one wake. Hints may have gone before,
                but nothing of the body; and it does not wait for a place.
        """
        with self._lock:
            if self.presence < CLOSED:
                self._messages.extend(messages)
            self.has = LAST
            must_wake = self._must_wake()
        if must_wake and not self._wake():
            self.lose()

    def wait_departed(self, timeout: float | None) -> bool:
        """Wait until the client is gone; return whether it is after ``timeout`` seconds."""
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            with self._lock:
                if self.presence is not HERE:
                    return True
                gate, barrier = self._shut()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if not gate.wait(barrier, left):
                self.lose()

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
        if self.has is LAST:
            raise ClientDisconnected("write", "the request is over")
        if self.presence >= CLOSED:
            raise ClientDisconnected("write")

    def _end_message(self, *, more_body: bool) -> None:
        """Make a message of the blocks that are here."""
        blocks, self._blocks = self._blocks, []
        if self._window is not None:
            self._window.take_all()
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        self._messages.append({"type": "http.response.body", "body": body, "more_body": more_body})

    def lose(self) -> None:
        """Say that the loop has ended."""
        self._end(LOST)

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
            finished = self.has is LAST
            self.delivered = self.has >= ALL
            if messages:
                self._loop = _SENDS
            else:
                self._loop = _COMES if finished else _WAITS
            if self._gate is not None:
                self._gate.open()
        return messages, finished

    def depart(self) -> None:
        """Say that the client is gone; what it has not yet taken may still be sent."""
        with self._lock:
            self._advance(LEFT)

    def leave(self) -> None:
        """Say that nothing is taken or sent any more; `close` follows if somebody may wait."""
        self._loop = _GONE
        self.presence = max(self.presence, CLOSED)

    def close(self) -> None:
        """Drop what is here and let each later `put` raise."""
        self._end(CLOSED)

    def _end(self, presence: Presence) -> None:
        with self._lock:
            self._messages, self._blocks, self._window = [], [], None
            self._advance(presence)

    def _advance(self, presence: Presence) -> None:
        self.presence = max(self.presence, presence)
        if self._gate is not None:
            self._gate.open()
