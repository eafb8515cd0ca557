"""A strict WSGI server for one request, in this process: it calls, records, and objects.

What it objects to is in `Host.violations`: what PEP 3333 forbids an application, or a call from
another thread than the server's. `Host.serve` raises these, and the fixture in conftest.py looks
again at the end of the test for what came later.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar

from typing_extensions import Self

from gatebridge.types import WSGIApplication, WSGIEnvironment

HANG = 5  # seconds after which a wait is a failure with a name, not a stuck run


class Input:
    """``wsgi.input`` of a body that comes in parts.

    Args:
        parts: Bytes as they come in; an exception is raised in its place, a callable is called
            before what follows it is given out. One read gives one part at most.
        length: The declared length; None if the server ends the input itself.
    """

    def __init__(self, host: Host, parts: list[Any], length: int | None) -> None:
        self._host = host
        self._parts = list(parts)
        self._left = length
        self._ended = False
        self.sizes: list[int] = []
        """What each read asked for."""

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        self._host.check_thread("wsgi.input.read")
        if kwargs or len(args) != 1 or type(args[0]) is not int or args[0] < 1:
            self._host.object(f"read(*{args}, **{kwargs})")
        if self._ended:
            self._host.object("read after the end of the input")
        (size,) = args
        if self._left is not None and size > self._left:
            self._host.object(f"read({size}) with {self._left} bytes left")
        self.sizes.append(size)
        while self._parts:
            part = self._parts.pop(0)
            if isinstance(part, BaseException):
                self._ended = True
                raise part
            if callable(part):
                part()
                continue
            if len(part) > size:
                self._parts.insert(0, part[size:])
                part = part[:size]
            if self._left is not None:
                self._left -= len(part)
                self._ended = not self._left
            if not part:
                self._ended = True
            return part  # type: ignore[no-any-return]
        self._ended = True
        return b""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            self._host.object(f"wsgi.input.{name} is used")
        raise AttributeError(name)


class Host:
    """One request to a WSGI application.

    Args:
        body: The request's body: bytes, or parts as for `Input`.
        method: The request method.
        path: ``PATH_INFO``.
        length: ``CONTENT_LENGTH``: by default that of the body, if there is one; None for none.
        headers: ``HTTP_*`` values by header name.
        environ: Further keys; None removes one.
    """

    all: ClassVar[list[Host]] = []
    """Those of the present test."""

    def __init__(
        self,
        body: bytes | list[Any] = b"",
        *,
        method: str = "GET",
        path: str = "/",
        length: int | str | None = "auto",
        headers: dict[str, str] | None = None,
        **environ: Any,
    ) -> None:
        self.violations: list[str] = []
        Host.all.append(self)
        self._thread: int | None = None
        parts = [body] if isinstance(body, bytes) and body else list(body or [])
        if length == "auto":
            length = sum(len(part) for part in parts if isinstance(part, bytes)) or None
        self.input = Input(self, parts, length)  # type: ignore[arg-type]
        self.errors = io.StringIO()
        self.environ: WSGIEnvironment = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "192.0.2.80",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
            "REMOTE_PORT": "50000",
            "HTTP_HOST": "example.org",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": self.input,
            "wsgi.errors": self.errors,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if length is not None:
            self.environ["CONTENT_LENGTH"] = str(length)
        for name, value in (headers or {}).items():
            self.environ["HTTP_" + name.upper().replace("-", "_")] = value
        self.environ |= environ
        self.environ = {key: value for key, value in self.environ.items() if value is not None}
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.blocks: list[bytes] = []
        self.headers_alone = False
        """Whether the last block was an empty one, before any other."""
        self.result: Any = None
        """What the application returned."""
        self.hints: list[Any] = []
        """What ``wsgi.early_hints`` was called with, if `offer_hints` was called."""
        self.start_error: BaseException | None = None
        """What ``start_response`` raises."""
        self.wrapped: list[tuple[Any, ...]] = []
        """What ``wsgi.file_wrapper`` was called with, if `offer_file_wrapper` was called."""
        self._iterator: Iterator[bytes] | None = None
        self._over = False

    # --- what the server does ---------------------------------------------------------------------

    def call(self, app: WSGIApplication) -> Self:
        """Call the application; this thread is the server's from now on."""
        self._thread = threading.get_ident()
        self.result = app(self.environ, self._start_response)
        if self.status is None:
            self.object("start_response was not called before the iterable was returned")
        if type(self.result) is list:
            for block in self.result:
                self._check_block(block)
        elif not hasattr(self.result, "close") and not hasattr(self.result, "__next__"):
            self.object(f"returned neither a list nor an iterator with close: {self.result!r}")
        self._iterator = iter(self.result)
        return self

    def next(self) -> bytes | None:
        """Return the next block, or None at the end."""
        assert self._iterator is not None
        block = next(self._iterator, None)
        if block is not None:
            self.headers_alone = not (block or self.blocks or self.headers_alone)
            self._check_block(block)
            if block:
                self.blocks.append(block)
        return block

    def close(self) -> None:
        """End the request, as a server does in any case."""
        close = getattr(self.result, "close", None)
        if close is not None:
            close()
        self._over = True

    def serve(self, app: WSGIApplication) -> Self:
        """Call the application, take the whole response, close it; raise the violations."""
        try:
            self.call(app)
            while self.next() is not None:
                pass
        finally:
            self.close()
        self.check()
        return self

    def serve_in_thread(self, app: WSGIApplication) -> ServingThread:
        """Do as `serve` in a thread of the server's."""
        return ServingThread(self, app)

    def offer_hints(self) -> Self:
        """Offer ``wsgi.early_hints`` (Gunicorn)."""
        self.environ["wsgi.early_hints"] = self._early_hints
        return self

    def offer_file_wrapper(self) -> Self:
        """Offer ``wsgi.file_wrapper``, for a response that is sent by the server's own means."""
        self.environ["wsgi.file_wrapper"] = self._wrap
        return self

    # --- what came of it --------------------------------------------------------------------------

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    @property
    def code(self) -> int | None:
        return None if self.status is None else int(self.status[:3])

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name}: {values}"
        return values[0] if values else None

    def check(self) -> None:
        """Raise what the application did wrong."""
        violations, self.violations = self.violations, []
        assert violations == []

    # --- what the application calls ---------------------------------------------------------------

    def _start_response(self, *args: Any, **kwargs: Any) -> Callable[[bytes], object]:
        self.check_thread("start_response")
        if kwargs or args[2:] not in ((), (None,)):  # exc_info is for what went wrong
            self.object(f"start_response(*{args}, **{kwargs})")
        status, headers = args[:2]
        if self.status is not None:
            self.object("start_response was called twice")
        if type(status) is not str or not status[:3].isdigit() or status[3:4] != " ":
            self.object(f"status: {status!r}")
        elif len(status) < 5:
            self.object(f"status without a reason: {status!r}")
        if type(headers) is not list:
            self.object(f"headers: {headers!r}")
        for item in headers:
            if type(item) is not tuple or [type(part) for part in item] != [str, str]:
                self.object(f"header: {item!r}")
        if self.start_error is not None:
            raise self.start_error
        self.status, self.headers = status, headers
        return self._write

    def _write(self, block: bytes) -> None:
        self.object("write() was called")

    def _early_hints(self, headers: Any) -> None:
        self.check_thread("wsgi.early_hints")
        if self.status is not None:
            self.object("wsgi.early_hints after start_response")
        self.hints.append(list(headers))

    def _wrap(self, *args: Any, **kwargs: Any) -> WrappedFile:
        self.check_thread("wsgi.file_wrapper")
        if kwargs or len(args) not in (1, 2):
            self.object(f"file_wrapper(*{args}, **{kwargs})")
        self.wrapped.append(args)
        return WrappedFile(*args)

    def _check_block(self, block: Any) -> None:
        # An empty block is for the headers of a response whose body is still to come.
        if type(block) is not bytes or not (block or self.headers_alone):
            self.object(f"block: {block!r}")

    def check_thread(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            self.object(f"{what} from another thread")
        if self._over:
            self.object(f"{what} after the end of the request")

    def object(self, what: str) -> None:
        self.violations.append(what)


class WrappedFile:
    """A server's own iterable over a file."""

    def __init__(self, file: Any, block_size: int = 8192) -> None:
        self.file = file
        self._block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self._block_size), b"")

    def close(self) -> None:
        self.file.close()


class ServingThread:
    """A server's thread at a request; joined at the end of a ``with`` block."""

    def __init__(self, host: Host, app: WSGIApplication) -> None:
        self.host = host
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(app,), daemon=True)
        self._thread.start()

    def _run(self, app: WSGIApplication) -> None:
        try:
            self.host.serve(app)
        except BaseException as exc:  # noqa: BLE001 - raised by join()
            self.error = exc

    def join(self) -> Host:
        """Wait for the end; raise what was raised in the thread."""
        self._thread.join(HANG)
        if self._thread.is_alive():
            frame = sys._current_frames().get(self._thread.ident or 0)
            raise AssertionError(f"the server's thread hangs in {frame}")
        if self.error is not None:
            raise self.error
        return self.host

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.join()
