"""Seeded chaos against a plain model: no value that was replaced or dropped is ever seen again."""

from __future__ import annotations

import asyncio
import random

import pytest
from concurrency.watch import PATIENCE, Crew, until
from guard.stores import AsyncStore, Prompt, ThreadStore

import memo.guard.replays
from memo import AsyncCache, Cache, Policy
from memo.breaker import Breaker
from memo.testing import FakeTimer

KEYS = "abcdef"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """What is owed is tried again after a short pause."""
    monkeypatch.setattr(memo.guard.replays, "_PAUSE", 0.001)


def chaotic(kind, draw):
    """A store of which operations fail by chance: before they are done, or after."""

    class Chaotic(kind):
        odds = 0.0

        def _enter(self, operation, key):
            super()._enter(operation, key)
            if draw.random() < self.odds:
                raise ConnectionError("before")

        def _do(self, operation, key, entry=None):
            done = super()._do(operation, key, entry)
            if draw.random() < self.odds / 2:
                raise ConnectionError("after")
            return done

    return Chaotic()


def held(read):
    """The values that `read` gives for keys that have one."""
    found = {key: read(key) for key in KEYS}
    return {key: value for key, value in found.items() if value is not None}


class Model:
    """What a cache that never fails would hold."""

    def __init__(self):
        self.values = {}
        self.count = 0

    def step(self, draw):
        """The next operation: its name, its key, and the value to set."""
        operation = draw.choice(["get", "get", "get", "set", "set", "delete", "clear"])
        if operation == "clear" and draw.random() < 0.8:
            operation = "get"
        key = draw.choice(KEYS)
        self.count += 1
        if operation == "set":
            self.values[key] = self.count
        elif operation == "delete":
            self.values.pop(key, None)
        elif operation == "clear":
            self.values.clear()
        return operation, key, self.count


def policies(timer):
    """With a breaker, without one, and with one that is hasty."""
    return [
        Policy(breaker=Breaker(timer=timer)),
        Policy(breaker=None),
        Policy(breaker=Breaker(failures=1, probe_every=0.5, timer=timer)),
        Policy(breaker=Breaker(failures=3, timer=timer), retry=2),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_blocking(seed):
    """What `get` gives is the last value set, or nothing; in the end the backend agrees."""
    draw, timer = random.Random(seed), FakeTimer()
    store, model = chaotic(ThreadStore, draw), Model()
    cache = Cache(store, namespace="ours", policy=policies(timer)[seed % 4])
    for _ in range(600):
        store.odds = draw.choice([0.0, 0.0, 0.3, 1.0]) if draw.random() < 0.1 else store.odds
        timer.advance(draw.choice([0, 0, 0.3, 1]))
        operation, key, value = model.step(draw)
        if operation == "get":
            assert cache.get(key, None) in {None, model.values.get(key)}
        elif operation == "set":
            cache.set(key, value)
        elif operation == "delete":
            cache.delete(key)
        else:
            cache.clear()
    store.odds = 0.0
    others = Cache(store, namespace="others", policy=cache._core.rules.policy)

    def through():
        timer.advance(1)
        others.get("k", None)
        return cache.health().owed == 0

    until(through)
    assert held(lambda key: store.value(("ours", key))) == model.values
    assert held(lambda key: cache.get(key, None)) == model.values


@pytest.mark.parametrize("kind", [AsyncStore, Prompt, ThreadStore])
@pytest.mark.parametrize("seed", range(4))
def test_awaiting(kind, seed):
    """The same in a loop."""
    draw, timer = random.Random(seed), FakeTimer()

    async def main():
        store, model = chaotic(kind, draw), Model()
        policy = policies(timer)[seed % 4]
        cache = AsyncCache(store, namespace="ours", policy=policy)
        for _ in range(400):
            store.odds = draw.choice([0.0, 0.0, 0.3, 1.0]) if draw.random() < 0.1 else store.odds
            timer.advance(draw.choice([0, 0, 0.3, 1]))
            operation, key, value = model.step(draw)
            if operation == "get":
                assert await cache.get(key, None) in {None, model.values.get(key)}
            elif operation == "set":
                await cache.set(key, value)
            elif operation == "delete":
                await cache.delete(key)
            else:
                await cache.clear()
        store.odds = 0.0
        others = AsyncCache(store, namespace="others", policy=policy)

        async def through():
            while cache._core.guard.recovery.active:
                timer.advance(1)
                await others.get("k", None)
                await asyncio.sleep(0)

        await asyncio.wait_for(through(), PATIENCE)
        timer.advance(1)
        assert held(lambda key: store.value(("ours", key))) == model.values
        assert {key: await cache.get(key) for key in model.values} == model.values

    asyncio.run(asyncio.wait_for(main(), PATIENCE * 2))


@pytest.mark.parametrize("seed", range(3))
def test_threads(seed):
    """Each thread with keys of its own, all on one store, one breaker, and one list of debts."""
    timer = FakeTimer()
    store = chaotic(ThreadStore, random.Random(seed))
    policy = Policy(breaker=Breaker(timer=timer))
    models = [Model() for _ in range(6)]

    def work(number):
        draw, model = random.Random(f"{seed} {number}"), models[number]
        cache = Cache(store, namespace=str(number), policy=policy)
        for _ in range(250):
            if number == 0 and draw.random() < 0.1:
                store.odds = draw.choice([0.0, 0.2, 1.0])
            timer.advance(0.1)
            operation, key, value = model.step(draw)
            if operation == "get":
                assert cache.get(key, None) in {None, model.values.get(key)}
            elif operation == "set":
                cache.set(key, value)
            elif operation == "delete":
                cache.delete(key)
            else:
                cache.clear()

    Crew([lambda number=number: work(number) for number in range(6)]).join(60)
    store.odds = 0.0
    others = Cache(store, namespace="others", policy=policy)

    def through():
        timer.advance(1)
        others.get("k", None)
        return others.health().owed == 0

    until(through)
    for number, model in enumerate(models):
        assert held(lambda key, number=number: store.value((str(number), key))) == model.values


@pytest.mark.parametrize("seed", range(4))
def test_tasks_that_are_cancelled(seed):
    """A caller that is cancelled in the middle leaves either value, and never an older one."""
    draw, timer = random.Random(seed), FakeTimer()

    class Slow(AsyncStore):
        async def _wait(self, operation):
            for _ in range(draw.randrange(4)):
                await asyncio.sleep(0)

    async def main():
        store = chaotic(Slow, draw)
        cache = AsyncCache(store, namespace="ours", policy=Policy(breaker=Breaker(timer=timer)))
        possible = {key: {None} for key in KEYS}
        for count in range(400):
            store.odds = draw.choice([0.0, 0.3, 1.0]) if draw.random() < 0.1 else store.odds
            timer.advance(draw.choice([0, 0.5]))
            key = draw.choice(KEYS)
            drops = draw.random() < 0.4
            task = asyncio.ensure_future(cache.delete(key) if drops else cache.set(key, count))
            cancelled = draw.random() < 0.3
            for _ in range(draw.randrange(6)):
                await asyncio.sleep(0)
            if cancelled and task.cancel():
                await asyncio.gather(task, return_exceptions=True)
                possible[key].add(None if drops else count)
            else:
                await task
                possible[key] = {None if drops else count}
            assert await cache.get(key, None) in possible[key] | {None}

    asyncio.run(asyncio.wait_for(main(), PATIENCE * 2))
