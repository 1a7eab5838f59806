"""The handle of a function of many ids, which takes one id; and the function's identity."""

import collections
import copy
import inspect
import pickle
import time
import typing
from typing import Any

import pytest

from memo import CacheInfo, Miss, cached
from memo.testing import FakeTimer


@cached.many(ttl=60)
def names(ids: list[int], lang: str = "en") -> dict[int, str]:
    """The names of articles."""
    return {one: f"{lang}{one}" for one in ids}


@cached.many
async def owners(ids: list[int]) -> dict[int, str]:
    """The owners of articles."""
    return {one: f"owner{one}" for one in ids}


def test_name_docs_and_signature_are_the_function_s() -> None:
    """Introspection sees the user's function."""
    assert (names.__name__, names.__qualname__) == ("names", "names")
    assert names.__doc__ == "The names of articles."
    assert names.__module__ == __name__
    assert str(inspect.signature(names)) == "(ids: list[int], lang: str = 'en') -> dict[int, str]"
    assert names.__wrapped__([1]) == {1: "en1"}
    assert inspect.isfunction(names.__wrapped__)
    assert typing.get_type_hints(names)["return"] == dict[int, str]
    assert names.__defaults__ == ("en",)
    assert "names" in repr(names)
    assert callable(names)
    assert {"one", "invalidate", "cache_info"} <= set(dir(names))


def test_colour_is_the_function_s() -> None:
    """A coroutine function stays one, and a plain function none."""
    assert inspect.iscoroutinefunction(owners)
    assert not inspect.iscoroutinefunction(names)
    assert inspect.iscoroutinefunction(owners.one)


def test_it_pickles_and_copies_as_itself() -> None:
    """A decorated function is found again by its name, and a copy of it is itself."""
    for function in (names, owners):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.copy(function) is function
        assert copy.deepcopy(function) is function
        assert function == function  # noqa: PLR0124 - equality is its own
        assert hash(function) == hash(function)
    assert names != owners


def test_decorating_with_and_without_options(source: Any) -> None:
    """`@cached.many`, `@cached.many()` and `cached.many(f, ttl=1)` all decorate."""
    for decorated in (
        cached.many(source),
        cached.many()(source),
        cached.many(source, ttl=60),
        cached.many(ttl=60)(source),
    ):
        assert decorated([1]) == decorated([1]) == {1: "v1"}
    assert len(source.asked) == 4


def test_attributes_may_be_set(source: Any) -> None:
    """What frameworks hang on a function stays on it."""
    f = cached.many(source)
    f.tag = "mine"
    assert f.tag == "mine"
    f([1])
    assert f.tag == "mine"


def test_get_gives_what_is_cached_or_raises(colour: Any, source: Any) -> None:
    """`get` never calls the function."""
    f = colour.many(source)
    with pytest.raises(Miss):
        colour.run(f.get(1))
    colour.run(f([1]))
    assert colour.run(f.get(1)) == "v1"
    assert source.asked == [[1]]
    assert f.cache_info()[:2] == (1, 2)


def test_lookup_tells_without_counting(colour: Any, source: Any) -> None:
    """`lookup` gives an outcome for one id, and counts nothing."""
    clock = FakeTimer()
    f = colour.many(ttl=10, timer=clock)(source)
    assert colour.run(f.lookup(1)).status == "miss"
    colour.run(f([1]))
    outcome = colour.run(f.lookup(1))
    assert (outcome.status, outcome.value, outcome.age) == ("fresh", "v1", 0.0)
    clock.advance(10)
    assert colour.run(f.lookup(1)).status == "expired"
    assert f.cache_info()[:2] == (0, 1)


def test_set_stores_for_one_id(colour: Any, source: Any) -> None:
    """What is set for an id is what calls find, with their other arguments."""
    f = colour.many(lambda ids, lang="en": source(ids))
    assert colour.run(f.set("mine", 1))
    assert colour.run(f.set("other", 2, lang="de"))
    assert colour.run(f([1, 2])) == {1: "mine", 2: "v2"}
    assert colour.run(f([2], "de")) == {2: "other"}
    assert source.asked == [[2]]


def test_invalidate_drops_one_id(colour: Any, source: Any) -> None:
    """The next call loads that id alone."""
    f = colour.many(source)
    colour.run(f([1, 2, 3]))
    assert colour.run(f.invalidate(2))
    assert not colour.run(f.invalidate(2))
    assert not colour.run(f.invalidate(9))
    colour.run(f([1, 2, 3]))
    assert source.asked == [[1, 2, 3], [2]]


def test_refresh_loads_one_id_now(colour: Any, source: Any) -> None:
    """`refresh` asks the function whatever is cached, and stores what it gives."""
    f = colour.many(source)
    colour.run(f([1, 2]))
    source.prefix = "w"
    assert colour.run(f.refresh(1)) == "w1"
    assert colour.run(f([1, 2])) == {1: "w1", 2: "v2"}
    assert source.asked == [[1, 2], [1]]


