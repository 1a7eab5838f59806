"""memo: memoization that may make a program faster, and never wrong, slow or dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .breaker import Breaker, Health
from .cache import AsyncCache, Cache
from .configuration import bypass, configure
from .decorator import cached
from .entry import Entry, Outcome
from .errors import CacheError, Expired, Full, LoadTimeout, Miss, OperationFailed
from .functions import AsyncCachedFunction, CachedFunction
from .policy import CALL, EVICT, RAISE, SKIP, STALE, Policy, fallback, raise_as
from .stats import CacheInfo, Prewarmed

if TYPE_CHECKING:
    from .many import AsyncCachedMany, CachedMany

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


def __getattr__(name: str) -> Any:
    # What few programs use is imported when it is asked for.
    if name not in {"AsyncCachedMany", "CachedMany"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import many

    return getattr(many, name)
