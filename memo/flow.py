"""Every decision memo takes, as generators that do nothing themselves.

A flow yields what it wants done (a `Step`) and is sent what came of it; a cache error that a step
met is thrown in, an exception of the user's function is sent in as the value `Raised(error)`. What
a flow returns is what its caller gets: a value, a `Raised` (an exception of the user's), or a
`Refusal` (an exception of ours, or what the policy made of it). So a flow needs no loop, clock or
backend, and can be stepped by hand:

    flow = call("k", rules, stats)
    next(flow) == Read("k")
    flow.send(None) == Join("k")
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from .entry import USED_UP, Entry, Outcome, Raised, Status
from .errors import CacheError, Expired, Full, Miss, OperationFailed, shown, twin
from .freshness import Freshness
from .policy import CALL, EVICT, SKIP, STALE, Decision, Fallback, Policy, RaiseAs
from .stats import Stats
from .steps import (
    ALONE,
    FAILED,
    HELD,
    Absorb,
    Clear,
    Delete,
    Evict,
    Followed,
    Join,
    Load,
    Read,
    Refresh,
    Refusal,
    Step,
    Watch,
    Write,
)

__all__ = [
    "ALONE",
    "FAILED",
    "HELD",
    "Absorb",
    "Clear",
    "Delete",
    "Evict",
    "Flow",
    "Followed",
    "Join",
    "Load",
    "Read",
    "Refresh",
    "Refusal",
    "Rules",
    "Step",
    "Watch",
    "Write",
    "call",
    "clear",
    "delete",
    "get",
    "keep",
    "look",
    "plain",
    "refused",
    "reload",
    "renew",
    "store",
    "unkeyed",
    "untouched",
]


@dataclass(slots=True, kw_only=True)
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
    """

    policy: Policy
    freshness: Freshness
    timer: Callable[[], float] = time.monotonic
    should_cache: Callable[[Any], object] | None = None
    stores: bool = True
    exact: bool = False
    random: Callable[[], float] = _random.random
    standby: Any = field(default=None, compare=False)


Flow = Generator[Step, Any, Any]


