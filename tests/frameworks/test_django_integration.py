"""`gatebridge.integrations.django`: ASGI applications as views, behind Django's middleware.

Django's handler is called as a server calls it, and the application says what it is given.
"""

from __future__ import annotations

import gzip
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import pytest
from django.contrib.auth.decorators import login_required
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from django.urls import clear_script_prefix, include, path, re_path, reverse
from django.utils.asyncio import async_unsafe
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.translation import get_language, override
from django.views.decorators.csrf import csrf_exempt

from asgi_on_wsgi.apps import Event, Gate, Recorder, body, echo, http, sending, start
from asgi_on_wsgi.host import Host as StrictHost
from asgi_on_wsgi.host import WrappedFile
from frameworks import django_site
from gatebridge import AsgiToWsgi
from gatebridge.errors import HostError, UnavailableError
from gatebridge.integrations.django import View, asgi_view, mount, request_of
from gatebridge.types import ASGIApplication, Receive, Scope, Send

pytestmark = pytest.mark.direction("a2w")

CSRF = "django.middleware.csrf.CsrfViewMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"

assert django_site.settings.configured


class Host(StrictHost):
    """As the strict server; but Django looks up a method that it never calls, and sends b""."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.input.readline = None  # type: ignore[attr-defined]

    def _check_block(self, block: Any) -> None:
        if type(block) is not bytes:
            self.object(f"block: {block!r}")


def imported(function: Callable[..., Any]) -> str:
    """Return the name by which Django imports a function of (request, get_response)."""
    name = f"middleware_{function.__name__}"
    globals()[name] = lambda get_response: partial(function, get_response=get_response)
    return f"{__name__}.{name}"


class Site(Protocol):
    def __call__(self, *patterns: Any, middleware: Any = (), **settings: Any) -> WSGIHandler: ...


@pytest.fixture
def site() -> Iterator[Site]:
    """A function that returns Django's handler for these URL patterns, middleware and settings.

    Middleware may be given as functions, which are called with the request and `get_response`.
    """
    overrides: list[Any] = []

    def make(*patterns: Any, middleware: Any = (), **settings: Any) -> WSGIHandler:
        names = [each if isinstance(each, str) else imported(each) for each in middleware]
        overrides.append(
            override_settings(
                ROOT_URLCONF=patterns,
                MIDDLEWARE=names,
                DEBUG_PROPAGATE_EXCEPTIONS=False,
                SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
                **settings,
            )
        )
        overrides[-1].enable()
        return WSGIHandler()

    yield make
    for each in reversed(overrides):
        each.disable()
    clear_script_prefix()


@pytest.fixture
def view() -> Iterator[Callable[[ASGIApplication], View]]:
    """As `asgi_view`; the adapter is closed at the end of the test."""
    adapters: list[AsgiToWsgi] = []

    def make(app: ASGIApplication) -> View:
        adapters.append(AsgiToWsgi(app, shutdown_timeout=1, offer_pathsend=True))
        return asgi_view(adapters[-1])

    yield make
    for adapter in adapters:
        adapter.close()


MakeView = Callable[[ASGIApplication], View]


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "requested", "root_path", "rest"),
    [
        ("api", "/api", "/api", ""),
        ("api", "/api/", "/api", "/"),
        ("api/", "/api", "/api", ""),
        ("api/", "/api/items/3", "/api", "/items/3"),
        ("api", "/api//items", "/api", "//items"),
        ("api", "/api/a%0Ab", "/api", "/a\nb"),
        ("api", "/api/caf%C3%A9", "/api", "/café"),
        ("caf\u00e9", "/caf%C3%A9/a%2Fb", "/café", "/a/b"),
        ("t/<slug:tenant>/api", "/t/ada/api/x", "/t/ada/api", "/x"),
        ("", "/", "", "/"),
        ("", "/items", "", "/items"),
        ("", "//items", "", "//items"),
    ],
)
@pytest.mark.parametrize("outside", ["", "/caf%C3%A9"])
def test_the_route_becomes_root_path(
    site: Site, view: MakeView, route: str, requested: str, root_path: str, rest: str, outside: str
) -> None:
    app = Recorder()
    application = site(mount(route, view(app)))
    for parent in ("", "/v1"):  # within an include(), the same below that
        if parent:
            application = site(path("v1/", include([mount(route, view(app))])))
        Host(
            path=native(parent + requested),
            SCRIPT_NAME=native(outside),
            RAW_URI=outside + parent + requested + "?a=b",
        ).serve(application)
        scope = app.scopes.pop()
        root = ("/café" if outside else "") + parent + root_path
        assert (scope["root_path"], scope["path"]) == (root, root + rest)
        assert scope["raw_path"].decode() == outside + parent + requested


def test_an_encoded_slash_that_the_server_left_in_the_path(site: Site, view: MakeView) -> None:
    """As Cheroot does; Django itself does not decode it."""
    app = Recorder()
    Host(path="/api/a%2Fb c", REQUEST_URI="/api/a%2Fb%20c").serve(site(mount("api", view(app))))
    scope = app.scopes.pop()
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/a/b c")
    assert scope["raw_path"] == b"/api/a%2Fb%20c"


def native(quoted: str) -> str:
    """Return what a WSGI server makes of a path."""
    return unquote_to_bytes(quoted).decode("latin-1")


@pytest.mark.parametrize("requested", ["/apiary", "/ap", "/v1/api"])
def test_a_route_is_no_prefix_within_a_segment(site: Site, view: MakeView, requested: str) -> None:
    app = Recorder()
    unbounded = path("v2", include([mount("", view(app))]))
    others = path("<path:rest>", lambda request, rest: HttpResponse(rest))
    application = site(mount("api", view(app)), unbounded, others, DEBUG=True)  # DEBUG has a 404
    assert Host(path=requested).serve(application).body == requested[1:].encode()
    assert Host(path="/v2x").serve(application).code == 404
    assert app.events == []


def test_an_application_that_is_no_view_is_refused() -> None:
    views: list[Any] = [http(greet), asgi_view]
    for view in views:
        with pytest.raises(TypeError, match=r"put asgi_view\(\) around an application"):
            mount("api", view)


def test_force_script_name_is_part_of_root_path(site: Site, view: MakeView) -> None:
    """So that the application's links are right where Django's are."""
    app = Recorder()
    application = site(mount("api", view(app)), FORCE_SCRIPT_NAME="/forced/")
    Host(path="/api/x", SCRIPT_NAME="/ignored").serve(application)
    assert app.scopes[0]["root_path"] == "/forced/api"
    assert app.scopes[0]["path"] == "/forced/api/x"


def test_a_mount_can_be_reversed_and_translated(site: Site, view: MakeView) -> None:
    translated = lazy(lambda: "schnittstelle/" if get_language() == "de" else "api/", str)()
    app = Recorder()
    application = site(
        mount(translated, view(app), name="api"),
        middleware=["django.middleware.locale.LocaleMiddleware"],
        USE_I18N=True,
    )
    assert reverse("api") == "/api"
    assert reverse("api", kwargs={"path_info": "/items/3"}) == "/api/items/3"
    with override("de"):
        assert reverse("api") == "/schnittstelle"
    host = Host(path="/schnittstelle/x", headers={"Accept-Language": "de"}).serve(application)
    assert host.code == 200
    assert app.scopes[0]["root_path"] == "/schnittstelle"


# --- views without a mount ------------------------------------------------------------------------


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if "urlpatterns" in record.getMessage()
    ]


@pytest.mark.parametrize("requested", ["/api/", "/api/items", "/elsewhere"])
def test_a_view_without_a_mount_is_warned_of(
    site: Site, view: MakeView, caplog: pytest.LogCaptureFixture, requested: str
) -> None:
    """Once, after whatever request is the first: those below the route do not reach the view."""
    application = site(
        path("v1/", include([path("api/", csrf_exempt(login_required(view(Recorder()))))])),
        re_path("^all/", view(Recorder())),
        path("rest/<path:rest>", view(Recorder())),
        mount("mounted", view(Recorder())),
        path("one", view(Recorder()), {"path_info": ""}),
        path("own/<path:path_info>", view(Recorder())),
        path("other/", lambda request: HttpResponse()),
    )
    for _ in range(2):
        Host(path=requested).serve(application)
    routes = [message.partition(", ")[0] for message in warned(caplog)]
    assert routes == [
        "urlpatterns: with 'v1/api/'",
        "urlpatterns: with '^all/'",
        "urlpatterns: with 'rest/<path:rest>'",
    ]
    assert warned(caplog)[0].endswith(
        ", asgi_view gives the application no path below the route; use mount(route, view), or "
        "path(route, view, {'path_info': ''}) if this is intended"
    )


def test_a_mount_is_not_warned_of(
    site: Site, view: MakeView, caplog: pytest.LogCaptureFixture
) -> None:
    Host(path="/api").serve(site(mount("api", login_required(view(Recorder())))))
    assert warned(caplog) == []


def test_a_broken_urlconf_is_djangos_to_report(
    site: Site, view: MakeView, caplog: pytest.LogCaptureFixture
) -> None:
    view(Recorder())
    application = site()
    with override_settings(ROOT_URLCONF="no_such_module"):
        request_finished.send(application.__class__)
    assert warned(caplog) == []


def test_one_path_is_served_by_path(site: Site, view: MakeView) -> None:
    app = Recorder()
    application = site(path("events", view(app), {"path_info": ""}))
    assert Host(path="/events").serve(application).code == 200
    assert (app.scopes[0]["root_path"], app.scopes[0]["path"]) == ("/events", "/events")


# --- what else the application is given -----------------------------------------------------------


def test_the_application_believes_whom_django_believes(site: Site, view: MakeView) -> None:
    app = Recorder()
    application = site(
        mount("api", view(app)),
        USE_X_FORWARDED_HOST=True,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    )
    forwarded = {"X-Forwarded-Host": "public.example", "X-Forwarded-Proto": "https"}
    Host(path="/api", headers=forwarded).serve(application)
    assert app.scopes[0]["scheme"] == "https"
    assert (b"host", b"public.example") in app.scopes[0]["headers"]


def test_the_lifespan_begins_before_the_first_request(site: Site) -> None:
    app = Recorder()
    adapter = AsgiToWsgi(app)
    application = site(mount("api", asgi_view(adapter)))
    assert app.events == []
    Host(path="/api").serve(application)
    assert "state" in app.scopes[0]
    adapter.close()
    assert app.events == ["startup", "request", "shutdown"]


def test_a_websocket_handshake_is_an_ordinary_request(site: Site, view: MakeView) -> None:
    """Nobody may take the connection away from beneath Django's middleware."""
    app = Recorder()
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    taken = {"gunicorn.socket": object()}
    Host(path="/api", headers=handshake, **taken).serve(site(mount("api", view(app))))
    assert app.scopes[0]["type"] == "http"


