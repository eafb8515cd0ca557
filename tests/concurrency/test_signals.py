"""Signals: a task waits for one, and it is kept, counted and timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

from gatebridge._concurrency.loop_handle import current_loop
from gatebridge._concurrency.signals import SharedTimer

HANG = 5  # seconds


async def test_a_signal_set_before_the_wait_is_kept() -> None:
    signal = current_loop().new_signal()
    signal.set()
    signal.set()
    with anyio.fail_after(HANG):
        await signal.wait()


async def test_a_wait_for_a_signal_ends_in_time_and_the_next_one_is_whole() -> None:
    signal, waits = current_loop().new_signal(), anyio.Event()
    with anyio.fail_after(HANG):
        await signal.wait(0)
        await signal.wait(0.001)

        async def wait() -> None:
            await signal.wait(HANG * 10)
            waits.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not waits.is_set()
            signal.set()


async def test_a_signal_that_came_in_time_leaves_nothing_that_ends_the_next_wait() -> None:
    handle = current_loop()
    signal, later, waits = handle.new_signal(), handle.new_signal(), anyio.Event()
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            handle.call_soon(signal.set)
            await signal.wait(0.01)

            async def wait() -> None:
                await signal.wait()
                waits.set()

            group.start_soon(wait)
            await later.wait(0.02)  # a loop's timers end in their order
            await anyio.wait_all_tasks_blocked()
            assert not waits.is_set()
            signal.set()


def test_one_timer_serves_all_signals_that_wait_for_the_same_time() -> None:
    """Each waits at least that long, and at most twice; one that has ended is let alone."""
    ticks: list[Callable[[], None]] = []
    were_set: list[str] = []

    class Loop:
        def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
            assert seconds == 1.5
            ticks.append(callback)

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def set(self) -> None:
            were_set.append(self.name)

    timer: Any = SharedTimer(Loop(), 1.5)  # type: ignore[arg-type]
    first, second, third, fourth = map(Named, ("first", "second", "third", "fourth"))
    timer.begin(first)
    timer.begin(second)
    assert len(ticks) == 1
    ticks.pop()()
    assert were_set == []
    timer.begin(third)
    timer.begin(fourth)
    timer.end(second)
    timer.end(fourth)
    ticks.pop()()
    assert were_set == ["first"]
    ticks.pop()()
    assert were_set == ["first", "third"]
    assert ticks == []  # until somebody waits again
    timer.begin(first)
    assert len(ticks) == 1


async def test_a_signal_counts_once() -> None:
    """Two sets before a wait are one; the next wait needs another."""
    signal, waits = current_loop().new_signal(), anyio.Event()
    signal.set()
    signal.set()
    returned: list[int] = []

    async def wait_twice() -> None:
        await signal.wait()
        returned.append(1)
        waits.set()
        await signal.wait()
        returned.append(2)

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(wait_twice)
            await waits.wait()
            await anyio.wait_all_tasks_blocked()
            assert returned == [1]
            signal.set()
    assert returned == [1, 2]


async def test_a_signal_wakes_a_task_that_waits() -> None:
    handle = current_loop()
    signal = handle.new_signal()
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(signal.wait)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(handle.call_soon, signal.set)


async def test_a_cancelled_wait_leaves_the_signal_usable() -> None:
    signal = current_loop().new_signal()
    async with anyio.create_task_group() as group:
        group.start_soon(signal.wait)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    signal.set()
    with anyio.fail_after(HANG):
        await signal.wait()
