"""``wsgi.file_wrapper``: files sent by the server's means where the bytes are the same."""

from __future__ import annotations

import gzip
import io
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from gatebridge.errors import HostError, WsgiAppError
from wsgi_on_asgi.apps import TEXT, Environ, Minimal, adapter, file_app, serve
from wsgi_on_asgi.host import Host, extensions

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-FILE-01")]

ZERO_COPY = extensions("http.response.zerocopysend")
PATH_SEND = extensions("http.response.pathsend")
BOTH = {**ZERO_COPY, **PATH_SEND}
CONTENT = bytes(range(256)) * 1000  # 256000 bytes: more than a block


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    return path


def sent_by(host: Host) -> str:
    """Return the type of the messages after the start, which all have the same."""
    (kind,) = set(host.types[1:])
    return kind


class ReadingHost(Host):
    """Reads a file by its descriptor while ``send`` lasts, as a server does."""

    def __init__(self, *body: bytes, **scope: Any) -> None:
        super().__init__(*body, **scope)
        self.received: list[bytes] = []

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.zerocopysend":
            await anyio.lowlevel.checkpoint()
            file, count, offset = message["file"], message["count"], message["offset"]
            self.received.append(os.pread(file.fileno(), count, offset))
        await super().send(message)


def opened_by_str(path: Path) -> Any:
    return open(str(path), "rb")  # noqa: PTH123 - its `name` is a str, not a Path


def opened_by_path(path: Path) -> Any:
    return path.open("rb")


def unbuffered(path: Path) -> Any:
    return io.FileIO(str(path))


class Kept(io.FileIO):
    """Not one of the exact types."""


OPENERS = {
    "buffered": lambda path: path.open("rb"),
    "raw": lambda path: path.open("rb", buffering=0),
    "read and write": lambda path: path.open("r+b"),
}


@pytest.mark.clause("A-EXT-04", "A-EXT-05", "D-39", "W-FILE-04", "W-FILE-05", "W-FILE-07")
@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
@pytest.mark.parametrize("seek", [0, 1000, len(CONTENT) - 1])
@pytest.mark.parametrize("offered", [ZERO_COPY, BOTH], ids=["zero-copy", "both"])
async def test_a_regular_file_goes_by_its_descriptor(
    path: Path, opener: Any, seek: int, offered: Any
) -> None:
    app = file_app(lambda: opener(path), seek=seek)
    host = ReadingHost(extensions=offered)
    await host.serve(adapter(app))
    assert host.sent[1].keys() == {"type", "file", "offset", "count", "more_body"}
    assert (host.types, host.received) == (["start", "zerocopysend"], [CONTENT[seek:]])
    assert app.opened[0].closed  # after send returned
    assert dict(host.headers)[b"content-length"] == str(len(CONTENT) - seek).encode()


@pytest.mark.clause("A-EXT-04", "D-39", "W-FILE-05")
async def test_a_buffered_readers_position_counts_not_its_descriptors(path: Path) -> None:
    """After `read(10)` the descriptor is at the end of a buffer, far ahead."""

    def make_file() -> Any:
        file = path.open("rb")
        file.read(10)
        return file

    host = ReadingHost(extensions=ZERO_COPY)
    await host.serve(adapter(file_app(make_file)))
    assert host.received == [CONTENT[10:]]


@pytest.mark.clause("A-EXT-06", "A-EXT-07", "D-39", "W-FILE-04", "W-FILE-07")
@pytest.mark.parametrize("length", [[], [("content-length", str(len(CONTENT)))]])
@pytest.mark.parametrize(
    "opener", [opened_by_str, opened_by_path, unbuffered], ids=lambda f: f.__name__
)
async def test_a_whole_file_goes_by_its_path(path: Path, opener: Any, length: Any) -> None:
    app = file_app(lambda: opener(path), *length)
    host = await serve(app, extensions=PATH_SEND)
    assert host.sent[1:] == [{"type": "http.response.pathsend", "path": str(path)}]
    assert dict(host.headers)[b"content-length"] == str(len(CONTENT)).encode()
    assert app.opened[0].closed


