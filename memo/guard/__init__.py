"""One backend operation, made safe: whatever goes wrong in it becomes a `CacheError`, in time.

Stores in this process answer at once and have guards that only translate (`direct`). All others
can fail, slow down or hang: their guards (`blocking`, `awaiting`) keep to a deadline, try again,
ask a circuit breaker first (`circuit`), and keep what could not reach the backend
(`memo.recovery`) until it can (`replays`). What is decided about that is in `bounded`, and what all
caches on one backend share in `origins`. All of this is imported for the first backend that can
fail: when it is adopted, and so before there is a call that could wait for an import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..backends.base import is_async
from .budget import Budget
from .direct import AsyncGuard, Guard

if TYPE_CHECKING:
    from .awaiting import AwaitingGuard
    from .blocking import BlockingGuard
    from .circuit import Circuit, Drill

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
    "prepare",
]

_HOMES: Final = {
    "AwaitingGuard": "awaiting",
    "BlockingGuard": "blocking",
    "Circuit": "circuit",
    "Drill": "circuit",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def answers_at_once(backend: Any) -> bool:
    """Whether `backend` is in this process and never waits: it is not `blocking`, nor async."""
    return not getattr(backend, "blocking", True) and not is_async(backend)


def prepare(backend: Any) -> None:
    """Import what the guards of `backend` are made of."""
    if not answers_at_once(backend):
        from . import awaiting  # noqa: F401 - with all that it needs


def guard_of(backend: Any, scope: Any, **more: Any) -> Guard | BlockingGuard:
    """The guard of a blocking backend; `more` as `Bounded` has it."""
    if answers_at_once(backend):
        return Guard(backend, scope)
    from .blocking import BlockingGuard

    return BlockingGuard(backend, scope, **more)


def async_guard_of(backend: Any, scope: Any, **more: Any) -> AsyncGuard | AwaitingGuard:
    """The guard of a backend of either colour, for async functions."""
    if answers_at_once(backend):
        return AsyncGuard(backend, scope)
    from .awaiting import AwaitingGuard

    return AwaitingGuard(backend, scope, **more)
