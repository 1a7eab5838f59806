"""A policy that absorbs every error, as the default does, and remembers having been asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from ..errors import CacheError, Expired, Full, Miss, OperationFailed
from ..policy import CALL, EVICT, Action, Policy

__all__ = ["WHAT_WAS_DONE", "Sightings"]

#: For each of the four errors the default action, and what it comes to for a token.
WHAT_WAS_DONE: Final[dict[type[CacheError], tuple[Action, str]]] = {
    Miss: (CALL, "asked the endpoint, stored the token"),
    Expired: (CALL, "asked the endpoint again, replaced the token"),
    Full: (EVICT, "nothing could go; handed the token out unstored"),
    OperationFailed: (CALL, "went without the cache"),
}


class Sightings:
    """The errors met so far.

    Args:
        first: called with the first error of each kind, in the thread that met it.
    """

    def __init__(self, first: Callable[[CacheError], object]) -> None:
        self.counts: Counter[type[CacheError]] = Counter()
        #: `Full` and `OperationFailed` that `on_error` heard of.
        self.heard = 0
        self._first = first
        self._lock = threading.Lock()
        self.policy = Policy(
            miss=self._decide,
            expired=self._decide,
            full=self._decide,
            failed=self._decide,
            on_error=self._hear,
        )

    def _decide(self, error: CacheError) -> Action:
        with self._lock:
            self.counts[type(error)] += 1
            is_first = self.counts[type(error)] == 1
        if is_first:
            self._first(error)
        return WHAT_WAS_DONE[type(error)][0]

    def _hear(self, _error: CacheError) -> None:
        with self._lock:
            self.heard += 1
