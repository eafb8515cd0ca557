"""Files: ``http.response.pathsend`` through the server's ``wsgi.file_wrapper``, or by blocks."""

from __future__ import annotations

import gc
import io
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_on_wsgi.apps import Event, Message, body, http, sending, start
from asgi_on_wsgi.conftest import Adapt
from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi
from gatebridge.errors import AsgiAppError
from gatebridge.types import Receive, Scope, Send

pytestmark = [pytest.mark.direction("a2w"), pytest.mark.clause("D-39")]

CONTENT = bytes(range(256)) * 1000  # more than any block


@pytest.fixture
def adapt(adapt: Adapt) -> Adapt:
    """As that of the other tests, with the extension that is the subject of these."""

    def make(app: Any, **arguments: Any) -> AsgiToWsgi:
        return adapt(app, **{"offer_pathsend": True, **arguments})

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fïle"
    path.write_bytes(CONTENT)
    return path


def pathsend(path: object) -> Message:
    return {"type": "http.response.pathsend", "path": os.fspath(path)}  # type: ignore[call-overload]


def declaring(length: int) -> Message:
    return start(200, (b"content-length", b"%d" % length))


@pytest.mark.clause("A-CORE-13")
@pytest.mark.parametrize("offered", [False, True])
def test_it_is_offered_only_on_request(adapt: Adapt, offered: bool) -> None:
    """Starlette's file responses use it wherever it is offered, below any middleware."""
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["extensions"])
        await sending(start(), body(b"x"))(scope, receive, send)

    Host().serve(adapt(app, offer_pathsend=offered))
    assert seen == [{"http.response.pathsend": {}} if offered else {}]


def test_one_that_is_not_offered_is_refused(adapt: Adapt, file: Path) -> None:
    with pytest.raises(AsgiAppError, match=r"^type: not a message .*'http\.response\.pathsend'$"):
        Host().serve(adapt(sending(start(), pathsend(file)), offer_pathsend=False))


@pytest.mark.clause("A-EXT-07", "A-CORE-13")
def test_the_server_sends_the_file_by_its_own_means(adapt: Adapt, file: Path) -> None:
    host = Host().offer_file_wrapper().serve(adapt(sending(start(206), pathsend(file))))
    assert (host.code, host.body) == (206, CONTENT)
    ((wrapped, block_size),) = host.wrapped
    assert wrapped.name == str(file)
    assert type(wrapped) is io.BufferedReader  # with a ``fileno`` for ``sendfile``
    assert block_size == 65536
    assert wrapped.closed


@pytest.mark.clause("A-EXT-07")
@pytest.mark.parametrize("wrapper", ["none", "not callable"])
def test_without_such_means_it_is_sent_by_blocks(adapt: Adapt, file: Path, wrapper: str) -> None:
    host = Host()
    if wrapper == "not callable":
        host.environ["wsgi.file_wrapper"] = False
    host.serve(adapt(sending(start(), pathsend(file))))
    assert host.body == CONTENT
    assert {len(block) for block in host.blocks[:-1]} == {65536}


@pytest.mark.clause("A-EXT-07", "D-25", "W-HTTP-03")
def test_nothing_is_added_to_the_head(adapt: Adapt, file: Path) -> None:
    head = {"type": "http.response.start", "status": 200, "headers": []}
    assert Host().serve(adapt(sending(head, pathsend(file)))).headers == []


@pytest.mark.clause("A-EXT-07")
@pytest.mark.parametrize("size", [0, 1, len(CONTENT)])
def test_a_file_as_long_as_declared_passes(adapt: Adapt, file: Path, size: int) -> None:
    file.write_bytes(CONTENT[:size])
    host = Host().serve(adapt(sending(declaring(size), pathsend(file))))
    assert (host.body, host.header("content-length")) == (CONTENT[:size], str(size))


@pytest.mark.clause("A-EXT-07", "A-HTTP-32")
def test_the_response_is_complete_with_the_file(adapt: Adapt, file: Path) -> None:
    seen: list[Any] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(start(), pathsend(file))(scope, receive, send)
        seen.append(await receive())

    adapter = adapt(app)
    assert Host().serve(adapter).body == CONTENT
    adapter.close()
    assert seen == [{"type": "http.disconnect"}]


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("wrapper", [False, True])
def test_the_file_is_closed_although_the_client_leaves(
    adapt: Adapt, file: Path, taken: int, wrapper: bool
) -> None:
    host = Host()
    if wrapper:
        host.offer_file_wrapper()
    host.call(adapt(sending(start(), pathsend(file))))
    for _ in range(taken):
        host.next()
    opened = host.result.file if wrapper else host.result.filelike
    assert not opened.closed
    host.close()
    assert opened.closed


