"""One act of the story, as its callers saw it: what they asked, got, and how long they waited."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from ..stats import CacheInfo
from .server import Log

__all__ = ["Act", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """An act in figures: a line of the table.

    Attributes:
        tokens: how many tokens the server has issued for it, by the server's own log.
        hits, misses, expired, failed: what `cache_info()` has counted in it; None without a cache.
        median, slowest: seconds a request took: the median, and what 95 of 100 stay below.
    """

    name: str
    requests: int
    tokens: int
    hits: int | None = None
    misses: int | None = None
    expired: int | None = None
    failed: int | None = None
    median: float = 0.0
    slowest: float = 0.0

    @property
    def hit_rate(self) -> float | None:
        """Hits per call; None without a cache."""
        if self.hits is None or self.misses is None:
            return None
        return self.hits / max(1, self.hits + self.misses)


@dataclass(slots=True)
class Act:
    """What is going on.

    Attributes:
        name: its line in the table.
        about: what happens, in a sentence or two.
        log: looks into the server's log.
        info: the cache's counters; None where there is no cache.
        latencies: seconds that each request took, a token included.
        errors: what reached the callers, which should be nothing.
        wrong: users who were given the answer of another, or a token that had run out.
        renewed: how many tokens the server refused and the client therefore asked for anew.
    """

    name: str
    about: str
    log: Callable[[], Log]
    info: Callable[[], CacheInfo] | None = None
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    _issued_before: int = 0
    _before: CacheInfo = field(default_factory=CacheInfo)

    def __post_init__(self) -> None:
        self._issued_before = self.log().issued.total()
        if self.info is not None:
            self._before = self.info()

    def row(self) -> Row:
        """The act in figures, as far as it has got."""
        latencies = sorted(self.latencies)
        requests = len(latencies)
        row = {
            "name": self.name,
            "requests": requests,
            "tokens": self.log().issued.total() - self._issued_before,
            "median": statistics.median(latencies) if latencies else 0.0,
            "slowest": latencies[requests * 95 // 100] if latencies else 0.0,
        }
        if self.info is not None:
            now, before = self.info(), self._before
            row |= {
                "hits": now.hits - before.hits,
                "misses": now.misses - before.misses,
                "expired": now.expirations - before.expirations,
                "failed": now.failures - before.failures,
            }
        return Row(**row)  # type: ignore[arg-type]
