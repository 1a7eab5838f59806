"""Refreshes behind the callers' backs, for functions that run in threads.

A few daemon threads, started when there is work and gone when there has been none for a while.
At interpreter exit what waits is dropped and what runs is given a moment to end; a function that
hangs cannot keep the program from exiting.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from .forking import mend_after_fork

__all__ = ["Background", "Job", "background"]

_log = logging.getLogger("memo")


class Job:
    """Work for the background, in the name of `owner`.

    `drop` is called instead of `work` where it comes to nothing.
    """

    __slots__ = ("drop", "owner", "work")

    def __init__(
        self, owner: object, work: Callable[[], object], drop: Callable[[], object]
    ) -> None:
        self.owner = owner
        self.work = work
        self.drop = drop


class Background:
    """A small pool of daemon threads that run jobs in the order they came.

    Args:
        workers: how many jobs may run at once.
        waiting: how many may wait; one more is refused.
        idle: seconds without work after which a thread ends.
        grace: seconds that `close` waits for running jobs.
    """

    def __init__(
        self, *, workers: int = 8, waiting: int = 10_000, idle: float = 5.0, grace: float = 1.0
    ) -> None:
        self._workers = workers
        self._most = waiting
        self._idle = idle
        self._grace = grace
        self._reset()

    def after_fork_in_child(self) -> None:
        """Forget jobs and threads: they are the parent's."""
        self._reset()

    def _reset(self) -> None:
        self._jobs: collections.deque[Job] = collections.deque()
        self._running: list[object] = []
        self._changed = threading.Condition()
        self._threads = 0
        self._free = 0
        #: Whether the program is exiting, and no job is taken any more.
        self.closed = False

    def submit(self, job: Job) -> bool:
        """Have `job` run soon; False where it cannot be taken: too many wait, or it is closed."""
        with self._changed:
            if self.closed or len(self._jobs) >= self._most:
                return False
            self._jobs.append(job)
            if self._free >= len(self._jobs) or self._threads >= self._workers:
                self._changed.notify()
                return True
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="memo-refresh", daemon=True).start()
        except RuntimeError:  # no more threads to be had, or the interpreter is exiting
            with self._changed:
                self._threads -= 1
                if self._threads:
                    return True
                with contextlib.suppress(ValueError):
                    self._jobs.remove(job)
                return False
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                until = time.monotonic() + self._idle
                self._free += 1
                while not self._jobs and not self.closed:
                    if not self._changed.wait(until - time.monotonic()):
                        break
                self._free -= 1
                if self.closed or not self._jobs:
                    self._threads -= 1
                    return
                job = self._jobs.popleft()
                self._running.append(job.owner)
            try:
                job.work()
            except BaseException:  # a job's own errors are its own; the thread goes on
                _log.exception("a background refresh failed")
            finally:
                with self._changed:
                    self._running.remove(job.owner)
                    self._changed.notify_all()
                del job

    def wait(self, timeout: float) -> bool:
        """Wait until nothing waits or runs, at most `timeout` seconds; returns whether so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._running, timeout)

    def cancel(self, owner: object) -> None:
        """Drop what waits of `owner`'s, and wait a moment for what runs."""
        with self._changed:
            dropped = [job for job in self._jobs if job.owner is owner]
            for job in dropped:
                self._jobs.remove(job)
        for job in dropped:
            job.drop()
        with self._changed:
            self._changed.wait_for(lambda: owner not in self._running, self._grace)

    def close(self) -> None:
        """Drop what waits, and wait a moment for what runs."""
        with self._changed:
            self.closed = True
            self._jobs.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._running, self._grace)


#: The pool of this process.
background: Final = Background()

atexit.register(background.close)
mend_after_fork(background)
