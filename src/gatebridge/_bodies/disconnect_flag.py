"""``environ["gatebridge.disconnected"]``: lets a long-running application ask for its client."""

from __future__ import annotations

from collections.abc import Callable

from gatebridge._bodies.channel import ResponseChannel


class DisconnectFlag:
    """Tells an application whether its client is gone; for any of its threads.

    It has these two methods of a `threading.Event`. The flag is set once the client has left, and
    at the latest when the request is over, so that a thread that outlives its request ends too.
    A departure is seen once the request's body has been read, or fits in the window.

    Args:
        channel: That of the request's response.
        watch: Begins to watch for the client's departure.
    """

    __slots__ = ("_channel", "_watch")

    def __init__(self, channel: ResponseChannel, watch: Callable[[], object]) -> None:
        self._channel = channel
        self._watch = watch

    def is_set(self) -> bool:
        """Return whether the client is gone."""
        self._watch()
        return self._channel.closed

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client is gone, or for ``timeout`` seconds; return whether it is gone.

        Meanwhile the thread does not count against ``threads``.
        """
        self._watch()
        return self._channel.wait_closed(timeout)