def call(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Answer one call: from the cache, by another caller's load, or by a load of its own."""
    entry: Entry | None
    backend = None
    try:
        entry = yield Read(key)
    except OperationFailed as error:
        instead = yield from _after_failed_read(error, key, rules, stats)
        if type(instead) is Followed:
            return instead.result
        entry, backend = instead
    else:
        if rules.standby is not None:
            yield from _leave_standby(key, rules, stats)

    answer = yield from _from_entry(key, entry, rules, stats)
    if answer is not None:
        return answer.result

    watch = yield Join(key)
    if type(watch) is Followed:
        return _follow(watch, stats)
    # Another load of the key may have ended between the read and the join.
    again = yield from _try(Read(key, backend), stats)
    if again is not FAILED:
        entry = again
        if again is not None and rules.timer() < again.expires:
            return _count_hit(again, rules, stats)

    return (yield from _load(key, entry, backend, rules, stats, watch))


def _load(  # noqa: PLR0917 - all of them are the call's
    key: Any, entry: Entry | None, backend: Any, rules: Rules, stats: Stats, watch: Watch
) -> Flow:
    """Load in place of `entry`, which may stand in for an exception."""
    if entry is None or not _within(rules.freshness.stale_if_error, entry, rules.timer()):
        stats.misses += 1
        stats.expirations += entry is not None
        return (yield from reload(key, rules, stats, watch, backend=backend))
    value = yield from reload(key, rules, stats, watch, backend=backend, cover=entry)
    if value is entry:
        return _count_hit(entry, rules, stats)
    stats.misses += 1
    stats.expirations += 1
    return value


def _after_failed_read(error: OperationFailed, key: Any, rules: Rules, stats: Stats) -> Flow:
    """What takes the place of a read: an answer, as `Followed`, or another (entry, backend)."""
    stats.failures += 1
    decision = yield from _decide(error, rules, stats)
    if isinstance(decision, Fallback):
        return (yield from _read_instead(key, decision.backend, stats)), decision.backend
    if decision is STALE:
        entry = yield from _read_instead(key, HELD, stats)
        if entry is not None:
            return Followed(_count_hit(entry, rules, stats))
    elif decision is not CALL:
        stats.misses += 1
        return Followed(_refuse(error, decision))
    watch = yield Join(key)
    if type(watch) is Followed:
        return Followed(_follow(watch, stats))
    stats.misses += 1
    return Followed((yield from reload(key, rules, stats, watch, writes=False)))


def reload(
    key: Any,
    rules: Rules,
    stats: Stats,
    watch: Watch,
    *,
    backend: Any = None,
    cover: Entry | None = None,
    writes: bool = True,
    replaces: bool = False,
) -> Flow:
    """Run the function and store what it gives.

    `cover` is a stale entry that stands in for an exception; it is returned itself when it did.
    `replaces`: what is stored is outdated by the load, also if its own value is not to be stored.
    """
    started = time.perf_counter()
    loaded = yield Load(key)
    stats.loads += 1
    took = time.perf_counter() - started
    stats.load_time += took
    flow = keep(key, loaded, rules, stats, watch, backend, cover, writes=writes, replaces=replaces)
    return (yield from flow)


def plain(rules: Rules) -> bool:
    """Whether a call that finds nothing fresh can only go on by a load and a write.

    Then nothing is left to decide, and `memo.turns` does without the flow until a step fails.
    """
    calls = rules.policy.miss is CALL and rules.policy.expired is CALL
    return calls and rules.stores and rules.should_cache is None and rules.freshness.fixed


def keep(  # noqa: PLR0917 - as `reload`
    key: Any,
    loaded: Any,
    rules: Rules,
    stats: Stats,
    watch: Watch,
    backend: Any = None,
    cover: Entry | None = None,
    *,
    writes: bool = True,
    replaces: bool = False,
) -> Flow:
    """Store what the function gave; returns the result of the call. See `reload`."""
    entry: Entry | None
    if type(loaded) is Raised:
        stats.load_failures += 1
        if cover is not None and isinstance(loaded.error, Exception) and not watch.superseded:
            return cover
        entry = rules.freshness.entry_for_exception(loaded.error, rules.timer())
    elif type(loaded) in USED_UP:
        fault = TypeError(f"a {type(loaded).__name__} can be used once, and is not cached")
        yield from _hook_failed(key, "the function's result", fault, stats)
        return loaded
    elif writes and rules.stores:
        entry = yield from _entry_for(loaded, key, rules, stats)
    else:
        return loaded
    if entry is not None and writes and rules.stores:
        stored = yield from _write(Write(key, entry, backend, watch), rules, stats, watch)
        if type(stored) is Refusal and type(loaded) is not Raised:
            return stored
    elif replaces and type(loaded) is not Raised and not watch.superseded:
        yield from _try(Delete(key, backend), stats)
    return loaded


def _entry_for(value: Any, key: Any, rules: Rules, stats: Stats) -> Flow:
    """The entry to store for `value`; None if there is not to be one, or a hook failed."""
    try:
        if rules.should_cache is not None and not rules.should_cache(value):
            return None
        return rules.freshness.entry(value, rules.timer(), rules.random)
    except Exception as fault:
        yield from _hook_failed(key, "should_cache or ttl", fault, stats)
        return None


def get(key: Any, rules: Rules, stats: Stats) -> Flow:
    """The cached value, or a refusal; never a load."""
    outcome, decision = yield from _look(key, rules, stats)
    if outcome.hit:
        stats.hits += 1
        stats.stale_hits += outcome.status == "stale"
        return outcome.value if outcome.error is None else Raised(outcome.error)
    stats.misses += 1
    stats.expirations += outcome.status == "expired"
    if decision is None:
        decision = yield from _decide(outcome.error, rules, stats)
    return _refuse(outcome.error, decision)


def look(key: Any, rules: Rules) -> Flow:
    """An `Outcome`: what is under `key`; nothing is counted."""
    outcome, _ = yield from _look(key, rules, None)
    return outcome


def _look(key: Any, rules: Rules, stats: Stats | None) -> Flow:
    """What is under `key`, and the policy's decision about it where it was asked for one.

    Failures are counted and heard if `stats` are given.
    """
    tier = decision = None
    try:
        entry: Entry | None = yield Read(key)
    except OperationFailed as failed:
        if stats is not None:
            stats.failures += 1
        decision = yield from _decide(failed, rules, stats)
        if isinstance(decision, Fallback):
            tier = "fallback"
            entry = yield from _read_instead(key, decision.backend, stats)
            if entry is None:
                miss = Miss(key)
                miss.__cause__ = failed
                return Outcome(status="miss", tier=tier, error=miss), None
        else:
            tier = "held"
            entry = None
            if decision is STALE:
                entry = yield from _read_instead(key, HELD, stats)
            if entry is None:
                return Outcome(status="failed", error=failed), decision
    if entry is None:
        return Outcome(status="miss", error=Miss(key)), None
    now = rules.timer()
    age = now - entry.created
    raised = entry.value.error if type(entry.value) is Raised else None
    value = None if raised is not None else entry.value
    expired = None
    if now < entry.expires:
        status: Status = "fresh"
    elif tier == "held" or _within(rules.freshness.stale_while_revalidate, entry, now):
        status = "stale"
    else:
        expired = Expired(key, value=value, age=age)
        decision = yield from _decide(expired, rules, stats)
        status = "stale" if decision is STALE and raised is None else "expired"
    error = expired if status == "expired" else raised
    return Outcome(status=status, value=value, age=age, tier=tier, error=error), decision


def unkeyed(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a call that has no key, for the reason that `error` gives."""
    stats.failures += 1
    stats.misses += 1
    decision = yield from _decide(error, rules, stats)
    if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
        return _refuse(error, decision)
    return (yield from reload(None, rules, stats, ALONE, writes=False))


def refused(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a look for a value that has no key: a refusal."""
    stats.failures += 1
    stats.misses += 1
    decision = yield from _decide(error, rules, stats)
    return _refuse(error, decision)


def untouched(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a store or a drop that has no key; returns False, or a refusal."""
    stats.failures += 1
    decision = yield from _decide(error, rules, stats)
    if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
        return _refuse(error, decision)
    return False


def renew(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Load whatever is stored, or wait for a load under way."""
    watch = yield Join(key)
    if type(watch) is Followed:
        result = watch.result
        return Refusal(twin(result.error)) if type(result) is Refusal else result
    return (yield from reload(key, rules, stats, watch, replaces=True))


def store(
    key: Any, value: Any, rules: Rules, stats: Stats, freshness: Freshness | None = None
) -> Flow:
    """Store `value`, by another `freshness` if need be; whether it was stored, or a refusal."""
    if not rules.stores:
        return False
    try:
        entry = (freshness or rules.freshness).entry(value, rules.timer(), rules.random)
    except Exception as fault:
        yield from _hook_failed(key, "ttl", fault, stats)
        return False
    if entry is None:
        yield from _try(Delete(key), stats)  # what is stored is outdated all the same
        return False
    return (yield from _write(Write(key, entry), rules, stats, ALONE))


def delete(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Drop what is under `key`, everywhere; returns whether there was anything, or a refusal."""
    return (yield from _drop(Delete, key, rules, stats))


def clear(rules: Rules, stats: Stats) -> Flow:
    """Drop everything, everywhere; returns whether that was done, or a refusal."""
    return (yield from _drop(Clear, None, rules, stats))


def _from_entry(key: Any, entry: Entry | None, rules: Rules, stats: Stats) -> Flow:
    """What can be answered without a load, as `Followed(result)`; None if a load is needed."""
    error: CacheError
    if entry is None:
        if rules.policy.miss is CALL:
            return None
        error = Miss(key)
    else:
        now = rules.timer()
        if now < entry.expires:
            if now >= rules.freshness.refresh_at(entry):
                yield Refresh(key)
            return Followed(_count_hit(entry, rules, stats))
        if _within(rules.freshness.stale_while_revalidate, entry, now):
            yield Refresh(key)
            return Followed(_count_hit(entry, rules, stats))
        if rules.policy.expired is CALL or type(entry.value) is Raised:
            return None
        error = Expired(key, value=entry.value, age=now - entry.created)
    decision = yield from _decide(error, rules, stats)
    if decision is CALL:
        return None
    if decision is STALE and entry is not None:
        yield Refresh(key)
        return Followed(_count_hit(entry, rules, stats))
    stats.misses += 1
    stats.expirations += entry is not None
    return Followed(_refuse(error, decision))


def _follow(followed: Followed, stats: Stats) -> Any:
    """The result of another caller's flow, for this one."""
    result = followed.result
    if type(result) is Refusal:
        stats.misses += 1
        return Refusal(twin(result.error))
    stats.hits += 1
    return result


def _count_hit(entry: Entry, rules: Rules, stats: Stats) -> Any:
    stats.hits += 1
    if rules.timer() >= entry.expires:
        stats.stale_hits += 1
    return entry.value


def _within(window: float, entry: Entry, now: float) -> bool:
    """Whether a stale `entry` may be used; a remembered exception never is past its lifetime."""
    return window > 0 and now < entry.expires + window and type(entry.value) is not Raised


def _read_instead(key: Any, backend: Any, stats: Stats | None) -> Flow:
    """The entry that a fallback has, or None; without `stats`, failures are not counted."""
    found = yield from _try(Read(key, backend), stats)
    return None if found is FAILED else found


def _write(step: Write, rules: Rules, stats: Stats, watch: Watch) -> Flow:
    """Write unless overtaken; whether it is stored, or a refusal where the policy says so."""
    if watch.superseded:
        return False
    result: bool | Refusal = True
    try:
        yield step
    except (Full, OperationFailed) as error:
        result = yield from _unwritten(error, step, rules, stats)
    else:
        if step.backend is not None:
            rules.standby = step.backend
    if watch.superseded and not rules.exact:
        # The invalidation may have come between the look above and the write.
        yield from _try(Delete(step.key, step.backend), stats)
    return result


def _unwritten(error: Full | OperationFailed, step: Write, rules: Rules, stats: Stats) -> Flow:
    """What is done about a write that did not succeed."""
    error.value = None if type(step.entry.value) is Raised else step.entry.value
    if step.backend is not None:
        stats.failures += 1
        yield Absorb(step.key, error)
        return False  # of a fallback, no more than its best is asked
    decision: Decision
    if isinstance(error, Full):
        decision = yield from _decide(error, rules, stats)
        if decision is EVICT:
            if not error.too_large and (yield from _evict_and_retry(step, stats)):
                return True
            decision = SKIP
        stats.failures += 1
        yield Absorb(step.key, error)
        return False if decision is SKIP else _refuse(error, decision)
    stats.failures += 1
    decision = yield from _decide(error, rules, stats)
    if isinstance(decision, Fallback):
        stored = yield from _try(Write(step.key, step.entry, decision.backend), stats)
        if stored is not FAILED:
            rules.standby = decision.backend
        return stored is not FAILED
    return False if decision in {CALL, STALE} else _refuse(error, decision)


def _evict_and_retry(step: Write, stats: Stats) -> Flow:
    """Ask for room and write once more; whether that did it."""
    try:
        if not (yield Evict(step.key)):
            return False
        yield step
    except Full:
        return False
    except OperationFailed as error:
        stats.failures += 1
        yield Absorb(step.key, error)
        return False
    return True


def _try(step: Step, stats: Stats | None) -> Flow:
    """The answer to `step`, or `FAILED`; a failure is counted and heard (by `stats`), no more."""
    try:
        return (yield step)
    except CacheError as error:
        if stats is not None:
            stats.failures += 1
            yield Absorb(step.key, error)
        return FAILED


def _drop(step: type[Delete | Clear], key: Any, rules: Rules, stats: Stats) -> Flow:
    done = False
    refusal = None
    try:
        done = yield step(key)
    except OperationFailed as error:
        stats.failures += 1
        decision = yield from _decide(error, rules, stats)
        if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
            refusal = _refuse(error, decision)
    for other in _standbys(rules):
        dropped = yield from _try(step(key, other), stats)
        done = done or (dropped is not FAILED and dropped)
    return done if refusal is None else refusal


def _standbys(rules: Rules) -> list[Any]:
    """Every other place an entry may be in, for drops."""
    found = [choice.backend for choice in rules.policy.fallbacks()]
    if rules.standby is not None and all(rules.standby is not one for one in found):
        found.append(rules.standby)
    return found


def _leave_standby(key: Any, rules: Rules, stats: Stats) -> Flow:
    """The cache's own backend is back: what the fallback holds may be outdated from now on."""
    standby, rules.standby = rules.standby, None
    if (yield from _try(Clear(key, standby), stats)) is FAILED:
        rules.standby = standby  # tried again after the next read


def _decide(error: CacheError, rules: Rules, stats: Stats | None) -> Flow:
    """The policy's action for `error`; a failure is made heard, whatever the action."""
    if stats is not None and isinstance(error, OperationFailed):
        yield Absorb(error.key, error)
    try:
        return rules.policy.action(error)
    except Exception as fault:
        if stats is not None:
            yield from _hook_failed(getattr(error, "key", None), "the policy", fault, stats)
        return rules.policy.default_action(error)


def _hook_failed(key: Any, hook: str, fault: Exception, stats: Stats) -> Flow:
    stats.failures += 1
    error = OperationFailed(f"{hook} raised {shown(fault)}", operation="call", key=key)
    error.__cause__ = fault
    yield Absorb(key, error)


def _refuse(error: CacheError, decision: Decision) -> Refusal:
    """What the caller gets for `error`: the error itself, or what `raise_as` makes of it."""
    if isinstance(decision, RaiseAs):
        try:
            return Refusal(decision.made_from(error))
        except Exception:
            return Refusal(error)
    return Refusal(error)
