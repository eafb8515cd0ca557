"""``wsgi.file_wrapper``: a file as a response body, sent by the server itself where it can.

Source: PEP 3333 "Optional Platform-Specific File Handling"; ASGI extensions
``http.response.zerocopysend`` and ``http.response.pathsend``.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from gatebridge.types import HTTPResponsePathSendMessage, HTTPResponseZeroCopySendMessage

_MIN_READ_BYTES = 65536
_TEMPORARY_FILE = tempfile._TemporaryFileWrapper  # pyright: ignore[reportPrivateUsage] - no other name


class FileWrapper:
    """An iterable over the blocks of a file-like object, from its position to its end.

    It has a ``close`` method if the object has one. If the application returns it
    unwrapped, the server may send the file without iterating; inside another iterable it is just an
    iterable.

    Args:
        filelike: Any object with ``read(size)`` that returns bytes.
        block_size: Bytes to read at a time.
    """

    close: Callable[[], object]

    def __init__(self, filelike: Any, block_size: int = 8192, /) -> None:  # noqa: ANN401
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def blocks(self, limit: int | None) -> Iterator[bytes]:
        """Iterate in large blocks over at most ``limit`` bytes, or to the end if it is None."""
        size = max(self.block_size, _MIN_READ_BYTES)
        while limit is None or limit > 0:
            block: bytes = self.filelike.read(size if limit is None else min(size, limit))
            if not block:
                return
            if limit is not None:
                limit -= len(block)
            yield block


class RegularFile(NamedTuple):
    """A regular file on disk behind a file-like object.

    Attributes:
        raw: An object whose ``fileno()`` is the file's.
        offset: The position of the file-like object, in bytes.
        size: The file's size in bytes.
        stays: Whether closing it closes a file and does nothing else.
    """

    raw: Any
    offset: int
    size: int
    stays: bool

    @property
    def available(self) -> int:
        """Number of bytes from `offset` to the end."""
        return max(self.size - self.offset, 0)

    def zero_copy_message(self, count: int) -> HTTPResponseZeroCopySendMessage:
        """Return the message that sends ``count`` bytes from `offset` by descriptor."""
        return {
            "type": "http.response.zerocopysend",
            "file": self.raw,
            "offset": self.offset,
            "count": count,
            "more_body": False,
        }

    def path_message(self, count: int) -> HTTPResponsePathSendMessage | None:
        """Return the message that sends the file by path, or None if that would not be the same.

        A server may open the path at any time after ``send`` has returned, as Granian does, and
        nothing shows when. So the file must not be one that is deleted when it is closed.
        """
        name = getattr(self.raw, "name", None)
        if (
            not self.stays
            or self.offset
            or count != self.size
            or not isinstance(name, str)
            or not Path(name).is_absolute()
        ):
            return None
        try:
            # By now the name may belong to another file, or to none.
            if not os.path.samestat(Path(name).stat(), os.fstat(self.raw.fileno())):
                return None
        except OSError:
            return None
        return {"type": "http.response.pathsend", "path": name}


def regular_file(wrapper: FileWrapper) -> RegularFile | None:
    """Return the regular file behind ``wrapper`` if its descriptor has the same bytes.

    Only for the exact types that `open` and `tempfile` return: the descriptor of a `gzip.GzipFile`,
    for example, has the compressed bytes.
    """
    filelike = wrapper.filelike
    if isinstance(filelike, _TEMPORARY_FILE):
        filelike = cast("Any", filelike).file
    if type(filelike) not in (io.FileIO, io.BufferedReader, io.BufferedRandom):
        return None
    raw = getattr(filelike, "raw", filelike)
    if type(raw) is not io.FileIO:  # a buffer can be put over anything
        return None
    try:
        status = os.fstat(filelike.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        stays = _only_closes(wrapper, filelike, raw)
        return RegularFile(filelike, filelike.tell(), status.st_size, stays)
    except (OSError, ValueError):
        return None


def _only_closes(wrapper: FileWrapper, filelike: Any, raw: io.FileIO) -> bool:  # noqa: ANN401
    """Return whether ``wrapper.close`` only closes the file.

    It does more if it was replaced, as `tempfile` and Django's ``FileResponse`` do, or if the
    application has put an attribute on the file, such as a temporary directory, that would be
    deleted with it.
    """
    attributes: set[str] = {*vars(filelike), *vars(raw)}
    return attributes <= {"name"} and bool(wrapper.close == filelike.close)
