"""Environs as a WSGI server makes them."""

from __future__ import annotations

import io
from typing import Any

ABSENT: Any = object()
"""``make_environ(SERVER_PORT=ABSENT)`` leaves the key out."""


def make_environ(**changes: Any) -> dict[str, Any]:
    """Return the environ of ``GET / HTTP/1.1`` over plain HTTP, with changes.

    Keys with a dot are given by ``**{"wsgi.url_scheme": "https"}``.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "server.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **changes,
    }
    return {key: value for key, value in environ.items() if value is not ABSENT}
