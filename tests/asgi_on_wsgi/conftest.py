"""The adapters of the tests here, on each event loop, and what holds at the end of every test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from asgi_on_wsgi.host import Host
from gatebridge import AsgiToWsgi
from gatebridge.types import ASGIApplication


class Adapt(Protocol):
    def __call__(self, app: ASGIApplication, **arguments: Any) -> AsgiToWsgi: ...


@pytest.fixture
def adapt(anyio_backend: tuple[str, dict[str, Any]]) -> Iterator[Adapt]:
    """A function that makes adapters, which are closed at the end of the test."""
    backend, options = anyio_backend
    adapters: list[AsgiToWsgi] = []

    def make(app: ASGIApplication, **arguments: Any) -> AsgiToWsgi:
        arguments = {
            "backend": backend,
            "backend_options": options,
            "shutdown_timeout": 1,
            **arguments,
        }
        adapters.append(AsgiToWsgi(app, **arguments))
        return adapters[-1]

    yield make
    for adapter in adapters:
        adapter.close()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No loop runs any more, and no server was called too late or wrongly."""
    yield
    if "adapt" in request.fixturenames:
        assert [t.name for t in threading.enumerate() if t.name.startswith("gatebridge")] == []
    violations = [violation for host in Host.all for violation in host.violations]
    Host.all.clear()
    assert violations == []
