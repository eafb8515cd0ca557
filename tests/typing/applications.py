"""Applications and servers of other origins, for type checkers only: nothing here is ever run.

Every assignment has to pass ``mypy --strict``. Where one must not, it carries an ignore, and the
checker complains about an ignore that is not needed.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict

from gatebridge import (
    AsgiMounts,
    AsgiToWsgi,
    LifespanManager,
    LifespanShim,
    WsgiMounts,
    WsgiToAsgi,
    compat,
    disconnect_flag,
    environ_from_scope,
    input_from_receive,
    interface,
    messages_from_input,
    scope_from_environ,
    to_asgi,
    to_wsgi,
)
from gatebridge.checks import Finding, check_host
from gatebridge.types import (
    ASGIApplication,
    DisconnectFlag,
    ErrorStream,
    HTTPScope,
    InputStream,
    StartResponse,
    WSGIApplication,
    WSGIEnvironment,
)

if TYPE_CHECKING:
    import _typeshed.wsgi as wsgiref_types  # what wsgiref.types is made of, from Python 3.11 on


# --- ASGI as Starlette types it -------------------------------------------------------------------

StarletteScope: TypeAlias = MutableMapping[str, Any]
StarletteMessage: TypeAlias = MutableMapping[str, Any]
StarletteReceive: TypeAlias = Callable[[], Awaitable[StarletteMessage]]
StarletteSend: TypeAlias = Callable[[StarletteMessage], Awaitable[None]]
StarletteApp: TypeAlias = Callable[
    [StarletteScope, StarletteReceive, StarletteSend], Awaitable[None]
]


async def starlette_app(
    scope: StarletteScope, receive: StarletteReceive, send: StarletteSend
) -> None:
    """Be an application."""


class StarletteMiddleware:
    """Be a middleware, or a server."""

    def __init__(self, app: StarletteApp) -> None:
        self.app = app

    async def __call__(
        self, scope: StarletteScope, receive: StarletteReceive, send: StarletteSend
    ) -> None:
        await self.app(scope, receive, send)


# --- ASGI as asgiref types it ---------------------------------------------------------------------


class AsgirefVersions(TypedDict):
    spec_version: str
    version: Literal["2.0", "3.0"]


class AsgirefHTTPScope(TypedDict):
    type: Literal["http"]
    asgi: AsgirefVersions
    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    root_path: str
    headers: Iterable[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    extensions: dict[str, dict[object, object]] | None


class AsgirefLifespanScope(TypedDict):
    type: Literal["lifespan"]
    asgi: AsgirefVersions


class AsgirefRequest(TypedDict):
    type: Literal["http.request"]
    body: bytes
    more_body: bool


class AsgirefDisconnect(TypedDict):
    type: Literal["http.disconnect"]


class AsgirefStart(TypedDict):
    type: Literal["http.response.start"]
    status: int
    headers: Iterable[tuple[bytes, bytes]]
    trailers: bool


class AsgirefBody(TypedDict):
    type: Literal["http.response.body"]
    body: bytes
    more_body: bool


AsgirefScope: TypeAlias = AsgirefHTTPScope | AsgirefLifespanScope
AsgirefReceive: TypeAlias = Callable[[], Awaitable[AsgirefRequest | AsgirefDisconnect]]
AsgirefSend: TypeAlias = Callable[[AsgirefStart | AsgirefBody], Awaitable[None]]
AsgirefApp: TypeAlias = Callable[[AsgirefScope, AsgirefReceive, AsgirefSend], Awaitable[None]]


async def asgiref_app(scope: AsgirefScope, receive: AsgirefReceive, send: AsgirefSend) -> None:
    """Be an application."""


# --- WSGI as Flask and werkzeug type it -----------------------------------------------------------


class FlaskApp:
    """Be an application whose methods are typed by typeshed."""

    def wsgi_app(
        self, environ: dict[str, Any], start_response: wsgiref_types.StartResponse
    ) -> Iterable[bytes]:
        start_response("200 OK", [("content-type", "text/plain")])
        return [b""]

    def __call__(
        self, environ: dict[str, Any], start_response: wsgiref_types.StartResponse
    ) -> Iterable[bytes]:
        return self.wsgi_app(environ, start_response)


class WriteCallable(Protocol):
    """Be what Django and others take ``start_response`` to return."""

    def __call__(self, data: bytes, /) -> object: ...


def loosely_typed_app(
    environ: dict[str, Any], start_response: Callable[..., WriteCallable]
) -> list[bytes]:
    write = start_response("200 OK", [])
    write(b"written")
    return [b"returned"]


def computing_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    gone: DisconnectFlag = disconnect_flag(environ)
    start_response("200 OK", [])
    return [] if gone.is_set() or gone.wait(0.5) else [b"done"]


def generator_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    write = start_response("200 OK", [("content-type", "text/plain")], sys.exc_info())
    write(b"written")
    yield b"yielded"


# --- what fits ------------------------------------------------------------------------------------


def wsgi_applications(of_wsgiref: wsgiref_types.WSGIApplication) -> list[WSGIApplication]:
    flask_app = FlaskApp()
    return [of_wsgiref, flask_app, flask_app.wsgi_app, loosely_typed_app, generator_app]


def wsgi_applications_in_an_adapter(of_wsgiref: wsgiref_types.WSGIApplication) -> list[WsgiToAsgi]:
    return [
        WsgiToAsgi(of_wsgiref, threads=4, errors=sys.stderr),
        WsgiToAsgi(FlaskApp(), environ={"deployer.key": 1}),
        WsgiToAsgi(FlaskApp().wsgi_app),
        WsgiToAsgi(loosely_typed_app),
        WsgiToAsgi(generator_app),
    ]


def what_a_wsgi_server_of_typeshed_takes(app: WSGIApplication) -> wsgiref_types.WSGIApplication:
    def served(
        environ: wsgiref_types.WSGIEnvironment, start_response: wsgiref_types.StartResponse
    ) -> Iterable[bytes]:
        return app(environ, start_response)

    return served


def asgi_applications() -> list[ASGIApplication]:
    return [starlette_app, asgiref_app, StarletteMiddleware(starlette_app), WsgiToAsgi(FlaskApp())]


def an_adapter_as_starlette_and_asgiref_see_it() -> tuple[StarletteApp, AsgirefApp]:
    adapter = WsgiToAsgi(FlaskApp())
    StarletteMiddleware(adapter)
    return adapter, adapter


async def a_server_typed_like_starlette(
    scope: StarletteScope, receive: StarletteReceive, send: StarletteSend
) -> None:
    await WsgiToAsgi(FlaskApp())(scope, receive, send)


async def a_server_typed_like_asgiref(
    scope: AsgirefScope, receive: AsgirefReceive, send: AsgirefSend
) -> None:
    await WsgiToAsgi(FlaskApp())(scope, receive, send)


async def a_server_that_knows_its_scope(
    scope: AsgirefHTTPScope, receive: AsgirefReceive, send: AsgirefSend
) -> None:
    await WsgiToAsgi(FlaskApp())(scope, receive, send)


def streams() -> tuple[list[InputStream], list[ErrorStream]]:
    return [io.BytesIO(), sys.stdin.buffer], [sys.stderr, io.StringIO()]


def translations(
    starlette_scope: StarletteScope,
    asgiref_scope: AsgirefHTTPScope,
    typeshed_environ: wsgiref_types.WSGIEnvironment,
) -> tuple[WSGIEnvironment, WSGIEnvironment, WSGIEnvironment, HTTPScope]:
    scope = scope_from_environ(typeshed_environ)
    return (
        environ_from_scope(starlette_scope, body=io.BytesIO(), errors=sys.stderr),
        environ_from_scope(asgiref_scope),
        environ_from_scope(scope, multithread=False),
        scope,
    )


async def a_body_across_the_line(
    scope: StarletteScope, receive: StarletteReceive, environ: wsgiref_types.WSGIEnvironment
) -> tuple[WSGIEnvironment, list[bytes]]:
    messages = messages_from_input(environ, max_body_size=None)
    async with input_from_receive(scope, receive, max_body_size=1) as file:
        file.readinto(bytearray(10))
        environ = environ_from_scope(scope, body=file)
        return environ, [message.get("body", b"") for message in messages]


def what_is_in_a_scope(scope: HTTPScope) -> tuple[str, bytes, tuple[str, int] | None]:
    return scope["path"], scope["query_string"], scope.get("client")


# --- mounts, lifespans, drop-in names -------------------------------------------------------------


def mounts_take_applications_of_both_kinds() -> tuple[list[ASGIApplication], list[WSGIApplication]]:
    flask_app = FlaskApp()
    asgi_mounts = AsgiMounts(starlette_app, {"/flask": flask_app, "/asgiref": asgiref_app})
    wsgi_mounts = WsgiMounts(flask_app, {"/starlette": starlette_app, "/flask": loosely_typed_app})
    of_one_kind: dict[str, FlaskApp] = {"/flask": flask_app}
    asgi = [asgi_mounts, AsgiMounts(starlette_app, {"/x": wsgi_mounts}), to_asgi(flask_app)]
    wsgi = [wsgi_mounts, WsgiMounts(generator_app, of_one_kind), to_wsgi(starlette_app)]
    StarletteMiddleware(asgi_mounts)
    return asgi, wsgi


def a_line_of_flasks() -> None:
    """With a method assigned to, as every middleware of WSGI's is, and nothing else to ignore."""
    app = FlaskApp()
    app.wsgi_app = WsgiMounts(app.wsgi_app, {"/api": starlette_app})  # type: ignore[method-assign]
    app.wsgi_app = AsgiToWsgi(starlette_app)  # type: ignore[method-assign]


