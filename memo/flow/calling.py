"""Calls: from a look at what is stored, by a load if need be, to the answer."""

from __future__ import annotations

import time
from typing import Any

from ..entry import Entry, Raised
from ..errors import Expired, LoadTimeout, Miss, NoValue, OperationFailed, twin
from ..policy import CALL, STALE, Fallback
from ..stats import Stats
from ..steps import (
    ALONE,
    FAILED,
    HELD,
    LATE,
    Admit,
    Covered,
    Delete,
    Followed,
    Join,
    Load,
    LoadBehind,
    Read,
    Refresh,
    Refusal,
    Watch,
)
from .rules import Flow, Rules, attempt, count_hit, decide, in_window, read_instead, refuse, trusted
from .storing import keep, leave_standby

__all__ = ["call", "reload", "renew", "unkeyed"]


def call(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Answer one call: from the cache, by another caller's load, or by a load of its own."""
    entry: Entry | None
    backend = None
    try:
        entry = trusted((yield Read(key)), rules)
    except OperationFailed as error:
        instead = yield from _after_failed_read(error, key, rules, stats)
        if type(instead) is Followed:
            return instead.result
        entry, backend = instead
    else:
        if rules.standby is not None and not rules.away(key):
            yield from leave_standby(key, rules, stats)

    answer = yield from _from_entry(key, entry, rules, stats)
    if answer is not None:
        return answer.result
    return (yield from _missed(key, entry, backend, rules, stats))


def _missed(key: Any, entry: Entry | None, backend: Any, rules: Rules, stats: Stats) -> Flow:
    """Answer a call for which nothing was found but perhaps a stale `entry`."""
    within, stale = _patience(entry, rules)
    join = Join(key, within)
    watch = yield join
    if watch is LATE:
        return _late(key, entry, stale, within, rules, stats)
    if type(watch) is Followed:
        return _follow(watch, entry, rules, stats)
    if not join.unchanged:
        # Another load of the key may have ended between the read and the join.
        again = yield from attempt(Read(key, backend), stats)
        if again is not FAILED:
            entry = trusted(again, rules)
            if entry is not None and rules.timer() < entry.expires:
                return count_hit(entry, rules, stats)

    return (yield from _load(key, entry, backend, rules, stats, watch))


def _from_entry(key: Any, entry: Entry | None, rules: Rules, stats: Stats) -> Flow:
    """What can be answered without a load, as `Followed(result)`; None if a load is needed."""
    if entry is None:
        if rules.policy.miss is CALL:
            return None
        miss = Miss(key)
        decision = yield from decide(miss, rules, stats)
        if decision is CALL:
            return None
        stats.misses += 1
        return Followed(refuse(miss, decision))
    now = rules.timer()
    if now < entry.expires:
        if now >= rules.freshness.refresh_at(entry):
            yield from _refresh(key, now, rules)
        return Followed(count_hit(entry, rules, stats))
    if in_window(rules.freshness.stale_while_revalidate, entry, now):
        yield from _refresh(key, now, rules)
        return Followed(count_hit(entry, rules, stats))
    if rules.policy.expired is CALL or type(entry.value) is Raised:
        return _while_paused(key, entry, now, rules, stats)
    expired = Expired(key, value=entry.value, age=now - entry.created)
    decision = yield from decide(expired, rules, stats)
    if decision is CALL:
        return _while_paused(key, entry, now, rules, stats)
    if decision is STALE:
        yield from _refresh(key, now, rules)
        return Followed(count_hit(entry, rules, stats))
    stats.misses += 1
    stats.expirations += 1
    return Followed(refuse(expired, decision))


def _refresh(key: Any, now: float, rules: Rules) -> Flow:
    """Have `key` loaded behind, unless that has just failed."""
    if rules.pauses is None or rules.pauses.window(key, now) is None:
        yield Refresh(key)


def _while_paused(
    key: Any, entry: Entry, now: float, rules: Rules, stats: Stats
) -> Followed | None:
    """The stale value, as `Followed`, as long as `key` is not to be tried again; else None."""
    window = None if rules.pauses is None else rules.pauses.window(key, now)
    if window is None or not in_window(window, entry, now):
        return None
    return Followed(count_hit(entry, rules, stats))


def _after_failed_read(error: OperationFailed, key: Any, rules: Rules, stats: Stats) -> Flow:
    """What takes the place of a read: an answer, as `Followed`, or another (entry, backend)."""
    stats.failures += 1
    decision = yield from decide(error, rules, stats)
    if isinstance(decision, Fallback) and not error.codec:
        return (yield from read_instead(key, decision.backend, rules, stats)), decision.backend
    if decision is STALE:
        entry = yield from read_instead(key, HELD, rules, stats)
        if entry is not None:
            return Followed(count_hit(entry, rules, stats))
    elif not (decision is CALL or isinstance(decision, Fallback)):
        stats.misses += 1
        return Followed(refuse(error, decision))
    within = rules.freshness.hard_timeout
    watch = yield Join(key, within)
    if watch is LATE:
        return Followed(_late(key, None, None, within, rules, stats))
    if type(watch) is Followed:
        return Followed(_follow(watch, None, rules, stats))
    if error.codec:
        # The store is well, and may have been given something better before the join.
        again = yield from read_instead(key, None, rules, None)
        if again is not None and rules.timer() < again.expires:
            return Followed(count_hit(again, rules, stats))
    stats.misses += 1
    flow = reload(key, rules, stats, watch, writes=error.codec, replaces=error.codec)
    return Followed((yield from _hard(key, rules, flow)))


def _follow(followed: Followed, entry: Entry | None, rules: Rules, stats: Stats) -> Any:
    """The result of another caller's flow, for this one, who has found `entry`."""
    result = followed.result
    if entry is not None and type(result) is Raised:
        window = rules.freshness.covering(result.error)
        if in_window(window, entry, rules.timer()):
            return count_hit(entry, rules, stats)
    if type(result) is Refusal:
        stats.misses += 1
        return Refusal(twin(result.error))
    stats.hits += 1
    return result


def _patience(entry: Entry | None, rules: Rules) -> tuple[float | None, Entry | None]:
    """How many seconds to wait for a load, None for no limit; and what to serve afterwards.

    That is None where it has to be asked whether `entry` stands in for a timeout.
    """
    freshness = rules.freshness
    soft = freshness.soft_timeout
    if soft is not None and entry is not None and in_window(freshness.window, entry, rules.timer()):
        return soft, entry
    return freshness.hard_timeout, None


def _load(  # noqa: PLR0917 - all of them are the call's
    key: Any, entry: Entry | None, backend: Any, rules: Rules, stats: Stats, watch: Watch
) -> Flow:
    """Load in place of `entry`, which may stand in for an exception."""
    within, stale = _patience(entry, rules)
    cover = stale
    if entry is not None and in_window(rules.freshness.stale_if_error, entry, rules.timer()):
        cover = entry
    if cover is None:
        stats.misses += 1
        stats.expirations += entry is not None
    flow = reload(key, rules, stats, watch, backend=backend, cover=cover)
    result = yield from _at_most(within, key, flow)
    if result is LATE:
        if cover is None:
            return Refusal(LoadTimeout(key, within))
        return _late(key, entry, stale, within, rules, stats)
    if type(result) is Covered:
        return count_hit(result.entry, rules, stats)
    if cover is not None:
        stats.misses += 1
        stats.expirations += 1
    return result


def _late(  # noqa: PLR0917 - all of them are the call's
    key: Any,
    entry: Entry | None,
    stale: Entry | None,
    within: float | None,
    rules: Rules,
    stats: Stats,
) -> Any:
    """The answer to a caller who will not wait longer, while the load goes on."""
    if stale is not None:
        return count_hit(stale, rules, stats)
    error = LoadTimeout(key, within)
    if entry is not None and in_window(rules.freshness.covering(error), entry, rules.timer()):
        return count_hit(entry, rules, stats)
    stats.misses += 1
    stats.expirations += entry is not None
    return Refusal(error)


def _at_most(within: float | None, key: Any, flow: Flow) -> Flow:
    """The result of a `flow` that loads, or `LATE` after so many seconds, while it goes on."""
    return flow if within is None else _behind(within, key, flow)


def _behind(within: float, key: Any, flow: Flow) -> Flow:
    result = yield LoadBehind(key, within, flow)
    if result is LATE:
        return LATE
    return (yield from flow) if result is None else result.result


def _hard(key: Any, rules: Rules, flow: Flow) -> Flow:
    """The result of a `flow` that loads, or a refusal where that takes too long."""
    within = rules.freshness.hard_timeout
    return flow if within is None else _refused_when_late(within, key, flow)


def _refused_when_late(within: float, key: Any, flow: Flow) -> Flow:
    result = yield from _behind(within, key, flow)
    return Refusal(LoadTimeout(key, within)) if result is LATE else result


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

    `cover` is a stale entry that may stand in for an exception; where it did, `Covered` is
    returned. `replaces`: what is stored is outdated by the load, also if its own value is not to be
    stored.
    """
    most = rules.policy.max_loads_while_open
    if most is not None:
        yield Admit(key, most)
    started = time.perf_counter()
    load = Load(key)
    loaded = yield load
    stats.loads += 1
    took = time.perf_counter() - started if load.took is None else load.took
    stats.load_time += took
    if type(loaded) is Raised and type(loaded.error) is NoValue:
        if (cover is not None or replaces) and not watch.superseded:
            yield from attempt(Delete(key, backend), stats)
        return loaded
    flow = keep(key, loaded, rules, stats, watch, backend, cover, writes=writes, replaces=replaces)
    return (yield from flow)


def renew(key: Any, rules: Rules, stats: Stats) -> Flow:
    """Load whatever is stored, or wait for a load under way."""
    within = rules.freshness.hard_timeout
    watch = yield Join(key, within)
    if watch is LATE:
        return Refusal(LoadTimeout(key, within))
    if type(watch) is Followed:
        result = watch.result
        return Refusal(twin(result.error)) if type(result) is Refusal else result
    return (yield from _hard(key, rules, reload(key, rules, stats, watch, replaces=True)))


def unkeyed(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a call that has no key, for the reason that `error` gives."""
    stats.failures += 1
    stats.misses += 1
    decision = yield from decide(error, rules, stats)
    if not (isinstance(decision, Fallback) or decision in {CALL, STALE}):
        return refuse(error, decision)
    return (yield from _hard(None, rules, reload(None, rules, stats, ALONE, writes=False)))
