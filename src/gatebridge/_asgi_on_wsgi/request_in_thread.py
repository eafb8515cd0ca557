"""One request in the server's thread: the only one that touches the WSGI server.

It reads ``wsgi.input``, calls ``start_response`` and yields the blocks. The application's call on
the event loop asks for each of these steps, see `thread_tasks`.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from io import BufferedReader
from queue import Empty
from typing import NoReturn
from wsgiref.util import FileWrapper

from gatebridge._asgi_on_wsgi.call_on_loop import Call
from gatebridge._asgi_on_wsgi.refusal import return_refusal
from gatebridge._asgi_on_wsgi.request_body import BLOCK_BYTES, RequestMessages
from gatebridge._asgi_on_wsgi.thread_tasks import Begin, EarlyHints, OpenFile, Part, ReadPart, Task
from gatebridge._concurrency.loop_handle import LoopHandle
from gatebridge._protocol.length import wrong_length
from gatebridge.errors import (
    AsgiAppError,
    HostError,
    RequestBodyError,
    UnavailableError,
)
from gatebridge.types import StartResponse, WSGIEnvironment

_logger = logging.getLogger("gatebridge")

# For how long a head waits for the body that mostly follows at once; then the response begins
# without it, with an empty block, so that servers send the headers of an event stream.
_HEAD_SECONDS = 0.03


# A large upload is read ahead while nothing else waits for this thread, and while its parts are
# there at once: a read that the application did not ask for must not wait for the client. A chunked
# body never is: its client may wait for an answer before it goes on.
_AHEAD = 4  # number of parts that may be read ahead, once as many were asked for
_AT_ONCE_SECONDS = 0.001


class _Phase(Enum):
    """How far the server is with the response. It only advances."""

    UNBEGUN = "start_response was not called"
    BEGUN = "start_response was called"
    OVER = "the server has the whole response, or left"


_UNBEGUN, _BEGUN, _OVER = _Phase

_GIVEN = (Begin, bytes)  # tasks that are for the server as they are


class WsgiRequest:
    """The server's thread at one request, and the iterable that it gives to the server.

    Args:
        call: The application's.
        handle: Of the call's event loop.
        body: The request's; None if it has none.
        deliver: Accepts a part of the body, on the loop; None if there is no body.
        environ: The request's.
        timeout: How many seconds the application may let this thread wait; None for any time.
    """

    _phase = _OVER  # in case that `__init__` is interrupted before its end, for `__del__`

    def __init__(
        self,
        call: Call,
        handle: LoopHandle,
        body: RequestMessages | None,
        deliver: Callable[[Part | None], None] | None,
        environ: WSGIEnvironment,
        timeout: float | None,
    ) -> None:
        self._call = call
        self._response = call.response
        self._tasks = call.response.tasks
        self._handle = handle
        self._body = body
        self._deliver = deliver
        self._reads_at_once = False  # the last part of the body was there at once
        self._environ = environ
        self._timeout = timeout
        self._ahead: list[Task | BufferedReader] = []  # taken before they were asked for
        self._refusal: RequestBodyError | None = None  # 413, whatever the application makes of it
        self._reported = False  # the call has logged the error that is raised here
        self._phase = _UNBEGUN

    def respond(self, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the response as soon as there is one, and return its body.

        Raises:
            AsgiAppError: The application broke the ASGI specification, or takes too long.
            HostError: ``wsgi.input`` breaks PEP 3333.
            UnavailableError: The event loop has ended, or the adapter was closed.
            Exception: Whatever the application raised.
        """
        try:
            begin = self._next()
            assert isinstance(begin, Begin)
            head, body, more = begin
        except BaseException as exc:
            refused, self._refusal = exc is self._refusal, None
            if refused and isinstance(exc, RequestBodyError):
                self.give_up()
                return return_refusal(self._environ, start_response, exc)
            self._break_off(exc)
            raise
        self._phase = _BEGUN
        try:
            start_response(head.status, head.headers)
            if isinstance(body, BufferedReader):
                self._phase = _OVER
                return self._wrap(body)
        except BaseException as exc:
            if isinstance(body, BufferedReader):
                body.close()
            self._break_off(exc)
            raise
        if more and not self._tasks.empty():
            task = self._tasks.get()
            if task is None:  # often the end is all that follows
                more = False
            else:
                self._ahead.append(task)
        if not more:
            self._phase = _OVER
            return [body] if body else []
        self._ahead.insert(0, body)  # also an empty one, at which servers send the headers
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next block.

        Raises:
            StopIteration: The response is complete, or was closed.
            Exception: As `respond`.
        """
        if self._phase is _OVER:
            raise StopIteration
        try:
            block = self._next()
        except BaseException as exc:
            self._break_off(exc)
            raise
        if block is None:
            self._phase = _OVER
            raise StopIteration
        assert isinstance(block, bytes)
        window = self._response.window
        # An empty block goes with a head alone, and takes no room.
        if block and window is not None and window.take(len(block)):
            self._handle.call_soon(self._response.wake)
        return block

    def close(self) -> None:
        """Let the application know that nobody takes the rest, if there is any. Does not wait."""
        self._stop(self._response.closed)

    def give_up(self) -> None:
        """Take no more of the response, and let the application know that its client is gone."""
        self._stop(self._response.client_left)

    def mark_over(self) -> None:
        """Give the server nothing more: the response is over, or the connection somebody else's."""
        self._phase = _OVER

    def put_back(self, task: Task) -> None:
        """Do a task that was taken from the queue already, before all others."""
        self._ahead.append(task)

    def _break_off(self, error: BaseException) -> None:
        """Take no more because of an error, which the server is about to get."""
        if not self._reported:
            name = type(error).__qualname__
            phase = "before" if self._phase is _UNBEGUN else "after"
            _logger.info("%s: %s %s the response had begun", self._call, name, phase)
        self.give_up()

    def _stop(self, notify: Callable[[], None]) -> None:
        """Stop reading the response, and notify the call on its event loop."""
        if self._phase is _OVER:
            return
        self._tasks.put(None)  # the end for a thread that waits, if this is another one
        self._handle.call_soon(notify)
        for task in self._ahead:
            if isinstance(task, BufferedReader):
                task.close()
        self.mark_over()  # not before: if a signal interrupts this, `__del__` does it again

    def __del__(self) -> None:
        """Like `close`, for servers that forget it."""
        if self._phase is not _OVER:  # seldom, and so not a call for each request
            self.close()

    def _next(self) -> Begin | bytes | None:
        """Do what the call wants until there is something for the server; None is the end."""
        while True:
            task = self._ahead.pop(0) if self._ahead else self._take()
            if task is None or isinstance(task, _GIVEN):
                return task
            if isinstance(task, BaseException):
                self._reported = not isinstance(task, UnavailableError)
                try:
                    raise task
                finally:
                    del task  # no cycle through the traceback's frames
            if isinstance(task, ReadPart):
                self._read_parts(task.number)
            elif isinstance(task, OpenFile):
                file = self._open(task)
                if file is None:
                    continue  # the application has the error
                if self._phase is _UNBEGUN:
                    return Begin(task.head, file, more=False)
                self._ahead.append(file)  # the head went ahead
            elif isinstance(task, BufferedReader):
                return self._block_of(task)
            elif isinstance(task, EarlyHints) and self._phase is _UNBEGUN:
                self._environ["wsgi.early_hints"](task.links)

    def _take(self) -> Task:
        """Wait for what the call wants next; ask for the head alone if no body follows it."""
        response, tasks, seconds = self._response, self._tasks, self._timeout
        while self._phase is _UNBEGUN and (seconds is None or seconds > _HEAD_SECONDS):
            has_head = response.head is not None
            try:
                return tasks.get(True, _HEAD_SECONDS)
            except Empty:
                pass
            if seconds is not None:
                seconds -= _HEAD_SECONDS
            if has_head:
                self._handle.call_soon(response.begin_alone)
                break
            response.head_wanted = True  # before the look: the loop sets the head, then looks here
            if response.head is None:
                break
        try:
            return tasks.get(True, seconds)
        except Empty:
            self.time_out()

    def time_out(self) -> NoReturn:
        """Cut the application off, and raise that it takes too long."""
        self._handle.call_soon(self._call.cut_off)
        raise AsgiAppError(
            "response_timeout", f"the application sent nothing for {self._timeout:g} seconds"
        )

    def _read_parts(self, number: int) -> None:
        """Read the body up to a part that the application waits for, and perhaps ahead of it."""
        body = self._body
        assert body is not None
        if body.parts < number:  # it was not read ahead
            began = time.monotonic()
            part = self._read_part(body)
            # Measured before the part is handed over, which may wait for the interpreter's lock.
            self._reads_at_once = time.monotonic() - began < _AT_ONCE_SECONDS
            self._hand_over(part)
            if part is None:
                return
        while self._reads_at_once and self._may_read_ahead(body, number):
            began = time.monotonic()
            part = body.read_ahead()
            if part is None:
                return
            self._reads_at_once = time.monotonic() - began < _AT_ONCE_SECONDS
            self._hand_over(part)

    def _may_read_ahead(self, body: RequestMessages, number: int) -> bool:
        """Return whether to read another part although the application waits for ``number``."""
        return (
            number > _AHEAD
            and body.declared
            and body.parts < number + _AHEAD
            and not body.over
            and self._phase is _UNBEGUN
            and self._response.head is None
            and self._tasks.empty()
        )

    def _read_part(self, body: RequestMessages) -> Part | None:
        """Read a part of the body; None if there will be no further one."""
        try:
            return body.read()
        except HostError:
            raise
        except RequestBodyError as exc:
            if exc.status == 413 and self._phase is _UNBEGUN:
                self._refusal = exc
                raise
            _logger.debug("%s: %s", self._call, exc)
        except Exception as exc:  # noqa: BLE001 - how it says that the client left is its affair
            _logger.debug("%s: wsgi.input raised %.200r", self._call, exc)
        return None

    def _hand_over(self, part: Part | None) -> None:
        """Deliver a part of the body to the call; None if there will be no further one."""
        assert self._deliver is not None
        self._handle.call_soon(partial(self._deliver, part))

    def _open(self, task: OpenFile) -> BufferedReader | None:
        """Open the file of a response, or tell the application why not."""
        file: BufferedReader | None = None
        error: AsgiAppError | None = None
        try:
            file = _open_regular(task.path, task.head.length)
        except AsgiAppError as exc:
            error = exc
        self._handle.call_soon(partial(self._response.file_opened, error))
        del error  # no cycle through the traceback's frames
        return file

    def _block_of(self, file: BufferedReader) -> bytes | None:
        """Return the next block of a file that follows a head which went ahead; None is the end."""
        last = True
        try:
            block = file.read(BLOCK_BYTES)
            last = not (block and file.peek(1))
        finally:
            if last or self._phase is _OVER:
                file.close()
            else:
                self._ahead.append(file)
        if last:
            self.mark_over()  # some servers do not ask for more than was declared
        return block or None

    def _wrap(self, file: BufferedReader) -> Iterable[bytes]:
        """Return the file as the server likes it best."""
        wrapper: Callable[[BufferedReader, int], Iterable[bytes]] | None
        wrapper = self._environ.get("wsgi.file_wrapper")
        return (wrapper if callable(wrapper) else FileWrapper)(file, BLOCK_BYTES)


def _open_regular(path: str, length: int | None) -> BufferedReader:
    """Open a file that is to be sent as a whole.

    Raises:
        AsgiAppError: It cannot be opened, is no regular file, or not as long as declared. Not an
            `OSError`, which out of ``send`` would mean that the client left.
    """
    try:
        # A named pipe, for one, would let open() wait for its other end.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            raise AsgiAppError("path", f"the file to send is not a regular one: {path!r:.200}")
        file = open(path, "rb")  # noqa: PTH123, SIM115 - the server closes it
    except (OSError, ValueError) as exc:
        raise AsgiAppError("path", f"the file to send cannot be opened: {exc!s:.200}") from exc
    missing = 0 if length is None else length - os.fstat(file.fileno()).st_size
    if missing:
        file.close()
        raise wrong_length(AsgiAppError, missing)
    return file