@pytest.mark.parametrize("culprit", ["start_response", "wsgi.file_wrapper"])
def test_the_file_is_closed_although_the_server_fails(
    adapt: Adapt, file: Path, culprit: str
) -> None:
    opened: list[Any] = []

    def wrapper(wrapped: Any, block_size: int) -> Any:
        opened.append(wrapped)
        raise LookupError("of the server")

    host = Host(**{"wsgi.file_wrapper": wrapper})  # type: ignore[arg-type]
    if culprit == "start_response":
        host.start_error = LookupError("of the server")
    with pytest.raises(LookupError, match="of the server"):
        host.serve(adapt(sending(start(), pathsend(file))))
    assert all(each.closed for each in opened)
    assert len(opened) == (culprit == "wsgi.file_wrapper")
    gc.collect()  # an open file would warn, which is an error


# --- files that cannot be sent --------------------------------------------------------------------


def _missing(directory: Path) -> Path:
    return directory / "missing"


def _directory(directory: Path) -> Path:
    return directory


def _pipe(directory: Path) -> Path:
    os.mkfifo(directory / "pipe")
    return directory / "pipe"


def _socket(directory: Path) -> Path:
    path = directory / "s"
    with socket.socket(socket.AF_UNIX) as server:
        previous = Path.cwd()
        os.chdir(directory)  # the address may not be long
        try:
            server.bind("s")
        finally:
            os.chdir(previous)
    return path


def _null(directory: Path) -> str:
    return f"{directory}/a\0b"


def _surrogate(directory: Path) -> str:
    return f"{directory}/\ud800"


def _longer(directory: Path) -> Path:
    (directory / "longer").write_bytes(b"123456")
    return directory / "longer"


def _shorter(directory: Path) -> Path:
    (directory / "shorter").write_bytes(b"1234")
    return directory / "shorter"


UNFIT = {
    make.__name__.strip("_"): make for make in (_missing, _directory, _null, _surrogate, _longer,
                                                _shorter)
}  # fmt: skip
if sys.platform != "win32":
    UNFIT |= {"pipe": _pipe, "socket": _socket}
unfit = pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)


@unfit
@pytest.mark.clause("A-EXT-07", "A-CORE-07", "D-23", "D-34")
def test_an_unfit_file_is_the_applications_error(adapt: Adapt, tmp_path: Path, make: Any) -> None:
    """Not an `OSError`, which would mean that the client left. Nothing has begun yet."""
    host = Host()
    with pytest.raises(AsgiAppError) as caught:
        host.serve(adapt(sending(declaring(5), pathsend(make(tmp_path)))))
    assert not isinstance(caught.value, OSError)
    assert host.status is None


@unfit
@pytest.mark.clause("A-EXT-07", "D-34")
@pytest.mark.parametrize("instead", ["body", "file"])
def test_the_application_may_send_something_else(
    adapt: Adapt, tmp_path: Path, make: Any, instead: str
) -> None:
    good = tmp_path / "good"
    good.write_bytes(b"12345")

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(declaring(5))
        with pytest.raises(AsgiAppError):
            await send(pathsend(make(tmp_path)))
        await send(body(b"12345") if instead == "body" else pathsend(good))

    assert Host().serve(adapt(app)).body == b"12345"


# --- messages that do not go together -------------------------------------------------------------


@pytest.mark.clause("A-EXT-06")
@pytest.mark.parametrize("second", ["file", "body", "empty body"])
def test_nothing_may_follow_a_file(adapt: Adapt, file: Path, second: str) -> None:
    message = pathsend(file) if second == "file" else body(b"x" * (second == "body"))
    ended = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(pathsend(file))
        with pytest.raises(AsgiAppError, match="pathsend"):
            await send(message)
        ended.set()

    assert Host().serve(adapt(app)).body == CONTENT
    ended.happens()


@pytest.mark.clause("A-EXT-06")
def test_no_file_may_follow_a_part_of_the_body(adapt: Adapt, file: Path) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"a", more=True))
        with pytest.raises(AsgiAppError, match="pathsend"):
            await send(pathsend(file))
        await send(body(b"b"))

    assert Host().serve(adapt(app)).body == b"ab"


@pytest.mark.clause("A-EXT-06")
@pytest.mark.parametrize("second", ["file", "body"])
def test_nothing_may_be_sent_while_a_file_is_opened(
    adapt: Adapt, file: Path, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another task of the application."""
    message = pathsend(file) if second == "file" else body(b"x")
    opening, may_open = Event(), Event()
    real_stat = os.stat

    def slow_stat(path: Any, **more: Any) -> os.stat_result:
        if path == str(file):
            opening.set()
            may_open.happens()
        return real_stat(path, **more)

    monkeypatch.setattr(os, "stat", slow_stat)

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_file() -> None:
            await send(pathsend(file))

        await send(start())
        async with anyio.create_task_group() as group:
            group.start_soon(send_file)
            await anyio.to_thread.run_sync(opening.happens)
            with pytest.raises(AsgiAppError, match="pathsend"):
                await send(message)
            may_open.set()

    assert Host().serve(adapt(app)).body == CONTENT
