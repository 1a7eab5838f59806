"""Decorated functions against a plain model: any order of calls, clock steps, faults and drops.

The model is written from the documentation: a dict, a clock and counters. Every answer, every
exception, every look and every counter must be the model's, in both colours.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from policy.scripted import Scripted

from memo import CALL, STALE, Expired, Miss, OperationFailed, Policy, cached, fallback
from memo.background import background
from memo.testing import FakeTimer

TTL = 10
NEGATIVE = 4  # seconds that an exception is remembered, where one is
INFINITE = float("inf")


class Upstream(Exception):
    """What the function raises when it is told to."""


@dataclass(frozen=True)
class Options:
    """What a function under test is like."""

    swr: float = 0
    sie: float = 0
    refresh_after: float | None = None
    serves_stale: bool = False
    negative: bool = False
    maxsize: int | None = None
    eviction: str = ""
    failed: str = ""  # what the policy says of a failing backend; empty: the store is a memory

    def written(self, backend: Any, other: Any) -> dict[str, Any]:
        """The options as `cached` takes them."""
        actions = {"": CALL, "CALL": CALL, "STALE": STALE, "fallback": fallback(other)}
        written: dict[str, Any] = {
            "ttl": TTL,
            "stale_while_revalidate": self.swr,
            "stale_if_error": self.sie,
            "refresh_after": self.refresh_after,
            "policy": Policy(
                expired=STALE if self.serves_stale else CALL, failed=actions[self.failed]
            ),
        }
        if self.negative:
            written["cache_exceptions"] = {Upstream: NEGATIVE}
        if self.maxsize is not None:
            written |= {"maxsize": self.maxsize, "eviction": self.eviction}
        if self.failed:
            written["backend"] = backend
        return written


OPTIONS = {
    "ttl": Options(),
    "revalidate": Options(swr=10),
    "if error": Options(sie=20),
    "both windows": Options(swr=5, sie=20),
    "STALE": Options(serves_stale=True),
    "STALE and if error": Options(serves_stale=True, sie=20),
    "refresh ahead": Options(refresh_after=0.5),
    "negative": Options(negative=True),
    "negative and revalidate": Options(negative=True, swr=10),
    "lru": Options(maxsize=3, eviction="lru"),
    "fifo": Options(maxsize=3, eviction="fifo"),
    "none": Options(maxsize=3, eviction="none"),
    "lru with windows": Options(maxsize=3, eviction="lru", swr=5, sie=20),
    "fifo and STALE": Options(maxsize=2, eviction="fifo", serves_stale=True),
    "none and revalidate": Options(maxsize=2, eviction="none", swr=5),
    "no room": Options(maxsize=0, eviction="lru"),
    "backend": Options(failed="CALL"),
    "backend and if error": Options(failed="CALL", sie=20),
    "backend held": Options(failed="STALE"),
    "backend with fallback": Options(failed="fallback"),
}


class Failed(Exception):
    """The model's backend fails."""


@dataclass
class Held:
    """An entry of the model's."""

    value: Any
    created: float
    expires: float
    kept_until: float
    raised: bool = False
    written: int = 0


