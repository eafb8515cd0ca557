"""What holds at the end of every test here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wsgi_on_asgi import apps
from wsgi_on_asgi.host import Host


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No worker runs any more, and no server was called too late or wrongly."""
    yield
    running = apps.end_adapters()
    violations = [violation for host in Host.all for violation in host.violations]
    Host.all.clear()
    assert running == []
    assert violations == []
