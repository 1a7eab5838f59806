"""Everything fails at random, over every kind of backend, and the answers stay right."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from faults.callers import POLICY, STRICT, Tasks, Threads
from servers.valkey import shared_valkey

from memo.backends import Memory, Redis, Sqlite
from memo.testing import AsyncFaultyBackend, FaultyBackend

#: What goes wrong: the shares of the operations, and how many seconds a delay takes.
CHAOS = {"raises": 0.3, "delays": 0.03, "delay": 0.3, "loses": 0.05, "corrupts": 0.05}

#: Calls of each caller; benchmarks/faults makes fifty thousand in all.
CALLS = {Threads: 60, Tasks: 4}


@contextlib.contextmanager
def chaos(kind, callers, directory, **faults):
    """A backend of each kind, for callers of either colour, that fails at random."""
    if kind == "memory":
        inner = Memory(maxsize=None)
    elif kind == "sqlite":
        inner = Sqlite(directory / "cache.db")
    else:
        inner = Redis(shared_valkey().url, namespace=str(directory))
    with contextlib.ExitStack() as closing:
        if kind != "memory":
            closing.callback(inner.close)
        if callers is Tasks and kind != "sqlite":
            yield AsyncFaultyBackend(getattr(inner, "twin", inner), **faults)
        else:
            yield FaultyBackend(inner, **faults)


def add_up(crowd):
    """Fail unless the counters tell what has happened."""
    info = crowd.function.cache_info()
    assert info.hits + info.misses == len(crowd.calls)
    assert info.loads == len(crowd.loads)
    assert info.failures == len(crowd.heard) == sum(info.failures_by.values())
    kinds = {(heard.kind, heard.operation) for heard in crowd.heard}
    assert kinds == set(info.failures_by)


@pytest.mark.parametrize(
    ("kind", "breaker"),
    [("memory", None), ("sqlite", None), ("redis", None), ("redis", POLICY.breaker)],
    ids=["memory", "sqlite", "redis", "redis and a breaker"],
)
def test_chaos(callers, kind, breaker, tmp_path):
    """No error, no wrong value, each call and each failure is counted; and it can end."""
    policy = dataclasses.replace(POLICY, breaker=breaker)
    # What is in this process is not waited for: a delay there would only take time.
    faults = CHAOS | ({"delays": 0} if kind == "memory" else {})
    with chaos(kind, callers, tmp_path, seed=3, **faults) as backend:
        with callers(backend, policy=policy) as crowd:
            with crowd.during() as phase:
                crowd.more(CALLS[callers])
            backend.heal()
            crowd.recover()
        phase.sound()
        assert phase.heard
        assert phase.loads
        add_up(crowd)


def test_chaos_under_a_strict_policy(callers, tmp_path):
    """Each error is the one that the policy raises, and each call and each failure is counted."""
    policy = dataclasses.replace(STRICT, breaker=None)
    faults = CHAOS | {"corrupts": 0}  # what is no entry has no foreign error as its cause
    with chaos("redis", callers, tmp_path, seed=5, **faults) as backend:
        with callers(backend, policy=policy) as crowd:
            with crowd.during() as phase:
                crowd.more(CALLS[callers])
            backend.heal()
            crowd.recover()
        phase.sound()
        assert phase.errors
        add_up(crowd)


def test_the_same_chaos_twice(tmp_path):
    """Chance is seeded: one caller meets the same faults in each run."""
    told = []
    for _ in range(2):
        backend = FaultyBackend(Memory(maxsize=None), seed=7, raises=0.3)
        policy = dataclasses.replace(POLICY, breaker=None)
        with Threads(backend, policy=policy, size=1, pace=0) as crowd:
            crowd.more(100)
        told.append([call.loaded for call in crowd.calls[:100]])
    assert told[0] == told[1]
