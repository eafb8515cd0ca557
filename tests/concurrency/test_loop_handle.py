"""The loop handle: callbacks from any thread, in order, on the right loop."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import types
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from gatebridge._concurrency.loop_handle import LoopHandle, current_loop
from gatebridge._concurrency.thread_context import context_for_thread

HANG = 5  # seconds


async def test_the_handle_of_a_loop_is_always_the_same() -> None:
    handle = current_loop()
    handles: list[LoopHandle] = []

    async def note() -> None:
        handles.append(current_loop())

    async with anyio.create_task_group() as group:
        group.start_soon(note)
        group.start_soon(note)
    assert [each is handle for each in handles] == [True, True]


def test_another_loop_has_another_handle() -> None:
    async def get() -> LoopHandle:
        return current_loop()

    first, second = asyncio.run(get()), asyncio.run(get())
    third, fourth = trio.run(get), trio.run(get)
    assert len({id(each) for each in (first, second, third, fourth)}) == 4


def test_without_a_loop_there_is_no_handle() -> None:
    with pytest.raises(RuntimeError):
        current_loop()


async def test_a_callback_runs_on_the_thread_of_the_loop() -> None:
    handle, ran = current_loop(), anyio.Event()
    threads: list[int] = []

    def callback() -> None:
        threads.append(threading.get_ident())
        ran.set()

    with anyio.fail_after(HANG):
        assert await anyio.to_thread.run_sync(handle.call_soon, callback) is True
        await ran.wait()
    assert threads == [threading.get_ident()]


async def test_callbacks_of_a_thread_run_in_their_order_and_none_is_lost() -> None:
    """Also where they share a wake-up of the loop."""
    handle, done = current_loop(), anyio.Event()
    ran: dict[int, list[int]] = {thread: [] for thread in range(4)}

    def call(thread: int) -> None:
        for number in range(500):
            handle.call_soon(lambda number=number: note(thread, number))

    def note(thread: int, number: int) -> None:
        ran[thread].append(number)
        if sum(map(len, ran.values())) == 2000:
            done.set()

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            for thread in ran:
                group.start_soon(anyio.to_thread.run_sync, call, thread)
        await done.wait()
    assert all(numbers == list(range(500)) for numbers in ran.values())


async def test_callbacks_that_keep_coming_leave_the_loop_its_turns() -> None:
    """As those of busy threads do, which come while the earlier ones run."""
    handle, first, left = current_loop(), anyio.Event(), 1000

    def callback() -> None:
        nonlocal left
        first.set()
        left -= 1
        if left:
            handle.call_soon(callback)

    handle.call_soon(callback)
    with anyio.fail_after(HANG):
        await first.wait()
    assert left > 900
    left = 1


async def test_a_callback_may_call_for_another() -> None:
    handle, done = current_loop(), anyio.Event()
    with anyio.fail_after(HANG):
        handle.call_soon(lambda: handle.call_soon(done.set) and None)
        await done.wait()


@pytest.mark.parametrize("run", ["asyncio", "trio"])
def test_a_loop_that_has_ended_says_so(run: str) -> None:
    async def get() -> LoopHandle:
        return current_loop()

    handle: LoopHandle = asyncio.run(get()) if run == "asyncio" else trio.run(get)
    ran: list[Any] = []
    assert handle.call_soon(lambda: ran.append(1)) is False
    assert ran == []


def test_a_loop_that_has_ended_says_so_every_time() -> None:
    """Each caller has to know that its callback never runs."""

    async def get() -> LoopHandle:
        return current_loop()

    handle = asyncio.run(get())
    assert [handle.call_soon(lambda: None) for _ in range(3)] == [False] * 3


async def test_a_callback_whose_caller_is_interrupted_keeps_no_other_from_running() -> None:
    """By a signal handler that raises, whether the loop was woken by then or not."""
    handle = current_loop()
    schedule = handle._schedule

    def interrupted_before(callback: Any) -> None:
        raise KeyboardInterrupt

    def interrupted_after(callback: Any) -> None:
        schedule(callback)
        raise KeyboardInterrupt

    with anyio.fail_after(HANG):
        for interrupted in (interrupted_before, interrupted_after):
            handle._schedule = interrupted
            with pytest.raises(KeyboardInterrupt):
                handle.call_soon(lambda: None)
            handle._schedule = schedule
            ran = anyio.Event()
            await anyio.to_thread.run_sync(handle.call_soon, ran.set)
            await ran.wait()


async def test_an_interrupted_turn_of_the_loop_is_followed_by_another() -> None:
    """On a loop in the main thread, which may run on, as in a notebook."""
    handle, ran = current_loop(), anyio.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    handle._callbacks.extend([interrupt, ran.set])
    with pytest.raises(KeyboardInterrupt):
        handle._run()
    with anyio.fail_after(HANG):
        await ran.wait()


def test_a_callback_that_trio_refuses_at_its_end_takes_no_other_along() -> None:
    """What trio accepted, it still runs, and by then refuses what comes from other threads."""
    ran: list[str] = []
    answers: list[bool] = []

    async def main() -> LoopHandle:
        handle = current_loop()
        token = trio.lowlevel.current_trio_token()

        def last_turn() -> None:
            """As a thread does while trio runs its last callbacks, having refused more."""
            handle._schedule = refuse
            answers.append(handle.call_soon(lambda: ran.append("refused")))
            handle._schedule = token.run_sync_soon

        def refuse(_: Any) -> None:
            raise trio.RunFinishedError

        answers.append(handle.call_soon(last_turn))
        answers.append(handle.call_soon(lambda: ran.append("accepted")))
        return handle

    trio.run(main)
    assert answers == [True, True, False]
    assert ran == ["accepted"]


_variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


async def test_a_task_runs_in_its_context_and_outlives_the_task_that_starts_it() -> None:
    context, found, may_end = contextvars.copy_context(), anyio.Event(), anyio.Event()
    context.run(_variable.set, "given")
    values: list[str] = []
    tasks: list[object] = []

    async def task() -> None:
        await may_end.wait()
        values.append(_variable.get())
        found.set()

    async def start() -> None:
        tasks.append(current_loop().start_task(task, context))

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(start)
        may_end.set()
        await found.wait()
    assert values == ["given"]


async def test_a_task_can_be_cancelled_also_after_its_end() -> None:
    began, ended = anyio.Event(), anyio.Event()

    async def task() -> None:
        try:
            began.set()
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            ended.set()

    with anyio.fail_after(HANG):
        cancel = current_loop().start_task(task, contextvars.copy_context())
        await began.wait()
        cancel()
        await ended.wait()
        await anyio.wait_all_tasks_blocked()
        cancel()


def test_a_loop_that_was_closed_with_callbacks_left_says_so() -> None:
    """It accepted one between its last turn and its end; the next caller still has to know."""

    async def get() -> LoopHandle:
        return current_loop()

    loop = asyncio.new_event_loop()
    handle = loop.run_until_complete(get())
    handle.call_soon(lambda: None)
    loop.close()
    assert handle.call_soon(lambda: None) is False


def test_a_module_that_another_thread_is_importing_is_no_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is among the modules before it has its contents."""
    monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))
    monkeypatch.setitem(sys.modules, "sniffio", types.ModuleType("sniffio"))

    async def get() -> None:
        assert current_loop().loop is asyncio.get_running_loop()
        assert dict(context_for_thread()) == dict(contextvars.copy_context())

    asyncio.run(get())