def test_early_hints_pass(site: Site, view: MakeView) -> None:
    links = [b"</style.css>; rel=preload"]
    app = sending({"type": "http.response.early_hint", "links": links}, start(), body())
    host = Host(path="/api").offer_hints().serve(site(mount("api", view(app))))
    assert len(host.hints) == 1


# --- who asks -------------------------------------------------------------------------------------


class User:
    is_authenticated = True
    username = "ada"


def lazy_user(request: Any, get_response: Any) -> Any:
    """Do as AuthenticationMiddleware does, without a database."""
    load = async_unsafe(lambda: User() if "HTTP_X_ADA" in request.META else None)
    request.user = SimpleLazyObject(load)
    return get_response(request)


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    request: Any = request_of(scope)
    request.session["greeted"] = request.user.username
    await send(start())
    await send(body(request.user.username.encode()))


def test_the_application_sees_the_user_and_changes_the_session(site: Site, view: MakeView) -> None:
    greeting = login_required(view(http(greet)), login_url="/sign-in")
    application = site(mount("api", greeting), middleware=[SESSION, lazy_user])

    host = Host(path="/api", headers={"X-Ada": "yes"}).serve(application)
    assert host.body == b"ada"
    assert "sessionid=" in (host.header("set-cookie") or "")


def test_a_user_not_yet_loaded_is_djangos_error_in_async_code(site: Site, view: MakeView) -> None:
    """As the documentation says; without the decorator nobody has looked."""
    application = site(mount("api", view(http(greet))), middleware=[SESSION, lazy_user])
    errors = errors_of(lambda: Host(path="/api", headers={"X-Ada": "yes"}).serve(application))
    assert [type(error) for error in errors] == [SynchronousOnlyOperation]


