"""ASGI applications as views of a Django that a WSGI server serves, behind Django's middleware.

In a URLconf::

    urlpatterns = [mount("api", login_required(asgi_view(fastapi_app)))]

The application streams both ways, and finds Django's request, and so the user and the session, by
`request_of`. To mount beside Django rather than in it, `gatebridge.WsgiMounts` is the shorter way.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from http.cookies import Morsel, SimpleCookie
from io import BytesIO
from typing import Any, NoReturn, TypeAlias, cast
from wsgiref.util import FileWrapper

from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import request_finished
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    RawPostDataException,
    StreamingHttpResponse,
)
from django.http.response import ResponseHeaders
from django.urls import URLResolver, get_resolver, include, path, re_path
from django.utils.functional import Promise, lazy

from gatebridge._asgi_on_wsgi.adapter import AsgiToWsgi
from gatebridge._asgi_on_wsgi.request_body import BLOCK_BYTES
from gatebridge._translate.text import native_from_text
from gatebridge.errors import HostError, UnavailableError
from gatebridge.types import ASGIApplication, WSGIEnvironment

__all__ = ["View", "asgi_view", "mount", "request_of"]

View: TypeAlias = Callable[..., HttpResponseBase]
"""A view of Django's, called with the request, and by name with what its URL has captured."""

_KEY = "django.request"
_MARK = "_gatebridge_asgi_view"  # an attribute of the views

_logger = logging.getLogger("gatebridge")


def asgi_view(app: ASGIApplication | AsgiToWsgi) -> View:
    """Return a view that serves an ASGI application.

    It is an ordinary synchronous view: ``login_required``, ``csrf_exempt`` and their like can be
    put around it, and without ``csrf_exempt`` Django's check applies. What the application raises
    before its response begins is Django's to answer, ``Http404`` and ``PermissionDenied`` too.

    Args:
        app: The ASGI 3 application, or an `AsgiToWsgi` around it that has the options of your
            choice, and that you can start and close. Without one, the application's lifespan begins
            before the first request and ends with the process.

    Returns:
        A view ``view(request, path_info="", **captured)``. ``path_info`` is the end of the
        request's path, after what becomes ``root_path``; see `mount`, which captures it. Under
        Django's ``path``, which does not, the application is not called for paths below the route,
        and a warning says so; to serve one path only, pass ``{"path_info": ""}`` to ``path``.

    Raises:
        TypeError: ``app`` is not an ASGI 3 application.
        Http404: The view's: ``path_info`` does not begin at a slash, as ``ry`` of ``/apiary``.
        RequestError: The view's: The path cannot be encoded as UTF-8.
        HostError: The view's: Somebody read the request's body before, and Django did not keep it.
        UnavailableError: The view's: Django runs on an ASGI server.
        Exception: The view's: Whatever else `AsgiToWsgi` raises.

    Source: PEP 3333; Django's "Writing views".
    """
    adapter = app if isinstance(app, AsgiToWsgi) else AsgiToWsgi(app)

    def view(request: HttpRequest, path_info: str = "", **_captured: object) -> HttpResponseBase:
        head = _Head()
        return head.response(adapter(_environ(request, path_info), head))

    setattr(view, _MARK, True)
    # A check of Django's own would come too late: the URLconf is imported during the checks.
    request_finished.connect(_look_for_views_without_mount, dispatch_uid=_MARK)
    return view


def mount(route: str | Promise, view: View, *, name: str | None = None) -> URLResolver:
    """Return an item for ``urlpatterns`` that gives a view all paths below a route, and itself.

    Args:
        route: As for `django.urls.path`, with converters and lazy translations; a slash at the end
            says nothing. ``"api"`` is ``/api``, ``/api/`` and ``/api/items``, and not ``/apiary``.
        view: Called with what follows the route as ``path_info``: the empty string, or text that
            begins with a slash. If the route is empty it begins after the slash.
        name: For `django.urls.reverse`, without arguments or with ``path_info``.

    Raises:
        TypeError: ``view`` is no view: an application without `asgi_view` around it.

    Source: Django's "URL dispatcher".
    """

    def prefix() -> str:
        return str(route).rstrip("/")

    try:
        inspect.signature(view, follow_wrapped=False).bind(None, path_info="")
    except ValueError:
        pass  # written in C
    except TypeError:
        raise TypeError(
            f"view must take a request and path_info, got {view!r:.80}; put asgi_view() around an "
            "application"
        ) from None
    here: Any = lazy(prefix, str)() if isinstance(route, Promise) else prefix()
    rest = r"^(?P<path_info>/[\s\S]*)\Z" if here else r"^(?P<path_info>[\s\S]+)\Z"
    itself = path("", view, {"path_info": ""}, name=name)
    return path(here, include([itself, re_path(rest, view, name=name)]))


def _look_for_views_without_mount(**_signal: object) -> None:
    """Warn of views of `asgi_view` to which the URLconf never gives a path; once in a process."""
    if not request_finished.disconnect(dispatch_uid=_MARK):
        return  # another thread does
    try:
        routes = list(_routes_without_path_info(get_resolver()))
    except Exception:  # noqa: BLE001 - of the URLconf, which answers no request then
        return
    for route in routes:
        _logger.warning(
            "urlpatterns: with %.80r, asgi_view gives the application no path below the route; "
            "use mount(route, view), or path(route, view, {'path_info': ''}) if this is intended",
            route,
        )


