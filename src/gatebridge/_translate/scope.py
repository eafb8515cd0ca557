"""``scope_from_environ``: the scope to call an ASGI application with, for HTTP and WebSocket."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from gatebridge._translate.handshake import offered_subprotocols
from gatebridge._translate.host import DEFAULT_PORTS, split_host, without_brackets
from gatebridge._translate.paths import scope_paths
from gatebridge._translate.scope_headers import headers_from_environ
from gatebridge._translate.text import MAX_REMEMBERED, bytes_from_native, text_from_native
from gatebridge._translate.tls import tls_from_environ
from gatebridge.errors import HostError
from gatebridge.types import Extensions, HTTPScope, WebSocketScope, WSGIEnvironment

_VERSIONS = {
    "HTTP/1.0": "1.0",
    "HTTP/1.1": "1.1",
    "HTTP/2": "2",
    "HTTP/2.0": "2",
    "HTTP/3": "3",
    "HTTP/3.0": "3",
}


def scope_from_environ(environ: WSGIEnvironment) -> HTTPScope:
    """Translate a WSGI environ into the scope of an HTTP request.

    Args:
        environ: As a WSGI server made it. It is not changed, and is itself in
            ``scope["wsgi_environ"]``.

    Returns:
        A new builtin dict of type ``"http"``. It has no ``state``, which belongs to a lifespan.
        Its ``extensions`` are those that the environ alone shows: early hints, and TLS.

    Raises:
        RequestError: The request cannot be translated without guessing; names header or field.
        HostError: The environ breaks PEP 3333; names the key.

    Source: ASGI HTTP 2.5 "HTTP Connection Scope"; PEP 3333 "environ Variables".
    """
    get = environ.get
    method = get("REQUEST_METHOD")
    if not isinstance(method, str) or not method:
        raise HostError("REQUEST_METHOD", f"missing, empty, or not a str: {method!r:.80}")
    if not method.isascii():
        bytes_from_native("REQUEST_METHOD", method)  # raises for characters beyond U+00FF
    method = method.upper()
    protocol = get("SERVER_PROTOCOL")
    version = _VERSIONS.get(protocol) if type(protocol) is str else None
    scheme = get("wsgi.url_scheme")
    if type(scheme) is not str or scheme not in DEFAULT_PORTS:
        scheme = _scheme(environ)
    path, raw_path, root_path, host = scope_paths(environ, method)
    headers = headers_from_environ(environ)
    if host is not None:
        split_host(host.decode("latin-1"))
        headers = [(b"host", host), *(item for item in headers if item[0] != b"host")]
    name, port = get("SERVER_NAME"), get("SERVER_PORT")
    client, client_port = get("REMOTE_ADDR"), get("REMOTE_PORT")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": version or _VERSIONS.get(str(protocol).upper(), "1.0"),
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "root_path": root_path,
        "query_string": bytes_from_native("QUERY_STRING", get("QUERY_STRING") or ""),
        "headers": headers,
        "client": (
            _known_client(client, client_port)
            if type(client) is str
            and type(client_port) is str
            and len(client) + len(client_port) <= MAX_REMEMBERED
            else _client(client, client_port)
        ),
        "server": (
            _known_server(name, port)
            if type(name) is str and type(port) is str and len(name) + len(port) <= MAX_REMEMBERED
            else _server(name, port)
        ),
        "extensions": _extensions(environ, scheme),
        "wsgi_environ": environ,
    }


def websocket_scope_from_environ(environ: WSGIEnvironment) -> WebSocketScope:
    """Translate the environ of a WebSocket handshake into the scope of the connection.

    Args:
        environ: As for `scope_from_environ`.

    Returns:
        A new builtin dict of type ``"websocket"``, without ``state``.

    Raises:
        RequestError: As `scope_from_environ`.
        HostError: As `scope_from_environ`.

    Source: ASGI WebSocket 2.5 "WebSocket Connection Scope".
    """
    scope: Any = scope_from_environ(environ)
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
    scope["subprotocols"] = offered_subprotocols(environ)
    tls = scope["extensions"].get("tls")
    scope["extensions"] = {"websocket.http.response": {}} | ({"tls": tls} if tls else {})
    return cast("WebSocketScope", scope)


def _scheme(environ: WSGIEnvironment) -> str:
    scheme = environ.get("wsgi.url_scheme")
    if scheme:
        return text_from_native("wsgi.url_scheme", scheme).lower()
    return "https" if environ.get("HTTPS") in ("on", "1", "yes") else "http"


def _client(host: object, port: object) -> tuple[str, int] | None:
    if not host:
        return None
    address = without_brackets(text_from_native("REMOTE_ADDR", host))
    return address, _port(port) or 0


def _server(name: object, port: object) -> tuple[str, int | None] | None:
    if not name:
        return None
    host = without_brackets(text_from_native("SERVER_NAME", name))
    if host.startswith("/"):
        return host, None  # a unix socket's path
    return host, _port(port)


_known_client = lru_cache(maxsize=256)(_client)
_known_server = lru_cache(maxsize=64)(_server)


def _port(value: object) -> int | None:
    """Return a port, or None; servers also write an int, nothing, or a socket's path there."""
    digits = str(value)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        return None
    port = int(digits)
    return port if port <= 65535 else None


def _extensions(environ: WSGIEnvironment, scheme: str) -> Extensions:
    extensions: Extensions = {}
    if callable(environ.get("wsgi.early_hints")):
        extensions["http.response.early_hint"] = {}
    # The scheme alone proves nothing: it may come from a proxy's header, without TLS here.
    if scheme == "https" and (tls := tls_from_environ(environ)):
        extensions["tls"] = tls
    return extensions
