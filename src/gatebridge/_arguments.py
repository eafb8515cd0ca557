"""Checks of the arguments that the adapters are given: numbers, words, flags, mappings."""

from __future__ import annotations

from collections.abc import Mapping


def require_int(least: int, /, *, or_none: bool = False, **values: int | None) -> None:
    """Check whole numbers; a ``bool`` is not one, and neither is ``2.0``.

    Args:
        least: The smallest number allowed.
        or_none: Whether None is allowed, too.
        values: The numbers, by the names of their arguments.

    Raises:
        TypeError: One is not an ``int``.
        ValueError: One is less than ``least``.
    """
    for name, value in values.items():
        if value is None and or_none:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            kind = "an int or None" if or_none else "an int"
            raise TypeError(f"{name} must be {kind}, got {value!r:.80}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def require_seconds(
    *, or_none: bool = False, above_zero: bool = False, **values: float | None
) -> None:
    """Check times in seconds: an ``int`` or a ``float``, at least 0; infinity is one.

    Args:
        or_none: Whether None is allowed, too.
        above_zero: Whether 0 is not allowed.
        values: The times, by the names of their arguments.

    Raises:
        TypeError: One is not a number.
        ValueError: One is nan, or too small.
    """
    for name, value in values.items():
        if value is None and or_none:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            kind = "an int, a float or None" if or_none else "an int or a float"
            raise TypeError(f"{name} must be {kind}, got {value!r:.80}")
        if above_zero and not value > 0:
            raise ValueError(f"{name} must be greater than 0, got {value}")
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, got {value}")


def require_word(words: tuple[str, ...], /, **values: str) -> None:
    """Check that each value is one of a few words.

    Raises:
        ValueError: One is not.
    """
    for name, value in values.items():
        if value not in words:
            allowed = " or ".join([", ".join(map(repr, words[:-1])), repr(words[-1])])
            raise ValueError(f"{name} must be {allowed}, got {value!r:.80}")


def require_bool(**values: bool) -> None:
    """Check that each value is True or False: the ``"no"`` of a configuration would be true.

    Raises:
        TypeError: One is not a ``bool``.
    """
    for name, value in values.items():
        if not isinstance(value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be a bool, got {value!r:.80}")


def require_mapping(**values: Mapping[str, object] | None) -> None:
    """Check that each value is a mapping, or None.

    Raises:
        TypeError: One is not.
    """
    for name, value in values.items():
        if value is not None and not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be a mapping or None, got {value!r:.80}")