def test_there_is_no_request_outside_of_django() -> None:
    with pytest.raises(HostError, match=r"django\.request: missing"):
        request_of({"type": "http"})


# --- the request's body ---------------------------------------------------------------------------


def test_a_body_streams_in(site: Site, view: MakeView) -> None:
    """The last part comes only after the application has received the first one."""
    received = Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        received.set()
        rest = await receive()
        await send(start())
        await send(body(first["body"] + rest["body"]))

    size = 100_000
    first, last = b"a" * 50_000, b"b" * 50_000
    host = Host([first, received.happens, last], method="POST", path="/api", length=size)
    assert host.serve(site(mount("api", view(app)))).body == first + last


def test_a_chunked_body_streams_in(site: Site, view: MakeView) -> None:
    """Django itself does not read one, even if its body is asked for."""

    def reads_body(request: HttpRequest, get_response: Any) -> Any:
        assert request.body == b""
        return get_response(request)

    application = site(mount("api", view(echo)), middleware=[reads_body])
    host = Host(
        [b"chunk ", b"by chunk"],
        method="POST",
        path="/api",
        length=None,
        headers={"Transfer-Encoding": "chunked"},
        **{"wsgi.input_terminated": True},
    )
    assert host.serve(application).body == b"chunk by chunk"


def test_a_body_that_django_has_kept_is_replayed(site: Site, view: MakeView) -> None:
    def reads_form(request: HttpRequest, get_response: Any) -> Any:
        assert request.POST["name"] == "ada"
        return get_response(request)

    application = site(mount("api", view(echo)), middleware=[reads_form])
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
    host = Host(b"name=ada", method="POST", path="/api", **form)
    assert host.serve(application).body == b"name=ada"


