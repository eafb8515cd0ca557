"""A whole request body as a seekable file: in memory while it is small, then on disk."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from typing import IO, Protocol


class Body(Protocol):
    """A binary file that ends at the end of the body."""

    def read1(self) -> bytes: ...


def spool(body: Body, memory_bytes: int) -> tuple[IO[bytes], int]:
    """Read a body to its end, in a thread that may wait for the client and for the disk.

    Args:
        body: Read block by block, so that no more than one is in memory besides the spool.
        memory_bytes: The largest body to keep in memory. A larger one goes to a temporary file,
            which has no name where the system allows that.

    Returns:
        The body as a file at its start, which the caller closes, and its length in bytes.

    Raises:
        OSError: The temporary file cannot be created or written, as when the disk is full.
        Exception: Whatever reading the body raises. No file is left open.
    """
    length = 0
    file: IO[bytes] = io.BytesIO()
    try:
        while block := body.read1():
            if length <= memory_bytes < length + len(block):
                memory, file = file, tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
                memory.seek(0)
                shutil.copyfileobj(memory, file)
                memory.close()
            file.write(block)
            length += len(block)
        file.seek(0)  # writes buffered bytes
    except BaseException:
        # If buffered bytes cannot be written, this raises again, but closes the descriptor.
        with contextlib.suppress(OSError):
            file.close()
        raise
    return file, length
