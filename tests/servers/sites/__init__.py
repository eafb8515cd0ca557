"""The same site in every framework, written as its users write it.

``GET /echo/...``: what was asked, as JSON: ``path`` (what follows), ``query`` (the parameter
    ``q``), ``repeated`` (the values of ``X-Repeated``, in order), ``cookies``; it sets the cookies
    ``one=1`` and ``two=2``
``POST /form``: the form's fields, as JSON
``POST /upload``: of the form's ``file``, as JSON: ``name``, ``size`` in bytes, ``sha256``
``POST /body``: of the body: ``size``, ``sha256``; read in parts where the framework can
``GET /page``: `PAGE`, with the entity tag `TAG`; 304 if the client has that
``GET /stream``: ``first``, waits at the gate ``stream``, ``last``
``GET /endless``: blocks until the client has left; then notes ``left``
``GET /wait``: waits at the gate ``wait``, then answers ``waited``
``GET /error``: raises
``GET /missing``: is the framework's own page for what is not there
``GET /collect``: runs the garbage collector; only where `kinds.LEAVES_TO_COLLECTOR` says so

An ASGI site has a lifespan besides, which notes ``startup`` and ``shutdown`` and puts ``opened``
into the state where the framework knows a state, and

``GET /state``: ``state`` as JSON: what the lifespan has opened
``POST /background``: ``accepted``; a background task waits at the gate ``background`` and notes
    ``background ended``
``GET /events``: server-sent events: ``data: 0``, waits at the gate ``events``, ``data: 1``, waits
    again, ``data: 2``, and ends
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Iterable
from typing import Any

PAGE = "<!doctype html><title>Page</title><p>Grüße</p>"
TAG = "v1"
OPENED = {"opened": "by the lifespan"}
BLOCK = b"x" * 65536


class Digest:
    """What is said of a body."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._size = 0

    def add(self, part: bytes) -> None:
        self._sha256.update(part)
        self._size += len(part)

    def as_dict(self, **more: Any) -> dict[str, Any]:
        return {**more, "size": self._size, "sha256": self._sha256.hexdigest()}


def digest(parts: Iterable[bytes], **more: Any) -> dict[str, Any]:
    total = Digest()
    for part in parts:
        total.add(part)
    return total.as_dict(**more)


async def digest_async(parts: AsyncIterable[bytes], **more: Any) -> dict[str, Any]:
    total = Digest()
    async for part in parts:
        total.add(part)
    return total.as_dict(**more)


def parts_of(file: Any, size: int = 65536) -> Iterable[bytes]:
    """Return the parts of a binary file."""
    return iter(lambda: file.read(size), b"")


def joined(values: Iterable[str]) -> list[str]:
    """Return the values of a header that came more than once, whoever joined them."""
    return [value.strip() for line in values for value in line.split(",")]
