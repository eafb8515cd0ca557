"""Mounted applications: their prefixes, and which one serves a path.

Source: D-04 and D-43 of the clauses; RFC 3986 section 2.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from gatebridge._adapt import AnyApplication
from gatebridge._translate.paths import mount_point, starts_with
from gatebridge.errors import LifespanError

T = TypeVar("T")


def adapt_all(
    adapt: Callable[[AnyApplication], T],
    default: AnyApplication,
    mounts: Mapping[str, AnyApplication],
) -> tuple[T, dict[str, T], list[tuple[str, T]]]:
    """Adapt a default application and the mounted ones.

    Returns:
        The default application; the others by their decoded prefixes, in the order given; all of
        them with names for messages, each only once even if it is mounted twice.

    Raises:
        TypeError: An application is of neither kind; names its prefix.
        ValueError: As `by_prefix`.
    """
    parts: dict[object, tuple[str, T]] = {}

    def adapted(name: str, app: AnyApplication) -> T:
        # Each access to a bound method makes a new object, equal to the others.
        key = app if isinstance(app, MethodType) else id(app)
        if key not in parts:
            try:
                parts[key] = name, adapt(app)
            except TypeError as exc:
                raise TypeError(f"{name}: {exc}") from None
        return parts[key][1]

    first = adapted("the default application", default)
    others = {prefix: adapted(prefix, app) for prefix, app in by_prefix(mounts).items()}
    return first, others, list(parts.values())


def failure_of(name: str, error: LifespanError) -> LifespanError:
    """Return a failure with the name of the application in front of its reason."""
    return LifespanError(error.field, f"{name}: {error.reason}")


def by_prefix(mounts: Mapping[str, T]) -> dict[str, T]:
    """Return the mounts by their decoded prefixes, in the order given.

    A prefix is the path of a URL: percent-encoded or not, with or without slashes around it.

    Raises:
        TypeError: ``mounts`` is not a mapping, or a prefix is not text.
        ValueError: One is empty, not UTF-8, or given twice.
    """
    if not isinstance(mounts, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"mounts must be a mapping of prefixes to applications, got {mounts!r:.80}")
    table: dict[str, T] = {}
    for given, app in mounts.items():
        if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"mounts must have prefixes of type str, got {given!r:.80}")
        try:
            prefix = mount_point(unquote_to_bytes(given).decode())
        except UnicodeDecodeError:
            raise ValueError(
                f"mounts must have prefixes that are UTF-8 when decoded, got {given!r:.80}"
            ) from None
        if not prefix:
            raise ValueError(
                f"mounts must not have an empty prefix, got {given!r:.80}; the default application "
                "is there"
            )
        if prefix in table:
            raise ValueError(f"mounts must not have a prefix twice, got {prefix!r:.80} again")
        table[prefix] = app
    return table


def longest_first(table: Mapping[str, T]) -> list[tuple[str, T]]:
    """Return prefixes and their applications, in the order in which to try them."""
    return sorted(table.items(), key=lambda item: -len(item[0]))


def find_mount(path: str, mounts: Sequence[tuple[str, T]]) -> tuple[str, T] | None:
    """Return the first prefix that matches a path, and its application; None if none does."""
    for mount in mounts:
        if starts_with(path, mount[0]):
            return mount
    return None
