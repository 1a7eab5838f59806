"""Two shortcuts go past the flow: a plain miss in memory, and a plain hit anywhere else.

Random programs, each from a seed, are run as they are and with every call sent through a flow. What
callers get, and what is stored, counted and heard, must be the same.
"""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

from memo import (
    CALL,
    EVICT,
    RAISE,
    SKIP,
    STALE,
    CacheError,
    OperationFailed,
    Outcome,
    Policy,
    fallback,
    raise_as,
    site,
)
from memo import flow as flows
from memo.entry import Entry
from memo.testing import FakeTimer
from memo.turns import AsyncTurn, Turn

PROGRAMS = 200
STEPS = 30


class Upstream(Exception):
    """What the function raises when it is told to."""


class Missing(Upstream):
    """A kind of it."""


class Leaving(BaseException):
    """What no cache has a say in."""


class Own(Exception):
    """What a policy raises in the place of a cache error."""


class Unhashable:
    """No part of a key."""

    __hash__ = None

    def __repr__(self):
        return "Unhashable()"


class Erratic:
    """A store in this process that fails by chance, and now and then takes its time."""

    name = "erratic"
    blocking = False

    def __init__(self, rolls, clock, seen):
        self.held = {}
        self.rolls = rolls
        self.clock = clock
        self.seen = seen
        self.odds = rolls.choice([0, 0.1, 0.4])

    def _enter(self, operation):
        self.seen.append(operation)
        if self.rolls.random() < self.odds:
            kinds = (ConnectionError, StopIteration, MemoryError)
            codec = OperationFailed("it is none of ours", codec=True)
            raise self.rolls.choice([kind("down") for kind in kinds] + [codec])
        if self.rolls.random() < self.odds:
            self.clock.advance(self.rolls.choice([1, 6, 11]))

    def read(self, key):
        self._enter("read")
        entry = self.held.get(key)
        odd = (b"no entry", entry and Entry(entry.value, entry.created, float("nan")))
        return self.rolls.choice(odd) if self.rolls.random() < self.odds / 3 else entry

    def write(self, key, entry):
        self._enter("write")
        self.held[key] = entry

    def delete(self, key):
        self._enter("delete")
        return self.held.pop(key, None) is not None

    def clear(self):
        self._enter("clear")
        self.held.clear()

    def evict(self, n):
        self._enter("evict")
        return 0


def told(thing):
    """A result or an exception, as something that can be compared."""
    if isinstance(thing, Outcome):
        return thing.status, thing.value, thing.age, thing.tier, told(thing.error)
    if isinstance(thing, BaseException):
        more = vars(thing) if isinstance(thing, CacheError) else {}
        return type(thing), str(thing), repr(more), told(thing.__cause__)
    return thing


def divided(value):
    """A hook that fails with some values."""
    return 5 // (value[0] % 4)


def options(rolls, memory, heard, other):
    """Options of which any may be there."""

    def some(odds, **choices):
        return {
            name: rolls.choice(all_of) for name, all_of in choices.items() if rolls.random() < odds
        }

    written = some(0.2, single_flight=[False], typed=[True])
    plain = memory and rolls.random() < 0.7  # with a policy that has nothing to say about it
    written["ttl"] = rolls.choice([1, 5, 10, 10] if plain else [2, 5, 10, divided, lambda _: None])
    if memory:
        written["maxsize"] = rolls.choice([None, 1, 2, 3, 1024])
        written["eviction"] = rolls.choice(["adaptive", "lru", "fifo"])
    if not plain:
        written |= some(
            0.3,
            stale_while_revalidate=[3, 20],
            stale_if_error=[3, 20, {Missing: 5}],
            refresh_after=[0.3, 0.8],
            cache_exceptions=[{Upstream: 4}, {Missing: 3}],
        )
        written |= some(0.15, should_cache=[divided], copy=[divided, list], maxsize=[0])
    calls = [CALL] * 4
    failed = [*calls, RAISE, raise_as(Own), {"key": RAISE}, {"read": STALE, "write": RAISE}]
    failed += [] if plain else [STALE, fallback(other), lambda error: error.no_such_thing]
    written["policy"] = Policy(
        miss=CALL if plain else rolls.choice([*calls, RAISE, raise_as(Own)]),
        expired=CALL if plain else rolls.choice([*calls, STALE, RAISE, lambda _: STALE]),
        full=rolls.choice([EVICT, SKIP, RAISE]),
        failed=rolls.choice(failed),
        on_error=lambda error: heard.append(told(error)),
        breaker=None,
        timeout=60,
    )
    return written


