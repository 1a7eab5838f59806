"""memo: memoization that may make a program faster, and never wrong, slow or dead."""

from __future__ import annotations

from ._version import __version__
from .breaker import Breaker, Health
from .cache import AsyncCache, Cache
from .configuration import bypass, configure
from .decorator import cached
from .entry import Entry, Outcome
from .errors import CacheError, Expired, Full, LoadTimeout, Miss, OperationFailed
from .functions import AsyncCachedFunction, CachedFunction
from .many import AsyncCachedMany, CachedMany
from .policy import CALL, EVICT, RAISE, SKIP, STALE, Policy, fallback, raise_as
from .prewarm import Prewarmed
from .stats import CacheInfo

__all__ = [
    "CALL",
    "EVICT",
    "RAISE",
    "SKIP",
    "STALE",
    "AsyncCache",
    "AsyncCachedFunction",
    "AsyncCachedMany",
    "Breaker",
    "Cache",
    "CacheError",
    "CacheInfo",
    "CachedFunction",
    "CachedMany",
    "Entry",
    "Expired",
    "Full",
    "Health",
    "LoadTimeout",
    "Miss",
    "OperationFailed",
    "Outcome",
    "Policy",
    "Prewarmed",
    "__version__",
    "bypass",
    "cached",
    "configure",
    "fallback",
    "raise_as",
]
