"""The length of a body, for every way to cut it, and for every kind of response."""

from __future__ import annotations

from itertools import product

import pytest

from gatebridge._protocol.length import (
    NO_CONTENT,
    UNKNOWN,
    DeclaredLength,
    length_of_body,
    wrong_length,
)
from gatebridge.errors import AsgiAppError, WsgiAppError

BLOCKS = [b"", b"a", b"bcd"]


@pytest.mark.parametrize("declared", range(6))
def test_a_body_has_the_declared_length_however_it_is_cut(declared: int) -> None:
    for blocks in (each for count in range(4) for each in product(BLOCKS, repeat=count)):
        length, whole = DeclaredLength(declared), b"".join(blocks)
        assert b"".join(map(length.take, blocks)) == whole[:declared]
        assert length.missing == declared - len(whole)
        assert length.reached is (len(whole) >= declared)


def test_a_body_of_unknown_length_takes_everything_and_is_never_reached() -> None:
    assert [UNKNOWN.take(block) for block in BLOCKS] == BLOCKS
    assert (UNKNOWN.missing, UNKNOWN.reached) == (None, False)


def test_a_response_without_content_takes_nothing_and_lacks_nothing() -> None:
    assert [NO_CONTENT.take(block) for block in BLOCKS] == [b"", b"", b""]
    assert (NO_CONTENT.missing, NO_CONTENT.reached) == (None, True)


@pytest.mark.parametrize("declared", [None, 0, 5])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 205, 206, 304, 404])
def test_which_responses_have_content(status: int, method: str, declared: int | None) -> None:
    length = length_of_body(declared, status, method)
    if method == "HEAD" or status in (204, 205, 304):
        assert length is NO_CONTENT
    elif declared is None:
        assert length is UNKNOWN
    else:
        assert length.missing == declared


def test_an_error_says_how_much_is_wrong_and_who_made_the_mistake() -> None:
    assert str(wrong_length(WsgiAppError, 3)) == (
        "content-length: 3 bytes fewer in the body than declared"
    )
    assert str(wrong_length(AsgiAppError, -2)) == (
        "content-length: 2 bytes more in the body than declared"
    )
