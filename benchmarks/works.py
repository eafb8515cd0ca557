"""What is measured in either direction: applications by name, and the right answer of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

App = TypeVar("App")

BLOCK = bytes(range(256)) * 256  # 64 KiB
KIB = BLOCK[:1024]


class WrongAnswer(Exception):  # noqa: N818 - what the report says of it
    """The response is not what the application gave."""


@dataclass(frozen=True)
class Work(Generic[App]):
    """What one request asks for.

    Attributes:
        name: How the report calls it.
        app: The application that does it.
        answer: The body of the right answer to a request with the query ``check``; without it, one
            that is as long.
        blocks: How many blocks of 64 KiB the request's body has.
        in_one_piece: Whether request and response are one message each.
    """

    name: str
    app: App
    answer: Callable[[], bytes]
    blocks: int = 0
    in_one_piece: bool = False