def multipart(**headers: str) -> Host:
    content = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nada\r\n--x--\r\n'
    form = {"CONTENT_TYPE": "multipart/form-data; boundary=x"}
    return Host(content, method="POST", path="/api", headers=headers, **form)


def test_a_body_that_is_gone_is_an_error_with_a_remedy(site: Site, view: MakeView) -> None:
    app = Recorder()

    def reads_form(request: HttpRequest, get_response: Any) -> Any:
        assert request.POST["name"] == "ada"
        return get_response(request)

    application = site(mount("api", view(app)), middleware=[reads_form])
    (error,) = errors_of(lambda: multipart().serve(application))
    assert isinstance(error, HostError)
    assert "request.POST" in str(error)
    assert app.events == []


def test_nobody_reads_the_body_behind_the_applications_back(site: Site, view: MakeView) -> None:
    """A read after the response could wait for ever: the body is not there any more."""

    def reads_late(request: HttpRequest, get_response: Any) -> Any:
        response = get_response(request)
        with pytest.raises(RawPostDataException):
            _ = request.body
        return response

    application = site(mount("api", view(sending(start(), body()))), middleware=[reads_late])
    assert Host(b"unread", method="POST", path="/api").serve(application).code == 200


TOKEN = "a" * 32


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_djangos_csrf_check_applies_unless_the_view_is_exempt(
    site: Site, view: MakeView, kind: str
) -> None:
    protected, exempt = view(echo), csrf_exempt(view(echo))
    application = site(mount("api", protected), mount("hook", exempt), middleware=[CSRF])
    form = {"CONTENT_TYPE": kind, "HTTP_COOKIE": f"csrftoken={TOKEN}"}

    def post(path: str, **headers: str) -> Host:
        return Host(b"a=b", method="POST", path=path, headers=headers, **form).serve(application)

    assert post("/api").code == 403
    allowed = post("/api", **{"X-CSRFToken": TOKEN})
    assert (allowed.code, allowed.body) == (200, b"a=b")
    assert post("/hook").body == b"a=b"


