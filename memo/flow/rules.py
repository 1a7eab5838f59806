"""What flows go by, and what they all do: ask the policy, try a step, refuse."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Generator
from typing import Any

from ..entry import Entry, Raised
from ..errors import CacheError, OperationFailed, shown
from ..freshness import Freshness, Pauses
from ..policy import CALL, Decision, Policy, RaiseAs
from ..stats import Stats
from ..steps import FAILED, Absorb, Read, Refusal, Step

__all__ = [
    "Flow",
    "Rules",
    "attempt",
    "count_hit",
    "decide",
    "hook_failed",
    "in_window",
    "plain",
    "read_instead",
    "refuse",
    "trusted",
]


def _never(key: Any) -> bool:
    del key
    return False


class Rules:
    """What the flows of one cache go by.

    Attributes:
        timer: seconds, in the clock of the backend's entries.
        should_cache: whether a value is to be stored; None for all.
        stores: False where `maxsize=0`: nothing is ever written.
        exact: True where a write looks by itself whether it has been overtaken, in one with
            the writing.
        standby: the fallback that has been written to and is to be cleared once the cache's own
            backend is back.
        away: whether what was just read under a key came from elsewhere than the cache's own
            backend, which is away.
        pauses: the keys that are not tried again for a while; None where that does not matter.
    """

    __slots__ = (
        "away",
        "exact",
        "freshness",
        "pauses",
        "policy",
        "random",
        "should_cache",
        "standby",
        "stores",
        "timer",
    )

    def __init__(
        self,
        *,
        policy: Policy,
        freshness: Freshness,
        timer: Callable[[], float] = time.monotonic,
        should_cache: Callable[[Any], object] | None = None,
        stores: bool = True,
        exact: bool = False,
        random: Callable[[], float] = _random.random,
        standby: Any = None,
        away: Callable[[Any], bool] = _never,
    ) -> None:
        self.policy = policy
        self.freshness = freshness
        self.timer = timer
        self.should_cache = should_cache
        self.stores = stores
        self.exact = exact
        self.random = random
        self.standby = standby
        self.away = away
        self.pauses: Pauses | None = None
        if freshness.retries_later:
            self.pauses = Pauses(freshness.retry_after)


Flow = Generator[Step, Any, Any]


def plain(rules: Rules) -> bool:
    """Whether a call that finds nothing fresh can only go on by a load and a write.

    Then nothing is left to decide, and `memo.turns` does without the flow until a step fails.
    """
    calls = rules.policy.miss is CALL and rules.policy.expired is CALL
    return calls and rules.stores and rules.should_cache is None and rules.freshness.fixed


def decide(error: CacheError, rules: Rules, stats: Stats | None) -> Flow:
    """The policy's action for `error`; a failure is made heard, whatever the action."""
    if stats is not None and isinstance(error, OperationFailed):
        yield Absorb(error.key, error)
    try:
        return rules.policy.action(error)
    except Exception as fault:
        if stats is not None:
            yield from hook_failed(getattr(error, "key", None), "the policy", fault, stats)
        return rules.policy.default_action(error)


def hook_failed(key: Any, hook: str, fault: Exception, stats: Stats) -> Flow:
    """Count, and make heard, that a `hook`, or a function of the user's, has raised `fault`."""
    stats.failures += 1
    error = OperationFailed(f"{hook} raised {shown(fault)}", operation="call", key=key)
    error.__cause__ = fault
    yield Absorb(key, error)


def refuse(error: CacheError, decision: Decision) -> Refusal:
    """What the caller gets for `error`: the error itself, or what `raise_as` makes of it."""
    if isinstance(decision, RaiseAs):
        try:
            return Refusal(decision.made_from(error))
        except Exception:
            return Refusal(error)
    return Refusal(error)


def attempt(step: Step, stats: Stats | None) -> Flow:
    """The answer to `step`, or `FAILED`; a failure is counted and heard (by `stats`), no more."""
    try:
        return (yield step)
    except CacheError as error:
        if stats is not None:
            stats.failures += 1
            yield Absorb(step.key, error)
        return FAILED


def read_instead(key: Any, backend: Any, rules: Rules, stats: Stats | None) -> Flow:
    """The entry that a fallback has, or None; without `stats`, failures are not counted."""
    found = yield from attempt(Read(key, backend), stats)
    return None if found is FAILED else trusted(found, rules)


def trusted(entry: Entry | None, rules: Rules) -> Entry | None:
    """`entry`, unless it is an exception of a type that is not to be remembered.

    Whoever can write to a store that others use could else raise what they like here.
    """
    if entry is None or type(entry.value) is not Raised:
        return entry
    return entry if rules.freshness.remembers(entry.value.error) else None


def in_window(window: float, entry: Entry, now: float) -> bool:
    """Whether a stale `entry` may be used; a remembered exception never is past its lifetime."""
    return window > 0 and now < entry.expires + window and type(entry.value) is not Raised


def count_hit(entry: Entry, rules: Rules, stats: Stats) -> Any:
    """The value of `entry`, counted as the hit that it is."""
    stats.hits += 1
    if rules.timer() >= entry.expires:
        stats.stale_hits += 1
    return entry.value
