"""Counters of one cache, and the `cache_info()` they are shown as.

Counts are bumped with a bare `stats.hits += 1`, without a lock. CPython with the GIL switches
threads only on a function's entry, on a call and on a backward jump, none of which lies between
the read and the store of that statement, so no count is lost; a stress test in tests/ holds it to
that. On a free-threaded build counts are approximate.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

__all__ = ["CacheInfo", "Prewarmed", "Stats"]


class _Functools(NamedTuple):
    hits: int
    misses: int
    maxsize: float | None
    currsize: float | None


class CacheInfo(_Functools):
    """The tuple that `functools` gives, with more to tell as attributes beside it.

    As in `os.stat_result`, the attributes below are not part of the sequence: unpacking and
    comparing see `hits, misses, maxsize, currsize` alone.

    Attributes:
        hits: calls answered from the cache, by another caller's running load, or stale.
        misses: all other calls; `hits + misses` is the number of calls.
        maxsize: the bound (entries, or the unit of `getsizeof`); None when there is none.
        currsize: what is held now, in the same unit; None where the store cannot tell.
        expirations: misses that found an entry past its lifetime.
        stale_hits: hits that were answered with a stale value.
        evictions: entries dropped for want of room.
        failures: cache errors absorbed or raised: `Full`, `OperationFailed`, failing hooks, and
            exceptions of the function that no caller got.
        loads: times the function was run to fill the cache.
        load_failures: loads that raised.
        load_time: seconds spent in loads.
        failures_by: `failures` by variant and operation: a mapping such as
            `{("OperationFailed", "read"): 3}`. The operation of a `Full` is None, of a failing hook
            "call" or "report".
    """

    expirations: int
    stale_hits: int
    evictions: int
    failures: int
    loads: int
    load_failures: int
    load_time: float
    failures_by: dict[tuple[str, str | None], int]

    def __new__(  # noqa: D102 - the class says what the fields are
        cls,
        hits: int = 0,
        misses: int = 0,
        maxsize: float | None = None,
        currsize: float | None = None,
        **more: Any,
    ) -> Self:
        self = super().__new__(cls, hits, misses, maxsize, currsize)
        unknown = more.keys() - _MORE.keys() - {"failures_by"}
        if unknown:
            raise TypeError(f"CacheInfo has no field {', '.join(sorted(unknown))}")
        self.__dict__.update(_MORE | {"failures_by": {}} | more)
        return self

    @property
    def hit_rate(self) -> float:
        """Hits per call, 0.0 before any call."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"CacheInfo is read-only: cannot set {name!r}")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"CacheInfo({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (tuple(self), dict(self.__dict__))


_MORE: dict[str, float] = {
    "expirations": 0,
    "stale_hits": 0,
    "evictions": 0,
    "failures": 0,
    "loads": 0,
    "load_failures": 0,
    "load_time": 0.0,
}


def _rebuild(fields: tuple[Any, ...], more: dict[str, float]) -> CacheInfo:
    info: Any = CacheInfo
    return info(*fields, **more)  # type: ignore[no-any-return]


class Prewarmed(NamedTuple):
    """What a prewarming did.

    Attributes:
        loaded: calls that were made and stored.
        fresh: calls whose value was there already.
        failed: calls that raised; each is logged.
    """

    loaded: int
    fresh: int
    failed: int


class Stats:
    """The counters of one cache; see `CacheInfo` for what each means."""

    __slots__ = (
        "errors",
        "evictions",
        "expirations",
        "failures",
        "hits",
        "load_failures",
        "load_time",
        "loads",
        "misses",
        "stale_hits",
    )

    def __init__(self) -> None:
        #: Failures by variant and operation, counted by `memo.alerts` as they are made heard.
        self.errors: dict[tuple[str, str | None], int] = {}
        self.reset()

    def reset(self) -> None:
        """Set every counter to zero."""
        self.hits = self.misses = self.expirations = self.stale_hits = 0
        self.failures = self.evictions = self.loads = self.load_failures = 0
        self.load_time = 0.0
        self.errors.clear()

    def add(self, other: Stats) -> None:
        """Add the counts of `other` to these."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, count in dict(other.errors).items():
            self.errors[kind] = self.errors.get(kind, 0) + count

    def info(self, maxsize: float | None, currsize: float | None) -> CacheInfo:
        """The counts as `cache_info()` shows them."""
        return CacheInfo(
            self.hits,
            self.misses,
            maxsize,
            currsize,
            expirations=self.expirations,
            stale_hits=self.stale_hits,
            evictions=self.evictions,
            failures=self.failures,
            loads=self.loads,
            load_failures=self.load_failures,
            load_time=self.load_time,
            failures_by=dict(self.errors),
        )


_COUNTERS: Final = tuple(name for name in Stats.__slots__ if name != "errors")
