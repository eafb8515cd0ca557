"""What a server offers an application, told by applications that are asked."""

from __future__ import annotations

import json
from typing import Any

_SOCKETS = ("werkzeug.socket", "gunicorn.socket", "gevent.socket")


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """Tell what the ASGI server's scope offers."""
    scope = environ["asgi.scope"]
    offers = sorted(scope.get("extensions") or {}) + ["state"] * ("state" in scope)
    body = json.dumps(offers).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Tell what the WSGI server's environ offers."""
    if scope["type"] != "http":
        raise NotImplementedError
    environ = scope["wsgi_environ"]
    offers = [name for name in ("file_wrapper", "early_hints") if f"wsgi.{name}" in environ]
    offers += ["socket"] * any(name in environ for name in _SOCKETS)
    body = json.dumps(offers).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
