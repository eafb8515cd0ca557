"""The window: when whoever puts has to wait, and when it is woken."""

from __future__ import annotations

import pytest

from gatebridge._protocol.window import BLOCK_OVERHEAD, Window


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
def test_it_is_full_at_its_size_and_half_empty_at_half_of_it(size: int) -> None:
    window = Window(size + BLOCK_OVERHEAD)
    assert (window.is_full, window.is_half_empty) == (False, True)
    window.put(size)
    assert (window.is_full, window.is_half_empty) == (True, False)
    window.take(1, blocks=0)
    assert not window.is_full
    half = (size + BLOCK_OVERHEAD) // 2
    window.take(window.on_their_way - half - 1, blocks=0)
    assert not window.is_half_empty
    window.take(1, blocks=0)
    assert window.is_half_empty


def test_a_block_is_never_split_and_counts_with_its_overhead() -> None:
    window = Window(10)
    window.put(1000)
    assert window.on_their_way == 1000 + BLOCK_OVERHEAD
    window.take(1000)
    assert window.on_their_way == 0


def test_many_blocks_may_be_taken_at_once() -> None:
    window = Window(1)
    for size in (1, 2, 3):
        window.put(size)
    window.take(3, blocks=2)
    assert window.on_their_way == 3 + BLOCK_OVERHEAD
    window.take_all()
    assert window.on_their_way == 0
