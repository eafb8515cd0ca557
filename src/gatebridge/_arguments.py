"""Checks of the numbers that the adapters are given."""

from __future__ import annotations

import operator
from collections.abc import Callable


def require_at_least(least: float, **values: float) -> None:
    """Raise `ValueError` for a number that is less, or nan; `TypeError` for what is no number."""
    for name, value in values.items():
        if not _compare(name, value, operator.ge, least):
            raise ValueError(f"{name}: not at least {least}: {value}")


def require_above_zero(**values: float | None) -> None:
    """Do as `require_at_least` for numbers that may not be 0, but may be None."""
    for name, value in values.items():
        if value is not None and not _compare(name, value, operator.gt, 0):
            raise ValueError(f"{name}: not greater than 0: {value}")


def _compare(name: str, value: float, compare: Callable[[float, float], bool], to: float) -> bool:
    try:
        return compare(value, to)
    except TypeError:
        raise TypeError(f"{name}: not a number: {value!r:.80}") from None
