"""What is invalidated or stored while the server is away holds when it is back."""

from __future__ import annotations

import asyncio
import random

import pytest
from servers.process import wait_until
from servers.proxy import Proxy
from servers.valkey import Valkey

from memo import AsyncCache, Breaker, Cache, Policy
from memo.backends import Redis

#: Steps of one random story, and how many there are; each seed is another story.
STEPS = 20
STORIES = 2

POLICY = Policy(timeout=0.2, breaker=Breaker(failures=5, probe_every=0.05))


class Both:
    """One cache on one server, in both colours, and a source whose values have versions.

    Attributes:
        versions: what the source gives for each key at present.
        floors: the version of each key that was invalidated or stored last: an answer must not be
            older.
    """

    def __init__(self, url, runner):
        self.backend = Redis(url)
        self.sync = Cache(self.backend, namespace="n", ttl=600, policy=POLICY)
        self.runner = runner
        self.twin = AsyncCache(self.backend, namespace="n", ttl=600, policy=POLICY)
        self.versions = dict.fromkeys(range(5), 1)
        self.floors = dict.fromkeys(range(5), 0)
        self.story = []

    def invalidate(self, key, *, twin):
        """The source changes, and the cache is told."""
        self.versions[key] += 1
        self.story.append(f"invalidate {key} of {self.versions[key]} {twin=}")
        told = self.runner.run(self.twin.delete(key)) if twin else self.sync.delete(key)
        self.floors[key] = self.versions[key]
        return told

    def set(self, key, *, twin):
        """The source changes, and the cache is given the new value."""
        self.versions[key] += 1
        version = self.versions[key]
        self.story.append(f"set {key} to {version} {twin=}")
        in_loop, cache = self.runner.run, self.sync
        done = in_loop(self.twin.set(key, version)) if twin else cache.set(key, version)
        self.floors[key] = version
        return done

    def clear(self, *, twin):
        """Everything in the source changes, and the cache is cleared."""
        self.story.append(f"clear {twin=}")
        for key in self.versions:
            self.versions[key] += 1
        if twin:
            self.runner.run(self.twin.clear())
        else:
            self.sync.clear()
        self.floors.update(self.versions)

    def get(self, key, *, twin):
        """An answer, which must not be older than what was invalidated."""

        async def load():
            return self.versions[key]

        if twin:
            answer = self.runner.run(self.twin.get_or_load(key, load))
        else:
            answer = self.sync.get_or_load(key, lambda: self.versions[key])
        self.story.append(f"get {key}: {answer} {twin=}")
        assert self.floors[key] <= answer <= self.versions[key], "\n".join(self.story)
        return answer

    def settle(self):
        """Go on asking until the breaker is closed and nothing is owed; all answers must be new."""

        def settled():
            for key in self.versions:
                self.get(key, twin=False)
                self.get(key, twin=True)
            guard = self.sync._core.guard
            return not guard.circuit.shut and guard.recovery.counts()[0] == 0

        wait_until("the server has been told", settled, 60)

    def as_others_see_it(self, url):
        """What another program finds on the server is not older either."""
        other = Cache(Redis(url), namespace="n", ttl=600)
        try:
            for key, floor in self.floors.items():
                found = other.get(key, None)
                assert found is None or found >= floor, "\n".join(self.story)
        finally:
            other.close()

    def close(self):
        """Close the connections of both colours."""
        self.runner.run(self.twin.close())
        self.sync.close()


@pytest.fixture
def kept():
    """A server that keeps what it has acknowledged when it is killed."""
    with Valkey(appendonly="yes", appendfsync="always") as server:
        yield server


@pytest.fixture
def network(kept):
    """What is between the cache and the server."""
    with Proxy(kept.address) as proxy:
        yield proxy


@pytest.fixture
def cache(network):
    """A cache on the server, which has a value for each key."""
    with asyncio.Runner() as runner:
        both = Both(f"redis://{network.host}:{network.port}/0", runner)
        both.settle()
        yield both
        both.close()


#: How the server goes away, and how it comes back.
OUTAGES = {
    "killed": (lambda server, network: server.kill(), lambda server, network: server.restart()),
    "stopped": (lambda server, network: server.stop(), lambda server, network: server.resume()),
    "refused": (lambda server, network: network.refuse(), lambda server, network: network.normal()),
    "hung": (lambda server, network: network.hang(), lambda server, network: network.normal()),
    "deaf": (lambda server, network: network.swallow(), lambda server, network: network.normal()),
}
each_outage = pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)


@each_outage
@pytest.mark.parametrize("twin", [False, True], ids=["sync", "async"])
def test_what_is_invalidated_during_an_outage_stays_so(cache, kept, network, outage, twin):
    """The value from before is served by nobody any more, though the server still has had it."""
    begin, end = outage
    assert cache.backend.read(("n", 0)).value == 1
    begin(kept, network)
    assert cache.invalidate(0, twin=twin) is False
    for _ in range(6):
        cache.get(0, twin=twin)
    assert cache.invalidate(1, twin=twin) is False  # the breaker is open by now
    end(kept, network)
    cache.settle()
    cache.as_others_see_it(kept.url)


@each_outage
@pytest.mark.parametrize("twin", [False, True], ids=["sync", "async"])
def test_what_is_stored_during_an_outage_is_there_afterwards(cache, kept, network, outage, twin):
    """A value that was set is served while the server is away, and it has it when it is back."""
    begin, end = outage
    begin(kept, network)
    assert cache.set(0, twin=twin) is False
    assert cache.get(0, twin=twin) == cache.get(0, twin=not twin) == 2
    end(kept, network)
    cache.settle()
    assert cache.backend.read(("n", 0)).value == 2


@pytest.mark.parametrize("seed", range(STORIES))
def test_random_stories(cache, kept, network, seed):
    """Whatever happens in whatever order, no answer is older than what was invalidated last."""
    chance = random.Random(seed)
    end = None
    for _ in range(STEPS):
        twin = chance.random() < 0.5
        key = chance.randrange(len(cache.versions))
        match chance.choices(["get", "set", "invalidate", "clear", "turn"], [8, 3, 4, 1, 3])[0]:
            case "get":
                cache.get(key, twin=twin)
            case "set":
                cache.set(key, twin=twin)
            case "invalidate":
                cache.invalidate(key, twin=twin)
            case "clear":
                cache.clear(twin=twin)
            case "turn" if end is None:
                name = chance.choice(list(OUTAGES))
                cache.story.append(name)
                begin, end = OUTAGES[name]
                begin(kept, network)
            case "turn":
                cache.story.append("well")
                end(kept, network)
                end = None
    if end is not None:
        end(kept, network)
    cache.settle()
    cache.as_others_see_it(kept.url)
