"""For tests of code that caches: a timer that is set by hand, faults made to order, and more.

What is here is imported when it is asked for, so that having the pytest plugin installed costs a
suite nothing, and a program that wants the timer needs no pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .faulty import AsyncFaultyBackend, Fault, FaultyBackend
    from .refreshes import wait_for_refreshes
    from .suite import BackendSuite
    from .timer import FakeTimer

__all__ = [
    "AsyncFaultyBackend",
    "BackendSuite",
    "FakeTimer",
    "Fault",
    "FaultyBackend",
    "wait_for_refreshes",
]

_HOMES: Final = {
    "AsyncFaultyBackend": "faulty",
    "BackendSuite": "suite",
    "FakeTimer": "timer",
    "Fault": "faulty",
    "FaultyBackend": "faulty",
    "wait_for_refreshes": "refreshes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
