"""Lifetimes: how long an entry is fresh, how long it may be served stale, when it is refreshed.

*Fresh* and *stale* are RFC 9111's words, `stale_while_revalidate` and `stale_if_error` RFC 5861's,
`soft_timeout` and `hard_timeout` FusionCache's.
"""

from __future__ import annotations

import collections
import contextlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from .entry import FOREVER, Entry, Raised
from .errors import NoValue, detached, shown
from .records import record

__all__ = ["Duration", "Freshness", "Pauses", "seconds"]

Duration = float | timedelta | str

#: Lifetimes of exception types, in seconds.
Kinds = Mapping[type[BaseException], float]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)"
_TEXT: Final = rf"\s*(?:{_PART}\s*)+"
_TAKES: Final = 'seconds (int or float), a timedelta, or text such as "90s", "5m", "1h30m"'


def seconds(
    option: str, value: object, *, zero: bool = True, instead: str = "", takes: str = _TAKES
) -> float:
    """`value` in seconds; the error names `option`.

    Takes an int or a float (seconds), a `timedelta`, or text made of numbers and the units ms, s,
    m, h, d, w: "90s", "1h30m". `zero`: whether it may be 0; `instead` says what to write then, and
    `takes` what the option takes.

    Raises:
        TypeError: another type, or a bool.
        ValueError: text that does not parse, a negative number, or NaN.
    """
    if isinstance(value, timedelta):
        amount = value.total_seconds()
    elif isinstance(value, str):
        if not re.fullmatch(_TEXT, value, re.ASCII):
            raise ValueError(f"{option}={value!r}: takes {takes}")
        parts = re.findall(_PART, value, re.ASCII)
        amount = sum(float(number) * _UNITS[unit] for number, unit in parts)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{option}={shown(value)}: takes {takes}")
    else:
        try:
            amount = float(value)
        except OverflowError:
            amount = math.inf
    if not amount >= 0 or not (amount or zero):
        bounds = [] if amount == 0 else ["must not be negative"]
        bounds += [] if zero else ["must be greater than 0"]
        hint = f" ({instead})" if instead else ""
        raise ValueError(f"{option}={shown(value)}: {', '.join(bounds)}{hint}")
    return amount