@dataclass
class Model:
    """What a cached function does, in the plainest words."""

    options: Options
    now: float = 0.0
    raises: bool = False
    fails: set[str] = field(default_factory=set)
    entries: dict[Any, Held] = field(default_factory=dict)  # in the order they are evicted in
    seen: dict[Any, Held] = field(default_factory=dict)
    other: dict[Any, Held] = field(default_factory=dict)
    standby: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    results: int = 0
    writes: int = 0

    def fresh(self, entry: Held) -> bool:
        return self.now < entry.expires

    def within(self, window: float, entry: Held) -> bool:
        return self.now < entry.expires + window and not entry.raised

    def function(self, key: Any) -> tuple[str, Any]:
        """What the function does next."""
        self.counts["loads"] += 1
        if self.raises:
            self.counts["load_failures"] += 1
            return "raises", key
        self.results += 1
        return "returns", (key, self.results)

    # The store.

    def read(self, key: Any) -> Held | None:
        if "read" in self.fails:
            self.counts["failures"] += 1
            raise Failed
        entry = self.entries.get(key)
        if entry is not None:
            if self.options.eviction == "lru":
                self.entries[key] = self.entries.pop(key)
            self.seen[key] = entry
        return entry

    def write(self, key: Any, value: Any, *, raised: bool = False, other: bool = False) -> bool:
        if self.options.maxsize == 0:
            return False
        self.writes += 1
        expires = self.now + (NEGATIVE if raised else TTL)
        stays = INFINITE if self.options.serves_stale else max(self.options.swr, self.options.sie)
        kept = expires if raised else expires + stays
        entry = Held(value, self.now, expires, kept, raised, self.writes)
        if other:
            self.other[key] = entry
            self.standby = True
            return True
        self.seen[key] = entry
        if "write" in self.fails:
            self.counts["failures"] += 1
            if self.options.failed == "fallback":
                self.other[key] = entry
                self.standby = True
                return True
            return False
        return self.insert(key, entry)

    def insert(self, key: Any, entry: Held) -> bool:
        maxsize = self.options.maxsize
        if key not in self.entries and maxsize is not None and len(self.entries) >= maxsize:
            refuses = self.options.eviction == "none"
            useless = [
                (held.written, name)
                for name, held in self.entries.items()
                if self.now >= (held.expires if refuses else held.kept_until)
            ]
            if useless:
                del self.entries[min(useless)[1]]
            elif refuses:
                self.counts["failures"] += 1
                return False
            else:
                del self.entries[next(iter(self.entries))]
                self.counts["evictions"] += 1
        self.entries.pop(key, None)  # what is written anew is the youngest
        self.entries[key] = entry
        return True

    # Calls.

    def call(self, key: Any) -> tuple[str, Any]:
        """What a call does: ("returns", value) or ("raises", key)."""
        other = False
        try:
            entry = self.read(key)
        except Failed:
            if self.options.failed == "STALE" and key in self.seen:
                return self.hit(self.seen[key])
            if self.options.failed != "fallback":
                self.counts["misses"] += 1
                return self.function(key)
            other = True
            entry = self.other.get(key)
        else:
            if self.standby:
                self.standby = False
                self.other.clear()
        if entry is not None:
            if self.fresh(entry):
                answer = self.hit(entry)
                ahead = self.options.refresh_after
                if ahead and self.now >= entry.created + ahead * (entry.expires - entry.created):
                    self.refresh_behind(key)
                return answer
            if self.within(self.options.swr, entry) or (
                self.options.serves_stale and not entry.raised
            ):
                answer = self.hit(entry)
                self.refresh_behind(key)
                return answer
        return self.load(key, entry, other)

    def load(self, key: Any, entry: Held | None, other: bool) -> tuple[str, Any]:
        """A call that found nothing to answer with."""
        covered = entry is not None and self.within(self.options.sie, entry)
        outcome, value = self.function(key)
        if outcome == "raises" and covered:
            self.counts["failures"] += 1
            return self.hit(entry)
        self.counts["misses"] += 1
        self.counts["expirations"] += entry is not None
        self.store(key, outcome, value, other=other)
        return outcome, value

    def store(self, key: Any, outcome: str, value: Any, *, other: bool = False) -> None:
        if outcome == "returns":
            self.write(key, value, other=other)
        elif self.options.negative:
            self.write(key, None, raised=True, other=other)

    def hit(self, entry: Held) -> tuple[str, Any]:
        self.counts["hits"] += 1
        self.counts["stale_hits"] += not self.fresh(entry)
        return ("raises", entry.value) if entry.raised else ("returns", entry.value)

    def refresh_behind(self, key: Any) -> None:
        outcome, value = self.function(key)
        self.counts["failures"] += outcome == "raises"
        self.store(key, outcome, value)

    # The handle.

    def refresh(self, key: Any) -> tuple[str, Any]:
        outcome, value = self.function(key)
        self.store(key, outcome, value)
        return outcome, value

    def find(self, key: Any) -> tuple[str, Held | None]:
        """The status of what is under `key`, and the entry."""
        held = False
        try:
            entry = self.read(key)
        except Failed:
            if self.options.failed == "fallback":
                entry = self.other.get(key)
            elif self.options.failed == "STALE" and key in self.seen:
                entry, held = self.seen[key], True
            else:
                return "failed", None
        if entry is None:
            return "miss", None
        if self.fresh(entry):
            return "fresh", entry
        stale = held or self.within(self.options.swr, entry)
        stale = stale or (self.options.serves_stale and not entry.raised)
        return ("stale" if stale else "expired"), entry

    def lookup(self, key: Any) -> tuple[str, Any]:
        failures = self.counts["failures"]
        status, entry = self.find(key)
        self.counts["failures"] = failures
        return status, None if entry is None or entry.raised else entry.value

    def get(self, key: Any) -> tuple[str, Any]:
        status, entry = self.find(key)
        if status in {"fresh", "stale"}:
            return self.hit(entry)
        self.counts["misses"] += 1
        self.counts["expirations"] += status == "expired"
        return status, None

    def invalidate(self, key: Any) -> bool:
        self.seen.pop(key, None)
        done = False
        if "delete" in self.fails:
            self.counts["failures"] += 1
        else:
            done = self.entries.pop(key, None) is not None
        if self.options.failed == "fallback":
            done = (self.other.pop(key, None) is not None) or done
        return done

    def clear(self) -> None:
        self.seen.clear()
        self.other.clear()
        if "clear" not in self.fails:
            self.entries.clear()
        self.counts.clear()


#: Places in a function's few keys: as many as do not fit where there is a bound, else two.
places = st.integers(0, 3)
OUTAGES = [
    set(),
    {"read"},
    {"write"},
    {"delete"},
    {"clear"},
    {"read", "write"},
    {"read", "write", "delete", "clear"},
]
COUNTERS = (
    "hits",
    "misses",
    "expirations",
    "stale_hits",
    "evictions",
    "failures",
    "loads",
    "load_failures",
)


