"""Which interface a callable has, told without calling it; adapters where one is needed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock, create_autospec

import pytest
from asgiref.compatibility import guarantee_single_callable

from gatebridge import (
    AsgiMounts,
    AsgiToWsgi,
    LifespanManager,
    LifespanShim,
    WsgiMounts,
    WsgiToAsgi,
    compat,
    interface,
    to_asgi,
    to_wsgi,
)

pytestmark = pytest.mark.clause("W-CALL-02")


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


class AsgiInstance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...

    @classmethod
    async def of_class(cls, scope: Any, receive: Any, send: Any) -> None: ...

    @staticmethod
    async def static(scope: Any, receive: Any, send: Any) -> None: ...


class AsgiBySync:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return asgi(scope, receive, send)


class AsgiByAnyArguments:
    async def __call__(self, *args: Any) -> None: ...


class AsgiEndpoint:
    """Each instance is a response, as Starlette's endpoints are."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Iterator[Any]:
        yield


class AsgiBySlot:
    """The instance has a ``__call__``, its class has none: Sentry's middleware is made so."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = AsgiInstance().method


class AsgiByStaticMethod:
    @staticmethod
    async def __call__(scope: Any, receive: Any, send: Any) -> None: ...


class Asgi2:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class WsgiInstance:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...

    def method(self, environ: Any, start_response: Any) -> Any: ...


class WsgiByClassMethod:
    @classmethod
    def __call__(cls, environ: Any, start_response: Any) -> Any: ...


class WsgiClass:
    """PEP 3333's own example: each instance is a response."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        yield b""


