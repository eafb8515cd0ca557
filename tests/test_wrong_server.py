"""What a call with the wrong arguments says, and that servers still know the kinds apart."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from asgiref.compatibility import is_double_callable

from gatebridge import (
    AsgiMounts,
    AsgiToWsgi,
    LifespanManager,
    LifespanShim,
    WsgiMounts,
    WsgiToAsgi,
    compat,
)


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


ASGI: list[tuple[Any, str]] = [
    (WsgiToAsgi(wsgi), "give others the WSGI application"),
    (compat.WSGIMiddleware(wsgi), "give others the WSGI application"),
    (AsgiMounts(asgi, {}), "give others WsgiMounts"),
    (LifespanShim(asgi), "wrap it in AsgiToWsgi for others"),
    (LifespanManager(asgi), "wrap it in AsgiToWsgi for others"),
]
WSGI: list[tuple[Any, str]] = [
    (AsgiToWsgi(asgi), "give others the ASGI application"),
    (compat.ASGIMiddleware(asgi), "give others the ASGI application"),
    (WsgiMounts(wsgi, {}), "give others AsgiMounts"),
]


@pytest.mark.parametrize(("app", "advice"), ASGI)
def test_an_asgi_application_called_by_a_wsgi_server_says_so(app: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"^\w+ is for ASGI servers; {advice}: __call__\(\) "):
        app({}, lambda *_: None)


@pytest.mark.parametrize("arguments", [1, 3])  # as by Uvicorn's ASGI2 and ASGI3
@pytest.mark.parametrize(("app", "advice"), WSGI)
def test_a_wsgi_application_called_by_an_asgi_server_says_so(
    app: Any, advice: str, arguments: int
) -> None:
    with pytest.raises(TypeError, match=rf"^\w+ is for WSGI servers; {advice}: __call__\(\) "):
        app(*range(arguments))


@pytest.mark.parametrize("app", [app for app, _ in ASGI])
def test_servers_see_an_asgi_application(app: Any) -> None:
    """As Uvicorn, Hypercorn and Daphne look: a coroutine function, of three arguments."""
    assert inspect.iscoroutinefunction(app.__call__)
    assert list(inspect.signature(app).parameters) == ["scope", "receive", "send"]
    assert not is_double_callable(app)  # type: ignore[no-untyped-call, unused-ignore]


@pytest.mark.parametrize("app", [app for app, _ in WSGI])
def test_servers_see_a_wsgi_application(app: Any) -> None:
    assert not inspect.iscoroutinefunction(app.__call__)
    assert list(inspect.signature(app).parameters) == ["environ", "start_response"]
