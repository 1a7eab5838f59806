"""One backend operation, made safe: whatever goes wrong in it becomes a `CacheError`, in time.

Stores in this process answer at once and have guards that only translate (`direct`). All others
can fail, slow down or hang: their guards (`blocking`, `awaiting`) keep to a deadline, try again,
ask a circuit breaker first (`circuit`), and keep what could not reach the backend
(`memo.recovery`) until it can (`replays`). What is decided about that is in `bounded`, and what all
caches on one backend share in `origins`.
"""

from __future__ import annotations

from typing import Any

from ..backends.base import is_async
from .awaiting import AwaitingGuard
from .blocking import BlockingGuard
from .budget import Budget
from .circuit import Circuit, Drill
from .direct import AsyncGuard, Guard

__all__ = [
    "AsyncGuard",
    "AwaitingGuard",
    "BlockingGuard",
    "Budget",
    "Circuit",
    "Drill",
    "Guard",
    "answers_at_once",
    "async_guard_of",
    "guard_of",
]


def answers_at_once(backend: Any) -> bool:
    """Whether `backend` is in this process and never waits: it is not `blocking`, nor async."""
    return not getattr(backend, "blocking", True) and not is_async(backend)


def guard_of(backend: Any, scope: Any, **more: Any) -> Guard | BlockingGuard:
    """The guard of a blocking backend; `more` as `Bounded` has it."""
    if answers_at_once(backend):
        return Guard(backend, scope)
    return BlockingGuard(backend, scope, **more)


def async_guard_of(backend: Any, scope: Any, **more: Any) -> AsyncGuard | AwaitingGuard:
    """The guard of a backend of either colour, for async functions."""
    if answers_at_once(backend):
        return AsyncGuard(backend, scope)
    return AwaitingGuard(backend, scope, **more)
