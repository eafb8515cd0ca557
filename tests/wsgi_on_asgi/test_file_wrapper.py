"""``wsgi.file_wrapper`` as an object: what it takes, what it has, and that it closes its file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from wsgi_on_asgi.apps import TEXT, Environ, Minimal, file_app, serve
from wsgi_on_asgi.host import extensions

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-FILE-01")]

BOTH = extensions("http.response.zerocopysend", "http.response.pathsend")


@pytest.mark.clause("W-FILE-02")
@pytest.mark.parametrize("args", [(), (8192,), (3,)])
async def test_the_block_size_is_optional_and_positional(args: Any) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        wrapper = environ["wsgi.file_wrapper"](io.BytesIO(b"1234567"), *args)
        return (block for block in wrapper)  # as a middleware does

    assert (await serve(app)).body == b"1234567"


@pytest.mark.clause("W-FILE-03")
async def test_a_wrapper_that_is_dropped_or_wrapped_sends_nothing_by_itself(tmp_path: Path) -> None:
    def app(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        path = tmp_path / "file"
        path.write_bytes(b"content")
        with path.open("rb") as file:
            environ["wsgi.file_wrapper"](file)
        inner = environ["wsgi.file_wrapper"](io.BytesIO(b"text"))
        return (block.upper() for block in inner)

    host = await serve(app, extensions=BOTH)
    assert (set(host.types), host.body) == ({"start", "body"}, b"TEXT")


@pytest.mark.clause("W-FILE-04")
async def test_it_has_close_only_if_the_file_has() -> None:
    found: list[bool] = []

    def app(environ: Environ, start_response: Any) -> Any:
        wrapper = environ["wsgi.file_wrapper"]
        found.extend(hasattr(wrapper(file), "close") for file in (Minimal(), io.BytesIO()))
        start_response("200 OK", [TEXT])
        return []

    await serve(app)
    assert found == [False, True]


class CountingFile(io.BytesIO):
    closes = 0

    def close(self) -> None:
        self.closes += 1
        super().close()


@pytest.mark.clause("W-FILE-04", "W-CLOSE-01")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_file_is_closed_once(method: str) -> None:
    app = file_app(lambda: CountingFile(b"content"))
    await serve(app, method=method)
    assert app.opened[0].closes == 1
