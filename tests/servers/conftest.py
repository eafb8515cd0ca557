"""Which checks of the matrix a pair has: what does not apply is left out, and not skipped."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _applies(item)]


def _applies(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("applies")
    if mark is None:
        return True
    callspec: Any = item.callspec  # type: ignore[attr-defined]
    return bool(mark.args[0](*callspec.params["pair"]))