@asynccontextmanager
async def async_lifespan(app: StarletteMiddleware) -> AsyncIterator[dict[str, int]]:
    yield {"database": 1}


@contextmanager
def sync_lifespan(app: object) -> Iterator[None]:
    yield


def starlettes_lifespan(app: Any) -> AbstractAsyncContextManager[Mapping[str, Any]]:
    raise NotImplementedError


def lifespans() -> list[ASGIApplication]:
    app = StarletteMiddleware(starlette_app)
    given = LifespanShim(app, async_lifespan), LifespanShim(WsgiToAsgi(FlaskApp()), sync_lifespan)
    return [*given, LifespanShim(app, starlettes_lifespan), LifespanShim(app), LifespanManager(app)]


async def a_lifespan_from_outside() -> dict[str, Any]:
    async with LifespanManager(starlette_app, startup_timeout=1, shutdown_timeout=None) as state:
        return state


def drop_in_names(loop: asyncio.AbstractEventLoop) -> None:
    of_wsgi = compat.WSGIMiddleware(FlaskApp(), workers=10000)
    of_wsgi.app = FlaskApp().wsgi_app
    of_wsgi.executor.shutdown(wait=True)
    of_asgiref = compat.WsgiToAsgi(FlaskApp(), duplicate_header_limit=None)
    of_asgiref.wsgi_application = loosely_typed_app
    of_asgi = compat.ASGIMiddleware(starlette_app, 1.0, loop)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), of_asgi.loop)
    StarletteMiddleware(of_wsgi)
    StarletteMiddleware(of_asgiref)


