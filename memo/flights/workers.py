"""Threads for loads whose callers wait no longer than they want.

A thread cannot be interrupted from outside. So that a caller can leave, the function runs in a
thread of its own, and goes on there when nobody waits any more. The threads are daemons: a function
that hangs does not keep the program from exiting.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from sys import is_finalizing
from typing import Any, Final

from ..forking import mend_after_fork

__all__ = ["Workers", "workers"]

_log = logging.getLogger("memo")

#: Seconds between two looks at whether there is a thread to be had.
_ROOM_CHECK: Final = 0.5


class _Job:
    """Work, and whose it is; without `work` it has been withdrawn."""

    __slots__ = ("owner", "work")

    def __init__(self, owner: Any, work: Callable[[], object]) -> None:
        self.owner = owner
        self.work: Callable[[], object] | None = work


class _Worker:
    """A thread, as those see it who have something for it to do.

    It waits for `given`, a lock that whoever sets `job` lets go of. A condition has Python code
    around its locks, in which an interrupt of the one who notifies would lose a notification.
    """

    __slots__ = ("given", "job")

    def __init__(self, job: _Job) -> None:
        self.job: _Job | None = job
        self.given = threading.Lock()
        self.given.acquire()


class Workers:
    """A pool of daemon threads that grows as it is asked to, up to a bound.

    Args:
        most: how many may work at once.
        share: how many of them for one owner: a function that hangs must not take them all.
        idle: seconds without work after which a thread ends.
    """

    def __init__(self, *, most: int = 512, share: int = 64, idle: float = 5.0) -> None:
        self._most = most
        self._share = share
        self._idle = idle
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget the threads: they are the parent's."""
        self._lock = threading.RLock()  # a signal handler may call a cached function
        #: Notified when a job is done.
        self._done = threading.Condition(self._lock)
        #: Those who have nothing to do, who have begun to wait last at the end.
        self._free: list[_Worker] = []
        #: What is being done, or about to be.
        self._jobs: set[_Job] = set()
        #: Whether the present thread is one of these.
        self._here = threading.local()

    @property
    def busy(self) -> int:
        """How many threads work."""
        return len(self._jobs)

    def start(self, owner: Any, work: Callable[[], object], until: float | None) -> bool | None:
        """Have `work()` done in a thread; False where there is none by the moment `until`.

        None, at once, where the caller works here itself: those who hold all the threads would wait
        for each other. And where no thread can be started at all, or does anything any more.
        """
        if is_finalizing():
            return None
        job = _Job(owner, work)
        started = False
        try:
            with self._lock:
                while not self._has_room(owner):
                    if getattr(self._here, "works", False):
                        return None
                    left = math.inf if until is None else until - time.monotonic()
                    if left <= 0:
                        return False
                    self._done.wait(min(left, _ROOM_CHECK))
                self._jobs.add(job)
                if self._free:
                    worker = self._free.pop()
                    worker.job = job
                    worker.given.release()
                    started = True
                    return True
            thread = threading.Thread(
                target=self._run, args=(_Worker(job),), name="memo-load", daemon=True
            )
            thread.start()
            started = True
        except RuntimeError:  # no more threads to be had, or the interpreter is exiting
            return None
        finally:
            if not started:
                job.work = None
                self._forget(job)
        return True

    def _has_room(self, owner: Any) -> bool:
        if len(self._jobs) < min(self._share, self._most):
            return True
        own = sum(job.owner is owner for job in self._jobs)
        return own < self._share and len(self._jobs) < self._most

    def _forget(self, job: _Job) -> None:
        with self._lock:
            self._jobs.discard(job)
            self._done.notify_all()

    def _run(self, worker: _Worker) -> None:
        self._here.works = True
        while (job := worker.job) is not None:
            try:
                if job.work is not None:
                    job.work()
            except BaseException:  # what loads raise is their callers'; the thread goes on
                _log.exception("a load in a thread of its own failed")
            finally:
                self._forget(job)
                del job
            self._wait(worker)

    def _wait(self, worker: _Worker) -> None:
        """Wait for something to do; after a while there is nothing."""
        worker.job = None
        with self._lock:
            self._free.append(worker)
        if worker.given.acquire(timeout=self._idle):
            return  # without the lock, which whoever waits for the work may hold: see `start`
        with self._lock:
            if worker in self._free:
                self._free.remove(worker)
            else:  # it came just now
                worker.given.acquire(blocking=False)


#: The pool of this process.
workers: Final = Workers()
