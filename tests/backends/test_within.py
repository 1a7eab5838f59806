"""Who comes in the middle of a change of a memory, in the same thread, does no harm.

A signal handler or a finalizer runs where a function is entered or has returned. Here every such
place is visited, one after the other.
"""

from __future__ import annotations

import math
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from memo import cached
from memo.backends import Memory
from memo.entry import Entry

MAXSIZE = 3


def entry(value, ttl=10.0):
    """An entry that was made at zero."""
    return Entry(value, 0.0, ttl, ttl)


def filled(eviction):
    """A memory with no room left, whose keys are 0, 1 and 2."""
    memory = Memory(MAXSIZE, eviction=eviction, timer=lambda: 0.0)
    for key in range(MAXSIZE):
        memory.write(("scope", key), entry("old"))
    memory.read(("scope", 1))
    return memory


def put(memory, key, watch):
    """What a plain call does with its value."""
    gone = []
    with memory.guard.lock:
        memory.put(("scope", key), "value", 0.0, 10.0, gone, watch)


CHANGES = {
    "put a new one": lambda memory, watch: put(memory, 3, watch),
    "put another": lambda memory, watch: put(memory, 1, watch),
    "write a new one": lambda memory, watch: memory.write(
        ("scope", 3), entry("value"), unless=watch
    ),
    "write another": lambda memory, watch: memory.write(
        ("scope", 1), entry("value", math.inf), unless=watch
    ),
    "delete": lambda memory, watch: memory.delete(("scope", 1)),
    "evict": lambda memory, watch: memory.evict(2),
    "clear": lambda memory, watch: memory.clear(),
    "clear a scope": lambda memory, watch: memory.clear_scope("scope"),
}

VISITS = {
    "delete": lambda memory, key: memory.delete(("scope", key)),
    "write": lambda memory, key: memory.write(("scope", key), entry("newer")),
    "put": lambda memory, key: put(memory, key, SimpleNamespace(superseded=False)),
    "clear": lambda memory, key: memory.clear(),
    "clear a scope": lambda memory, key: memory.clear_scope("scope"),
    "evict": lambda memory, key: memory.evict(),
}


def visited(change, visit, place):
    """Make the `change`, with a visit at the given place; whether there is such a place."""
    places = count(1)

    def look_round(_frame, event, _argument):
        if event != "c_call" and next(places) == place:
            sys.setprofile(None)
            visit()

    before = sys.getprofile()
    sys.setprofile(look_round)
    try:
        change()
    finally:
        sys.setprofile(before)
    return next(places) > place


def check(memory):
    """What is held is what is counted, within the bound; and it can be used on."""
    assert len(memory) == memory.currsize <= MAXSIZE
    for key in range(2 * MAXSIZE):
        memory.delete(("scope", key - MAXSIZE))
        memory.write(("scope", key), entry("after"))
        assert memory.read(("scope", key)).value == "after"
        assert len(memory) == memory.currsize <= MAXSIZE
    assert memory.evict(MAXSIZE) == MAXSIZE
    memory.clear()
    assert len(memory) == memory.currsize == 0


@pytest.mark.parametrize("eviction", ["adaptive", "lru", "lfu", "fifo", "random"])
@pytest.mark.parametrize("change", CHANGES)
def test_visits_at_any_place_leave_a_memory_in_order(eviction, change):
    """What a visitor drops is gone, and what it stores is its own value or gone."""
    for kind, visit in VISITS.items():
        for key in (1, 3):
            for place in count(1):
                memory, watch = filled(eviction), SimpleNamespace(superseded=False)

                def call(memory=memory, watch=watch, visit=visit, key=key):
                    watch.superseded = True
                    visit(memory, key)

                if not visited(lambda m=memory, w=watch: CHANGES[change](m, w), call, place):
                    break
                left = memory.read(("scope", key))
                if kind in {"delete", "clear", "clear a scope"}:
                    assert left is None, (kind, key, place)
                elif kind == "write":
                    assert left is None or left.value == "newer", (kind, key, place)
                check(memory)
            assert place > 5


@pytest.mark.parametrize("ttl", [10, None])
@pytest.mark.parametrize("known", [False, True])
def test_an_invalidation_at_any_place_of_a_call_leaves_nothing_outdated(ttl, known):
    """What is stored in the end was loaded after the last change of what the function reads."""
    for place in count(1):
        source = ["old"]
        f = cached(ttl=ttl, maxsize=MAXSIZE)(lambda key, source=source: source[0])
        for key in range(MAXSIZE):
            f(key)
        key = 1 if known else MAXSIZE
        f.invalidate(key)

        def change(f=f, source=source, key=key):
            source[0] = "new"
            f.invalidate(key)

        if not visited(lambda f=f, key=key: f(key), change, place):
            break
        assert f.lookup(key).value in {"new", None}, place
    assert place > 10
