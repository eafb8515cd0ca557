"""Whether the client is still there."""

from __future__ import annotations

from enum import IntEnum


class Presence(IntEnum):
    """Whether the client still receives the response. It only advances."""

    HERE = 0
    LEFT = 1
    """The client is gone. What is under way to it may still be sent."""
    CLOSED = 2
    """Nothing more is sent: the client is gone, or the request is over."""
    LOST = 3
    """The event loop has ended, so that nothing is ever sent again."""


# By names of their own, as the stages of a response.
HERE, LEFT, CLOSED, LOST = Presence