def renamed(path: Path) -> Any:
    file = opened_by_str(path)
    path.rename(path.with_suffix(".old"))
    path.write_bytes(b"another file")
    return file


def removed(path: Path) -> Any:
    file = opened_by_str(path)
    path.unlink()
    return file


def relative(path: Path) -> Any:
    return opened_by_str(Path(os.path.relpath(path)))


@pytest.mark.clause("D-39", "A-EXT-07", "W-FILE-05")
@pytest.mark.parametrize("make_file", [renamed, removed, relative])
async def test_a_path_that_may_be_another_file_is_not_sent(path: Path, make_file: Any) -> None:
    host = await serve(file_app(lambda: make_file(path)), extensions=PATH_SEND)
    assert (sent_by(host), host.body) == ("body", CONTENT)


def temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile(dir=path.parent)  # noqa: SIM115 - the adapter closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def with_its_own_close(path: Path) -> Any:
    """As Django does for each ``FileResponse``."""
    file = opened_by_str(path)
    close = file.close

    def close_and_remove() -> None:
        close()
        path.unlink()

    file.close = close_and_remove
    return file


def with_its_own_close_below(path: Path) -> Any:
    file = opened_by_str(path)
    close = file.raw.close

    def close_and_remove() -> None:
        close()
        path.unlink(missing_ok=True)

    file.raw.close = close_and_remove
    return file


def with_something_of_its_own(path: Path) -> Any:
    """Such as a temporary directory, which is removed when nothing refers to it any more."""
    file = opened_by_str(path)
    file.directory = object()
    return file


class OpensLater(Host):
    """Opens the path that it was sent after the call has ended, as Granian may."""

    def content(self) -> bytes:
        if "pathsend" in self.types:
            return Path(self.sent[1]["path"]).read_bytes()
        return self.body


@pytest.mark.clause("D-39", "W-FILE-04", "A-EXT-07")
@pytest.mark.parametrize(
    "make_file",
    [
        opened_by_str,
        temporary,
        with_its_own_close,
        with_its_own_close_below,
        with_something_of_its_own,
    ],
)
async def test_a_file_may_go_with_its_close(path: Path, make_file: Any) -> None:
    host = OpensLater(extensions=PATH_SEND)
    await host.serve(adapter(file_app(lambda: make_file(path))))
    assert host.content() == CONTENT
    assert (sent_by(host) == "pathsend") is (make_file is opened_by_str)


@pytest.mark.clause("D-39", "W-FILE-04", "A-EXT-07")
async def test_a_file_may_go_with_the_close_of_its_wrapper(path: Path) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        file = opened_by_str(path)

        def close() -> None:
            file.close()
            path.unlink()

        wrapper = environ["wsgi.file_wrapper"](file)
        wrapper.close = close
        return wrapper

    host = OpensLater(extensions=PATH_SEND)
    await host.serve(adapter(app))
    assert host.content() == CONTENT
    assert os.listdir(path.parent) == []  # noqa: PTH208 - the file is gone by now


@pytest.mark.clause("D-39", "W-FILE-06")
@pytest.mark.parametrize("offered", [ZERO_COPY, PATH_SEND, BOTH])
async def test_the_server_sends_no_file_if_it_must_not(path: Path, offered: Any) -> None:
    """For middleware around the adapter, which knows body messages only."""
    host = Host(extensions=offered)
    app = file_app(lambda: opened_by_str(path))
    await host.serve(adapter(app, server_sends_files=False))
    assert (sent_by(host), host.body) == ("body", CONTENT)
    assert dict(host.headers)[b"content-length"] == str(len(CONTENT)).encode()


