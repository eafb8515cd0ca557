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
the holder of the lock, if there is one; whoever releases it looks for such work.
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
from functools import partial
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
        # Guards all below but `_deferred`. Reentrant: the garbage collector may run while it is
        # held, and end an abandoned request, which then withdraws its job.
        self._lock = threading.RLock()
        self._deferred: deque[Callable[[], object]] = deque()  # to be done with the lock held
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
        self._idle: list[threading.Lock] = []
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
                self._deferred.append(partial(self._add_deferred, job))
                starts_now = False
        except BaseException:
            with suppress(RuntimeError):  # if a signal handler has raised when it was released
                lock.release()
            raise
        if self._deferred:
            self._do_deferred()
        return starts_now

    def withdraw(self, job: Job, then: Callable[[], object]) -> None:
        """Take back a job that waits for a thread, and call ``then``; nothing if it has started.

        Never waits: ``then`` may be called by another thread, a little later.
        """
        self._deferred.append(partial(self._withdraw, job, then))
        self._do_deferred()

    def _do_deferred(self) -> None:
        """Do what was deferred, or leave it to the thread that holds the lock."""
        lock, deferred = self._lock, self._deferred
        try:
            while deferred and lock.acquire(blocking=False):
                while deferred:
                    deferred.popleft()()
                lock.release()  # now look again: there may be more meanwhile
        except BaseException:
            with suppress(RuntimeError):
                lock.release()
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
            len(self._backlog) + len(self._deferred),
        )

    def open(self) -> None:
        """Accept jobs until every user has called `leave`; also after `close`."""
        with self._lock:
            self._users += 1
            self._closed = None
        self._do_deferred()

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
        self._do_deferred()
        return closing

    def reopen(self, closing: object) -> None:
        """Accept jobs again, without a user, unless the pool was closed by another closing."""
        with self._lock:
            if self._closed is closing:
                self._closed = None
        self._do_deferred()

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
        self._do_deferred()
        with self._lock:
            taken = self._jobs()
        while True:
            with self._lock:
                threads = list(self._threads)
                jobs = [job for job in self._jobs() if job in taken]
                if self._closed is None and not jobs:
                    threads = []
            self._do_deferred()
            left = deadline - time.monotonic()
            if not threads or left <= 0:
                return [str(job) for job in jobs]
            threads[0].join(min(left, _REOPENED_CHECK_SECONDS))

    def _refuse_jobs(self) -> object:
        self._closed = closing = object()
        while self._idle:  # busy threads check after their job
            self._idle.pop().release()
        return closing

    def _jobs(self) -> list[Job]:
        return [*(job for job in self._threads.values() if job is not None), *self._backlog]

    # --- places: called with the lock held --------------------------------------------------------

    def _add(self, job: Job) -> bool:
        """Place a job, or let it wait; see `submit`."""
        if self._closed is not None:
            raise PoolClosed
        if self._free > 0 and self._running < self._limit:  # like _place, at less cost
            self._free -= 1
            self._running += 1
            self._put(job)
            return True
        self._require_room()
        if not self._has_place():
            self._backlog[job] = None
            return False
        return self._place(job)

    def _require_room(self) -> None:
        """Raise unless there is a place for a job, or one to wait; also without the lock."""
        if self._closed is not None:
            raise PoolClosed
        if (
            self._max_queue is not None
            and not self._has_place()
            and len(self._backlog) + len(self._deferred) >= self._max_queue
        ):
            raise PoolFull

    def _add_deferred(self, job: Job) -> None:
        """Place a job that was accepted, even if the pool has been closed since."""
        if not self._has_place():
            self._backlog[job] = None
            return
        try:
            self._place(job)
        except RuntimeError:  # the system cannot start the first thread
            self._backlog[job] = None

    def _withdraw(self, job: Job, then: Callable[[], object]) -> None:
        if job in self._backlog:
            del self._backlog[job]
            then()

    def _has_place(self) -> bool:
        return self._running < self._limit and (
            self._free > 0 or len(self._threads) < self._max_threads
        )

    def _place(self, job: Job) -> bool:
        """Give a place to a job, in a new thread if none is free; False if none can start."""
        if self._free <= 0 and not self._start_thread():
            self._backlog[job] = None
            self._backlog.move_to_end(job, last=False)  # until another job is done
            return False
        self._free -= 1
        self._running += 1
        self._put(job)
        return True

    def _put(self, job: Job) -> None:
        self._inbox.append(job)
        if self._idle and not self._waking:
            self._wake()

    def _wake(self) -> None:
        """Wake the thread that has waited for the shortest time."""
        self._waking = True
        self._idle.pop().release()

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
        bell = threading.Lock()  # released to wake this thread
        bell.acquire()
        with self._lock:
            if me not in self._threads:  # its start was interrupted
                self._threads[me] = None
                self._free += 1
        self._do_deferred()
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
        """Return a job for this thread's place, or for this thread if it gives up the place."""
        following = None
        with self._lock:
            if self._backlog and self._running <= self._limit:
                following = self._backlog.popitem(last=False)[0]
            else:
                self._threads[me] = None  # an idle thread keeps nothing of its last job alive
                self._running -= 1
                self._free += 1
                following = self._take()
        if self._deferred:
            self._do_deferred()
        return following

    def _next_job(self, me: threading.Thread, bell: threading.Lock) -> Job | None:
        """Wait for a job; None if this thread must end."""
        rang = timed_out = False
        while True:
            with self._lock:
                if rang:
                    self._waking = False
                job = self._take()
                ends = job is None and (timed_out or self._closed is not None)
                if ends:
                    self._free -= 1
                    del self._threads[me]
                elif job is None:
                    self._idle.append(bell)
            if self._deferred:
                self._do_deferred()
            if job is not None or ends:
                return job
            rang = bell.acquire(timeout=self._idle_timeout)
            if not rang:
                with self._lock:
                    timed_out = bell in self._idle
                    if timed_out:
                        self._idle.remove(bell)
                    else:  # it was rung just as the time ran out
                        rang = bell.acquire()

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
            if self._backlog and self._has_place():
                self._place(self._backlog.popitem(last=False)[0])
        self._do_deferred()

    def go_on(self) -> None:
        """Take a place again, whether or not one is free."""
        with self._lock:
            self._stalled -= 1
            self._running += 1
        self._do_deferred()


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
