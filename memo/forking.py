"""What has locks or threads is put right in a forked child, where the other threads are gone."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["ForkableLock", "mend_after_fork"]


class Forkable(Protocol):
    """Something with state that a fork can leave unusable."""

    def after_fork_in_child(self) -> None:
        """Make this usable in a child process in which only the forking thread goes on."""


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()


def mend_after_fork(thing: Forkable) -> None:
    """Have `thing.after_fork_in_child()` called in every forked child, as long as it lives."""
    _known.add(thing)


class ForkableLock:
    """A re-entrant lock that is free in a forked child, whichever thread of the parent held it.

    To be taken as `with this.lock:`. The lock itself is C: an interrupt between taking it and the
    block, which a Python `__enter__` would leave room for, would keep it taken for ever.
    """

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Be a new lock, unless it is the forking thread itself that holds this one."""
        if self.lock.acquire(blocking=False):
            self.lock.release()
        else:
            self.lock = threading.RLock()


def _in_child() -> None:
    for thing in list(_known):
        thing.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
