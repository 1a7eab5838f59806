"""Every ordering does what a deliberately simple model of it does, operation by operation."""

import copy
import pickle
import random

import cachetools
import pytest
from eviction.models import AdaptiveModel, FIFOModel, LFUModel, LRUModel, Model
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memo.eviction import NAMES, adaptive, ordering
from memo.eviction.classic import MIN_READS
from memo.eviction.ring import members


def ordered(store):
    """The nodes the ordering itself holds, apart from the table."""
    if hasattr(store, "_order"):
        return list(store._order)
    return members(store._hot) + members(store._cold) + members(store._demoted)


def contents(store):
    """Keys, values and sizes; to look at them this way is not to use them."""
    return [(node.key, node.value, node.size) for node in store.table.values()]


class AnyModel(Model):
    """What goes next is not known: it must be told."""

    def enter(self, key):
        pass

    leave = read = written = enter


MODELS = {
    "adaptive": AdaptiveModel,
    "fifo": FIFOModel,
    # cachetools had another order among entries used equally often before it had links.
    "lfu": LFUModel if hasattr(cachetools.LFUCache, "_Link") else AnyModel,
    "lru": LRUModel,
    "random": AnyModel,
}


class Against(RuleBasedStateMachine):
    """An ordering beside its model, on the same operations."""

    name: str
    largest = 1
    maxsizes = (1, 2, 3, 10, 40)

    def __init__(self):
        super().__init__()
        # So many places for ghosts that each key has one to itself, as in the model.
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(adaptive, "GHOSTS", 100)

    def teardown(self):
        self.patch.undo()

    @initialize(data=st.data())
    def begin(self, data):
        self.maxsize = data.draw(st.sampled_from(self.maxsizes))
        self.store = ordering(self.name, self.maxsize)
        self.model = MODELS[self.name](self.maxsize)
        self.told = type(self.model) is AnyModel
        self.nodes = {}
        self.dropped = 0
        self.reads = 0
        self.last = int(self.maxsize * 1.5) if self.largest == 1 else 8
        self.keys = st.integers(0, self.last)
        self.sizes = st.integers(min(1, self.largest - 1), min(self.largest, self.maxsize))

    def agree(self, victims, expected):
        keys = [victim.key for victim in victims]
        if self.told:
            for key in keys:
                del self.model.sizes[key]
        else:
            assert keys == expected
        for victim in victims:
            assert self.nodes.pop(victim.key) is victim
        self.dropped += len(keys)

    def expected(self, operate):
        if not self.told:
            return operate()
        bound, self.model.maxsize = self.model.maxsize, float("inf")
        operate()
        self.model.maxsize = bound
        return None

    def access(self, key, size):
        """What a caching function does: a hit marks, a miss inserts."""
        node = self.store.table.get(key)
        if node is not None:
            node.used = True
            self.model.read(key)
            self.reads += 1
            if self.reads == MIN_READS:  # more than these are not promised to be remembered
                self.store.drain()
                self.reads = 0
            return
        self.reads = 0
        node = self.store.node_type(key, str(key), size)
        expected = self.expected(lambda: self.model.insert(key, size))
        victims = self.store.insert(node)
        self.agree(victims, expected)
        self.nodes[key] = node

    @rule(data=st.data())
    def use(self, data):
        self.access(data.draw(self.keys), data.draw(self.sizes))

    @rule(seed=st.integers(0, 10_000), often=st.floats(1, 4), length=st.integers(1, 300))
    def use_many(self, seed, often, length):
        """Some keys oftener than others."""
        dice = random.Random(seed)
        last = self.last
        largest = min(self.largest, self.maxsize)
        for _ in range(length):
            key = (int(last * dice.random() ** often) + seed) % (last + 1)
            self.access(key, dice.randint(min(1, self.largest - 1), largest))

    @rule(first=st.integers(0, 60), length=st.integers(1, 120))
    def scan(self, first, length):
        """Each key once."""
        for number in range(first, first + length):
            self.access(number % (self.last + 1), 1)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def replace(self, data):
        key = data.draw(st.sampled_from(sorted(self.nodes)))
        size = data.draw(self.sizes)
        expected = self.expected(lambda: self.model.resize(key, size))
        victims = self.store.resize(self.nodes[key], size)
        assert self.nodes[key] not in victims
        self.agree(victims, expected)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def remove(self, data):
        key = data.draw(st.sampled_from(sorted(self.nodes)))
        node = self.nodes.pop(key)
        self.store.remove(node)
        self.model.remove(key)
        node.used = True  # a reader who came just before
        with pytest.raises(KeyError):
            self.store.remove(node)

    @precondition(lambda self: self.nodes)
    @rule()
    def pop(self):
        expected = None if self.told else [self.model.pop()]
        self.agree([self.store.pop_victim()], expected)

    @rule()
    def drain(self):
        self.store.drain()
        self.reads = 0

    @precondition(lambda self: len(self.nodes) > 2)
    @rule()
    def clear(self):
        self.store.clear()
        self.model.clear()
        self.nodes.clear()

    @rule()
    def refuse_too_large(self):
        before = list(self.store.table)
        with pytest.raises(ValueError, match="value too large"):
            self.store.insert(self.store.node_type("large", None, self.maxsize + 1))
        for node in list(self.nodes.values())[:1]:
            with pytest.raises(ValueError, match="value too large"):
                self.store.resize(node, self.maxsize + 1)
        assert list(self.store.table) == before

    @invariant()
    def bounded_and_consistent(self):
        if not hasattr(self, "store"):
            return
        store = self.store
        assert store.table == self.nodes
        assert {key: node.size for key, node in self.nodes.items()} == self.model.sizes
        assert store.currsize == self.model.total() <= self.maxsize == store.maxsize
        assert store.evictions == self.dropped
        held = ordered(store)
        assert len(held) == len(self.nodes)
        assert {id(node) for node in held} == {id(node) for node in self.nodes.values()}

    @rule(how=st.sampled_from([copy.copy, lambda store: pickle.loads(pickle.dumps(store))]))
    def twin(self, how):
        """A copy holds the same, in the same order, and is on its own."""
        twin = how(self.store)
        assert contents(twin) == contents(self.store)
        assert twin.currsize == self.store.currsize
        held = {id(node) for node in self.nodes.values()}
        assert held.isdisjoint(map(id, ordered(twin)))
        assert [node.key for node in ordered(twin)] == [node.key for node in ordered(self.store)]
        twin.clear()


class AgainstSized(Against):
    """The same with entries of different sizes, of which some are nothing."""

    largest = 5
    maxsizes = (10, 20)


def machine(name, base):
    """The test case of one ordering."""
    kind = type(f"{base.__name__}{name.title()}", (base,), {"name": name})
    case = kind.TestCase
    case.__doc__ = base.__doc__
    case.settings = settings(max_examples=40, stateful_step_count=25)
    return case


TestAdaptive = machine("adaptive", Against)
TestLRU = machine("lru", Against)
TestLFU = machine("lfu", Against)
TestFIFO = machine("fifo", Against)
TestRandom = machine("random", Against)
TestAdaptiveSized = machine("adaptive", AgainstSized)
TestLRUSized = machine("lru", AgainstSized)
TestLFUSized = machine("lfu", AgainstSized)
TestFIFOSized = machine("fifo", AgainstSized)
TestRandomSized = machine("random", AgainstSized)


def test_every_ordering_has_a_model():
    """No ordering goes untested."""
    assert set(MODELS) == set(NAMES)
