"""``environ_from_scope``: the dictionary that a WSGI application is called with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from operator import itemgetter
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
_SERVER_PROTOCOLS: dict[Any, str] = {
    "1.0": "HTTP/1.0",
    "1.1": "HTTP/1.1",
    "2": "HTTP/2.0",
    "3": "HTTP/3.0",
}

_MAX_TEMPLATES = 16  # a server has few addresses, and perhaps two schemes and three versions
# In the template, so that a copy of it has room for them and for the headers.
_SET_FOR_EACH = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REQUEST_URI",
    "RAW_URI",
    "wsgi.input",
    "asgi.scope",
)
_PARTS = (
    "method",
    "path",
    "scheme",
    "raw_path",
    "root_path",
    "query_string",
    "http_version",
    "server",
    "headers",
    "client",
)
_parts = itemgetter(*_PARTS)
_NO_HOST = "", ""


def environ_from_scope(
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
    environ = _maker.environ_from(scope, duplicate_header_limit)
    environ["wsgi.input"] = BytesIO() if body is None else body
    environ["wsgi.errors"] = sys.stderr if errors is None else errors
    environ["wsgi.multithread"] = multithread
    environ["wsgi.multiprocess"] = multiprocess
    return environ


class EnvironMaker:
    """Makes the environs of one adapter: what they have in common is written once.

    An environ begins as a copy of a template, which is remembered for each scheme, version and
    server address.

    Args:
        constants: What each environ has, beside what this translation sets itself.
        replacing: The same, in place of what a request has under these names.
    """

    __slots__ = ("_constants", "_replacing", "_templates")

    def __init__(
        self,
        constants: Mapping[str, object],
        replacing: Mapping[str, object] | None = None,
    ) -> None:
        self._constants = {
            **dict.fromkeys(_SET_FOR_EACH, ""),
            "SERVER_SOFTWARE": _SERVER_SOFTWARE,
            "wsgi.version": (1, 0),
            "wsgi.input_terminated": True,
            "wsgi.run_once": False,
            **constants,
        }
        self._replacing = replacing
        self._templates: dict[object, WSGIEnvironment] = {}

    def environ_from(  # noqa: C901, PLR0912, PLR0915 - each call costs, on the path of every request
        self, scope: Scope, duplicate_header_limit: int | None = None
    ) -> WSGIEnvironment:
        """Translate a scope, like `environ_from_scope`; ``wsgi.input`` is left to be set."""
        parts: tuple[Any, ...]
        try:
            parts = _parts(scope)
        except (KeyError, TypeError):
            parts = tuple([scope.get(key) for key in _PARTS])
        method, path, scheme, raw_path, root_path, raw_query, version, server, headers, client = (
            parts
        )
        if type(method) is not str or not method:
            method = _exact_method(method)
        if type(path) is not str:
            path = exact_str("path", path)
        if type(scheme) is not str or not scheme:
            scheme = exact_str("scheme", scheme or "http")
        try:
            script_name, path_info, target, host = environ_paths(
                path, raw_path, root_path or "", method
            )
            query = raw_query.decode("latin-1") if raw_query else ""
        except (TypeError, AttributeError) as exc:
            raise _wrong_type(scope) from exc
        try:
            name, port = server
        except (TypeError, ValueError):  # None, or the server's error, to be reported in its turn
            name = port = None
        else:
            server = name, port  # the server may have given an iterator
        # Exact types, because True and 1.0 equal 1.
        if type(name) is not str or type(port) is not int:
            name = port = None  # such as that of a unix socket: `_add_server` is for it
        template = (
            self._templates.get((scheme, version, name, port)) if type(version) is str else None
        )
        if template is None:
            template = self._new_template(scheme, version, name, port)
        environ = template.copy()
        environ["REQUEST_METHOD"] = method
        environ["SCRIPT_NAME"] = script_name
        environ["PATH_INFO"] = path_info
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = environ["RAW_URI"] = f"{target}?{query}" if query else target
        environ["asgi.scope"] = scope
        add_headers(environ, headers or (), duplicate_header_limit)
        if host is not None:
            environ["HTTP_HOST"] = host
        host = environ.get("HTTP_HOST")
        named = _NO_HOST
        if host is not None:  # checked even if it is not used
            named = (
                split_host(host) if len(host) <= MAX_REMEMBERED else split_host.__wrapped__(host)
            )
        if "SERVER_NAME" not in environ:
            _add_server(environ, server, scheme, named)
        if client:
            _add_client(environ, client)
        extensions = scope.get("extensions")
        if extensions:
            _add_extensions(environ, extensions)
        if self._replacing:
            environ.update(self._replacing)
        return environ

    def _new_template(self, scheme: str, version: Any, name: Any, port: Any) -> WSGIEnvironment:  # noqa: ANN401
        """Return an environ that lacks what differs between requests, and remember it.

        Args:
            scheme: The request's, like ``version``.
            version: Of HTTP, as the server gives it.
            name: The server's; None if `_add_server` is to add it.
            port: Like ``name``.
        """
        template: WSGIEnvironment = {
            **self._constants,
            "SERVER_PROTOCOL": _SERVER_PROTOCOLS.get(version) or _protocol(version),
            "wsgi.url_scheme": scheme,
        }
        if scheme == "https":
            template["HTTPS"] = "on"
        if name and name.isascii() and 0 <= port <= 65535:
            template["SERVER_NAME"] = with_brackets(name)
            template["SERVER_PORT"] = str(port)
        if type(version) is str and len(scheme) + len(version) + len(name or "") <= MAX_REMEMBERED:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            self._templates[scheme, version, name, port] = template
        return template


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


def _add_server(
    environ: WSGIEnvironment,
    server: Any,  # noqa: ANN401
    scheme: str,
    named: tuple[str, str],
) -> None:
    """Add ``SERVER_NAME`` and ``SERVER_PORT``, which are never missing and never empty."""
    name, port = _address("server", server) if server else (None, None)
    if name and port is not None:
        environ["SERVER_NAME"] = _server_name(name)
        environ["SERVER_PORT"] = str(port)
    else:  # unknown, or a unix socket, whose path is not a name
        environ["SERVER_NAME"] = named[0] or "localhost"
        environ["SERVER_PORT"] = named[1] or DEFAULT_PORTS.get(scheme, "80")


def _add_client(environ: WSGIEnvironment, client: Any) -> None:  # noqa: ANN401
    """Add the known ``REMOTE_*`` variables; without a name lookup."""
    try:
        host, port = client
    except (TypeError, ValueError):
        host, port = _address("client", client)
    if type(host) is not str and host:
        host = exact_str("client", host)
    if host:
        if not host.isascii() or "[" in host:
            host = native_from_text("client", without_brackets(host))
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = host
        if port:
            environ["REMOTE_PORT"] = str(port)


def _add_extensions(environ: WSGIEnvironment, extensions: Any) -> None:  # noqa: ANN401
    try:
        tls = extensions.get("tls")
        if tls:
            add_tls(environ, tls)
    except (TypeError, AttributeError) as exc:
        raise HostError(
            "extensions", "not a dict, or tls in it is not as its extension has it"
        ) from exc


def _address(key: str, address: Any) -> tuple[str, int | None]:  # noqa: ANN401
    try:
        host, port = address
    except (TypeError, ValueError):
        raise HostError(key, f"not a pair of host and port: {address!r:.80}") from None
    if type(host) is not str and host:
        host = exact_str(key, host)
    return host, port


_maker = EnvironMaker({"wsgi.errors": None, "wsgi.multithread": True, "wsgi.multiprocess": True})


@lru_cache(maxsize=256)
def _server_name(host: str) -> str:
    return native_from_text("server", with_brackets(host))