def _routes_without_path_info(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _routes_without_path_info(pattern, route)
        elif hasattr(pattern.callback, _MARK):  # also with decorators, which copy attributes
            given = {*pattern.pattern.regex.groupindex, *pattern.default_args}
            if "path_info" not in given:
                yield route


def request_of(scope: Mapping[str, Any]) -> HttpRequest:
    """Return Django's request for the scope of an application behind `asgi_view`.

    Its ``user`` and ``session`` are loaded from the database when they are first looked at, which
    Django refuses in async code. A decorator such as ``login_required`` has loaded the user before;
    ``await request.auser()`` does it at any time, from Django 5.0 on.

    Args:
        scope: The application's: ``request.scope`` in FastAPI and Starlette.

    Raises:
        HostError: The application was not called by `asgi_view`.
    """
    try:
        return cast("HttpRequest", scope["wsgi_environ"][_KEY])
    except KeyError:
        raise HostError(_KEY, "missing: the application was not called by asgi_view") from None


# --- to the application ---------------------------------------------------------------------------


def _environ(request: HttpRequest, path_info: str) -> WSGIEnvironment:
    """Return what a WSGI server would give to an application at this place."""
    if not isinstance(request, WSGIRequest):
        raise UnavailableError(
            "asgi_view",
            "Django runs on an ASGI server here, which can serve the application itself: mount "
            "it in asgi.py, by gatebridge.AsgiMounts(get_asgi_application(), {prefix: app})",
        )
    prefix = request.path_info.removesuffix(path_info)
    if prefix.endswith("/"):
        prefix, path_info = prefix[:-1], "/" + path_info
    if path_info and not path_info.startswith("/"):
        raise Http404
    # Django has put decoded text into its environ, and its settings say whom to believe.
    script_name = request.META["SCRIPT_NAME"].rstrip("/") + prefix
    environ: WSGIEnvironment = {
        **request.META,  # which is the environ
        "SCRIPT_NAME": native_from_text("SCRIPT_NAME", script_name),
        "PATH_INFO": native_from_text("PATH_INFO", path_info),
        "HTTP_HOST": request.get_host(),
        "wsgi.url_scheme": request.scheme,
        "wsgi.file_wrapper": FileWrapper,
        _KEY: request,
    }
    # A WebSocket cannot pass through a view: its handshake is an ordinary request.
    environ.pop("HTTP_UPGRADE", None)
    if environ.get("CONTENT_LENGTH"):  # or else Django reads nothing, even if there is a body
        _hand_over_body(request, environ)
    return environ


def _hand_over_body(request: Any, environ: WSGIEnvironment) -> None:  # noqa: ANN401 - not typed
    """Let the application read the body from the server, or what Django has kept of it."""
    if not request._read_started:  # nothing public tells
        request._read_started = True  # as of a view that reads the stream
        return
    try:
        body = request.body
    except RawPostDataException:
        raise HostError(
            "wsgi.input",
            "the body was read before the view was called, and not kept: by request.POST (as in "
            "the CSRF check of a multipart form) or by request.read(); use csrf_exempt, PUT or "
            "another content type, or read request.body before",
        ) from None
    environ["wsgi.input"] = BytesIO(body)


# --- from the application -------------------------------------------------------------------------


class _Head:
    """A ``start_response`` that keeps the head for a response of Django's."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], _exc_info: object = None, /
    ) -> Callable[[bytes], NoReturn]:
        self._status = int(status[:3])
        self._headers = ResponseHeaders({})
        self._cookies: SimpleCookie = SimpleCookie()
        for name, value in headers:
            if name.lower() == "set-cookie":
                self._add_cookie(_Cookie(value))
            elif name in self._headers:
                self._headers[name] += f", {value}"  # RFC 9110 section 5.3
            else:
                self._headers[name] = value
        return _refuse_to_write

    def _add_cookie(self, cookie: _Cookie) -> None:
        # Under its name middleware finds it; another one of that name may be for another path.
        taken = cookie.key in self._cookies
        self._cookies[f"{cookie.key};{len(self._cookies)}" if taken else cookie.key] = cookie

    def response(self, body: Iterable[bytes]) -> HttpResponseBase:
        """Return the response with this head and a body as `AsgiToWsgi` returns it."""
        response: HttpResponseBase
        if isinstance(body, FileWrapper):
            response = FileResponse(body.filelike)  # Django passes it to the server's file_wrapper
            response.block_size = BLOCK_BYTES
        elif isinstance(body, list) and (body or "Content-Length" in self._headers):
            response = HttpResponse(b"".join(body))
        else:
            # CommonMiddleware would declare the length 0 for an HttpResponse that has no body,
            # which is not true of HEAD and 304, and not allowed in 204.
            response = StreamingHttpResponse(body)
        response.status_code = self._status
        response.headers = self._headers  # without Django's own Content-Type
        response.cookies = self._cookies
        return response


def _refuse_to_write(_block: bytes) -> NoReturn:
    raise NotImplementedError


class _Cookie(Morsel[str]):
    """A cookie that is sent as the application wrote it, unless somebody changes it.

    Args:
        line: The value of a ``Set-Cookie`` header.
    """

    def __init__(self, line: str) -> None:
        super().__init__()
        pair, *attributes = line.split(";")
        name, _, coded = (part.strip() for part in pair.partition("="))
        value, coded = SimpleCookie().value_decode(coded)
        state = {"key": name, "value": value, "coded_value": coded}
        cast("Any", self).__setstate__(state)  # unlike set(), it takes any name
        for attribute in attributes:
            name, equals, value = (part.strip() for part in attribute.partition("="))
            if self.isReservedKey(name):
                self[name] = value if equals else True
        self._line = line
        self._written = self.copy()

    def OutputString(self, attrs: Container[str] | None = None) -> str:  # noqa: N802
        return self._line if self == self._written else super().OutputString(attrs)

    def __reduce__(self) -> tuple[type[_Cookie], tuple[str]]:
        return _Cookie, (self.OutputString(),)  # for caches