class WsgiByIndex:
    """Each instance is a response by the older protocol of iteration."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __getitem__(self, index: int) -> bytes:
        return [b""][index]


class WsgiOrAny:
    def __call__(self, environ: Any, start_response: Any, *more: Any) -> Any: ...


class Middleware:
    """Made with two arguments, but it is its instances that are applications."""

    def __init__(self, app: Any, options: Any) -> None: ...

    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class LongerMiddleware:
    def __init__(self, app: Any, options: Any, log: Any) -> None: ...


class CalledByItsMetaclass(type):
    def __call__(cls, environ: Any, start_response: Any) -> Any: ...


class WsgiByMetaclass(metaclass=CalledByItsMetaclass): ...


def passing_on(app: Any) -> Any:
    """Decorate as most do: with any arguments."""

    @functools.wraps(app)
    def wrapper(*args: Any, **options: Any) -> Any:
        return app(*args, **options)

    return wrapper


def adapting(app: Any) -> Any:
    """Decorate a WSGI application so that it is an ASGI application."""

    @functools.wraps(app)
    async def wrapper(scope: Any, receive: Any, send: Any) -> None: ...

    return wrapper


async def configured(options: Any, scope: Any, receive: Any, send: Any) -> None: ...


async def configured_by_name(scope: Any, receive: Any, send: Any, *, options: Any) -> None: ...


def wsgi_configured(options: Any, environ: Any, start_response: Any) -> Any: ...


async def single_or_double(scope: Any, receive: Any = None, send: Any = None) -> None:
    """ASGI 2 and 3 in one, as some made it for the time between them."""


def single_or_double_by_sync(scope: Any, receive: Any = None, send: Any = None) -> Any: ...


async def asgi_with_more(s: Any, r: Any, s2: Any, log: Any = None) -> None: ...


async def asgi_with_less(s: Any, r: Any, s2: Any = None) -> None: ...


def wsgi_with_more(environ: Any, start_response: Any, exc_info: Any = None) -> Any: ...


def wsgi_of_defaults(environ: Any = None, start_response: Any = None) -> Any: ...


def wsgi_with_options(env: Any, start: Any, *more: Any, **options: Any) -> Any: ...


async def wsgi_generator(environ: Any, start_response: Any) -> Any:
    yield b""


async def asgi_generator(scope: Any, receive: Any, send: Any) -> Any:
    yield


class AsyncGenerator:
    async def __call__(self, *args: Any) -> Any:
        yield


async def asgi_of_any(*args: Any) -> None: ...


def asgi_of_scope_and_any(scope: Any, *args: Any) -> Any: ...


@functools.lru_cache
def cached(environ: Any, start_response: Any) -> Any: ...


@pytest.mark.parametrize(
    "app",
    [
        asgi,
        AsgiInstance(),
        AsgiInstance().method,
        AsgiInstance.of_class,
        AsgiInstance.static,
        AsgiBySync(),
        AsgiByAnyArguments(),
        AsgiEndpoint,
        AsgiBySlot(),
        AsgiByStaticMethod(),
        lambda scope, receive, send: asgi(scope, receive, send),
        lambda a, b, c: asgi(a, b, c),
        functools.partial(asgi),
        functools.partial(AsgiInstance()),
        functools.partial(AsgiEndpoint),
        functools.partial(functools.partial(AsgiByAnyArguments())),
        functools.partial(functools.partial(configured), {}),
        functools.partial(configured_by_name, options={}),
        passing_on(asgi),
        passing_on(AsgiInstance().method),
        adapting(wsgi),
        single_or_double,
        single_or_double_by_sync,
        asgi_with_more,
        asgi_with_less,
        asgi_of_any,
        asgi_of_scope_and_any,
        guarantee_single_callable(Asgi2),
        guarantee_single_callable(asgi),
        create_autospec(asgi),
        AsyncMock(),
        WsgiToAsgi(wsgi),
    ],
)
def test_it_is_asgi_and_only_to_wsgi_adapts_it(app: Any) -> None:
    assert interface(app) == "asgi"
    assert to_asgi(app) is app
    adapted = to_wsgi(app)
    assert isinstance(adapted, AsgiToWsgi)
    assert adapted.app is app
    assert interface(adapted) == "wsgi"


@pytest.mark.parametrize(
    "app",
    [
        wsgi,
        WsgiInstance(),
        WsgiByClassMethod(),
        WsgiInstance().method,
        WsgiClass,
        WsgiByIndex,
        WsgiOrAny(),
        WsgiByMetaclass,
        lambda a, b: [],
        functools.partial(wsgi),
        functools.partial(WsgiClass),
        functools.partial(functools.partial(WsgiInstance())),
        functools.partial(wsgi_configured, {}),
        passing_on(wsgi),
        passing_on(passing_on(WsgiInstance().method)),
        wsgi_with_more,
        wsgi_of_defaults,
        wsgi_with_options,
        cached,
        create_autospec(wsgi),
    ],
)
def test_it_is_wsgi_and_only_to_asgi_adapts_it(app: Any) -> None:
    assert interface(app) == "wsgi"
    assert to_wsgi(app) is app
    adapted = to_asgi(app)
    assert isinstance(adapted, WsgiToAsgi)
    assert adapted.app is app
    assert interface(adapted) == "asgi"


def undecidable(*args: Any) -> Any:
    return args


UNDECIDABLE = [
    undecidable,
    passing_on(undecidable),
    lambda request, respond, send=None: None,
    functools.partial(undecidable),
    Mock(),
    print,
    max,
    dict,
]


@pytest.mark.parametrize("app", UNDECIDABLE)
@pytest.mark.parametrize("function", [interface, to_asgi, to_wsgi])
def test_what_cannot_be_told_is_an_error_that_says_how_to_choose(function: Any, app: Any) -> None:
    advice = (
        r"^app .*; put it into a function of \(scope, receive, send\) if it is ASGI, "
        r"or of \(environ, start_response\) if it is WSGI$"
    )
    with pytest.raises(TypeError, match=advice):
        function(app)


async def test_the_advice_works_for_asgi() -> None:
    @functools.wraps(undecidable)  # as many do out of habit
    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(undecidable(scope, receive, send))

    called: list[Any] = []
    assert to_asgi(app) is app
    scope, receive, send = {"type": "lifespan"}, AsyncMock(), AsyncMock()
    await app(scope, receive, send)
    assert called == [(scope, receive, send)]


def test_the_advice_works_for_wsgi() -> None:
    @functools.wraps(undecidable)
    def app(environ: Any, start_response: Any) -> Any:
        return undecidable(environ, start_response)

    assert to_wsgi(app) is app
    assert app({}, print) == ({}, print)


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (None, "app must be callable, got None"),
        ("module:app", "app must be callable, got 'module:app'"),
        (AsgiInstance, "app is a class .*; create an instance, and use that"),
        (lambda: wsgi, "app can be called without arguments: .*; if it is a factory, call it, and"),
        (lambda config=None: wsgi, "app can be called without arguments: .*; if it is a factory"),
        (lambda config=None, debug=False: wsgi, "app can be called without arguments"),
        (Middleware, "whose instances are neither awaited .* nor iterated .*; create an instance"),
        (LongerMiddleware, "whose instances are neither awaited .* nor iterated"),
        (functools.partial(Middleware, wsgi, {}), "whose instances are neither awaited"),
        (configured, r"takes neither \(scope, receive, send\) nor"),
        (configured_by_name, r"takes neither \(scope, receive, send\) nor"),
        (functools.partial(configured, options={}), r"takes neither \(scope, receive, send\) nor"),
        (
            functools.partial(asgi, {}),
            "a coroutine function of two arguments, neither ASGI nor WSGI",
        ),
        (Asgi2({}), "a coroutine function of two arguments, neither ASGI nor WSGI"),
    ],
)
def test_what_is_no_application_is_an_error_with_the_reason(app: Any, reason: str) -> None:
    for function in (interface, to_asgi, to_wsgi):
        with pytest.raises(TypeError, match=reason):
            function(app)


@pytest.mark.clause("D-46")
@pytest.mark.parametrize("app", [Asgi2, lambda scope: AsgiInstance().method])
def test_an_asgi_2_application_is_an_error_that_names_the_remedy(app: Any) -> None:
    remedy = r"ASGI 2 application, wrap it by asgiref\.compatibility\.guarantee_single_callable"
    for function in (interface, to_asgi, to_wsgi):
        with pytest.raises(TypeError, match=remedy):
            function(app)


# --- what the adapters refuse ---------------------------------------------------------------------


class WsgiByNew:
    """Its calls return what `__new__` does, which is not an instance."""

    def __new__(cls, environ: Any, start_response: Any) -> Any:
        return [b""]


class Site:
    """As the classes of frameworks: any number of arguments makes one, which is not a response."""

    def __init__(self, name: Any = None, debug: Any = None, routes: Any = None) -> None: ...

    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class Unbound:
    """As Werkzeug's `LocalProxy` outside of a request: whatever it is asked for, it raises."""

    def __call__(self, *args: Any) -> Any: ...

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return type(self)
        raise RuntimeError("working outside of application context")


