"""The worker pool: threads that run applications, and do not count while their client stalls.

An ordinary thread pool has one weakness: with as many slow clients as threads, nothing else runs.
Here a worker that only waits for its client (to read the response, or to send the body) does so
within `WorkerPool.waiting`, and gives up its place to another. So ``threads`` bounds the
applications that compute, and stalled clients cost one idle thread each, up to ``max_threads``.

A worker whose client continues does not queue for a place again: it may hold a lock that the
workers with places wait for. So more than ``threads`` may run; new jobs start only below that
number.

An event loop must not wait for the pool's lock: its holder may be a worker that has to wait for the
interpreter's lock, behind all others that compute. So `submit` and `withdraw` leave their work to
the thread that holds the lock, if there is one; every release is followed by a look for such work.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gatebridge._concurrency.daemon_thread import DaemonThread

_logger = logging.getLogger("gatebridge")

Job = Callable[[], Callable[[], object] | None]
"""A callable for a worker to run. It handles its own errors; ``str(job)`` names it in a log.

If it returns a callable, the pool calls it after freeing the worker, so that the code it notifies
can submit another job at once.
"""

_REOPENED_CHECK_SECONDS = 0.1  # interval at which `join` checks if the pool was opened again


class PoolClosed(Exception):  # noqa: N818 - a state, like queue.Full
    """The pool takes no more jobs."""


class PoolFull(Exception):  # noqa: N818 - a state, like queue.Full
    """``max_queue`` jobs are already waiting for a thread."""


class PoolStatistics(NamedTuple):
    """A pool's threads and jobs at one moment.

    Attributes:
        threads: Threads alive, busy or idle.
        running: Applications running, including those blocked on anything except the client.
        stalled: Applications that wait for their client to take the response or send the body, or
            on ``gatebridge.disconnected``.
        waiting: Requests that wait for a thread.
    """

    threads: int
    running: int
    stalled: int
    waiting: int


class WorkerPool:
    """Threads started on demand, ended when idle.

    Args:
        threads: Jobs that may run at a time, not counting those that wait for their client.
        max_threads: Threads that may exist, at least ``threads``.
        max_queue: Jobs that may wait for a thread; None for any number.
        idle_timeout: Seconds without a job after which a thread ends.
        name: The beginning of the threads' names.
    """

    def __init__(
        self,
        *,
        threads: int,
        max_threads: int,
        max_queue: int | None,
        idle_timeout: float,
        name: str,
    ) -> None:
        self._limit = threads
        self._max_threads = max_threads
        self._max_queue = max_queue
        self._idle_timeout = min(idle_timeout, threading.TIMEOUT_MAX)
        self._name = name
        self.forget_threads()
        _pools.add(self)

    def forget_threads(self) -> None:
        """Begin without threads: at construction, and in a forked child, which inherits none."""
        # Guards all below but the two queues for its holder. Reentrant: the garbage collector may
        # run while it is held, and end an abandoned request, which then withdraws its job.
        self._lock = threading.RLock()
        self._arrivals: deque[Job] = deque()  # accepted, and left for the holder of the lock
        self._withdrawals: deque[tuple[Job, Callable[[], object]]] = deque()  # the same
        self._threads: dict[threading.Thread, Job | None] = {}  # with the job of each
        self._free = 0  # threads without a job, minus jobs in the inbox
        self._running = 0
        self._stalled = 0
        self._started = 0
        self._closed: object | None = None  # the latest closing, unless the pool was opened since
        self._users = 0  # users that opened it and have not left
        self._backlog: OrderedDict[Job, None] = OrderedDict()  # jobs without a place
        # Jobs with a place, for the next thread that comes; and the bells of those that wait for
        # one. The latest is woken first: what it used last is still in the processor's caches. Only
        # one is on its way at a time, and wakes the next if it finds more than one job: a burst of
        # short jobs is run by the first, and does not wake as many threads as there are jobs.
        self._inbox: deque[Job] = deque()
        self._idle: dict[SimpleQueue[None], None] = {}
        self._waking = False

    def submit(self, job: Job) -> bool:
        """Run ``job`` in a thread. Never waits.

        Returns:
            True if it starts now, False if it may have to wait for a thread.

        Raises:
            PoolClosed: After `close`.
            PoolFull: ``max_queue`` jobs are already waiting.
            RuntimeError: The system cannot start the first thread.
        """
        lock = self._lock
        try:
            if lock.acquire(False):  # noqa: FBT003 - by name it costs twice as much
                starts_now = self._add(job)
                lock.release()
            else:
                self._require_room()
                self._arrivals.append(job)
                starts_now = False
        except BaseException:
            with suppress(RuntimeError):  # if a signal handler has raised when it was released
                lock.release()
            self._settle(anyway=True)  # a wake may have been interrupted
            raise
        if self._arrivals or self._withdrawals:
            self._settle()
        return starts_now

    def withdraw(self, job: Job, then: Callable[[], object]) -> None:
        """Take back a job that waits for a thread, and call ``then``; nothing if it has started.

        Never waits: ``then`` may be called by another thread, a little later.
        """
        self._withdrawals.append((job, then))
        self._settle()

    def _settle(self, *, anyway: bool = False) -> None:
        """Do what was left for the holder of the lock, unless another thread holds it now.

        To be called after each release of the lock.

        Args:
            anyway: Whether to look once even if nothing was left.
        """
        lock = self._lock
        try:
            while (anyway or self._arrivals or self._withdrawals) and lock.acquire(blocking=False):
                anyway = False
                self._take_in()
                lock.release()  # now look again: there may be more meanwhile
        except BaseException:
            with suppress(RuntimeError):
                lock.release()
            self._settle(anyway=True)
            raise

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context manager to wait for a client in.

        It does nothing in a thread of another owner: an application may wait in its own threads,
        which have no place to give up.
        """
        return _Waiting(self) if threading.current_thread() in self._threads else nullcontext()

    def statistics(self) -> PoolStatistics:
        """Return the current numbers of threads and jobs."""
        # Without the lock, for which an event loop must not wait.
        return PoolStatistics(
            len(self._threads),
            self._running,
            self._stalled,
            len(self._backlog) + len(self._arrivals),
        )

    def open(self) -> None:
        """Accept jobs until every user has called `leave`; also after `close`."""
        with self._lock:
            self._users += 1
            self._closed = None
        self._settle()

    def leave(self) -> object | None:
        """Accept no more jobs if this was the last user.

        This is one atomic step: a user that comes a moment later finds the pool closed, and opens
        it.

        Returns:
            For the last user, this closing, for `reopen`; otherwise None.
        """
        with self._lock:
            self._users -= 1
            closing = None if self._users else self._refuse_jobs()
        self._settle()
        return closing

    def reopen(self, closing: object) -> None:
        """Accept jobs again, without a user, unless the pool was closed by another closing."""
        with self._lock:
            if self._closed is closing:
                self._closed = None
        self._settle()

    def close(self, timeout: float) -> list[str]:
        """Accept no more jobs, then `join`."""
        with self._lock:
            self._refuse_jobs()
        return self.join(timeout)

    def join(self, timeout: float) -> list[str]:
        """Wait until the accepted jobs are done, and the threads of a closed pool have ended.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            ``str(job)`` of each accepted job that is not done; its thread is abandoned.
        """
        deadline = time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)
        self._settle()
        with self._lock:
            taken = self._jobs()
        while True:
            with self._lock:
                threads = list(self._threads)
                jobs = [job for job in self._jobs() if job in taken]
                if self._closed is None and not jobs:
                    threads = []
            self._settle()
            left = deadline - time.monotonic()
            if not threads or left <= 0:
                return [str(job) for job in jobs]
            threads[0].join(min(left, _REOPENED_CHECK_SECONDS))

    def _refuse_jobs(self) -> object:
        self._closed = closing = object()
        for bell in self._idle:  # busy threads check after their job
            bell.put(None)
        self._idle.clear()
        return closing

    def _jobs(self) -> list[Job]:
        at_work = [job for job in self._threads.values() if job is not None]
        return [*at_work, *self._inbox, *self._backlog]

    # --- places: called with the lock held --------------------------------------------------------

    # An exception of a signal handler comes at a call or a jump. So numbers and queues that belong
    # together change without one in between.

    def _add(self, job: Job) -> bool:
        """Place a job, or let it wait; see `submit`."""
        if self._closed is not None:
            raise PoolClosed
        if self._free > 0 and self._running < self._limit:  # as below, at less cost
            self._free -= 1
            self._running += 1
            self._inbox.append(job)
            if self._idle and not self._waking:
                self._wake()
            return True
        self._require_room()
        self._backlog[job] = None
        try:
            self._place_waiting()
        except BaseException:
            self._backlog.pop(job, None)
            raise
        return job not in self._backlog

    def _require_room(self) -> None:
        """Raise unless a job would get a place, or may wait for one; also without the lock."""
        if self._closed is not None:
            raise PoolClosed
        if self._max_queue is not None:
            waiting = len(self._backlog) + len(self._arrivals)
            if waiting - self._places() >= self._max_queue:
                raise PoolFull

    def _take_in(self) -> None:
        """Place what has arrived or let it wait, withdraw what is to be withdrawn."""
        while True:
            try:
                job = self._arrivals[0]
            except IndexError:
                break
            self._backlog[job] = None
            del self._arrivals[0]
        while True:
            try:
                job, then = self._withdrawals.popleft()
            except IndexError:
                break
            if job in self._backlog:
                del self._backlog[job]
                then()
        with suppress(RuntimeError):  # the system cannot start the first thread
            self._place_waiting()
        if self._inbox and self._idle and not self._waking:  # a wake was interrupted
            self._wake()

    def _places(self) -> int:
        """Return how many jobs more could start now."""
        threads = self._free + self._max_threads - len(self._threads)
        return max(min(self._limit - self._running, threads), 0)

    def _place_waiting(self) -> None:
        """Give places to the jobs that have waited longest, in new threads if none is free."""
        while self._backlog and self._places() > 0:
            if self._free <= 0 and not self._start_thread():
                return  # they wait until another job is done
            job = next(iter(self._backlog), None)
            if job is None:  # it was withdrawn meanwhile
                return
            del self._backlog[job]
            self._free -= 1
            self._running += 1
            self._inbox.append(job)
            if self._idle and not self._waking:
                self._wake()

    def _wake(self) -> None:
        """Wake the thread that has waited for the shortest time."""
        bell = next(reversed(self._idle))
        bell.put(None)
        # If this is interrupted, the thread does the rest.
        self._waking = True
        del self._idle[bell]

    def _start_thread(self) -> bool:
        self._started += 1
        thread = DaemonThread(self._work, f"{self._name}-{self._started}")
        self._threads[thread] = None  # before the start: it may find another job in the inbox
        try:
            thread.start()
        except BaseException as exc:
            del self._threads[thread]
            # Anything but a RuntimeError comes from a signal handler. If the thread runs after
            # all, it adds itself again.
            if not (isinstance(exc, RuntimeError) and self._threads):
                raise
            return False  # the system cannot start another thread
        self._free += 1
        return True

    # --- threads ----------------------------------------------------------------------------------

    def _work(self) -> None:
        me = threading.current_thread()
        bell: SimpleQueue[None] = SimpleQueue()
        with self._lock:
            if me not in self._threads:  # its start was interrupted
                self._threads[me] = None
                self._free += 1
        self._settle()
        while (job := self._next_job(me, bell)) is not None:
            while job is not None:
                job = self._do(me, job)

    def _do(self, me: threading.Thread, job: Job) -> Job | None:
        """Run a job; return the next one if one waits."""
        self._threads[me] = job
        notify = None
        try:
            notify = job()
        except BaseException:
            _logger.exception("a worker thread failed at %s", job)
        following = self._after_job(me)
        try:
            if notify is not None:
                notify()
        except BaseException:
            _logger.exception("a worker thread failed after %s", job)
        return following

    def _after_job(self, me: threading.Thread) -> Job | None:
        """Return the next job for this thread's place; give up the place if no job waits."""
        following = None
        with self._lock:
            if self._backlog and self._running <= self._limit:
                following = self._backlog.popitem(last=False)[0]
            else:
                self._threads[me] = None  # an idle thread keeps nothing of its last job alive
                self._running -= 1
                self._free += 1
        if self._arrivals or self._withdrawals:
            self._settle()
        return following

    def _next_job(self, me: threading.Thread, bell: SimpleQueue[None]) -> Job | None:
        """Wait for a job; None if this thread must end."""
        rang = timed_out = False
        while True:
            with self._lock:
                if rang:
                    self._waking = False
                    self._idle.pop(bell, None)  # if the wake was interrupted
                job = self._take()
                ends = job is None and (timed_out or self._closed is not None)
                ends = ends and not self._arrivals
                if ends:
                    self._free -= 1
                    del self._threads[me]
                elif job is None:
                    self._idle[bell] = None
            if self._arrivals or self._withdrawals:
                self._settle()
            if job is not None or ends:
                return job
            rang, timed_out = self._wait(bell), False
            if not rang:
                with self._lock:
                    timed_out = bell in self._idle
                    if timed_out:
                        del self._idle[bell]
                rang = not timed_out and self._wait(bell)  # it was rung just as the time ran out

    def _wait(self, bell: SimpleQueue[None]) -> bool:
        """Wait for the bell; False if the idle timeout came first."""
        try:
            bell.get(timeout=self._idle_timeout)
        except Empty:
            return False
        return True

    def _take(self) -> Job | None:
        """Return the next job with a place, if there is one; with the lock held."""
        if not self._inbox:
            return None
        job = self._inbox.popleft()
        if self._inbox and self._idle and not self._waking:
            self._wake()
        return job

    def stall(self) -> None:
        """Give up the place of the calling worker, which is about to wait for its client."""
        with self._lock:
            self._running -= 1
            self._stalled += 1
            self._place_waiting()
        self._settle()

    def go_on(self) -> None:
        """Take a place again, whether or not one is free."""
        with self._lock:
            self._stalled -= 1
            self._running += 1
        self._settle()


class _Waiting:
    __slots__ = ("_pool",)

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    def __enter__(self) -> None:
        self._pool.stall()

    def __exit__(self, *exc_info: object) -> None:
        self._pool.go_on()


# Not PerProcess, which would cost each job a system call. No server that forks without these hooks,
# as uWSGI does, serves ASGI applications.
_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
