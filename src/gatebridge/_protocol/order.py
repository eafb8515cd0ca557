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

    GIVE_HEAD = 0
    """It gives the head."""
    REPLACE_HEAD = 1
    """It gives a head with ``exc_info``: in place of an earlier one, or as the first."""
    SEND_HEAD = 2
    """It lets the head go out alone."""
    BLOCK = 3
    """It gives a part of the body, after which the head cannot be replaced."""
    END = 4
    """It gives the last part, which may be all."""
    FILE = 5
    """It gives a file as the whole body."""


# By names of their own: CPython 3.11 runs Python code at each use of an enum's member.
NO_HEAD, HEAD, HEAD_SENT, BODY, COMPLETE = Stage
GIVE_HEAD, REPLACE_HEAD, SEND_HEAD, BLOCK, END, FILE = Step

AFTER: dict[tuple[Stage, Step], Stage] = {
    (NO_HEAD, GIVE_HEAD): HEAD,
    (NO_HEAD, REPLACE_HEAD): HEAD,
    (HEAD, REPLACE_HEAD): HEAD,
    (HEAD, SEND_HEAD): HEAD_SENT,
    (HEAD, BLOCK): BODY,
    (HEAD, END): COMPLETE,
    (HEAD, FILE): COMPLETE,
    (HEAD_SENT, BLOCK): BODY,
    (HEAD_SENT, END): COMPLETE,
    (HEAD_SENT, FILE): COMPLETE,
    (BODY, BLOCK): BODY,
    (BODY, END): COMPLETE,
}
"""The stage that each step leads to. A step that is not here is the application's mistake; each
direction raises an error in its own terms."""
