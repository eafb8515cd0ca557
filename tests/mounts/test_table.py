"""Mount prefixes: how they are written, and which one a path is under."""

from __future__ import annotations

from typing import Any

import pytest

from gatebridge._mounts.table import by_prefix, find_mount, longest_first


@pytest.mark.clause("D-04", "D-43")
@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api//", "/api"),
        ("api", "/api"),
        ("/a/b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/café", "/café"),
        ("/caf%C3%A9", "/café"),
        ("/a%20b/", "/a b"),
        ("/50%", "/50%"),
        ("/50%25", "/50%"),
    ],
)
def test_a_prefix_has_one_spelling(given: str, prefix: str) -> None:
    assert by_prefix({given: 1}) == {prefix: 1}


@pytest.mark.parametrize(
    ("mounts", "text"),
    [
        ({"": 1}, "must not have an empty prefix, got ''; the default application is there"),
        ({"/": 1}, "must not have an empty prefix, got '/'; the default application is there"),
        ({"/a/": 1, "/%61": 2}, "must not have a prefix twice, got '/a' again"),
        ({"/%FF": 1}, "must have prefixes that are UTF-8 when decoded, got '/%FF'"),
        ({b"/a": 1}, "must have prefixes of type str, got b'/a'"),
    ],
)
def test_a_prefix_that_cannot_be_is_named(mounts: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        by_prefix(mounts)


def test_the_order_is_kept() -> None:
    assert list(by_prefix({"/b": 1, "/a/b/c": 2, "/a": 3})) == ["/b", "/a/b/c", "/a"]


@pytest.mark.clause("D-43")
@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/x", "/api"),
        ("/api/v2", "/api/v2"),
        ("/api/v2/x", "/api/v2"),
        ("/api/v22", "/api"),
        ("/apiary", None),
        ("/API", None),
        ("//api", None),
        ("/", None),
        ("", None),
        ("*", None),
    ],
)
def test_the_longest_prefix_on_a_segment_boundary_counts(path: str, found: str | None) -> None:
    mounts = longest_first({"/api": "/api", "/api/v2": "/api/v2"})
    assert find_mount(path, mounts) == (found and (found, found))