@pytest.mark.clause("D-39", "A-EXT-05", "W-FILE-04")
async def test_a_file_stays_open_until_the_server_has_sent_it(path: Path) -> None:
    """Even if the request fails meanwhile: its descriptor's number may soon be another file's."""
    closed = threading.Event()

    def make_file() -> Any:
        file = opened_by_str(path)
        close = file.close

        def close_and_tell() -> None:
            close()
            closed.set()

        file.close = close_and_tell
        return file

    class FailingHost(ReadingHost):
        async def send(self, message: dict[str, Any]) -> None:
            if message["type"] == "http.response.zerocopysend":
                self.feed({"type": "http.unknown"})
                await anyio.wait_all_tasks_blocked()
                assert not await anyio.to_thread.run_sync(closed.wait, 0.1)
            await super().send(message)

    host = FailingHost(b"in ", b"parts", method="POST", extensions=ZERO_COPY)
    async with host.background(adapter(file_app(make_file))):
        pass  # the client of such a request is watched
    assert host.received == [CONTENT]
    assert type(host.error) is HostError
    assert closed.is_set()


@pytest.mark.clause("D-39", "W-FILE-05")
@pytest.mark.parametrize(("seek", "length"), [(1, None), (0, 1000), (1, 1000)])
async def test_a_part_of_a_file_does_not_go_by_path(
    path: Path, seek: int, length: int | None
) -> None:
    headers = [("content-length", str(length))] if length else []
    host = await serve(
        file_app(lambda: opened_by_str(path), *headers, seek=seek), extensions=PATH_SEND
    )
    end = seek + length if length else None
    assert (sent_by(host), host.body) == ("body", CONTENT[seek:end])


@pytest.mark.clause("W-FILE-05", "D-39", "W-BODY-08")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_a_file_ends_at_the_declared_length(path: Path, offered: Any) -> None:
    """It may have grown since the application measured it."""
    app = file_app(lambda: opened_by_str(path), ("content-length", "1000"), seek=5)
    host = Host(extensions=offered)
    await host.serve(adapter(app))
    if offered == ZERO_COPY:
        assert (host.sent[1]["offset"], host.sent[1]["count"]) == (5, 1000)
    else:
        assert host.body == CONTENT[5:1005]


@pytest.mark.clause("W-FILE-05", "W-BODY-11")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_a_file_that_is_too_short_is_never_a_complete_response(
    path: Path, offered: Any
) -> None:
    app = file_app(lambda: opened_by_str(path), ("content-length", str(len(CONTENT) + 1)))
    host = Host(extensions=offered)
    with pytest.raises(WsgiAppError, match="content-length"):
        await host.serve(adapter(app))
    assert not host.complete
    assert app.opened[0].closed


class FalseFileno(io.BytesIO):
    def fileno(self) -> int:
        raise OSError("none")


class LyingFileno(io.BytesIO):
    def fileno(self) -> int:
        return 0


def pipe(path: Path) -> Any:
    read_end, write_end = os.pipe()
    os.write(write_end, CONTENT[:1000])
    os.close(write_end)
    return os.fdopen(read_end, "rb")


def gzipped(path: Path) -> Any:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(CONTENT))
    return gzip.open(packed)


def buffered_gzipped(path: Path) -> Any:
    return io.BufferedReader(gzipped(path))


@pytest.mark.clause("W-FILE-06", "W-FILE-02", "D-39", "A-CORE-14")
@pytest.mark.parametrize("offered", [{}, BOTH], ids=["core", "both"])
@pytest.mark.parametrize(
    ("make_file", "content"),
    [
        (lambda path: io.BytesIO(CONTENT), CONTENT),
        (lambda path: Minimal(CONTENT), CONTENT),
        (lambda path: FalseFileno(CONTENT), CONTENT),
        (lambda path: LyingFileno(CONTENT), CONTENT),
        (lambda path: Kept(path), CONTENT),
        (pipe, CONTENT[:1000]),
        (gzipped, CONTENT),
        (buffered_gzipped, CONTENT),
    ],
    ids=["BytesIO", "minimal", "raises", "lies", "subclass", "pipe", "gzip", "buffered gzip"],
)
async def test_an_unfit_object_is_read_in_large_blocks(
    path: Path, make_file: Any, content: bytes, offered: Any
) -> None:
    app = file_app(lambda: make_file(path))
    host = await serve(app, extensions=offered)
    assert (sent_by(host), host.body) == ("body", content)
    assert min(getattr(app.opened[0], "sizes", [65536])) >= 65536


