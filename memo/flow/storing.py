"""Storing and dropping: what becomes of values on their way in and out."""

from __future__ import annotations

from typing import Any

from ..entry import USED_UP, Entry, Raised
from ..errors import Full, OperationFailed
from ..freshness import Freshness
from ..policy import CALL, EVICT, SKIP, STALE, Decision, Fallback
from ..stats import Stats
from ..steps import (
    ALONE,
    FAILED,
    Absorb,
    Clear,
    Covered,
    Delete,
    Evict,
    Refusal,
    Watch,
    Write,
)
from .rules import Flow, Rules, attempt, decide, hook_failed, in_window, refuse

__all__ = ["clear", "delete", "keep", "leave_standby", "store", "untouched"]


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
        error: Any = loaded.error
        stats.load_failures += 1
        cover = _covering(error, cover, key, rules, watch, pauses=replaces)
        if cover is not None:
            yield from hook_failed(key, "a load that a stale value stands in for", error, stats)
            return Covered(cover)
        entry = rules.freshness.entry_for_exception(error, rules.timer())
    else:
        if rules.pauses is not None:
            rules.pauses.end(key)
        if type(loaded) in USED_UP:
            fault = TypeError(f"a {type(loaded).__name__} can be used once, and is not cached")
            yield from hook_failed(key, "the function's result", fault, stats)
            return loaded
        if not (writes and rules.stores):
            return loaded
        entry = yield from _entry_for(loaded, key, rules, stats)
    if entry is not None and writes and rules.stores:
        stored = yield from write(Write(key, entry, backend, watch), rules, stats, watch)
        if type(stored) is Refusal and type(loaded) is not Raised:
            return stored
    elif replaces and type(loaded) is not Raised and not watch.superseded:
        yield from attempt(Delete(key, backend), stats)
    return loaded


def _covering(
    error: BaseException,
    cover: Entry | None,
    key: Any,
    rules: Rules,
    watch: Watch,
    *,
    pauses: bool,
) -> Entry | None:
    """`cover`, if it stands in for `error`; then, or with `pauses`, `key` is not tried for a while.

    What has been overtaken neither stands in for anything nor pauses.
    """
    if watch.superseded:
        return None
    now = rules.timer()
    window = rules.freshness.covering(error)
    if cover is not None and not in_window(window, cover, now):
        cover = None
    if rules.pauses is not None and (cover is not None or pauses):
        rules.pauses.begin(key, now, window)
    return cover


def _entry_for(
    value: Any, key: Any, rules: Rules, stats: Stats, freshness: Freshness | None = None
) -> Flow:
    """The entry to store for `value`; None if there is not to be one, or a hook failed.

    With a `freshness` of its own, `should_cache` is not asked.
    """
    hook = "should_cache"
    try:
        if freshness is None and rules.should_cache is not None and not rules.should_cache(value):
            return None
        hook = "ttl"
        return (freshness or rules.freshness).entry(value, rules.timer(), rules.random)
    except Exception as fault:
        yield from hook_failed(key, hook, fault, stats)
        return None


def store(
    key: Any, value: Any, rules: Rules, stats: Stats, freshness: Freshness | None = None
) -> Flow:
    """Store `value`, by another `freshness` if need be; whether it was stored, or a refusal."""
    if not rules.stores:
        return False
    if rules.pauses is not None:
        rules.pauses.end(key)
    entry = yield from _entry_for(value, key, rules, stats, freshness or rules.freshness)
    if entry is None:
        yield from attempt(Delete(key), stats)  # what is stored is outdated all the same
        return False
    return (yield from write(Write(key, entry), rules, stats, ALONE))


def delete(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Drop what is under `key`, everywhere; returns whether there was anything, or a refusal."""
    return (yield from _drop(Delete, key, rules, stats))


def clear(rules: Rules, stats: Stats) -> Flow:
    """Drop everything, everywhere; returns whether that was done, or a refusal."""
    return (yield from _drop(Clear, None, rules, stats))


def untouched(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a store or a drop that has no key; returns False, or a refusal."""
    stats.failures += 1
    decision = yield from decide(error, rules, stats)
    if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
        return refuse(error, decision)
    return False


def write(step: Write, rules: Rules, stats: Stats, watch: Watch) -> Flow:
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
        yield from attempt(Delete(step.key, step.backend), stats)
    return result


def _unwritten(error: Full | OperationFailed, step: Write, rules: Rules, stats: Stats) -> Flow:
    """What is done about a write that did not succeed."""
    error.value = None if type(step.entry.value) is Raised else step.entry.value
    if step.backend is not None:
        stats.failures += 1
        yield Absorb(step.key, error)
        return False  # of a fallback, no more than its best is asked
    if isinstance(error, OperationFailed) and error.codec:
        return (yield from _not_encoded(error, step, rules, stats))
    decision: Decision
    if isinstance(error, Full):
        decision = yield from decide(error, rules, stats)
        if decision is EVICT:
            if not error.too_large and (yield from _evict_and_retry(step, stats)):
                return True
            decision = SKIP
        stats.failures += 1
        yield Absorb(step.key, error)
        return False if decision is SKIP else refuse(error, decision)
    stats.failures += 1
    decision = yield from decide(error, rules, stats)
    if isinstance(decision, Fallback):
        stored = yield from attempt(Write(step.key, step.entry, decision.backend), stats)
        if stored is not FAILED:
            rules.standby = decision.backend
        return stored is not FAILED
    return False if decision in {CALL, STALE} else refuse(error, decision)


def _not_encoded(error: OperationFailed, step: Write, rules: Rules, stats: Stats) -> Flow:
    """What is done about a value that the store, which is well, cannot hold."""
    stats.failures += 1
    decision = yield from decide(error, rules, stats)
    if type(step.entry.value) is not Raised:
        yield from attempt(Delete(step.key), stats)  # what is there is outdated
    keeps = isinstance(decision, Fallback) or decision in {CALL, STALE}
    return False if keeps else refuse(error, decision)


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


def _drop(step: type[Delete | Clear], key: Any, rules: Rules, stats: Stats) -> Flow:
    if rules.pauses is not None:
        rules.pauses.clear() if step is Clear else rules.pauses.end(key)
    done = False
    refusal = None
    try:
        done = yield step(key)
    except OperationFailed as error:
        stats.failures += 1
        decision = yield from decide(error, rules, stats)
        if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
            refusal = refuse(error, decision)
    for other in _standbys(rules):
        dropped = yield from attempt(step(key, other), stats)
        done = done or (dropped is not FAILED and dropped)
    return done if refusal is None else refusal


def _standbys(rules: Rules) -> list[Any]:
    """Every other place an entry may be in, for drops."""
    found = [choice.backend for choice in rules.policy.fallbacks()]
    if rules.standby is not None and all(rules.standby is not one for one in found):
        found.append(rules.standby)
    return found


def leave_standby(key: Any, rules: Rules, stats: Stats) -> Flow:
    """The cache's own backend is back: what the fallback holds may be outdated from now on."""
    standby, rules.standby = rules.standby, None
    if (yield from attempt(Clear(key, standby), stats)) is FAILED:
        rules.standby = standby  # tried again after the next read
