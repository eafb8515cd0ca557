"""Which tests a server has: what does not apply to it is left out, and not skipped."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _applies(item)]


def _applies(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("applies")
    if mark is None:
        return True
    callspec: Any = item.callspec  # type: ignore[attr-defined]
    (function,) = mark.args
    return bool(
        function(**{name: callspec.params[name] for name in signature(function).parameters})
    )
