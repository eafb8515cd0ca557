"""What every test can use: the conformance plugin and the event loops to run on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

pytest_plugins = ["conformance.plugin", "servers.compatibility"]

_BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("trio", {}), id="trio"),
]
if find_spec("uvloop"):  # not made for Windows, nor for other interpreters than CPython
    _BACKENDS.insert(1, pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


@pytest.fixture(params=_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each async test on every event loop that gatebridge supports."""
    return request.param
