"""Stores that people already have, as backends: any `cachetools.Cache`, any mutable mapping."""

from __future__ import annotations

import time
import weakref
from collections.abc import MutableMapping
from typing import Any

import cachetools

from ..entry import Entry
from ..errors import Full, OperationFailed
from ..forking import ForkableLock
from ..steps import ALONE, Watch
from .base import in_scope

__all__ = ["CachetoolsBackend", "MappingBackend", "adapted"]


class MappingBackend:
    """Keeps entries in a mutable mapping of the user's, which bounds itself if at all.

    Every operation on the mapping is made under one lock. Values put there by others are not
    entries, and reading one fails.
    """

    name = "mapping"
    blocking = False
    exact = True
    timer = staticmethod(time.monotonic)

    def __init__(self, mapping: MutableMapping[Any, Any]) -> None:
        self.mapping = mapping
        self._lock = ForkableLock()
        #: Whether it must not be asked for what it does not have, as a defaultdict.
        self._makes_missing = hasattr(type(mapping), "__missing__")

    def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, expired or not, or None."""
        with self._lock.lock:
            if self._makes_missing and key not in self.mapping:
                return None
            try:
                entry = self.mapping[key]
            except KeyError:
                return None
        if type(entry) is not Entry:
            raise OperationFailed(
                f"the mapping holds a {type(entry).__name__} that was not stored by memo"
            )
        return entry

    def write(self, key: Any, entry: Entry, /, unless: Watch = ALONE) -> int:
        """Store `entry` under `key`, unless it says that it is superseded."""
        with self._lock.lock:
            if not unless.superseded:
                self.mapping[key] = entry
        return 0

    def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`; returns whether there was anything."""
        with self._lock.lock:
            try:
                del self.mapping[key]
            except KeyError:
                return False
        return True

    def clear(self) -> None:
        """Drop everything, also what others have put there."""
        with self._lock.lock:
            self.mapping.clear()

    def clear_scope(self, scope: Any) -> None:
        """Drop the entries whose key is a tuple that begins with `scope`."""
        with self._lock.lock:
            for key in list(self.mapping):
                if in_scope(key, scope):
                    self.mapping.pop(key, None)

    @property
    def maxsize(self) -> float | None:
        """None: a mapping has no bound that could be known."""
        return None

    @property
    def currsize(self) -> float | None:
        """How many entries there are."""
        return len(self.mapping)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {type(self.mapping).__name__}>"


class CachetoolsBackend(MappingBackend):
    """Keeps entries in a `cachetools.Cache` of the user's, which bounds itself.

    Its `getsizeof` is given the entry (`memo.entry.Entry`), whose first field is the value.
    """

    name = "cachetools"

    def __init__(self, cache: cachetools.Cache[Any, Any]) -> None:
        super().__init__(cache)
        self._cache = cache

    def write(self, key: Any, entry: Entry, /, unless: Watch = ALONE) -> int:
        """Store `entry` under `key`; returns how many entries were evicted for it.

        What `unless` says is superseded is not stored.

        Raises:
            Full: the cache says that the value is too large for it.
        """
        with self._lock.lock:
            if unless.superseded:
                return 0
            before = len(self._cache) + (key not in self._cache)
            try:
                self._cache[key] = entry
            except ValueError as error:
                if "too large" not in str(error):
                    raise
                self._cache.pop(key, None)  # what it held is outdated
                raise Full(key, too_large=True) from error
            return max(0, before - len(self._cache))

    def evict(self, n: int = 1) -> int:
        """Drop `n` entries, expired ones first, then by the cache's own order; how many it were."""
        now = self.timer()
        dropped = 0
        with self._lock.lock:
            for key in list(self._cache):
                if dropped == n:
                    return n
                # The base class's look-up does not count as use.
                entry = cachetools.Cache.__getitem__(self._cache, key)
                if type(entry) is Entry and now >= entry.expires:
                    del self._cache[key]
                    dropped += 1
            while dropped < n and self._cache:
                self._cache.popitem()
                dropped += 1
        return dropped

    @property
    def maxsize(self) -> float | None:
        """The cache's own bound."""
        return self._cache.maxsize

    @property
    def currsize(self) -> float | None:
        """What the cache says it holds, in its own unit."""
        return self._cache.currsize


_adapted: weakref.WeakValueDictionary[int, MappingBackend] = weakref.WeakValueDictionary()
_adapted_lock = ForkableLock()


def adapted(mapping: MutableMapping[Any, Any]) -> MappingBackend:
    """The one backend on `mapping`: whoever uses the mapping uses the same lock."""
    with _adapted_lock.lock:
        backend = _adapted.get(id(mapping))
        if backend is None or backend.mapping is not mapping:
            if isinstance(mapping, cachetools.Cache):
                backend = CachetoolsBackend(mapping)
            else:
                backend = MappingBackend(mapping)
            _adapted[id(mapping)] = backend
        return backend
