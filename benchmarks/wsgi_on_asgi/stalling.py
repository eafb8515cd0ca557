"""The application of the stalled-clients test: small answers, large downloads, large uploads."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.works import BLOCK
from benchmarks.wsgi_on_asgi.apps import small, stream, upload
from gatebridge.types import StartResponse, WSGIEnvironment

DOWNLOAD_BLOCKS = 256
"""16 MiB: more than a window and every buffer of a socket."""


def stalling(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/download":
            return stream(BLOCK, DOWNLOAD_BLOCKS, environ, start_response)
        case "/upload":
            return upload(environ, start_response)
        case _:
            return small(environ, start_response)
