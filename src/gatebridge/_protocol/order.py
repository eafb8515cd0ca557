"""The order of a response: a head, blocks of a body, an end.

Source: PEP 3333 "The start_response() Callable", "Handling the Content-Length Header"; ASGI HTTP
2.5 "Response Start", "Response Body".
"""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """How far a response has come. It only advances."""

    NO_HEAD = 0
    HEAD = 1
    """The application has given a head. Nothing was sent, so that it can be replaced."""
    HEAD_SENT = 2
    """The head was handed over, without any part of the body."""
    BODY = 3
    """A part of the body was handed over."""
    COMPLETE = 4


class Step(IntEnum):
    """What an application does next about its response."""

    HEAD = 0
    """It gives the head."""
    OTHER_HEAD = 1
    """It gives one in place of another, or the first."""
    SEND_HEAD = 2
    """It lets the head go out alone."""
    BLOCK = 3
    """It gives a part of the body, after which the head cannot be replaced."""
    END = 4
    """It gives the last part, which may be all."""
    FILE = 5
    """It gives a file as the whole body."""


AFTER: dict[tuple[Stage, Step], Stage] = {
    (Stage.NO_HEAD, Step.HEAD): Stage.HEAD,
    (Stage.NO_HEAD, Step.OTHER_HEAD): Stage.HEAD,
    (Stage.HEAD, Step.OTHER_HEAD): Stage.HEAD,
    (Stage.HEAD, Step.SEND_HEAD): Stage.HEAD_SENT,
    (Stage.HEAD, Step.BLOCK): Stage.BODY,
    (Stage.HEAD, Step.END): Stage.COMPLETE,
    (Stage.HEAD, Step.FILE): Stage.COMPLETE,
    (Stage.HEAD_SENT, Step.BLOCK): Stage.BODY,
    (Stage.HEAD_SENT, Step.END): Stage.COMPLETE,
    (Stage.HEAD_SENT, Step.FILE): Stage.COMPLETE,
    (Stage.BODY, Step.BLOCK): Stage.BODY,
    (Stage.BODY, Step.END): Stage.COMPLETE,
}
"""The stage that each step leads to. A step that is not here is the application's mistake, for
which each direction has words of its own."""
