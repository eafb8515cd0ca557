"""``wsgi.errors``: where applications write messages for the operator.

Source: PEP 3333 "Input and Error Streams" and "environ Variables".
"""

from __future__ import annotations

import io
import sys

from gatebridge.types import ErrorStream


class WsgiErrors(io.TextIOBase):
    """A text stream over ``sys.stderr``, looked up on each write, or over a given stream.

    Looking it up late keeps redirection by tests and servers working. Any text can be written:
    characters that the stream cannot encode become backslash escapes.

    Args:
        stream: Where to write; ``sys.stderr`` if None.
    """

    def __init__(self, stream: ErrorStream | None = None) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str, /) -> int:
        """Write ``text`` and return its length in characters."""
        stream = self._target
        if stream is not None:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = getattr(stream, "encoding", None) or "ascii"
                stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream written to."""
        stream = self._target
        if stream is not None:
            stream.flush()

    def close(self) -> None:
        """Do nothing: the stream belongs to the process."""

    @property
    def _target(self) -> ErrorStream | None:
        return self._stream if self._stream is not None else sys.stderr
