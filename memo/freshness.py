"""Lifetimes: how long an entry is fresh, how long it may be served stale, when it is refreshed.

*Fresh* and *stale* are RFC 9111's words, `stale_while_revalidate` and `stale_if_error` RFC 5861's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from .entry import FOREVER, Entry, Raised
from .errors import detached, shown

__all__ = ["Duration", "Freshness", "seconds"]

Duration = float | timedelta | str

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)"
_TEXT: Final = re.compile(rf"\s*(?:{_PART}\s*)+", re.ASCII)
_PARTS: Final = re.compile(_PART, re.ASCII)
_TAKES: Final = 'seconds (int or float), a timedelta, or text such as "90s", "5m", "1h30m"'


def seconds(option: str, value: object) -> float:
    """`value` in seconds; the error names `option`.

    Takes an int or a float (seconds), a `timedelta`, or text made of numbers and the units ms, s,
    m, h, d, w: "90s", "1h30m".

    Raises:
        TypeError: another type, or a bool.
        ValueError: text that does not parse, a negative number, or NaN.
    """
    if isinstance(value, timedelta):
        amount = value.total_seconds()
    elif isinstance(value, str):
        if not _TEXT.fullmatch(value):
            raise ValueError(f"{option}={value!r}: takes {_TAKES}")
        amount = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(value))
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option}={shown(value)}: takes {_TAKES}")
    else:
        try:
            amount = float(value)
        except OverflowError:
            amount = math.inf
    if not amount >= 0:
        raise ValueError(f"{option}={shown(value)}: must not be negative")
    return amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The lifetime options of one cache, checked and in seconds.

    Attributes:
        ttl: seconds an entry is fresh; `FOREVER`; or a function of the value giving a `Duration`,
            or None for "never expires". A lifetime of zero or less means: do not store.
        stale_while_revalidate: seconds past expiry during which the stale value is served at once
            while it is recomputed in the background.
        stale_if_error: seconds past expiry during which the stale value is served if recomputing
            it raises.
        refresh_after: fraction of the lifetime after which a hit starts a recomputation in the
            background; None for never.
        jitter: up to this fraction of the lifetime is taken off at random, so that entries stored
            together do not expire together.
        keep_stale: seconds past expiry an entry is worth keeping for the policy's sake.
        exceptions: seconds an exception of each type is remembered.
    """

    ttl: float | Callable[[Any], Duration | None] = FOREVER
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    refresh_after: float | None = None
    jitter: float = 0.0
    keep_stale: float = 0.0
    exceptions: Mapping[type[BaseException], float] | None = None

    @classmethod
    def of(
        cls,
        *,
        ttl: Duration | Callable[[Any], Duration | None] | None,
        stale_while_revalidate: Duration = 0,
        stale_if_error: Duration = 0,
        refresh_after: float | None = None,
        jitter: float = 0,
        keep_stale: float = 0,
        cache_exceptions: Mapping[type[BaseException], Duration] | None = None,
    ) -> Freshness:
        """Check the options as a user writes them.

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it.
        """
        lifetime: float | Callable[[Any], Duration | None]
        if ttl is None:
            lifetime = FOREVER
        elif callable(ttl):
            lifetime = ttl
        else:
            lifetime = seconds("ttl", ttl)
            if lifetime == 0:
                raise ValueError(f"ttl={ttl!r}: must be greater than 0 (maxsize=0 stores nothing)")
            if lifetime == FOREVER:
                lifetime = FOREVER
        swr = seconds("stale_while_revalidate", stale_while_revalidate)
        sie = seconds("stale_if_error", stale_if_error)
        for option, wanted in (
            ("stale_while_revalidate", swr),
            ("stale_if_error", sie),
            ("refresh_after", refresh_after is not None),
            ("jitter", jitter),
        ):
            if wanted and lifetime is FOREVER:
                raise ValueError(f"{option} needs a ttl: without one nothing gets stale")
        if refresh_after is not None:
            _fraction("refresh_after", refresh_after)
        _fraction("jitter", jitter, zero=True)
        return cls(
            ttl=lifetime,
            stale_while_revalidate=swr,
            stale_if_error=sie,
            refresh_after=refresh_after,
            jitter=jitter,
            keep_stale=keep_stale,
            exceptions=_exceptions(cache_exceptions),
        )

    @property
    def fixed(self) -> bool:
        """Whether the lifetime of a value is `ttl`, and nothing is to be done about it before."""
        return not (
            callable(self.ttl)
            or self.jitter
            or self.window
            or self.refresh_after is not None
            or self.exceptions
        )

    @property
    def window(self) -> float:
        """Seconds past expiry during which an entry may still be of use."""
        return max(self.stale_while_revalidate, self.stale_if_error, self.keep_stale)

    def entry(self, value: Any, now: float, random: Callable[[], float]) -> Entry | None:
        """The entry to store for `value`, or None where its lifetime says not to store it.

        Raises:
            Exception: what a user's `ttl` function raised, or its result being no duration.
        """
        ttl = self.ttl
        if callable(ttl):
            given = ttl(value)
            if given is None:
                return Entry(value, now)
            if isinstance(given, timedelta):
                given = given.total_seconds()
            if isinstance(given, int | float) and not isinstance(given, bool) and given <= 0:
                return None
            ttl = seconds("ttl of the value", given)
        if ttl == 0:
            return None
        if ttl == FOREVER:
            return Entry(value, now)
        if self.jitter:
            ttl *= 1.0 - self.jitter * random()
        expires = now + ttl
        window = self.window
        return Entry(value, now, expires, expires + window if window else expires)

    def entry_for_exception(self, error: BaseException, now: float) -> Entry | None:
        """The entry that remembers `error`, or None where its type is not to be remembered."""
        if not self.exceptions:
            return None
        for kind in type(error).__mro__:
            lifetime = self.exceptions.get(kind)
            if lifetime is not None:
                expires = now + lifetime
                return Entry(Raised(detached(error)), now, expires, expires)
        return None

    def refresh_at(self, entry: Entry) -> float:
        """The moment from which a hit on `entry` starts a refresh in the background."""
        if self.refresh_after is None or entry.expires == FOREVER:
            return entry.expires
        return entry.created + (entry.expires - entry.created) * self.refresh_after


def _fraction(option: str, value: object, *, zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option}={shown(value)}: takes a fraction of the ttl between 0 and 1")
    if not (0 <= value <= 1 if zero else 0 < value < 1):
        raise ValueError(f"{option}={value!r}: takes a fraction of the ttl between 0 and 1")


def _exceptions(given: Any) -> dict[type[BaseException], float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(
            f"cache_exceptions={shown(given)}: takes a mapping from exception types to lifetimes"
        )
    checked: dict[type[BaseException], float] = {}
    kind: Any
    for kind, lifetime in given.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"cache_exceptions: {shown(kind)} is no subclass of Exception")
        checked[kind] = seconds(f"cache_exceptions[{kind.__name__}]", lifetime)
        if checked[kind] == 0:
            raise ValueError(f"cache_exceptions[{kind.__name__}]: must be greater than 0")
    return checked
