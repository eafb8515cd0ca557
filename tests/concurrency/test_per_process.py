"""A value for each process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from gatebridge._concurrency import per_process
from gatebridge._concurrency.per_process import PerProcess


def test_a_process_has_one_value() -> None:
    values: PerProcess[list[int]] = PerProcess(list)
    assert values.get() is values.get()


@pytest.fixture
def foreign_fork(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Pass for a child with this process id, forked without the hooks of `os.register_at_fork`."""
    monkeypatch.setattr(per_process, "_process", per_process._process)  # to be put back
    return lambda pid: monkeypatch.setattr(os, "getpid", lambda: pid)


def test_another_process_has_another_value_and_keeps_the_parents(
    foreign_fork: Callable[[int], None],
) -> None:
    values: PerProcess[list[int]] = PerProcess(list)
    own = values.get()
    foreign_fork(-1)
    assert values.get() is not own
    assert values.get() is values.get()
    assert values.inherited() == [own]


def test_a_process_with_the_id_of_an_ancestor_that_has_ended_has_its_own_value(
    foreign_fork: Callable[[int], None],
) -> None:
    values: PerProcess[list[int]] = PerProcess(list)
    pid, own = os.getpid(), values.get()
    foreign_fork(-1)
    child = values.get()
    foreign_fork(pid)
    assert values.get() is not own
    assert values.inherited() == [own, child]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_with_hooks_needs_no_other_id(foreign_fork: Callable[[int], None]) -> None:
    """As where the parent, which never asked for its value, has ended meanwhile."""
    values: PerProcess[list[int]] = PerProcess(list)
    own, pid = values.get(), os.getpid()
    child = os.fork()
    if not child:
        foreign_fork(pid)
        os._exit(values.get() is own)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


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