def test_one_is_the_function_for_one_id(colour: Any, source: Any) -> None:
    """`f.one(id)` shares its entries with `f(ids)`, and asks for a list of one."""
    f = colour.many(source)
    assert colour.run(f.one(1)) == "v1"
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert colour.run(f.one(2)) == "v2"
    assert source.asked == [[1], [2]]
    assert f.one.cache_info() == f.cache_info()


def test_one_id_by_keyword(colour: Any) -> None:
    """An id may be given by the name of the ids, everywhere in the handle."""

    @colour.many
    def f(ids: Any, lang: str = "en") -> Any:
        return {one: (one, lang) for one in ids}

    assert colour.run(f.one(ids=5)) == (5, "en")
    assert colour.run(f.one(lang="de", ids=5)) == (5, "de")
    assert colour.run(f.get(ids=5)) == (5, "en")
    assert colour.run(f.refresh(ids=5)) == (5, "en")
    assert colour.run(f.invalidate(ids=5))
    assert f.cache_key(ids=5) == f.cache_key(5, lang="en")
    with pytest.raises(TypeError):
        colour.run(f.one())


def test_one_without_a_value_is_a_key_error(colour: Any, source: Any) -> None:
    """`one` and `refresh` raise KeyError for an id that has no value; nothing is stored."""
    source.missing = {1}
    f = colour.many(source)
    for call in (f.one, f.refresh, f.one):
        with pytest.raises(KeyError) as caught:
            colour.run(call(1))
        assert caught.value.args == (1,)
    assert source.asked == [[1]] * 3
    assert f.cache_info().currsize == 0


def test_refreshing_an_id_that_is_gone_drops_it(colour: Any, source: Any) -> None:
    """What `refresh` finds to be outdated is not served any more."""
    f = colour.many(source)
    colour.run(f([1, 2]))
    source.missing = {1}
    with pytest.raises(KeyError):
        colour.run(f.refresh(1))
    assert colour.run(f.lookup(1)).status == "miss"
    assert colour.run(f([1, 2])) == {2: "v2"}


def test_one_checks_what_the_function_returned(colour: Any) -> None:
    """For one id as for many: a list is no mapping, and a defaultdict makes nothing up."""
    with pytest.raises(TypeError, match="must return a mapping"):
        colour.run(colour.many(lambda ids: ["wrong", "value"]).one(0))
    with pytest.raises(TypeError, match="must return a mapping"):
        colour.run(colour.many(lambda ids: None).one(0))
    with pytest.raises(KeyError):
        colour.run(colour.many(lambda ids: collections.defaultdict(int)).one(0))


def test_keys_are_those_of_single_calls(colour: Any, source: Any) -> None:
    """`cache_key` is the key of one id, with whatever else tells calls apart."""
    f = colour.many(lambda ids, lang="en": source(ids))
    assert f.cache_key(1) == f.cache_key(1, "en") == f.cache_key(1, lang="en") == f.one.cache_key(1)
    assert f.cache_key(1) == f.cache_key(1.0) == f.cache_key(True)
    assert f.cache_key(1) != f.cache_key(2)
    assert f.cache_key(1) != f.cache_key(1, "de")
    with pytest.raises(TypeError):
        f.cache_key()


def test_counts_are_of_ids(colour: Any, source: Any) -> None:
    """`hits + misses` is the number of different ids asked for, over all calls."""
    f = colour.many(maxsize=10)(source)
    asked = 0
    for ids in ([1, 2], [2, 3, 3], [1, 2, 3], [], [4]):
        colour.run(f(ids))
        asked += len(set(ids))
    info = f.cache_info()
    assert isinstance(info, CacheInfo)
    assert info.hits + info.misses == asked == 8
    assert tuple(info) == (4, 4, 10, 4)
    assert info.loads == 4
    assert f.cache_parameters() == {"maxsize": 10, "typed": False}


def test_the_time_of_a_load_is_counted_once(source: Any) -> None:
    """`load_time` is how long the function ran, not that for each of its ids."""

    def slow(ids: Any) -> Any:
        started = time.perf_counter()
        while time.perf_counter() < started + 0.01:
            pass
        return source(ids)

    f = cached.many(slow)
    started = time.perf_counter()
    f(range(100))
    assert f.cache_info().load_time <= time.perf_counter() - started


def test_cache_clear_drops_all(colour: Any, source: Any) -> None:
    """Entries and counters are gone afterwards."""
    f = colour.many(source)
    colour.run(f([1, 2]))
    colour.run(f.cache_clear())
    assert f.cache_info()[:4] == (0, 0, 1024, 0)
    colour.run(f([1]))
    assert source.asked == [[1, 2], [1]]
