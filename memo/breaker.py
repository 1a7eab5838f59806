"""The words around a circuit breaker: how it is to be (`Breaker`), and how a backend is (`Health`).

A *circuit breaker* (Nygard, "Release It!") stops asking what keeps failing: after so many failures
it is *open*, and operations fail at once; now and then one of them is let through as a *probe*
(it is *half-open*), and when one succeeds it is *closed* again. What does this is
`memo.guard.Circuit`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal

from .errors import shown
from .freshness import Duration, seconds
from .records import record

__all__ = ["Breaker", "Health"]

State = Literal["closed", "half-open", "open"]
Status = Literal["up", "degraded", "down"]


@record(frozen=True, kw_only=True)
class Breaker:
    """When a backend is given up for a while, and when it is tried again.

    It opens after `failures` operations in a row have failed, or, where `rate` is given, when that
    share of the operations in a window has: a window begins with a failure, lasts `window` seconds,
    and is judged from `minimum_calls` operations on.

    Attributes:
        failures: failures in a row after which it opens; at least 1.
        rate: share of failures, more than 0 and at most 1, from which it opens; None: not judged.
        window: seconds (or a timedelta, or text such as "10s") over which `rate` is taken.
        minimum_calls: operations in a window without which its `rate` says nothing.
        probe_every: seconds between two probes of an open breaker.
        on_change: called with the `Health` of the backend after the breaker has opened, and after
            it has closed. What it raises is logged.
        timer: seconds, monotonic: the clock of window and probes.

    Raises:
        TypeError, ValueError: when built with something else; the message names the field.
    """

    failures: int = 5
    rate: float | None = None
    window: Duration = 10.0
    minimum_calls: int = 20
    probe_every: Duration = 1.0
    on_change: Callable[[Health], object] | None = None
    timer: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        for name in ("failures", "minimum_calls"):
            _check_count(f"Breaker({name}", getattr(self, name))
        if self.rate is not None:
            if isinstance(self.rate, bool) or not isinstance(self.rate, int | float):
                raise TypeError(f"Breaker(rate={shown(self.rate)}): takes a number, or None")
            if not 0 < self.rate <= 1:
                raise ValueError(
                    f"Breaker(rate={self.rate!r}): must be more than 0 and at most 1, or None"
                )
        for name in ("window", "probe_every"):
            amount = seconds(f"Breaker.{name}", getattr(self, name), zero=False)
            if amount == math.inf:
                raise ValueError(f"Breaker({name}={amount}): must be finite")
            object.__setattr__(self, name, amount)
        if self.on_change is not None and not callable(self.on_change):
            raise TypeError(
                f"Breaker(on_change={shown(self.on_change)}): takes a callable of a memo.Health, "
                "or None"
            )
        if not callable(self.timer):
            raise TypeError(f"Breaker(timer={shown(self.timer)}): takes a callable giving seconds")

    def __hash__(self) -> int:
        # Without the callables, which may be of a kind that has none.
        judged = (self.failures, self.rate, self.window, self.minimum_calls)
        return hash((judged, self.probe_every))

    def __repr__(self) -> str:
        changed = ", ".join(
            f"{name}={shown(value)}"
            for name, value in vars(self).items()
            if value != getattr(Breaker, name)
        )
        return f"Breaker({changed})"


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={shown(value)}): takes a whole number of at least 1")
    if value < 1:
        raise ValueError(f"{name}={value!r}): takes a whole number of at least 1")


@record(frozen=True, kw_only=True)
class Health:
    """How a backend is, as far as this process has seen.

    Attributes:
        backend: its name.
        status: "up"; "degraded": it failed last, is being probed, or is owed something; "down":
            its breaker is open.
        breaker: "closed", "open" or "half-open" (a probe is under way); None where there is none:
            the policy has it off, or the backend is in this process's memory.
        since: seconds since the breaker last opened or closed, or since it was made.
        failures: operations that have failed in a row.
        last_error: what the last failure was, in words; None when there has been none.
        owed: writes and drops that have not reached the backend and will be tried again.
        dropped: writes that were given up for good because too many were owed.
    """

    backend: str
    status: Status = "up"
    breaker: State | None = None
    since: float = 0.0
    failures: int = 0
    last_error: str | None = None
    owed: int = 0
    dropped: int = 0
