"""Overlapping calls in threads: each id is loaded once, and nobody waits for ever."""

import threading
from typing import Any

import pytest
from concurrency.watch import Crew, following, nothing_left, until
from many.gates import Gated

from memo import Cache, cached


@pytest.fixture
def gated() -> Any:
    """A function that waits at a gate."""
    gated = Gated()
    yield gated
    gated.gate.set()


def test_an_id_that_is_being_loaded_is_waited_for(gated: Any) -> None:
    """A call loads what nobody loads, and waits for the rest."""
    f = cached.many(gated)
    crew = Crew([lambda: f([1, 2])])
    until(lambda: len(gated.asked) == 1)
    crew.add(lambda: f([2, 3]))
    until(lambda: len(gated.asked) == 2)
    gated.gate.set()
    assert crew.join() == [{1: "v1", 2: "v2"}, {2: "v2", 3: "v3"}]
    assert gated.asked == [[1, 2], [3]]
    info = f.cache_info()
    assert (info.hits, info.misses, info.loads) == (1, 3, 3)
    assert nothing_left(f.one)


def test_calls_that_want_what_the_other_leads_do_not_deadlock() -> None:
    """Each loads what it leads before it waits for the other."""
    asked = []
    both = threading.Barrier(2)

    @cached.many
    def f(ids: Any) -> Any:
        asked.append(ids)
        return {one: -one for one in ids}

    # Two calls are held where they have read nothing and lead nothing yet, so that each may lead
    # some of the ids, whichever comes first.
    for start in range(0, 200, 4):
        a, b, c, d = range(start, start + 4)

        def come(ids: Any) -> Any:
            both.wait(15)
            return f(ids)

        crew = Crew([lambda: come([a, b, c, d]), lambda: come([d, c, b, a])])  # noqa: B023
        one, other = crew.join()
        assert one == other == {a: -a, b: -b, c: -c, d: -d}
    assert sorted(one for ids in asked for one in ids) == list(range(200))
    assert nothing_left(f.one)


def test_two_calls_each_lead_what_the_other_wants(gated: Any) -> None:
    """With each call in its own load, both wait for the other's ids, and both get them."""
    f = cached.many(gated)
    crew = Crew([lambda: f([1, 2])])
    until(lambda: gated.asked == [[1, 2]])
    crew.add(lambda: f([3, 1]))
    until(lambda: [3] in gated.asked)
    crew.add(lambda: f([2, 3, 4]))
    until(lambda: [4] in gated.asked)
    gated.gate.set()
    assert crew.join() == [
        {1: "v1", 2: "v2"},
        {3: "v3", 1: "v1"},
        {2: "v2", 3: "v3", 4: "v4"},
    ]
    assert sorted(one for ids in gated.asked for one in ids) == [1, 2, 3, 4]


def test_one_and_many_share_flights(gated: Any) -> None:
    """`f.one(id)` waits for a load by `f(ids)`, and the other way round."""
    f = cached.many(gated)
    crew = Crew([lambda: f([1, 2]), lambda: f.one(3)])
    until(lambda: len(gated.asked) == 2)
    crew.add(lambda: f.one(1))
    crew.add(lambda: f([3]))
    until(lambda: following() == 2)
    gated.gate.set()
    assert crew.join() == [{1: "v1", 2: "v2"}, "v3", "v1", {3: "v3"}]
    assert sorted(map(sorted, gated.asked)) == [[1, 2], [3]]


def test_a_crowd_loads_each_id_once(gated: Any) -> None:
    """However many come for however overlapping ids, each id is loaded once."""
    f = cached.many(gated)
    wanted = [list({n % 7, n % 5 + 3, n % 3 + 8}) for n in range(60)]
    crew = Crew([lambda ids=ids: f(ids) for ids in wanted])
    until(lambda: sum(map(len, gated.asked)) == 11)
    gated.gate.set()
    answers = crew.join()
    assert answers == [{one: f"v{one}" for one in ids} for ids in wanted]
    assert sorted(one for ids in gated.asked for one in ids) == list(range(11))
    info = f.cache_info()
    assert info.hits + info.misses == sum(map(len, wanted))
    assert info.misses == info.loads == 11
    assert nothing_left(f.one)


def test_without_single_flight_nobody_waits(gated: Any) -> None:
    """`single_flight=False`: each call loads for itself."""
    f = cached.many(single_flight=False)(gated)
    crew = Crew([lambda: f([1, 2]), lambda: f([2, 1])])
    until(lambda: len(gated.asked) == 2)
    gated.gate.set()
    crew.join()
    assert sorted(map(sorted, gated.asked)) == [[1, 2], [1, 2]]
    assert nothing_left(f.one)


def test_invalidate_wins_over_a_load_of_its_id(gated: Any) -> None:
    """What is invalidated while it is being loaded is not stored; what was loaded with it is."""
    f = cached.many(gated)
    crew = Crew([lambda: f([1, 2])])
    until(lambda: gated.asked)
    f.invalidate(1)
    gated.prefix = "new"
    crew.add(lambda: f([1]))
    until(lambda: len(gated.asked) == 2)
    gated.gate.set()
    assert crew.join() == [{1: "v1", 2: "v2"}, {1: "new1"}]
    assert f([1, 2]) == {1: "new1", 2: "v2"}
    assert len(gated.asked) == 2
    assert nothing_left(f.one)


@pytest.mark.parametrize("clears", [True, False], ids=["clear", "set"])
def test_clear_and_set_win_too(gated: Any, clears: bool) -> None:
    """`cache_clear` outdates all that is being loaded, and `set` what it sets."""
    f = cached.many(gated)
    crew = Crew([lambda: f([1, 2])])
    until(lambda: gated.asked)
    if clears:
        f.cache_clear()
    else:
        f.set("mine", 1)
    gated.gate.set()
    assert crew.join() == [{1: "v1", 2: "v2"}]
    assert f.lookup(1).value == (None if clears else "mine")
    assert f.lookup(2).value == (None if clears else "v2")


def test_caches_share_flights_between_one_and_many(gated: Any) -> None:
    """`get_or_load` and `get_or_load_many` of one cache wait for each other's loads."""
    cache = Cache()
    crew = Crew([lambda: cache.get_or_load_many([1, 2], gated)])
    until(lambda: gated.asked)
    crew.add(lambda: cache.get_or_load(1, lambda: "other"))
    crew.add(lambda: cache.get_or_load_many([2, 3], gated))
    until(lambda: len(gated.asked) == 2)
    until(lambda: following() >= 1)
    gated.gate.set()
    assert crew.join() == [{1: "v1", 2: "v2"}, "v1", {2: "v2", 3: "v3"}]
    assert gated.asked == [[1, 2], [3]]


def test_many_threads_and_random_ids_lose_no_count() -> None:
    """Under threads all answers are right, and `hits + misses` is the number of ids asked for."""
    f = cached.many(maxsize=8)(lambda ids: {one: -one for one in ids})

    def work(seed: int) -> int:
        asked = 0
        for n in range(60):
            ids = {(seed * 7 + n * step) % 20 for step in (1, 3, 5)}
            assert f(ids) == {one: -one for one in ids}
            asked += len(ids)
        return asked

    asked = sum(Crew([lambda seed=seed: work(seed) for seed in range(16)]).join(60))
    info = f.cache_info()
    assert info.hits + info.misses == asked
    assert info.currsize <= 8
    assert nothing_left(f.one)
