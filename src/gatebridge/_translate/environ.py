"""``environ_from_scope``: the dictionary that a WSGI application is called with."""

from __future__ import annotations

import io
import sys
from functools import lru_cache
from typing import Any

from gatebridge._translate.environ_headers import add_headers
from gatebridge._translate.host import DEFAULT_PORTS, split_host, with_brackets, without_brackets
from gatebridge._translate.paths import environ_paths
from gatebridge._translate.text import MAX_REMEMBERED, exact_str, native_from_text
from gatebridge._translate.tls import add_tls
from gatebridge._version import __version__
from gatebridge.errors import HostError
from gatebridge.types import ErrorStream, InputStream, Scope, WSGIEnvironment

_SERVER_SOFTWARE = f"gatebridge/{__version__}"
_SERVER_PROTOCOLS = {"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2.0", "3": "HTTP/3.0"}


def environ_from_scope(  # noqa: C901 - each call costs, on the path of every request
    scope: Scope,
    *,
    body: InputStream | None = None,
    errors: ErrorStream | None = None,
    multithread: bool = True,
    multiprocess: bool = True,
    duplicate_header_limit: int | None = None,
) -> WSGIEnvironment:
    """Translate the scope of an HTTP request into a WSGI environ.

    Args:
        scope: Of type ``"http"``. It is not changed, and is itself in ``environ["asgi.scope"]``.
        body: For ``wsgi.input``: a binary file that ends at the end of the body (bytes). An empty
            one if None.
        errors: For ``wsgi.errors``: a text stream. ``sys.stderr`` if None.
        multithread: For ``wsgi.multithread``: whether another thread may call the application
            while this request runs.
        multiprocess: For ``wsgi.multiprocess``: whether another process may do so. True is the safe
            answer if that is not known.
        duplicate_header_limit: Times that a header may occur; None for any number, which is joined
            in linear time.

    Returns:
        A new builtin dict. Every key without a dot has a native string, which is one latin-1
        character for each byte. Unknown keys are left out, never None or empty.

    Raises:
        RequestError: The request cannot be translated without guessing; names header or field.
        HostError: The scope breaks the ASGI specification; names the key.

    Source: PEP 3333 "environ Variables"; ASGI HTTP 2.5 "HTTP Connection Scope" and "WSGI
    Compatibility"; RFC 3875 section 4.1.
    """
    get = scope.get
    method = get("method")
    if type(method) is not str or not method:
        method = _exact_method(method)
    path = get("path")
    if type(path) is not str:
        path = exact_str("path", path)
    scheme = get("scheme") or "http"
    if type(scheme) is not str:
        scheme = exact_str("scheme", scheme)
    try:
        script_name, path_info, target, host = environ_paths(
            path, get("raw_path"), get("root_path") or "", method
        )
        query = (get("query_string") or b"").decode("latin-1")
    except (TypeError, AttributeError) as exc:
        raise _wrong_type(scope) from exc
    if query:
        target = f"{target}?{query}"
    version: Any = get("http_version")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_PROTOCOL": _SERVER_PROTOCOLS.get(version) or _protocol(version),
        "SERVER_SOFTWARE": _SERVER_SOFTWARE,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO() if body is None else body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr if errors is None else errors,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "asgi.scope": scope,
    }
    add_headers(environ, get("headers") or (), duplicate_header_limit)
    if host is not None:
        environ["HTTP_HOST"] = host
    _add_server(environ, get("server"), scheme)
    client = get("client")
    if client:
        _add_client(environ, client)
    if scheme == "https":
        environ["HTTPS"] = "on"
    extensions = get("extensions")
    if extensions:
        try:
            tls = extensions.get("tls")
            if tls:
                add_tls(environ, tls)
        except (TypeError, AttributeError) as exc:
            raise HostError(
                "extensions", "not a dict, or tls in it is not as its extension has it"
            ) from exc
    return environ


def _wrong_type(scope: Scope) -> HostError:
    """Return the error of a scope in which a part of the URL is of the wrong type."""
    for key in ("raw_path", "query_string"):
        value = scope.get(key)
        if value and not isinstance(value, bytes):
            return HostError(key, f"not bytes: {value!r:.80}")
    return HostError("root_path", f"not a str: {scope.get('root_path')!r:.80}")


def _exact_method(method: object) -> str:
    exact = exact_str("method", method)
    if not exact:
        raise HostError("method", "empty")
    return exact


def _protocol(version: object) -> str:
    """Return ``SERVER_PROTOCOL``: CGI requires the minor number that ASGI leaves out."""
    if not version:
        return "HTTP/1.1"
    number = exact_str("http_version", version)
    return f"HTTP/{number}" if "." in number else f"HTTP/{number}.0"


def _add_server(environ: WSGIEnvironment, server: Any, scheme: str) -> None:  # noqa: ANN401
    """Add ``SERVER_NAME`` and ``SERVER_PORT``, which are never missing and never empty."""
    host = environ.get("HTTP_HOST")
    named_host = named_port = ""
    if host is not None:
        split = split_host if len(host) <= MAX_REMEMBERED else split_host.__wrapped__
        named_host, named_port = split(host)
    name, port = _address("server", server) if server else (None, None)
    if name and port is not None:
        environ["SERVER_NAME"] = _server_name(name)
        environ["SERVER_PORT"] = str(port)
    else:  # unknown, or a unix socket, whose path is not a name
        environ["SERVER_NAME"] = named_host or "localhost"
        environ["SERVER_PORT"] = named_port or DEFAULT_PORTS.get(scheme, "80")


def _add_client(environ: WSGIEnvironment, client: Any) -> None:  # noqa: ANN401
    """Add the known ``REMOTE_*`` variables; without a name lookup."""
    host, port = _address("client", client)
    if host:
        native = _remote_address if len(host) <= MAX_REMEMBERED else _remote_address.__wrapped__
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = native(host)
        if port:
            environ["REMOTE_PORT"] = str(port)


def _address(key: str, address: Any) -> tuple[str, int | None]:  # noqa: ANN401
    try:
        host, port = address
    except (TypeError, ValueError):
        raise HostError(key, f"not a pair of host and port: {address!r:.80}") from None
    if type(host) is not str and host:
        host = exact_str(key, host)
    return host, port


@lru_cache(maxsize=256)
def _server_name(host: str) -> str:
    return native_from_text("server", with_brackets(host))


@lru_cache(maxsize=1024)
def _remote_address(host: str) -> str:
    return native_from_text("client", without_brackets(host))
