"""Threads for loads whose callers wait no longer than they want.

A thread cannot be interrupted from outside. So that a caller can leave, the function runs in a
thread of its own, and goes on there when nobody waits any more. The threads are daemons: a function
that hangs does not keep the program from exiting.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ..forking import mend_after_fork

__all__ = ["Workers", "workers"]

_log = logging.getLogger("memo")


class _Job:
    """Work, and whose it is."""

    __slots__ = ("owner", "work")

    def __init__(self, owner: Any, work: Callable[[], object]) -> None:
        self.owner = owner
        self.work = work


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
        lock = threading.RLock()  # a signal handler may call a cached function
        self._changed = threading.Condition(lock)
        #: Waited for by threads that have nothing to do.
        self._given = threading.Condition(lock)
        self._waiting: collections.deque[_Job] = collections.deque()
        self._free = 0
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
        for each other. And where no thread can be started at all.
        """
        job = _Job(owner, work)
        started = False
        try:
            with self._changed:
                while not self._has_room(owner):
                    if getattr(self._here, "works", False):
                        return None
                    left = None if until is None else until - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    self._changed.wait(left)
                self._jobs.add(job)
                if self._free > len(self._waiting):
                    self._waiting.append(job)
                    started = True
                    self._given.notify()
                    return True
            thread = threading.Thread(target=self._run, args=(job,), name="memo-load", daemon=True)
            thread.start()
            started = True
        except RuntimeError:  # no more threads to be had, or the interpreter is exiting
            return None
        finally:
            if not started:
                self._done(job)
        return True

    def _has_room(self, owner: Any) -> bool:
        if len(self._jobs) < self._share:
            return True
        own = sum(job.owner is owner for job in self._jobs)
        return own < self._share and len(self._jobs) < self._most

    def _done(self, job: _Job) -> None:
        with self._changed:
            self._jobs.discard(job)
            self._changed.notify_all()

    def _run(self, job: _Job | None) -> None:
        self._here.works = True
        while job is not None:
            try:
                job.work()
            except BaseException:  # what loads raise is their callers'; the thread goes on
                _log.exception("a load in a thread of its own failed")
            finally:
                self._done(job)
                job = None
            job = self._next()

    def _next(self) -> _Job | None:
        """What to do next; None where there has been nothing for a while."""
        until = time.monotonic() + self._idle
        with self._changed:
            self._free += 1
            try:
                while not self._waiting:
                    if not self._given.wait(until - time.monotonic()):
                        break
                return self._waiting.popleft() if self._waiting else None
            finally:
                self._free -= 1


#: The pool of this process.
workers: Final = Workers()
