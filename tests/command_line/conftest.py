"""Applications in a working directory, and this process as if it had been started there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SITE = '''
import sys
from gatebridge import AsgiToWsgi, WsgiMounts, WsgiToAsgi

def wsgi(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"].read(size)
    return [body, b" in threads" if environ["wsgi.multithread"] else b" in turns"]

def processes(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"of many" if environ["wsgi.multiprocess"] else b"of one"]

def held(environ, start_response):
    """Answer when something comes from the standard input, and say so before."""
    print("asked", flush=True)
    sys.stdin.readline()
    print("answers", flush=True)
    return wsgi(environ, start_response)

history = []

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            history.append(event)
            scope["state"]["event"] = event
            await send({"type": f"lifespan.{event}.complete"})
        return
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": scope["state"]["event"].encode()})

async def with_history(scope, receive, send):
    await asgi(scope, receive, send)
    print(*history, flush=True)

mounts = WsgiMounts(held, {"/asgi": with_history})
to_asgi = WsgiToAsgi(held)
to_wsgi = AsgiToWsgi(with_history)

def create_site():
    return to_asgi

async def without_lifespan(scope, receive, send):
    assert scope["type"] == "http"

def either(*args):
    raise NotImplementedError

async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the modules ``site_of_test`` and ``site_of_flask``."""
    (tmp_path / "site_of_test.py").write_text(_SITE)
    (tmp_path / "site_of_flask.py").write_text("import flask\napp = flask.Flask('site')\n")
    (tmp_path / "broken_site.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("site_of_test", "site_of_flask"):
        sys.modules.pop(name, None)
