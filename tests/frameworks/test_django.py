"""Django's WSGI handler behind `WsgiToAsgi`: sync and async views, middleware, and streams."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from frameworks import django_site
from wsgi_on_asgi.apps import adapter, statistics_say
from wsgi_on_asgi.host import Host

pytestmark = [pytest.mark.direction("w2a"), pytest.mark.clause("W-CALL-02")]


async def serve(path: str, *body: bytes, **scope: Any) -> Host:
    """Serve a request behind an ASGI middleware that sets a context variable."""
    host = Host(*body, path=path, **scope)
    served = adapter(django_site.application)
    django_site.finished.clear()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        token = django_site.variable.set("outside")
        await served(scope, receive, send)
        django_site.variable.reset(token)

    await host.serve(middleware)
    await statistics_say(served, running=0)
    return host


@pytest.mark.parametrize(
    ("path", "body", "variable"),
    [
        ("/sync", b"outside True body", b"outside"),
        ("/async", b"outside [0, 2, 4] body", b"set in the view"),
        ("/thread", b"outside True", b"outside"),
        ("/stream", b"outside True", b"outside"),
    ],
)
async def test_a_view_runs_in_the_requests_thread_and_context(
    path: str, body: bytes, variable: bytes
) -> None:
    """Also code that must not leave its thread, called from a view that is on another loop."""
    method = "POST" if body.endswith(b"body") else "GET"
    host = await serve(path, b"bo", b"dy", method=method, headers=[(b"content-length", b"4")])
    headers = dict(host.headers)
    assert (host.status, host.body) == (200, body)
    assert (headers[b"x-same-thread"], headers[b"x-async"]) == (b"True", b"yes")
    assert headers[b"x-variable"] == variable
    assert django_site.variable.get() == "default"


@pytest.mark.clause("W-CLOSE-01")
@pytest.mark.parametrize("path", ["/sync", "/async", "/stream"])
async def test_a_request_is_finished_once_and_in_its_thread(path: str) -> None:
    """Django closes its database connections then, which are bound to the thread."""
    await serve(path)
    assert len(django_site.finished) == 1
    assert threading.get_ident() not in django_site.finished


@pytest.mark.clause("W-CLOSE-01", "D-30")
async def test_a_request_is_finished_when_its_client_leaves() -> None:
    served = adapter(django_site.application)
    django_site.finished.clear()
    host = Host(path="/endless")
    async with host.background(served):
        await host.until(lambda: "body" in host.types)
        host.disconnect()
    await statistics_say(served, running=0, stalled=0)
    assert host.error is None
    assert len(django_site.finished) == 1


@pytest.mark.clause("W-ERR-01")
async def test_an_error_of_an_async_view_reaches_the_server() -> None:
    with pytest.raises(ZeroDivisionError, match="of the view"):
        await serve("/fails")


@pytest.mark.clause("C-05", "A-LIFE-10")
async def test_lifespan_state_is_at_hand_in_a_view() -> None:
    host = await serve("/state", state={"name": "of the lifespan"})
    assert host.body == b"of the lifespan"
