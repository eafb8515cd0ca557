"""The bounded channel that carries a response from a worker thread to the event loop.

The worker puts in messages and blocks of the body; the loop takes out messages that are ready to
send. The bound is in bytes: a worker that is ahead of its client by a window waits. The loop is
woken only if it waits, so that a response that is complete at once costs one wake, and a fast
stream one for each window.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from gatebridge._bodies.gate import Gate
from gatebridge.errors import ClientDisconnected
from gatebridge.types import HTTPResponseStartMessage, HTTPSendMessage


class WholeResponse(NamedTuple):
    """A response that is complete before anything of it was sent.

    Attributes:
        start: Its first message.
        body: All of its body.
    """

    start: HTTPResponseStartMessage
    body: bytes


class ResponseChannel:
    """Messages of one response, from any thread to one task.

    Args:
        window_bytes: How many bytes of the body may wait here before the worker does.
        wake: Called in the worker's thread when the loop waits and there is something to take;
            returns False if the loop has ended.
        waiting: Makes a context manager that the worker waits in.
    """

    def __init__(
        self,
        *,
        window_bytes: int,
        wake: Callable[[], bool],
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._window = window_bytes
        self._wake = wake
        self._gate = Gate(waiting, wake)
        self._lock = threading.Lock()  # guards all below
        self._messages: list[HTTPSendMessage] = []  # they go before the blocks
        self._blocks: list[bytes] = []
        self._buffered = 0  # bytes in _blocks
        self._last = False  # the message with the blocks is the last
        self._complete = False  # everything up to the last message was put in
        self._closed = False  # the client is gone; nobody takes any more
        self._finished = False  # the worker is done
        self._loop_waits = False

    # --- the worker's side ------------------------------------------------------------------------

    def put(
        self, block: bytes = b"", *, message: HTTPSendMessage | None = None, last: bool = False
    ) -> None:
        """Add a message, then a block of the body; wait first while the window is full.

        Args:
            block: Bytes of the body; empty for none.
            message: One that goes before the block: the start, a hint, or a file.
            last: Whether the body is complete with this block.

        Raises:
            ClientDisconnected: The client is gone, also if it leaves during the wait.
        """
        while True:
            with self._lock:
                self._require_open()
                if self._buffered < self._window:
                    self._append(block, message, last=last)
                    wake, self._loop_waits = self._loop_waits, False
                    if wake:
                        break
                    return
                barrier = self._gate.shut()
            if not self._gate.wait(barrier):  # opened by take or close
                self.close()
        if not self._wake():
            self.close()

    def put_file(self, message: HTTPSendMessage) -> None:
        """Add a message that completes the body by itself, and wait until it has been sent.

        Raises:
            ClientDisconnected: The client is gone, also if it leaves during the wait.
        """
        self.put(message=message)
        with self._lock:
            self._complete = True
        while True:
            with self._lock:
                self._require_open()
                if self._loop_waits:  # it comes back for more only after it has sent
                    return
                barrier = self._gate.shut()
            if not self._gate.wait(barrier):
                self.close()

    def finish(self, response: WholeResponse | None = None) -> None:
        """Say that the worker is done with the request; always its last call.

        Args:
            response: A whole response to send with it, in one wake; it does not wait for a place.
        """
        with self._lock:
            if response is not None and not self._closed:
                self._append(response.body, response.start, last=True)
            self._finished = True
            wake, self._loop_waits = self._loop_waits, False
        if wake:
            self._wake()

    def _append(self, block: bytes, message: HTTPSendMessage | None, *, last: bool) -> None:
        if message is not None:
            if self._blocks:
                self._messages.append(self._body_message(more_body=True))
            self._messages.append(message)
        if block:
            self._blocks.append(block)
            self._buffered += len(block)
        self._last = self._complete = last

    def _require_open(self) -> None:
        if self._closed:
            raise ClientDisconnected("write")
        if self._finished:
            raise ClientDisconnected("write", "the request is over")

    # --- the loop's side --------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the worker is done."""
        return self._finished

    @property
    def complete(self) -> bool:
        """Whether the response is complete, though perhaps not yet sent."""
        return self._complete

    @property
    def closed(self) -> bool:
        """Whether the client is gone."""
        return self._closed

    def take(self) -> list[HTTPSendMessage]:
        """Return the messages to send now, blocks joined; call it again once they are sent.

        Returns:
            An empty list if there is nothing. If the worker is not done then, ``wake`` follows.
        """
        with self._lock:
            messages, self._messages = self._messages, []
            if self._blocks or self._last:
                messages.append(self._body_message(more_body=not self._last))
                self._last = False
            self._loop_waits = not (messages or self._finished)
            self._gate.open()
        return messages

    def close(self) -> None:
        """Drop what is here and let each later `put` raise: the client is gone."""
        with self._lock:
            self._closed = True
            self._messages, self._blocks, self._buffered, self._last = [], [], 0, False
            self._gate.open()

    def _body_message(self, *, more_body: bool) -> Any:  # noqa: ANN401
        blocks, self._blocks, self._buffered = self._blocks, [], 0
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        return {"type": "http.response.body", "body": body, "more_body": more_body}