UNBOUND = pytest.param(Unbound(), id="unbound proxy")


def replacing(app: Any) -> Any:
    """Decorate an application with one of the other kind that hides its parameters."""

    @functools.wraps(app)
    def wrapper(*args: Any) -> Any:
        return args

    return wrapper


async def async_wsgi(environ: Any, start_response: Any) -> Any: ...


TO_ASGI = [WsgiToAsgi, compat.WSGIMiddleware, compat.WsgiToAsgi]
TO_WSGI = [AsgiToWsgi, compat.ASGIMiddleware, LifespanManager, LifespanShim]


@pytest.mark.parametrize("adapter", TO_ASGI)
@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (asgi, "takes three arguments like an ASGI application: .*in AsgiToWsgi$"),
        (AsgiInstance(), "takes three arguments like an ASGI application"),
        (AsgiBySlot(), "takes three arguments like an ASGI application"),
        (WsgiToAsgi(wsgi), r"takes three arguments like an ASGI application: WsgiToAsgi\("),
        (AsgiMounts(wsgi, {}), "takes three arguments like an ASGI application"),
        (async_wsgi, "is a coroutine function, as ASGI has them: .*in AsgiToWsgi$"),
        (AsgiByAnyArguments(), "is a coroutine function, as ASGI has them"),
        (AsyncMock(), "is a coroutine function, as ASGI has them"),
        (Site, "is a class whose instances .*; create an instance, and use that$"),
        (functools.partial(Site), "is a class whose instances"),
        (AsgiInstance, "is a class whose instances"),
        (Middleware, "is a class whose instances"),
        (lambda: wsgi, "without arguments: .*; if it is a factory, call it"),
        (lambda request: "a view", "takes one argument"),
        ("module:app", "must be callable, got 'module:app'"),
    ],
)
def test_what_is_not_wsgi_is_refused_at_once(adapter: Any, app: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=f"^app .*{reason}"):
        adapter(app)