# --- the response ---------------------------------------------------------------------------------

COOKIES = [
    "a=1; Path=/; HttpOnly",
    "a=2; path=/api;priority=High",
    'odd name@="quoted; Expires=Thu, 01 Jan 2026 00:00:00 GMT',
    "valueless",
]


def test_the_head_is_as_the_application_wrote_it(site: Site, view: MakeView) -> None:
    headers = [(b"set-cookie", cookie.encode()) for cookie in COOKIES]
    headers += [(b"vary", b"a"), (b"vary", b"b")]
    app = sending({**start(299), "headers": headers}, body(b"ok"))
    host = Host(path="/api").serve(site(mount("api", view(app))))
    assert host.code == 299
    assert [v.strip() for n, v in host.headers if n == "Set-Cookie"] == COOKIES
    assert [(n, v) for n, v in host.headers if n != "Set-Cookie"] == [("vary", "a, b")]


def test_middleware_finds_and_changes_cookies(site: Site, view: MakeView) -> None:
    def hardens(request: HttpRequest, get_response: Any) -> Any:
        response = get_response(request)
        response.cookies["a"]["secure"] = True
        response.set_cookie("sid", "django")
        return pickle.loads(pickle.dumps(response))  # as a cache does

    cookies = [b"a=1; path=/x", b"exact = value;odd", b"sid=app; path=/api; httponly"]
    headers = [(b"set-cookie", cookie) for cookie in cookies]
    app = sending({**start(), "headers": headers}, body(b"ok"))
    host = Host(path="/api").serve(site(mount("api", view(app)), middleware=[hardens]))
    assert [v.strip() for n, v in host.headers if n == "Set-Cookie"] == [
        "a=1; Path=/x; Secure",
        "exact = value;odd",
        "sid=django; HttpOnly; Path=/",
    ]


@pytest.mark.parametrize(
    ("method", "status", "length"), [("GET", 200, "2"), ("HEAD", 200, None), ("GET", 204, None)]
)
def test_a_length_is_added_only_where_it_is_true(
    site: Site, view: MakeView, method: str, status: int, length: str | None
) -> None:
    app = sending(start(status), body(b"ok" * (status == 200)))
    application = site(mount("api", view(app)), middleware=[COMMON])
    host = Host(path="/api", method=method).serve(application)
    assert (host.code, host.header("content-length")) == (status, length)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_event_is_not_held_back(site: Site, view: MakeView, compressed: bool) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"data: 1\n\n", more=True))
        await gate()
        await send(body(b"data: 2\n\n"))

    application = site(mount("api", view(app)), middleware=[GZIP, COMMON])
    headers = {"Accept-Encoding": "gzip"} if compressed else {}
    host = Host(path="/api", headers=headers).call(application)
    gate.reached()
    first = host.next()
    assert first
    gate.open()
    while host.next() is not None:
        pass
    host.close()
    content = gzip.decompress(host.body) if compressed else host.body
    assert content == b"data: 1\n\ndata: 2\n\n"
    assert compressed or first == b"data: 1\n\n"


