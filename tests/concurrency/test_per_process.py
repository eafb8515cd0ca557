"""A value for each process."""

from __future__ import annotations

import os
import threading

import pytest

from gatebridge._concurrency.per_process import PerProcess


def test_a_process_has_one_value() -> None:
    values: PerProcess[list[int]] = PerProcess(list)
    assert values.get() is values.get()


def test_another_process_has_another_value_and_keeps_the_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values: PerProcess[list[int]] = PerProcess(list)
    own = values.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert values.get() is not own
    assert values.get() is values.get()
    monkeypatch.undo()
    assert values.get() is own


def test_of_two_threads_that_come_first_both_get_the_same() -> None:
    both_make = threading.Barrier(2)

    def make() -> object:
        both_make.wait(5)
        return object()

    values = PerProcess(make)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(values.get())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(got) == 2
    assert got[0] is got[1]
