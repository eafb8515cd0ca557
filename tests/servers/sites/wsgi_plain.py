"""The site without a framework, by the old and hard ways of PEP 3333.

A request for HEAD is answered as one for GET, body included: the server drops it. Besides the
site's own pages there are

| request | what it does |
| --- | --- |
| ``GET /write`` | by ``write()``: ``first``, ``second``, waits at the gate ``write``, ``last`` |
| ``GET /file`` | this module's source, through ``wsgi.file_wrapper`` |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, parse_qsl
from wsgiref.util import shift_path_info

from servers.gates import note, reach
from servers.sites import BLOCK, PAGE, TAG, digest, joined, parts_of

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

SOURCE = Path(__file__)
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def as_json(start_response: StartResponse, value: object, *cookies: str) -> list[bytes]:
    headers = [("Set-Cookie", cookie) for cookie in cookies]
    start_response("200 OK", [("Content-Type", "application/json"), *headers])
    return [json.dumps(value).encode()]


def declared_body(environ: Environ) -> bytes:
    return environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    answer = {
        "path": environ["PATH_INFO"].encode("latin-1").decode().removeprefix("/"),
        "query": parse_qs(environ["QUERY_STRING"], keep_blank_values=True)["q"][0],
        "repeated": joined([environ.get("HTTP_X_REPEATED", "")]),
        "cookies": {
            name: cookie.value
            for name, cookie in SimpleCookie(environ.get("HTTP_COOKIE", "")).items()
        },
    }
    return as_json(start_response, answer, "one=1; Path=/", "two=2; Path=/")


def form(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return as_json(start_response, dict(parse_qsl(declared_body(environ).decode())))


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    head = b"Content-Type: " + environ["CONTENT_TYPE"].encode("latin-1") + b"\r\n\r\n"
    fields = BytesParser(policy=HTTP).parsebytes(head + declared_body(environ))
    (file,) = cast("list[Message]", fields.get_payload())
    content = cast("bytes", file.get_payload(decode=True))
    return as_json(start_response, digest([content], name=file.get_filename()))


def body(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    # A body without Content-Length may be read to its end where the server marks that.
    assert environ["wsgi.input_terminated"]
    return as_json(start_response, digest(parts_of(environ["wsgi.input"])))


def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    tag = ("ETag", f'"{TAG}"')
    if environ.get("HTTP_IF_NONE_MATCH") == tag[1]:
        start_response("304 Not Modified", [tag])
        return []
    content = PAGE.encode()
    length = ("Content-Length", str(len(content)))
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), length, tag])
    return [content]


def stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """As a generator: ``start_response`` is called at its first step, after the call."""
    start_response("200 OK", TEXT)
    yield b"first "
    reach("stream")
    yield b"last"


def endless(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    try:
        while True:
            yield BLOCK
    finally:
        note("left")


def wait(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    reach("wait")
    start_response("200 OK", TEXT)
    return [b"waited"]


def error(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("of the site")


def write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    put = start_response("200 OK", TEXT)
    put(b"first ")
    put(b"second ")
    reach("write")
    put(b"last")
    return []


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    length = ("Content-Length", str(SOURCE.stat().st_size))
    start_response("200 OK", [("Content-Type", "text/x-python; charset=utf-8"), length])
    return environ["wsgi.file_wrapper"](SOURCE.open("rb"), 65536)


def missing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", TEXT)
    return [b"There is nothing here."]


PAGES: dict[str | None, Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    "echo": echo,
    "form": form,
    "upload": upload,
    "body": body,
    "page": page,
    "stream": stream,
    "endless": endless,
    "wait": wait,
    "error": error,
    "write": write,
    "file": file,
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Choose by the first part of the path, which moves to ``SCRIPT_NAME``."""
    return PAGES.get(shift_path_info(environ), missing)(environ, start_response)