@pytest.mark.clause("W-FILE-06", "D-39")
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no such device")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_a_device_is_read_in_blocks(offered: Any) -> None:
    """It has a descriptor, a position and a name, and its size means nothing."""
    app = file_app(lambda: opened_by_str(Path("/dev/zero")), ("content-length", "100000"))
    host = await serve(app, extensions=offered)
    assert (sent_by(host), host.body) == ("body", bytes(100_000))


@pytest.mark.clause("D-39", "A-EXT-04")
async def test_a_temporary_file_is_fit() -> None:
    def make_file() -> Any:
        file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the adapter closes it
        file.write(b"0123456789")
        file.seek(4)
        return file

    app = file_app(make_file)
    host = await serve(app, extensions=ZERO_COPY)
    assert (sent_by(host), host.sent[1]["offset"], host.sent[1]["count"]) == ("zerocopysend", 4, 6)
    assert app.opened[0].closed


@pytest.mark.clause("W-FILE-05", "W-FILE-07")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_an_empty_file_is_an_empty_body(tmp_path: Path, offered: Any) -> None:
    (tmp_path / "empty").touch()
    host = await serve(file_app(lambda: (tmp_path / "empty").open("rb")), extensions=offered)
    assert (host.body, host.complete) == (b"", True)
    assert dict(host.headers).get(b"content-length") == b"0"


@pytest.mark.clause("W-FILE-04", "W-CLOSE-01", "A-EXT-05", "D-30")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_the_file_is_closed_when_the_client_leaves(path: Path, offered: Any) -> None:
    app = file_app(lambda: opened_by_str(path))
    host = Host(extensions=offered)
    host.stop_reading()
    async with host.background(adapter(app, window_bytes=1000)):
        await host.until(lambda: host.sent)
        host.disconnect()
    assert host.error is None
    assert app.opened[0].closed


@pytest.mark.clause("H-STAT-07", "D-24")
@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified"])
async def test_a_response_without_content_sends_no_file(path: Path, status: str) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response(status, [("content-length", str(len(CONTENT)))])
        return environ["wsgi.file_wrapper"](opened_by_str(path))

    method = "HEAD" if status == "200 OK" else "GET"
    host = await serve(app, method=method, extensions=BOTH)
    assert (host.types, host.body) == (["start", "body"], b"")
    assert host.headers == [(b"content-length", str(len(CONTENT)).encode())]


@pytest.mark.clause("W-BODY-05", "A-EXT-06")
@pytest.mark.parametrize("offered", [{}, ZERO_COPY, PATH_SEND])
async def test_a_file_after_write_comes_in_blocks_or_by_descriptor(
    path: Path, offered: Any
) -> None:
    """Path send must not be mixed with body messages; the strict host objects to that."""

    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])(b"before ")
        return environ["wsgi.file_wrapper"](opened_by_str(path))

    host = await serve(app, extensions=offered)
    assert host.body.startswith(b"before ")
    assert host.complete


async def test_a_client_that_leaves_with_the_whole_file_leaves_no_record(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Some servers say that it has left as soon as everything is handed over to them."""
    caplog.set_level(logging.DEBUG, "gatebridge")

    def app(environ: Environ, start_response: Any) -> Any:
        assert environ["wsgi.input"].read() == b"in parts"
        assert not environ["gatebridge.disconnected"].is_set()  # so that it is watched
        start_response("200 OK", [TEXT])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    host = ReadingHost(b"in ", b"parts", method="POST", extensions=ZERO_COPY)
    host.stop_reading()
    async with host.background(adapter(app)):
        await host.until(lambda: "start" in host.types)
        host.read_on()
        host.stop_reading()
        await host.until(lambda: host.complete and host.receives == 3)
        host.read_on()
    assert (host.error, host.received, caplog.messages) == (None, [CONTENT], [])
