"""What every test can use: the conformance plugin, the event loops to run on, hosts' modules."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

pytest_plugins = ["conformance.plugin", "servers.compatibility"]

_BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("trio", {}), id="trio"),
]
if find_spec("uvloop"):  # not made for Windows, nor for other interpreters than CPython
    _BACKENDS.insert(1, pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


def pytest_configure() -> None:
    # Servers are stopped by it; a run in the background inherits that it is ignored.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    # Here and not in conftest.py of the folders, which pytest reads too late for options.
    parser.addoption(
        "--all-pages",
        action="store_true",
        help="type in what every page of the documentation says, and not only the first ones",
    )
    parser.addoption(
        "--all-servers",
        action="store_true",
        help="run every framework on every server, and not only each of them on one",
    )


@pytest.fixture(params=_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each async test on every event loop that gatebridge supports."""
    return request.param


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that puts a module with such attributes in the place of a host's."""

    def stand(name: str, **attributes: Any) -> None:
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)

    return stand
