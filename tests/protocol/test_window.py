"""The window: when the putting side must wait, and when it is woken."""

from __future__ import annotations

import pytest

from gatebridge._protocol.window import BLOCK_OVERHEAD, Window


@pytest.mark.parametrize("size", [1, 2, 100, 1000])
def test_who_waits_at_a_full_window_is_woken_once_when_half_of_it_is_free(size: int) -> None:
    window = Window(size + BLOCK_OVERHEAD)
    assert not window.must_wait()
    window.put(size)
    assert window.must_wait()
    half = (size + BLOCK_OVERHEAD) // 2
    assert window.take(window.on_their_way - half - 1, blocks=0) is False
    assert window.take(1, blocks=0) is True
    assert window.take(1, blocks=0) is False
    assert not window.must_wait()


def test_who_does_not_wait_is_not_woken() -> None:
    window = Window(10)
    window.put(1000)
    assert window.take(1000) is False


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
