"""What a machine may lack: on a developer's a test is skipped then, in CI it fails."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NoReturn

import pytest


def missing(*packages: str) -> str | None:
    """Return which is not installed, if one is not."""
    for package in packages:
        if not find_spec(package):
            return f"{package} is not installed"
    return None


def require(*lacks: str | None) -> None:
    """Go on only if nothing is lacking; each argument is None, or says what is."""
    for lack in lacks:
        if lack:
            _give_up(lack)


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("GATEBRIDGE_REQUIRE_SERVERS"):
        pytest.fail(f"{reason}, and GATEBRIDGE_REQUIRE_SERVERS is set", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