def outcome(rolls, number):
    """What the function does at its `number`-th run."""
    chance = rolls.random()
    for odds, error in ((0.1, Upstream), (0.15, Missing), (0.17, Leaving), (0.19, RecursionError)):
        if chance < odds:
            raise error(number)
    return (number,)


def run(seed, colour, *, memory):
    """All that can be seen of the program that `seed` gives."""
    rolls, clock, seen = random.Random(seed), FakeTimer(), []
    random.seed(seed)  # the default eviction rolls for itself
    # Each a list of its own: a refresh in the background runs beside the call that began it.
    runs, heard, asked = [], [], []
    other: dict[Any, Any] = {}
    written = options(rolls, memory, heard, other)
    store: Any = None
    if not memory:
        store = rolls.choice([dict, lambda: Erratic(random.Random(f"s{seed}"), clock, asked)])()
    deep = []

    def body(x, y=0):
        number = len(runs)
        fate = random.Random(f"{seed} {number}")
        runs.append((repr(x), y))
        if not (colour.is_async or deep):  # what it does to the cache that it is called by
            deep.append(x)
            runs.append(step(fate.choice(STEPS_INSIDE), x, y, number))
            deep.pop()
        return outcome(fate, number)

    f = colour.cached(timer=clock, backend=store, **written)(body)
    core = f._self_site.core

    def step(what, x, y, number):
        call = {
            "call": lambda: f(x, y),
            "by name": lambda: f(y=y, x=x),
            "get": lambda: f.get(x, y),
            "lookup": lambda: f.lookup(x, y),
            "refresh": lambda: f.refresh(x, y),
            "invalidate": lambda: f.invalidate(x, y),
            "set": lambda: f.set((number, "set"), x, y),
            "clear": f.cache_clear,
            "misfit": lambda: f(x, y, x),
        }.get(what)
        if call is None:
            return what, clock.advance(rolls.choice([0.5, 1, 3, 7]))
        try:
            return what, told(colour.run(call()))
        except BaseException as error:
            return what, told(error)

    for number in range(STEPS):
        x = rolls.choice([0, 1, 2, 3, 4, 5, 1.0, [1], {1: {2}}, Unhashable()])
        what = rolls.choice([*["call"] * 7, "by name", *["time"] * 3, *STEPS_INSIDE, "misfit"])
        seen.append(step(what, x, rolls.choice([0, 0, 1]), number))
        colour.settle()
        info = f.cache_info()
        seen.append((info, info.evictions, info.expirations, info.stale_hits, info.loads))
        seen.append((info.load_failures, info.failures_by, len(core.flights)))
        held = core.memory._store.table if memory else getattr(store, "held", store)
        seen.append([(repr(key), repr(node.value), node.expires) for key, node in held.items()])
        seen.append(repr(other))
    return seen, runs, heard, asked


STEPS_INSIDE = ["call", "get", "lookup", "refresh", "invalidate", "set", "clear", "time", "time"]


def through_flows(monkeypatch):
    """Have every call that is no hit in memory answered by a flow."""

    def turn(core, key, function, args, kwargs):
        flow = flows.call(key, core.rules, core.stats)
        return Turn(core, key, flow, function, args, kwargs).begin()

    def async_turn(core, key, function, args, kwargs):
        flow = flows.call(key, core.rules, core.stats)
        return AsyncTurn(core, key, flow, function, args, kwargs)

    monkeypatch.setattr(site, "take_off", lambda *_call: None)
    monkeypatch.setattr(site, "look", turn)
    monkeypatch.setattr(site, "AsyncLook", async_turn)


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "others"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_shortcuts_answer_as_flows_do(colour, memory, monkeypatch):
    """Whichever way a call goes, it makes no difference but in time."""
    monkeypatch.setattr(logging.getLogger("memo"), "disabled", True)
    short = [run(seed, colour, memory=memory) for seed in range(PROGRAMS)]
    through_flows(monkeypatch)
    for seed, expected in enumerate(short):
        assert run(seed, colour, memory=memory) == expected, seed
