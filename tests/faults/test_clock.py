"""The wall clock is set a year on or back under a store that other processes share."""

from __future__ import annotations

import random

import pytest
from faults.clocks import TTL, YEAR, Machine
from servers.memcached import shared_memcached
from servers.valkey import shared_valkey

from memo.backends import Memcached, Redis, Sqlite
from memo.backends.encoded import SKEW
from memo.testing import FakeTimer

#: Steps of one random story; benchmarks/faults makes ten thousand calls.
STEPS = 150


@pytest.fixture(params=["sqlite", "redis", "memcached"])
def open_store(request, tmp_path):
    """Opens a store that is shared: each time as another process would."""
    made = []

    def opened():
        if request.param == "sqlite":
            store = Sqlite(tmp_path / "cache.db")
        elif request.param == "redis":
            store = Redis(shared_valkey().url, namespace=str(tmp_path))
        else:
            store = Memcached(shared_memcached().url, namespace=str(tmp_path))
        made.append(store)
        return store

    yield opened
    for store in made:
        store.close()


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["on", "back"])
def test_a_clock_that_is_set_by_a_year(open_store, jump):
    """Nothing is served past its lifetime, and what is loaded after a jump is cached as ever."""
    truth = FakeTimer()
    machine = Machine(open_store(), truth)
    for _ in range(2):  # there, and to where it was
        assert machine.age() == 0
        machine.clock.advance(jump)
        loads = machine.loads
        assert machine.age() == machine.age() == 0
        assert machine.loads <= loads + 1  # at most one load for a jump
        for clock in (truth, machine.clock):
            clock.advance(TTL - 1)
        assert machine.age() == TTL - 1  # not early
        for clock in (truth, machine.clock):
            clock.advance(1)
        assert machine.age() == 0  # not late
        jump = -jump


def test_a_jump_that_others_do_not_make(open_store):
    """Two machines whose clocks are a year apart serve nothing past its lifetime to each other."""
    truth = FakeTimer()
    right, wrong = (Machine(open_store(), truth) for _ in range(2))
    wrong.clock.advance(YEAR)
    for _ in range(5):
        for machine in (wrong, right, wrong):
            assert 0 <= machine.age() < TTL
        for clock in (truth, right.clock, wrong.clock):
            clock.advance(TTL / 2)


def test_clocks_that_are_nearly_right(open_store):
    """Clocks that are half a minute apart cost half a minute of a lifetime, and no more."""
    truth = FakeTimer()
    right, ahead = (Machine(open_store(), truth) for _ in range(2))
    ahead.clock.advance(SKEW / 2)
    assert ahead.age() == right.age() == 0
    assert right.loads == 0
    for clock in (truth, right.clock, ahead.clock):
        clock.advance(TTL - 1)
    assert right.age() == ahead.age() == TTL - 1
    for clock in (truth, right.clock, ahead.clock):
        clock.advance(SKEW / 2 + 1)
    assert ahead.age() == 0
    assert right.age() == 0


@pytest.mark.parametrize("seed", range(2))
def test_clocks_that_are_set_at_random(open_store, seed):
    """However far two clocks are off, and whenever, no answer is older than its lifetime.

    All of it takes less than a month of true time: a clock that was a month ahead is far off.
    """
    chance = random.Random(seed)
    truth = FakeTimer()
    machines = [Machine(open_store(), truth) for _ in range(2)]
    for _ in range(STEPS):
        machine = chance.choice(machines)
        match chance.choice(["jump", "set right", "pass", "pass", "ask", "ask", "ask"]):
            case "jump":
                machine.clock.advance(chance.choice([YEAR, -YEAR, 40 * 86_400.0]))
            case "set right":
                machine.clock.advance(machines[0].clock() - machine.clock())
            case "pass":
                step = chance.uniform(0, TTL / 2)
                for clock in (truth, *(one.clock for one in machines)):
                    clock.advance(step)
            case "ask":
                assert 0 <= machine.age() < TTL
