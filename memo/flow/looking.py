"""Looks at what is stored, which never load."""

from __future__ import annotations

from typing import Any

from ..entry import Outcome, Raised, Status
from ..errors import Expired, Miss, OperationFailed
from ..policy import STALE, Fallback
from ..stats import Stats
from ..steps import HELD, Read
from .rules import Flow, Rules, decide, in_window, read_instead, refuse, trusted

__all__ = ["get", "look", "refused"]


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
        decision = yield from decide(outcome.error, rules, stats)
    return refuse(outcome.error, decision)


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
        entry = trusted((yield Read(key)), rules)
    except OperationFailed as failed:
        if stats is not None:
            stats.failures += 1
        decision = yield from decide(failed, rules, stats)
        if isinstance(decision, Fallback) and not failed.codec:
            tier = "fallback"
            entry = yield from read_instead(key, decision.backend, rules, stats)
            if entry is None:
                miss = Miss(key)
                miss.__cause__ = failed
                return Outcome(status="miss", tier=tier, error=miss), None
        else:
            tier = "held"
            entry = None
            if decision is STALE:
                entry = yield from read_instead(key, HELD, rules, stats)
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
    elif tier == "held" or in_window(rules.freshness.stale_while_revalidate, entry, now):
        status = "stale"
    else:
        expired = Expired(key, value=value, age=age)
        decision = yield from decide(expired, rules, stats)
        status = "stale" if decision is STALE and raised is None else "expired"
    error = expired if status == "expired" else raised
    return Outcome(status=status, value=value, age=age, tier=tier, error=error), decision


def refused(error: OperationFailed, rules: Rules, stats: Stats) -> Flow:
    """Answer a look for a value that has no key: a refusal."""
    stats.failures += 1
    stats.misses += 1
    decision = yield from decide(error, rules, stats)
    return refuse(error, decision)
