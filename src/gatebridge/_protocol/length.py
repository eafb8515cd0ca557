"""The length of a response's body: unknown, declared, or none because there is no content.

Source: RFC 9110 sections 6.4.1 and 8.6; PEP 3333 "Handling the Content-Length Header".
"""

from __future__ import annotations

from typing import TypeVar

from gatebridge.errors import AsgiAppError, WsgiAppError

_Error = TypeVar("_Error", AsgiAppError, WsgiAppError)


class BodyLength:
    """The length of a body that ends when its application says so.

    Attributes:
        missing: How many bytes the body still lacks; negative for a surplus, None if no length was
            declared, or none counts.
        reached: Whether the body is complete, although the application may give more.
    """

    __slots__ = ()

    @property
    def missing(self) -> int | None:
        return None

    @property
    def reached(self) -> bool:
        return False

    def take(self, block: bytes) -> bytes:
        """Count a block, and return as much of it as belongs to the body."""
        return block


class _NoContent(BodyLength):
    """The length where status or method allows no content; the head may declare any."""

    __slots__ = ()

    @property
    def reached(self) -> bool:
        return True

    def take(self, block: bytes) -> bytes:  # noqa: ARG002 - as its base class
        return b""


class DeclaredLength(BodyLength):
    """The length of a body whose head declares it.

    Args:
        length: In bytes.
    """

    __slots__ = ("_missing",)

    def __init__(self, length: int) -> None:
        self._missing = length

    @property
    def missing(self) -> int:
        return self._missing

    @property
    def reached(self) -> bool:
        return self._missing <= 0

    def take(self, block: bytes) -> bytes:
        before = self._missing
        self._missing = before - len(block)
        return block if self._missing >= 0 else block[: max(before, 0)]


UNKNOWN = BodyLength()
NO_CONTENT = _NoContent()


def has_content(status: int, method: str) -> bool:
    """Say whether a response may have a body (RFC 9110 sections 9.3.2, 15.3.5, 15.3.6, 15.4.5)."""
    return status not in (204, 205, 304) and method != "HEAD"


def length_of_body(declared: int | None, status: int, method: str) -> BodyLength:
    """Return the length of a response's body.

    Args:
        declared: What its head says, in bytes, or None.
        status: The response's.
        method: The request's.
    """
    if not has_content(status, method):
        return NO_CONTENT
    return UNKNOWN if declared is None else DeclaredLength(declared)


def wrong_length(app_error: type[_Error], missing: int) -> _Error:
    """Return the error for a body shorter (``missing`` above 0) or longer than declared."""
    what = "fewer" if missing > 0 else "more"
    return app_error("content-length", f"{abs(missing)} bytes {what} in the body than declared")
