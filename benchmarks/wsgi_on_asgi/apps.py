"""The WSGI applications that are measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial

from flask import Flask, request

from benchmarks.works import BLOCK, KIB, Work
from gatebridge.types import StartResponse, WSGIApplication, WSGIEnvironment

PLAIN = [("Content-Type", "text/plain")]

flask_app = Flask(__name__)


@flask_app.get("/")
def index() -> str:
    return f"Hello, {request.args.get('name', 'world')}!"


def small(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*PLAIN, ("Content-Length", "13")])
    return [b"Hello, world!"]


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def stream(
    block: bytes, count: int, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    for _ in range(count):
        yield block


def upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer how long the body was, or its SHA-256 if the query asks for a check."""
    body = environ["wsgi.input"]
    digest = hashlib.sha256() if environ["QUERY_STRING"] == "check" else None
    size = 0
    while block := body.read(65536):
        size += len(block)
        if digest is not None:  # it would take longer than most adapters do
            digest.update(block)
    answer = f"{size:064d}" if digest is None else digest.hexdigest()
    start_response("200 OK", [*PLAIN, ("Content-Length", "64")])
    return [answer.encode()]


def works(*, quick: bool) -> list[Work[WSGIApplication]]:
    """Return what is measured; the bodies that are large only in name, for a quick run."""
    many, large = (10, 4) if quick else (1000, 512)
    return [
        Work("small", small, lambda: b"Hello, world!", in_one_piece=True),
        Work("Flask", flask_app, lambda: b"Hello, world!", in_one_piece=True),
        Work("64 KiB echo", echo, lambda: BLOCK, blocks=1, in_one_piece=True),
        Work("1000 × 1 KiB", partial(stream, KIB, many), lambda: KIB * many),
        Work("512 × 64 KiB", partial(stream, BLOCK, large), lambda: BLOCK * large),
        Work(
            "32 MiB upload",
            upload,
            lambda: hashlib.sha256(BLOCK * large).hexdigest().encode(),
            blocks=large,
        ),
    ]
