"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from fractions import Fraction
from typing import Any

from ..errors import shown
from ..freshness import Duration, seconds

__all__ = ["FakeTimer"]


class FakeTimer:
    """A `timer` for tests: calling it gives seconds, and only `advance` moves it.

    It may be called and advanced from any thread. Steps are added up exactly: ten steps of 0.1 s
    are one second.

    Args:
        start: seconds it stands at, to begin with.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._exact = Fraction(_step("start", start))
        self._now = float(self._exact)
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds it stands at."""
        return self._now

    def advance(self, seconds: Duration) -> float:
        """Let time pass; returns the seconds it then stands at.

        Args:
            seconds: a number, a timedelta or text such as "90s" or "5m". A negative number or
                timedelta sets the clock back, as it happens to the Unix time of a real machine.

        Raises:
            TypeError: another type.
            ValueError: text that does not parse, or a step that is not finite.
        """
        step = Fraction(_step("seconds", seconds))
        with self._lock:
            self._exact += step
            self._now = float(self._exact)
            return self._now

    def __repr__(self) -> str:
        return f"FakeTimer({self._now!r})"


def _step(option: str, value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    back = isinstance(value, int | float) and value < 0
    amount = seconds(option, -value) if back else seconds(option, value)
    if not math.isfinite(amount):
        raise ValueError(f"{option}={shown(value)}: must be finite")
    return -amount if back else amount
