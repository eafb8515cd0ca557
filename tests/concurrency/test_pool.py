"""The worker pool: places, backlog, stalls, idle threads, the end, and fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from gatebridge._concurrency.pool import PoolClosed, PoolFull, WorkerPool

HANG = 5  # seconds


class Job:
    """Says when it has started, and runs until it may end; may stall in between."""

    def __init__(self, name: str = "job", pool: WorkerPool | None = None) -> None:
        self.name = name
        self.started, self.ended = threading.Event(), threading.Event()
        self.may_end, self.may_go_on = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self._pool = pool

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        if self._pool is None:
            self.started.set()
        else:
            with self._pool.waiting():
                self.started.set()
                assert self.may_go_on.wait(HANG)
        assert self.may_end.wait(HANG)
        self.ended.set()

    def end(self) -> None:
        self.may_end.set()
        assert self.ended.wait(HANG)


@pytest.fixture
def make_pool() -> Iterator[Any]:
    pools: list[WorkerPool] = []

    def make(threads: int = 2, **options: Any) -> WorkerPool:
        options = {"max_threads": 10, "max_queue": None, "idle_timeout": 60.0, **options}
        pools.append(WorkerPool(threads=threads, name="test", **options))
        return pools[-1]

    yield make
    assert [job for pool in pools for job in pool.close(HANG)] == []


def submit(pool: WorkerPool, count: int, *, stalls: bool = False) -> list[Job]:
    """Submit jobs that start at once, and wait until they have (until they stall, if they do)."""
    jobs = [Job(f"job {number}", pool if stalls else None) for number in range(count)]
    for job in jobs:
        pool.submit(job)
        assert job.started.wait(HANG)
    return jobs


def settle(pool: WorkerPool, **numbers: int) -> None:
    """Wait until the statistics have these numbers, which a worker changes after its job."""
    deadline = threading.Event()
    for _ in range(HANG * 1000):
        if all(getattr(pool.statistics(), name) == each for name, each in numbers.items()):
            return
        deadline.wait(0.001)
    raise AssertionError(f"{pool.statistics()} instead of {numbers}")


def until_closed(pool: WorkerPool) -> None:
    """Wait until `close` has begun in another thread."""
    for _ in range(HANG * 1000):
        if pool._closed is not None:
            return
        threading.Event().wait(0.001)
    raise AssertionError("not closed")


def test_threads_start_on_demand(make_pool: Any) -> None:
    pool = make_pool(2)
    assert pool.statistics() == (0, 0, 0, 0)
    (first,) = submit(pool, 1)
    assert pool.statistics() == (1, 1, 0, 0)
    (second,) = submit(pool, 1)
    assert pool.statistics() == (2, 2, 0, 0)
    first.end()
    second.end()


def test_a_free_thread_is_used_again(make_pool: Any) -> None:
    pool = make_pool(2)
    threads = set()
    for _ in range(5):
        (job,) = submit(pool, 1)
        job.end()
        threads.add(job.thread)
        settle(pool, running=0)
    assert len(threads) == 1
    assert pool.statistics() == (1, 0, 0, 0)


def test_threads_are_daemons_and_named(make_pool: Any) -> None:
    (job,) = submit(make_pool(), 1)
    assert job.thread is not None
    assert job.thread.daemon
    assert job.thread.name == "test-1"
    job.end()


def test_what_has_no_place_waits_in_order(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    queued = [Job(f"queued {number}") for number in range(3)]
    assert [pool.submit(job) for job in queued] == [False] * 3
    assert pool.statistics() == (1, 1, 0, 3)
    previous = running
    for number, job in enumerate(queued):
        assert not job.started.is_set()
        previous.end()
        assert job.started.wait(HANG)
        assert pool.statistics() == (1, 1, 0, 2 - number)
        previous = job
    previous.end()


def test_a_bounded_backlog_refuses_more(make_pool: Any) -> None:
    pool = make_pool(1, max_queue=1)
    (running,) = submit(pool, 1)
    queued = Job()
    assert pool.submit(queued) is False
    with pytest.raises(PoolFull):
        pool.submit(Job())
    queued.may_end.set()
    running.end()
    assert queued.ended.wait(HANG)


def test_no_backlog_at_all(make_pool: Any) -> None:
    pool = make_pool(1, max_queue=0)
    (running,) = submit(pool, 1)
    with pytest.raises(PoolFull):
        pool.submit(Job())
    running.end()
    settle(pool, running=0)
    (again,) = submit(pool, 1)
    again.end()


def test_a_waiting_job_can_be_withdrawn_and_a_started_one_not(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    queued = Job()
    pool.submit(queued)
    withdrawn: list[Job] = []
    for job in (running, queued, queued):
        pool.withdraw(job, partial(withdrawn.append, job))
    assert withdrawn == [queued]
    running.end()
    settle(pool, running=0, waiting=0)
    assert not queued.started.is_set()


def test_a_job_is_done_when_its_place_is_free(make_pool: Any) -> None:
    """Whoever hears that it is done finds a free thread, so that no second one is started."""
    pool, seen, done = make_pool(1), [], threading.Event()

    def say_done() -> None:
        seen.append(pool.statistics())
        done.set()

    pool.submit(lambda: say_done)
    assert done.wait(HANG)
    assert seen == [(1, 0, 0, 0)]


@pytest.mark.parametrize("when", ["running", "saying so"])
def test_a_job_that_fails_costs_no_thread(
    when: str, make_pool: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SystemExit

    pool = make_pool(1)
    pool.submit(fail if when == "running" else lambda: fail)
    settle(pool, running=0, waiting=0)
    (job,) = submit(pool, 1)
    assert pool.statistics() == (1, 1, 0, 0)
    job.end()
    (record,) = caplog.records
    assert record.message.startswith("a worker thread failed a")


def test_a_thread_of_the_application_has_no_place_to_give_up(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    with pool.waiting():
        assert pool.statistics() == (1, 1, 0, 0)
    running.end()


def test_a_stalled_job_gives_up_its_place(make_pool: Any) -> None:
    pool = make_pool(1)
    stalled = submit(pool, 5, stalls=True)
    assert pool.statistics() == (5, 0, 5, 0)
    (running,) = submit(pool, 1)
    assert pool.statistics() == (6, 1, 5, 0)
    for job in stalled:
        job.may_go_on.set()
        job.end()
    running.end()


def test_a_stall_starts_what_waits(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    stalling, queued = Job("stalling", pool), Job("queued")
    assert [pool.submit(stalling), pool.submit(queued)] == [False, False]
    running.end()
    assert stalling.started.wait(HANG)
    assert queued.started.wait(HANG)
    assert pool.statistics() == (2, 1, 1, 0)
    queued.end()
    stalling.may_go_on.set()
    stalling.end()


def test_a_job_that_goes_on_does_not_wait_for_a_place(make_pool: Any) -> None:
    """It may hold a lock that those with places wait for; new jobs start only below the limit."""
    pool = make_pool(1)
    (stalled,) = submit(pool, 1, stalls=True)
    (running,) = submit(pool, 1)
    queued = Job()
    assert pool.submit(queued) is False
    stalled.may_go_on.set()
    settle(pool, running=2, stalled=0)
    stalled.end()
    settle(pool, running=1, waiting=1)
    assert not queued.started.is_set()
    running.end()
    assert queued.started.wait(HANG)
    queued.end()


def test_there_are_never_more_threads_than_allowed(make_pool: Any) -> None:
    pool = make_pool(2, max_threads=3)
    stalled = submit(pool, 3, stalls=True)
    queued = Job()
    assert pool.submit(queued) is False
    assert pool.statistics() == (3, 0, 3, 1)
    stalled[0].may_go_on.set()
    stalled[0].end()
    assert queued.started.wait(HANG)
    assert pool.statistics().threads == 3
    queued.end()
    for job in stalled[1:]:
        job.may_go_on.set()
        job.end()


def test_an_idle_thread_ends_and_another_starts_later(make_pool: Any) -> None:
    pool = make_pool(2, idle_timeout=0.01)
    (first,) = submit(pool, 1)
    first.end()
    assert first.thread is not None
    first.thread.join(HANG)
    assert not first.thread.is_alive()
    assert pool.statistics() == (0, 0, 0, 0)
    (second,) = submit(pool, 1)
    assert second.thread is not first.thread
    second.end()


def test_no_job_is_lost_at_the_end_of_an_idle_thread(make_pool: Any) -> None:
    """Jobs come at about the time at which threads give up."""
    pool = make_pool(2, idle_timeout=0.0)
    for _ in range(300):
        ran = threading.Event()
        pool.submit(ran.set)
        assert ran.wait(HANG)


def test_a_job_that_raises_does_not_end_its_thread(
    make_pool: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(1)

    def fail() -> None:
        raise SystemExit("of the job")

    pool.submit(fail)
    settle(pool, running=0)
    assert "of the job" in caplog.text
    (job,) = submit(pool, 1)
    assert pool.statistics().threads == 1
    job.end()


def test_an_idle_thread_keeps_nothing_of_its_last_job(make_pool: Any) -> None:
    import gc
    import weakref

    pool = make_pool(1)
    (job,) = submit(pool, 1)
    job.end()
    settle(pool, running=0)
    gone = weakref.ref(job)
    del job
    gc.collect()
    assert gone() is None


def test_a_closed_pool_takes_nothing_and_has_no_threads(make_pool: Any) -> None:
    pool = make_pool(2)
    for job in submit(pool, 2):
        job.end()
    assert pool.close(HANG) == []
    assert pool.statistics() == (0, 0, 0, 0)
    with pytest.raises(PoolClosed):
        pool.submit(Job())
    assert pool.close(HANG) == []  # twice: no effect


def test_close_waits_for_running_and_waiting_jobs(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    queued = Job()
    pool.submit(queued)
    abandoned: list[list[str]] = []
    closing = threading.Thread(target=lambda: abandoned.append(pool.close(HANG)))
    closing.start()
    until_closed(pool)
    assert not abandoned
    running.end()
    assert queued.started.wait(HANG)
    queued.end()
    closing.join(HANG)
    assert abandoned == [[]]


def test_close_names_what_is_not_done_in_time(make_pool: Any) -> None:
    pool = make_pool(1)
    (running,) = submit(pool, 1)
    queued = Job("queued job")
    pool.submit(queued)
    assert sorted(pool.close(0)) == ["job 0", "queued job"]
    queued.may_end.set()
    running.end()
    assert queued.ended.wait(HANG)  # abandoned, not ended


def test_a_closed_pool_can_be_opened_again(make_pool: Any) -> None:
    pool = make_pool(1)
    pool.close(HANG)
    pool.open()
    (job,) = submit(pool, 1)
    job.end()


def test_a_pool_opened_while_its_threads_end_still_works(make_pool: Any) -> None:
    pool = make_pool(2)
    (running,) = submit(pool, 1)
    assert pool.close(0) == ["job 0"]
    pool.open()
    (other,) = submit(pool, 1)
    running.end()
    other.end()
    for _ in range(5):
        (job,) = submit(pool, 1)
        job.end()


_FORK = """
    import os, threading
    from gatebridge._concurrency.pool import WorkerPool

    pool = WorkerPool(threads=1, max_threads=1, max_queue=0, idle_timeout=60.0, name="test")
    busy, go_on = threading.Event(), threading.Event()
    pool.submit(lambda: (busy.set(), go_on.wait(5)) and None)
    assert busy.wait(5)
    pid = os.fork()
    if pid == 0:
        # Where the parent's only place is taken, the child has one of its own.
        status = 1
        try:
            assert pool.statistics() == (0, 0, 0, 0), pool.statistics()
            ran = threading.Event()
            assert pool.submit(ran.set) is True
            assert ran.wait(5)
            assert pool.close(5) == []
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.statistics() == (1, 1, 0, 0)
    go_on.set()
    assert pool.close(5) == []
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_begins_without_threads() -> None:
    done = subprocess.run(
        # From 3.12 on Python warns of any fork of a process with threads.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(_FORK)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_burst_of_jobs_is_run_completely(make_pool: Any) -> None:
    pool = make_pool(3)
    ran, done = [], threading.Event()

    def job(number: int) -> None:
        ran.append(number)
        if len(ran) == 1000:
            done.set()

    for number in range(1000):
        pool.submit(lambda number=number: job(number))
    assert done.wait(HANG)
    settle(pool, running=0, waiting=0)
    assert sorted(ran) == list(range(1000))
    assert pool.statistics().threads <= 3


def test_a_close_waits_for_no_job_that_came_after_the_pool_was_opened_again(
    make_pool: Any,
) -> None:
    """They are those of another event loop, which has started up meanwhile."""
    pool, abandoned = make_pool(2), []
    (before,) = submit(pool, 1)
    closing = threading.Thread(target=lambda: abandoned.append(pool.close(HANG * 10)))
    closing.start()
    until_closed(pool)
    pool.open()
    (after,) = submit(pool, 1)
    assert closing.is_alive()
    before.end()
    closing.join(HANG)
    assert (closing.is_alive(), abandoned) == (False, [[]])
    after.end()


def test_a_job_can_be_withdrawn_while_the_pool_is_at_work_in_the_same_thread() -> None:
    """The collector of cycles may end an abandoned request at any point of the pool's code."""
    pool = WorkerPool(threads=1, max_threads=1, max_queue=None, idle_timeout=60.0, name="test")
    withdrawn: list[Job] = []
    (running,) = submit(pool, 1)
    queued = Job()
    pool.submit(queued)

    def withdraw() -> None:
        with pool._lock:
            pool.withdraw(queued, partial(withdrawn.append, queued))

    thread = threading.Thread(target=withdraw, daemon=True)
    thread.start()
    thread.join(HANG)
    assert withdrawn == [queued]
    running.end()
    assert pool.close(HANG) == []


def idle_threads(pool: WorkerPool, count: int) -> None:
    """Let a pool have that many idle threads."""
    jobs = submit(pool, count)
    for job in jobs:
        job.end()
    settle(pool, running=0, threads=count)


def test_jobs_of_one_burst_do_not_wait_for_one_that_blocks(make_pool: Any) -> None:
    """Though only one idle thread is woken at a time."""
    pool = make_pool(4)
    idle_threads(pool, 4)
    jobs = [Job(f"job {number}") for number in range(4)]
    for job in jobs:
        pool.submit(job)
    for job in jobs:
        assert job.started.wait(HANG)
    assert len({job.thread for job in jobs}) == 4
    for job in jobs:
        job.end()


def test_the_thread_that_was_used_last_is_used_next(make_pool: Any) -> None:
    pool = make_pool(4)
    idle_threads(pool, 4)
    used = set()
    for _ in range(10):
        (job,) = submit(pool, 1)
        used.add(job.thread)
        job.end()
        settle(pool, running=0)
        for _ in range(HANG * 1000):  # until it waits again
            if len(pool._idle) == 4:
                break
            threading.Event().wait(0.001)
    assert len(used) == 1


def test_threads_that_are_not_needed_end_while_others_work(make_pool: Any) -> None:
    pool = make_pool(3, idle_timeout=0.05)
    idle_threads(pool, 3)
    for _ in range(HANG * 1000):
        (job,) = submit(pool, 1)
        job.end()
        if pool.statistics().threads == 1:
            return
        threading.Event().wait(0.001)
    raise AssertionError(pool.statistics())


class LockHolder:
    """A thread that holds a pool's lock, as a worker that has lost the interpreter's lock."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._holds, self._release = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def _hold(self) -> None:
        with self._pool._lock:
            self._holds.set()
            assert self._release.wait(HANG)
        self._pool.reopen(object())  # as after every use of the lock, looks for what was left

    def __enter__(self) -> None:
        self._thread.start()
        assert self._holds.wait(HANG)

    def __exit__(self, *exc_info: object) -> None:
        self._release.set()
        self._thread.join(HANG)


def test_an_event_loop_never_waits_for_the_lock_of_the_pool(make_pool: Any) -> None:
    pool, withdrawn, ran = make_pool(1), [], threading.Event()
    (running,) = submit(pool, 1)
    queued, later = Job("queued"), Job("later")
    pool.submit(queued)
    with LockHolder(pool):  # otherwise each of these would wait until it ends
        pool.withdraw(queued, partial(withdrawn.append, queued))
        assert pool.submit(later) is False
        assert pool.submit(ran.set) is False
        assert pool.statistics().running == 1
        assert withdrawn == []
    assert withdrawn == [queued]
    running.end()
    assert later.started.wait(HANG)
    later.end()
    assert ran.wait(HANG)
    assert not queued.started.is_set()


def test_a_full_or_closed_pool_says_so_while_its_lock_is_held(make_pool: Any) -> None:
    pool = make_pool(1, max_threads=1, max_queue=1)
    (running,) = submit(pool, 1)
    waits = threading.Event()
    with LockHolder(pool):
        pool.submit(waits.set)
        with pytest.raises(PoolFull):
            pool.submit(Job())
    running.end()
    assert waits.wait(HANG)
    pool.close(HANG)
    with LockHolder(pool), pytest.raises(PoolClosed):
        pool.submit(Job())


class Interrupted:
    """A lock after whose next acquisition a signal handler raises."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.raises = True

    def acquire(self, blocking: bool = True) -> bool:
        acquired: bool = self.lock.acquire(blocking=blocking)
        raises, self.raises = self.raises, False
        if raises:
            raise KeyboardInterrupt
        return acquired

    def release(self) -> None:
        self.lock.release()


def test_a_signal_handler_that_raises_keeps_neither_the_lock_nor_a_job(make_pool: Any) -> None:
    pool, ran, withdrawn = make_pool(1), threading.Event(), []
    (running,) = submit(pool, 1)
    queued = Job()
    pool.submit(queued)
    lock = pool._lock
    for interrupted in (
        lambda: pool.submit(Job()),
        lambda: pool.withdraw(queued, partial(withdrawn.append, queued)),
    ):
        pool._lock = Interrupted(lock)
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        pool._lock = lock
    assert withdrawn == [queued]
    running.end()  # with the lock
    pool.submit(ran.set)
    assert ran.wait(HANG)


class InterruptedBell:
    """The bell of an idle thread; a signal handler raises just before it is first rung."""

    def __init__(self, bell: Any) -> None:
        self.bell = bell
        self.raises = True

    def put(self, item: None) -> None:
        raises, self.raises = self.raises, False
        if raises:
            raise KeyboardInterrupt
        self.bell.put(item)


def test_a_wake_that_a_signal_handler_interrupts_does_not_stop_later_ones(make_pool: Any) -> None:
    pool, first = make_pool(1, max_threads=1), threading.Event()
    idle_threads(pool, 1)
    for _ in range(HANG * 1000):
        if pool._idle:
            break
        threading.Event().wait(0.001)
    (bell,) = pool._idle
    pool._idle = {InterruptedBell(bell): None}
    with pytest.raises(KeyboardInterrupt):
        pool.submit(first.set)
    assert first.wait(HANG)  # it was accepted before
    settle(pool, running=0)
    for _ in range(3):
        (job,) = submit(pool, 1)
        job.end()
        settle(pool, running=0)


def test_jobs_that_wait_for_the_holder_of_the_lock_count_in_the_queue(make_pool: Any) -> None:
    pool = make_pool(1, max_threads=1, max_queue=0)
    with LockHolder(pool):
        pool.submit(lambda: None)
        with pytest.raises(PoolFull):
            pool.submit(lambda: None)
    pool = make_pool(1, max_threads=1, max_queue=1)
    (running,) = submit(pool, 1)
    with LockHolder(pool):
        pool.withdraw(Job(), lambda: None)  # this does not
        pool.submit(lambda: None)
    running.end()


def test_a_submit_that_fails_leaves_nobody_waiting(
    make_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may have left its work to this one."""
    pool, withdrawn = make_pool(1, max_threads=1, max_queue=1), []
    (running,) = submit(pool, 1)
    queued = Job()
    pool.submit(queued)
    add = pool._add

    def add_beside(job: Any) -> bool:
        other = threading.Thread(
            target=pool.withdraw, args=(queued, partial(withdrawn.append, queued))
        )
        other.start()
        other.join(HANG)
        assert withdrawn == []
        started: bool = add(job)
        return started

    monkeypatch.setattr(pool, "_add", add_beside)
    with pytest.raises(PoolFull):
        pool.submit(Job())
    assert withdrawn == [queued]
    running.end()


def test_a_job_for_which_the_system_has_no_thread_stays_the_first(
    make_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(1)
    stalling, first, second = Job("stalling", pool), Job("first"), Job("second")
    with monkeypatch.context() as patch:
        pool.submit(stalling)
        assert stalling.started.wait(HANG)
        blocker = Job("blocker")
        assert pool.submit(blocker)
        assert blocker.started.wait(HANG)
        another = Job("another", pool)
        assert [pool.submit(job) for job in (another, first, second)] == [False] * 3
        patch.setattr(threading.Thread, "start", _no_thread)
        blocker.end()  # its thread takes the next, which stalls, and there is no other thread
        assert another.started.wait(HANG)
        settle(pool, stalled=2, running=0, waiting=2)
    stalling.may_go_on.set()
    stalling.end()
    assert first.started.wait(HANG)
    assert not second.started.is_set()
    first.end()
    second.end()
    another.may_go_on.set()
    another.end()


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="needs the interpreter's lock"
)
@pytest.mark.parametrize("stalls", [False, True])
def test_nobody_waits_for_a_new_thread_to_run(make_pool: Any, stalls: bool) -> None:
    """To run takes the interpreter's lock: beside busy threads an event loop would stand still."""
    pool = make_pool(threads=1)
    first, second = Job("first"), Job("second")
    pool.submit(first)
    assert first.started.wait(HANG)
    if stalls:
        pool.submit(second)
    other = make_pool()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # seconds: no thread gets the lock unless this one waits
    try:
        if stalls:
            pool.stall()
        else:
            other.submit(second)
        threads = [each for each in threading.enumerate() if each.name.startswith("test-")]
        begun = [thread for thread in threads if thread.is_alive()]
    finally:
        sys.setswitchinterval(interval)
    if stalls:
        pool.go_on()
    assert begun == [first.thread]
    assert second.started.wait(HANG)
    first.end()
    second.end()


def test_a_close_names_no_job_of_one_who_came_later(make_pool: Any) -> None:
    """Though that one has left by then, too, and the pool is closed for good."""
    pool = make_pool()
    first, second = Job("first"), Job("second")
    pool.open()
    pool.submit(first)
    closing = pool.leave()
    pool.open()
    pool.submit(second)
    assert first.started.wait(HANG)
    assert second.started.wait(HANG)
    assert pool.leave() is not None
    assert sorted(pool.join(0)) == ["first", "second"]
    first.end()
    assert pool.join(0) == ["second"]
    pool.reopen(closing)  # which is not its closing any more
    with pytest.raises(PoolClosed):
        pool.submit(first)
    second.end()


@pytest.mark.parametrize("runs", [False, True])
def test_an_interrupted_start_of_a_thread_leaves_no_ghost(
    make_pool: Any, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    """Whether the thread runs after all or not."""
    pool = make_pool()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if runs:
            start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(Job())
    monkeypatch.undo()
    jobs = [Job(), Job()]
    for job in jobs:
        pool.submit(job)
        assert job.started.wait(HANG)
    assert pool.statistics().threads in ((2, 3) if runs else (2,))
    for job in jobs:
        job.end()
    assert pool.close(HANG) == []