def endless(left: Event) -> ASGIApplication:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, (b"etag", b'"1"')))
        await send(body(b"first", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    return app


def fails(request: HttpRequest, get_response: Any) -> Any:
    get_response(request)
    raise ZeroDivisionError


@pytest.mark.parametrize("ending", ["client", "error", "error page", "replaced"])
def test_the_application_learns_that_nobody_takes_its_response(
    site: Site, view: MakeView, ending: str
) -> None:
    left = Event()
    application = site(
        mount("api", view(endless(left))),
        middleware=[fails] if "error" in ending else [CONDITIONAL],
        DEBUG=ending == "error page",
    )
    headers = {"If-None-Match": '"1"'} if ending == "replaced" else {}
    host = Host(path="/api", headers=headers).call(application)
    if ending == "client":
        assert host.next() == b"first"
        assert not left.is_set()
    assert host.code == {"client": 200, "replaced": 304}.get(ending, 500)
    host.close()
    left.happens()


def test_the_headers_of_a_stream_do_not_wait_for_its_first_block(
    site: Site, view: MakeView
) -> None:
    gate = Gate()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await gate()
        await send(body(b"ab"))

    host = Host(path="/api").call(site(mount("api", view(app)), middleware=[COMMON]))
    assert (host.code, host.next()) == (200, b"")
    gate.open()
    assert (host.next(), host.next()) == (b"ab", None)
    host.close()


@pytest.mark.parametrize("offered", [False, True])
def test_a_file_goes_to_the_servers_file_wrapper(
    site: Site, view: MakeView, tmp_path: Path, offered: bool
) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"x" * 100_000)
    app = sending(
        start(200, (b"content-length", b"100000")),
        {"type": "http.response.pathsend", "path": str(file)},
    )
    host = Host(path="/api")
    if offered:
        host.offer_file_wrapper()
    host.serve(site(mount("api", view(app)), middleware=[COMMON]))
    assert host.body == b"x" * 100_000
    assert len(host.blocks) == 2  # of 64 KiB, in either case
    assert sorted(host.headers) == [("content-length", "100000"), ("content-type", "text/plain")]
    assert isinstance(host.result, WrappedFile) == offered
    assert all(file.closed for file, _ in host.wrapped)


# --- errors ---------------------------------------------------------------------------------------


def errors_of(serve: Callable[[], Any]) -> list[BaseException]:
    """Return the errors that Django has answered by its page for them."""
    errors: list[BaseException] = []

    def note(**_: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        errors.append(error)

    got_request_exception.connect(note)
    try:
        assert serve().code == 500
    finally:
        got_request_exception.disconnect(note)
    return errors


def raising(error: Exception, *messages: Any) -> ASGIApplication:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await sending(*messages)(scope, receive, send)
        raise error

    return app


def test_an_error_before_the_response_is_djangos_to_answer(site: Site, view: MakeView) -> None:
    application = site(mount("api", view(raising(ZeroDivisionError()))))
    errors = errors_of(lambda: Host(path="/api").serve(application))
    assert [type(error) for error in errors] == [ZeroDivisionError]
    not_found = site(mount("api", view(raising(Http404()))), DEBUG=True)
    assert Host(path="/api").serve(not_found).code == 404


def test_an_error_within_the_response_breaks_the_connection(site: Site, view: MakeView) -> None:
    app = raising(ZeroDivisionError(), start(), body(b"first", more=True))
    host = Host(path="/api").call(site(mount("api", view(app))))
    assert host.next() == b"first"
    with pytest.raises(ZeroDivisionError):
        host.next()
    host.close()


def test_a_django_on_an_asgi_server_is_told_what_to_use(view: MakeView) -> None:
    request = AsyncRequestFactory().get("/api")
    with pytest.raises(UnavailableError, match="AsgiMounts"):
        view(Recorder())(request)


# --- Django's own tools for tests -----------------------------------------------------------------


def test_djangos_test_client_keeps_the_applications_cookies(site: Site, view: MakeView) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        cookies = dict(scope["headers"]).get(b"cookie") or b"none"
        await send(start(200, (b"set-cookie", b"token=1; Path=/")))
        await send(body(cookies, more=True))
        await send(body(b"."))

    site(mount("api", view(app)))
    client = Client()
    assert b"".join(client.get("/api")) == b"none."
    assert client.cookies["token"].value == "1"
    assert b"".join(client.get("/api")) == b"token=1."


def test_a_view_can_be_called_alone(view: MakeView) -> None:
    request = RequestFactory().post("/api/x", data=b"body", content_type="text/plain")
    response = view(echo)(request, path_info="/x")
    assert isinstance(response, HttpResponse)
    assert response.content == b"body"