def what_is_told() -> tuple[Literal["asgi", "wsgi"], list[Finding]]:
    return interface(FlaskApp()), check_host()


# --- what does not fit ----------------------------------------------------------------------------


def text_app(environ: dict[str, Any], start_response: StartResponse) -> list[str]:
    return ["text"]


def lone_app(environ: dict[str, Any]) -> list[bytes]:
    return [b""]


def what_is_no_wsgi_application() -> None:
    WsgiToAsgi(text_app)  # type: ignore[arg-type]
    WsgiToAsgi(lone_app)  # type: ignore[arg-type]
    WsgiToAsgi(starlette_app)  # type: ignore[arg-type]
    WsgiToAsgi("application")  # type: ignore[arg-type]


def what_is_no_asgi_application() -> None:
    app: ASGIApplication
    app = lone_app  # type: ignore[assignment]
    app = FlaskApp()  # type: ignore[assignment]
    del app


def what_can_be_neither_mounted_nor_lived() -> None:
    AsgiMounts(starlette_app, {"/x": lone_app})  # type: ignore[dict-item]
    WsgiMounts(lone_app, {})  # type: ignore[arg-type]
    LifespanShim(FlaskApp())  # type: ignore[arg-type]
    LifespanManager(FlaskApp())  # type: ignore[arg-type]


def what_is_no_scope_or_environ(scope: HTTPScope) -> None:
    environ_from_scope([("type", "http")])  # type: ignore[arg-type]
    scope_from_environ("PATH_INFO")  # type: ignore[arg-type]
    messages_from_input(scope)  # type: ignore[arg-type]
    scope["path"] = b"/"  # type: ignore[typeddict-item]
    del scope["pth"]  # type: ignore[typeddict-item]
