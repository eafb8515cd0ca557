"""Checks of the numbers that the adapters are given."""

from __future__ import annotations


def require_at_least(least: float, **values: float) -> None:
    """Raise `ValueError` for a number that is less, or none."""
    for name, value in values.items():
        if not value >= least:  # nan is not
            raise ValueError(f"{name}: {value} is less than {least}")