@pytest.mark.parametrize("adapter", TO_ASGI)
@pytest.mark.parametrize(
    "app",
    [
        *(WsgiClass, WsgiByNew, WsgiByMetaclass, WsgiByClassMethod(), WsgiOrAny()),
        *(wsgi_with_more, wsgi_of_defaults, functools.partial(WsgiClass)),
        *(undecidable, replacing(asgi), passing_on(wsgi), cached, Mock(), Mock(spec=Site), print),
        *(create_autospec(wsgi), AsgiToWsgi(asgi), WsgiMounts(wsgi, {}), UNBOUND),
    ],
)
def test_what_may_be_wsgi_is_only_called(adapter: Any, app: Any) -> None:
    assert adapter(app).app is app


@pytest.mark.parametrize("adapter", TO_WSGI)
@pytest.mark.parametrize(
    "app",
    [
        *(AsgiEndpoint, AsgiBySlot(), AsgiByAnyArguments(), AsyncMock(), Mock(), Mock(spec=Site)),
        *(undecidable, replacing(wsgi), passing_on(asgi), single_or_double, UNBOUND),
        *(create_autospec(asgi), WsgiToAsgi(wsgi), AsgiMounts(wsgi, {})),
    ],
)
def test_what_may_be_asgi_is_only_called(adapter: Any, app: Any) -> None:
    assert adapter(app).app is app


@pytest.mark.parametrize("adapter", TO_WSGI)
@pytest.mark.parametrize("app", [wsgi, WsgiInstance(), AsgiToWsgi(asgi), WsgiMounts(wsgi, {})])
def test_what_is_wsgi_is_not_taken_for_asgi(adapter: Any, app: Any) -> None:
    with pytest.raises(TypeError, match="takes two arguments like a WSGI application"):
        adapter(app)


@pytest.mark.parametrize("adapter", TO_WSGI)
@pytest.mark.parametrize("app", [Site, functools.partial(Site), AsgiInstance])
def test_a_class_of_applications_is_not_an_asgi_application(adapter: Any, app: Any) -> None:
    with pytest.raises(TypeError, match=r"^app is a class whose instances are neither awaited"):
        adapter(app)


@pytest.mark.parametrize("check", [interface, AsgiToWsgi, WsgiToAsgi])
@pytest.mark.parametrize(
    "app",
    [
        wsgi_generator,
        asgi_generator,
        AsyncGenerator(),
        AsyncGenerator().__call__,
        functools.partial(wsgi_generator),
        functools.partial(AsyncGenerator()),
    ],
)
def test_an_async_generator_function_is_refused(check: Any, app: Any) -> None:
    """Its calls are neither awaited nor iterated."""
    with pytest.raises(TypeError, match=r"^app is an async generator function, neither ASGI nor"):
        check(app)


def test_a_class_may_be_iterated_by_index() -> None:
    assert WsgiToAsgi(WsgiByIndex).app is WsgiByIndex  # type: ignore[arg-type, comparison-overlap]
