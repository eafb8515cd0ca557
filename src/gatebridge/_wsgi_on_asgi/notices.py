"""The faults that `WsgiToAsgi` corrects in an application's responses, logged once per kind."""

from __future__ import annotations

import logging

from gatebridge._translate.text import request_line
from gatebridge.types import Scope

_logger = logging.getLogger("gatebridge")

_MAX_KINDS = 100  # header names come from the application, and perhaps from its clients


class Notices:
    """The warnings about one application; each kind is logged with the first request that has it.

    Any thread may call the methods.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, object] = {}

    def header_dropped(self, scope: Scope, name: str) -> None:
        """Log that the application sent a header that only a server may send."""
        if self._is_new(name):
            _logger.warning(
                "%s: the response header %.80r was dropped, because only a server may send it; "
                "logged once",
                request_line(scope["method"], scope["path"]),
                name,
            )

    def surplus_cut_off(self, scope: Scope, length: int) -> None:
        """Log that the application's iterable has more bytes than its Content-Length."""
        if self._is_new("Content-Length"):  # names of headers are lower-case
            _logger.warning(
                "%s: the application returned more than its Content-Length of %d bytes; "
                "the surplus is cut off; logged once",
                request_line(scope["method"], scope["path"]),
                length,
            )

    def _is_new(self, kind: str) -> bool:
        if kind in self._seen or len(self._seen) >= _MAX_KINDS:
            return False
        mine = object()
        return self._seen.setdefault(kind, mine) is mine  # atomic, so that no lock is needed