@record(frozen=True, kw_only=True)
class Freshness:
    """The lifetime options of one cache, checked and in seconds.

    Attributes:
        ttl: seconds an entry is fresh; `FOREVER`; or a function of the value giving a `Duration`,
            or None for "never expires". A lifetime of zero or less means: do not store.
        stale_while_revalidate: seconds past expiry during which the stale value is served at once
            while it is recomputed in the background.
        stale_if_error: seconds past expiry during which the stale value is served if recomputing
            it raises; the longest of them where `covered` is a mapping.
        covered: seconds by exception type, where not every one is covered alike; see `covering`.
        retry_after: seconds after a load that failed during which what is stale is served without
            trying again.
        soft_timeout: seconds that a call waits for a load where what is stale may be served
            instead; None for as long as it takes.
        hard_timeout: seconds that it waits otherwise; None for as long as it takes.
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
    covered: Kinds | None = None
    retry_after: float = 0.0
    soft_timeout: float | None = None
    hard_timeout: float | None = None
    refresh_after: float | None = None
    jitter: float = 0.0
    keep_stale: float = 0.0
    exceptions: Kinds | None = None

    @classmethod
    def of(
        cls,
        *,
        ttl: Duration | Callable[[Any], Duration | None] | None,
        stale_while_revalidate: Duration = 0,
        stale_if_error: Duration | Mapping[type[BaseException], Duration] = 0,
        retry_after: Duration = 0,
        soft_timeout: Duration | None = None,
        hard_timeout: Duration | None = None,
        refresh_after: float | None = None,
        jitter: float = 0,
        keep_stale: float = 0,
        cache_exceptions: Mapping[type[BaseException], Duration] | None = None,
    ) -> Freshness:
        """Check the options as a user writes them.

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it.
        """
        lifetime = _lifetime(ttl)
        swr = seconds("stale_while_revalidate", stale_while_revalidate)
        covered = None
        if isinstance(stale_if_error, Mapping):
            covered = _kinds("stale_if_error", stale_if_error, zero=True)
            sie = max(covered.values(), default=0.0)
        else:
            takes = f"{_TAKES}, or a mapping from exception types to these"
            sie = seconds("stale_if_error", stale_if_error, takes=takes)
        pause = seconds("retry_after", retry_after)
        soft = _timeout("soft_timeout", soft_timeout)
        hard = _timeout("hard_timeout", hard_timeout)
        for option, wanted in (
            ("stale_while_revalidate", swr),
            ("stale_if_error", sie),
            ("retry_after", pause),
            ("soft_timeout", soft is not None),
            ("refresh_after", refresh_after is not None),
            ("jitter", jitter),
        ):
            if wanted and lifetime is FOREVER:
                raise ValueError(f"{option} needs a ttl: without one nothing gets stale")
        if refresh_after is not None:
            _fraction("refresh_after", refresh_after)
        _fraction("jitter", jitter, zero=True)
        if soft is not None and not (swr or sie or keep_stale):
            raise ValueError(
                f"soft_timeout={shown(soft_timeout)} needs stale_if_error (or another way to serve"
                " what is stale): without one there is nothing to serve instead"
            )
        if pause and not (swr or sie or keep_stale or refresh_after is not None):
            raise ValueError(
                f"retry_after={shown(retry_after)} needs stale_if_error (or another way to serve"
                " what is stale): without one there is nothing to serve meanwhile"
            )
        if soft is not None and hard is not None and soft >= hard:
            raise ValueError(
                f"soft_timeout={shown(soft_timeout)} beside hard_timeout={shown(hard_timeout)}:"
                " must be less, or it is never reached"
            )
        return cls(
            ttl=lifetime,
            stale_while_revalidate=swr,
            stale_if_error=sie,
            covered=covered,
            retry_after=pause,
            soft_timeout=soft,
            hard_timeout=hard,
            refresh_after=refresh_after,
            jitter=jitter,
            keep_stale=keep_stale,
            exceptions=_remembered(cache_exceptions),
        )

    @property
    def fixed(self) -> bool:
        """Whether the lifetime of a value is `ttl`, and nothing else is to be thought of."""
        return not (
            callable(self.ttl)
            or self.jitter
            or self.window
            or self.refresh_after is not None
            or self.exceptions
            or self.hard_timeout is not None
        )

    @property
    def window(self) -> float:
        """Seconds past expiry during which an entry may still be of use."""
        return max(self.stale_while_revalidate, self.stale_if_error, self.keep_stale)

    @property
    def retries_later(self) -> bool:
        """Whether it matters that the last load of a key has failed."""
        return bool(self.retry_after) and (self.window > 0 or self.refresh_after is not None)

    def covering(self, error: BaseException) -> float:
        """Seconds past expiry during which a stale value is served instead of raising `error`."""
        if type(error) is NoValue:
            return 0.0  # the function has answered, and has none
        if self.covered is not None:
            return _nearest(self.covered, error) or 0.0
        return self.stale_if_error if isinstance(error, Exception) else 0.0

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
        lifetime = _nearest(self.exceptions, error) if self.exceptions else None
        if lifetime is None:
            return None
        expires = now + lifetime
        return Entry(Raised(detached(error)), now, expires, expires)

    def remembers(self, error: BaseException) -> bool:
        """Whether exceptions of its type are remembered."""
        return bool(self.exceptions) and _nearest(self.exceptions or {}, error) is not None

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


def _lifetime(
    ttl: Duration | Callable[[Any], Duration | None] | None,
) -> float | Callable[[Any], Duration | None]:
    if ttl is None:
        return FOREVER
    if callable(ttl):
        return ttl
    lifetime = seconds("ttl", ttl, zero=False, instead="maxsize=0 stores nothing")
    return FOREVER if lifetime == FOREVER else lifetime


def _timeout(option: str, value: Any) -> float | None:
    """`value` in seconds; None for none, as is an infinite one."""
    if value is None:
        return None
    timeout = seconds(option, value, zero=False, instead="None: no limit")
    return None if timeout == math.inf else timeout


def _nearest(lifetimes: Kinds, error: BaseException) -> float | None:
    """The lifetime of the nearest type in the line of `error`'s; None where there is none."""
    for kind in type(error).__mro__:
        lifetime = lifetimes.get(kind)
        if lifetime is not None:
            return lifetime
    return None


def _remembered(given: Any) -> Kinds | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(
            f"cache_exceptions={shown(given)}: takes a mapping from exception types to lifetimes"
        )
    return _kinds("cache_exceptions", given)


def _kinds(option: str, given: Mapping[Any, Any], *, zero: bool = False) -> Kinds:
    checked: dict[type[BaseException], float] = {}
    for kind, lifetime in given.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"{option}: {shown(kind)} is no subclass of Exception")
        checked[kind] = seconds(f"{option}[{kind.__name__}]", lifetime, zero=zero)
    return checked


class Pauses:
    """The keys whose last load has failed, each with the moment until which it is not tried again.

    Args:
        seconds: how long each pause is.
        most: of how many keys it knows; beyond them the oldest is forgotten.
    """

    __slots__ = ("_keys", "_most", "_seconds")

    def __init__(self, seconds: float, most: int = 1024) -> None:
        self._seconds = seconds
        self._most = most
        #: Until when, and for how long past its expiry a stale value stands in for the failure.
        self._keys: collections.OrderedDict[Any, tuple[float, float]] = collections.OrderedDict()

    def begin(self, key: Any, now: float, window: float) -> None:
        """The load of `key` has failed; a stale value may stand in `window` seconds past expiry."""
        self._keys.pop(key, None)
        self._keys[key] = (now + self._seconds, window)
        while len(self._keys) > self._most:
            with contextlib.suppress(KeyError):  # another thread was quicker
                self._keys.popitem(last=False)

    def end(self, key: Any) -> None:
        """`key` has a value again, or none at all."""
        if self._keys:
            self._keys.pop(key, None)

    def clear(self) -> None:
        """No key has failed."""
        self._keys.clear()

    def window(self, key: Any, now: float) -> float | None:
        """The window that `begin` was given for `key`; None where it may be loaded."""
        pause = self._keys.get(key) if self._keys else None
        # A pause that is longer than all are: the clock has been set back.
        if pause is None or not 0 < pause[0] - now <= self._seconds:
            return None
        return pause[1]

    def __len__(self) -> int:
        return len(self._keys)
