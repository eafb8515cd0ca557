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
from typing import Any

from gatebridge._concurrency.gate import BLOCK_OVERHEAD, Gate
from gatebridge.errors import ClientDisconnected
from gatebridge.types import HTTPSendMessage


class ResponseChannel:
    """Messages of one response, from any thread to one task.

    Args:
        window_bytes: How many bytes of the body may wait here before the worker does.
        wake: Called in the worker's thread when the loop waits and there is something to take;
            returns False if the loop has ended.
        waiting: Makes a context manager that the worker waits in.

    Attributes:
        complete: Whether the response is complete, though perhaps not yet sent.
        finished: Whether the worker is done, though perhaps not everything was taken.
        closed: Whether nobody takes any more: the client is gone, or the request is over.
        delivered: Whether everything was taken, so that a departure takes nothing from the client.
        departed: Whether the client is gone, be it after everything was taken.
        lost: Whether the loop has ended.
        sending: Whether the loop is sending what it took, so that files must stay open.
    """

    __slots__ = (
        "_begun",
        "_blocks",
        "_buffered",
        "_gate",
        "_last",
        "_lock",
        "_loop_waits",
        "_messages",
        "_waiting",
        "_wake",
        "_window",
        "closed",
        "complete",
        "delivered",
        "departed",
        "finished",
        "lost",
        "sending",
    )

    def __init__(
        self,
        window_bytes: int,
        wake: Callable[[], bool],
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._window = window_bytes
        self._wake = wake
        self._waiting = waiting
        # Guards all below. Reentrant, because the collector of cycles may run while it is held, and
        # end the abandoned ASGI call of this very request.
        self._lock = threading.RLock()
        self._messages: list[HTTPSendMessage] = []  # they go before the blocks
        self._blocks: list[bytes] = []
        self._buffered = 0  # bytes that _blocks take
        self._last = False  # the message with the blocks is the last
        self._begun = False  # something other than a hint was put in
        self._loop_waits = True  # it begins with waiting
        self._gate: Gate | None = None  # made when somebody has to wait
        self.complete = False
        self.finished = False
        self.closed = False
        self.delivered = False
        self.departed = False
        self.lost = False
        self.sending = False

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
        wake = False
        while True:
            with self._lock:
                if hint and (self._begun or self.finished):
                    return
                self._require_open()
                if self._buffered < self._window:
                    self._begun = not hint
                    if message is not None:
                        if self._blocks:
                            self._messages.append(self._body_message(more_body=True))
                        self._messages.append(message)
                    if block:
                        self._blocks.append(block)
                        self._buffered += len(block) + BLOCK_OVERHEAD
                    self._last = last
                    self.complete = last or completes
                    wake, self._loop_waits = self._loop_waits, False
                    break
                gate, barrier = self._shut()
            if not gate.wait(barrier):  # opened by take or close
                self.lose()
        if wake and not self._wake():
            self.lose()

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
                if not self.sending or self.lost:
                    self._require_open()
                if self._loop_waits:  # it comes back for more only after it has sent
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
            if messages and not self.closed:
                self._messages.extend(messages)
                self.complete = True
            self.finished = True
            wake, self._loop_waits = self._loop_waits, False
        if wake and not self._wake():
            self.lose()

    def wait_departed(self, timeout: float | None) -> bool:
        """Wait until the client is gone; return whether it is after ``timeout`` seconds."""
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            with self._lock:
                if self.departed:
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

    def _require_open(self) -> None:
        if self.finished:
            raise ClientDisconnected("write", "the request is over")
        if self.closed:
            raise ClientDisconnected("write")

    def lose(self) -> None:
        """Say that the loop has ended."""
        self.lost = True
        self.close()

    # --- the loop's side --------------------------------------------------------------------------

    def take(self) -> tuple[list[HTTPSendMessage], bool]:
        """Return the messages to send now, blocks joined; call it again once they are sent.

        Returns:
            The messages, and whether nothing comes after them because the worker is done. If it
            is not, and there are no messages, ``wake`` follows.
        """
        with self._lock:
            messages, self._messages = self._messages, []
            if self._blocks or self._last:
                messages.append(self._body_message(more_body=not self._last))
                self._last = False
            finished = self.finished
            self.delivered = self.complete or finished
            self.sending = bool(messages)
            self._loop_waits = not (messages or finished)
            if self._gate is not None:
                self._gate.open()
        return messages, finished

    def depart(self) -> None:
        """Say that the client is gone; what it has not yet taken may still be sent."""
        with self._lock:
            self.departed = True
            if self._gate is not None:
                self._gate.open()

    def leave(self) -> None:
        """Say that nothing is taken or sent any more; `close` follows if somebody may wait."""
        self.sending = False
        self.closed = self.departed = True

    def close(self) -> None:
        """Drop what is here and let each later `put` raise."""
        with self._lock:
            self.closed = self.departed = True
            self._messages, self._blocks, self._buffered, self._last = [], [], 0, False
            if self._gate is not None:
                self._gate.open()

    def _body_message(self, *, more_body: bool) -> Any:  # noqa: ANN401
        blocks, self._blocks, self._buffered = self._blocks, [], 0
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        return {"type": "http.response.body", "body": body, "more_body": more_body}