class Machine(RuleBasedStateMachine):
    """One decorated function beside its model."""

    options: Options
    asynchronous: bool

    @initialize()
    def build(self) -> None:
        self.timer = FakeTimer()
        # A store of this process: others are owed what fails, of which tests/guard has a model.
        self.backend, self.other = Scripted(), Scripted()
        self.model = Model(self.options)
        self.results = 0
        self.raises = False
        options = self.options.written(self.backend, self.other) | {"timer": self.timer}
        if self.asynchronous:
            self.loop = asyncio.new_event_loop()

            @cached(**options)
            async def load(key: str) -> Any:
                return self.function(key)

        else:

            @cached(**options)
            def load(key: str) -> Any:
                return self.function(key)

        self.load = load

    def key(self, place: int) -> str:
        bound = self.options.maxsize
        return "abcd"[place if bound else place % 2]

    def function(self, key: str) -> Any:
        if self.raises:
            raise Upstream(key)
        self.results += 1
        return key, self.results

    def do(self, make: Any) -> tuple[str, Any]:
        """What an operation answers or raises, once everything in the background has ended."""
        if self.asynchronous:
            return self.loop.run_until_complete(self.do_async(make))
        try:
            answer = "returns", make()
        except Upstream as error:
            answer = "raises", error.args[0]
        except (Miss, Expired, OperationFailed) as error:
            answer = type(error).__name__, None
        assert background.wait(10)
        return answer

    async def do_async(self, make: Any) -> tuple[str, Any]:
        try:
            answer = "returns", await asyncio.wait_for(make(), 10)
        except Upstream as error:
            answer = "raises", error.args[0]
        except (Miss, Expired, OperationFailed) as error:
            answer = type(error).__name__, None
        refreshes = self.load._self_site.core.refreshes
        if refreshes:
            await asyncio.wait(refreshes, timeout=10)
        return answer

    @rule(place=places)
    def call_again(self, place: int) -> None:
        self.call(place)  # calls are the more frequent

    @rule(place=places)
    def call(self, place: int) -> None:
        key = self.key(place)
        expected = self.model.call(key)
        if expected[0] == "raises":
            expected = "raises", key
        assert self.do(lambda: self.load(key)) == expected

    @rule(place=places)
    def get(self, place: int) -> None:
        key = self.key(place)
        status, value = self.model.get(key)
        names = {"miss": "Miss", "expired": "Expired", "failed": "OperationFailed"}
        value = key if status == "raises" else value
        assert self.do(lambda: self.load.get(key)) == (names.get(status, status), value)

    @rule(place=places)
    def lookup(self, place: int) -> None:
        key = self.key(place)
        expected = self.model.lookup(key)
        outcome = self.do(lambda: self.load.lookup(key))[1]
        assert (outcome.status, outcome.value) == expected

    @rule(place=places)
    def set(self, place: int) -> None:
        key = self.key(place)
        value = "set", self.timer(), key
        stored = self.model.write(key, value)
        assert self.do(lambda: self.load.set(value, key)) == ("returns", stored)

    @rule(place=places)
    def refresh(self, place: int) -> None:
        key = self.key(place)
        outcome, value = self.model.refresh(key)
        assert self.do(lambda: self.load.refresh(key)) == (outcome, value)

    @rule(place=places)
    def invalidate(self, place: int) -> None:
        key = self.key(place)
        done = self.model.invalidate(key)
        assert self.do(lambda: self.load.invalidate(key)) == ("returns", done)

    @rule()
    def clear(self) -> None:
        self.model.clear()
        assert self.do(self.load.cache_clear) == ("returns", None)

    @rule(seconds=st.sampled_from([5, 5, 5, 10, 20, 4, 1, 0.25]))
    def advance(self, seconds: float) -> None:
        self.timer.advance(seconds)
        self.model.now += seconds

    @rule()
    def function_turns(self) -> None:
        self.raises = self.model.raises = not self.raises

    @precondition(lambda self: self.options.failed)
    @rule(fails=st.sampled_from(OUTAGES))
    def backend_turns(self, fails: set[str]) -> None:
        self.backend.fails = fails
        self.model.fails = fails

    @invariant()
    def counters_agree(self) -> None:
        if not hasattr(self, "load"):
            return
        info = self.load.cache_info()
        found = {name: getattr(info, name) for name in COUNTERS}
        assert found == {name: self.model.counts[name] for name in COUNTERS}
        assert self.results == self.model.results
        if not self.options.failed:
            assert info.currsize == len(self.model.entries)
            if self.options.maxsize is not None:
                assert info.currsize <= self.options.maxsize
        assert not self.load._self_site.core.flights

    def teardown(self) -> None:
        if getattr(self, "loop", None) is not None:
            self.loop.close()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_function_does_what_the_model_says(options: Options, asynchronous: bool) -> None:
    """Every answer, exception, look and counter is the model's, whatever happens in any order."""
    machine = type("Under", (Machine,), {"options": options, "asynchronous": asynchronous})
    run_state_machine_as_test(
        machine,
        # Without shrinking, which takes longer than a hanging test is given.
        settings=settings(
            max_examples=40,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
