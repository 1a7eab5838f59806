"""`get_many`, `set_many` and `get_or_load_many` of `Cache` and `AsyncCache`."""

from typing import Any

import pytest

from memo import OperationFailed, Policy, bypass


@pytest.fixture
def load(colour: Any, source: Any) -> Any:
    """Loads many keys, in the colour of the test."""
    return colour(source)


def test_get_many_gives_what_is_there(colour: Any) -> None:
    """Keys without a value are left out; the order is that of the keys."""
    cache = colour.cache()
    colour.run(cache.set("b", 2))
    colour.run(cache.set("a", None))
    answer = colour.run(cache.get_many(["a", "x", "b"]))
    assert answer == {"a": None, "b": 2}
    assert list(answer) == ["a", "b"]
    assert colour.run(cache.get_many([])) == {}
    assert cache.info()[:2] == (2, 1)


def test_set_many_stores_all(colour: Any, timer: Any) -> None:
    """It tells how many were stored; `ttl` holds for all of them."""
    cache = colour.cache(ttl=100, timer=timer)
    assert colour.run(cache.set_many({"a": 1, "b": 2})) == 2
    assert colour.run(cache.set_many({"b": 3, "c": 4}, ttl=10)) == 2
    assert colour.run(cache.set_many({})) == 0
    assert colour.run(cache.get_many(["a", "b", "c"])) == {"a": 1, "b": 3, "c": 4}
    timer.advance(10)
    assert colour.run(cache.get_many(["a", "b", "c"])) == {"a": 1}
    assert colour.run(cache.set_many({"a": 5}, ttl=0)) == 0
    assert colour.run(cache.get_many(["a"])) == {}


@pytest.mark.parametrize("ttl", [-1, "soon", []])
def test_set_many_checks_its_ttl(colour: Any, ttl: Any) -> None:
    """A lifetime that cannot be is an error before anything is stored."""
    cache = colour.cache()
    with pytest.raises((TypeError, ValueError), match="ttl"):
        colour.run(cache.set_many({"a": 1}, ttl=ttl))
    assert colour.run(cache.get_many(["a"])) == {}


def test_set_many_checks_what_it_is_given(colour: Any) -> None:
    """It takes a mapping, and says so."""
    for values in ([("a", 1)], None, "ab"):
        with pytest.raises(TypeError, match="mapping"):
            colour.run(colour.cache().set_many(values))


@pytest.mark.parametrize("name", ["get_many", "get_or_load_many"])
@pytest.mark.parametrize("keys", ["abc", b"abc", 5, None], ids=repr)
def test_keys_are_an_iterable(colour: Any, load: Any, name: str, keys: Any) -> None:
    """Text is one key and not many: it is refused, as is what cannot be iterated."""
    more = (load,) if name == "get_or_load_many" else ()
    with pytest.raises(TypeError, match="keys"):
        colour.run(getattr(colour.cache(), name)(keys, *more))


def test_get_or_load_many_loads_what_is_missing(colour: Any, source: Any, load: Any) -> None:
    """`load` is called once with a list of the missing keys, in the order of the keys."""
    cache = colour.cache()
    colour.run(cache.set(2, "mine"))
    answer = colour.run(cache.get_or_load_many(iter([3, 2, 1, 3]), load))
    assert answer == {3: "v3", 2: "mine", 1: "v1"}
    assert list(answer) == [3, 2, 1]
    assert colour.run(cache.get_or_load_many([1, 2, 3], load)) == {1: "v1", 2: "mine", 3: "v3"}
    assert source.asked == [[3, 1]]
    assert colour.run(cache.get_or_load_many([], load)) == {}
    assert cache.info()[:2] == (4, 2)


def test_keys_without_a_value_are_left_out_and_not_remembered(
    colour: Any, source: Any, load: Any
) -> None:
    """They are asked for again, and nothing is stored for them."""
    cache = colour.cache()
    source.missing = {1}
    assert colour.run(cache.get_or_load_many([1, 2], load)) == {2: "v2"}
    assert colour.run(cache.get_or_load_many([1, 2], load)) == {2: "v2"}
    assert source.asked == [[1, 2], [1]]
    assert cache.info().currsize == 1


@pytest.mark.parametrize("answer", [None, [5, 6, 7], "text", 5], ids=repr)
def test_what_load_returns_is_a_mapping(colour: Any, answer: Any) -> None:
    """Anything else is a clear error and stores nothing, with keys that happen to fit, too."""
    cache = colour.cache()
    with pytest.raises(TypeError, match="must return a mapping"):
        colour.run(cache.get_or_load_many([0, 1, 5, "t"], colour(lambda keys: answer)))
    assert cache.info().currsize == 0


def test_more_than_was_asked_for_is_not_stored(colour: Any) -> None:
    """Neither answered nor stored."""
    cache = colour.cache()
    load = colour(lambda keys: {1: "one", 2: "two"})
    assert colour.run(cache.get_or_load_many([1], load)) == {1: "one"}
    assert colour.run(cache.get_many([1, 2])) == {1: "one"}


def test_what_load_raises_is_raised(colour: Any, source: Any, load: Any) -> None:
    """The exception reaches the caller as it is, and nothing is stored."""
    cache = colour.cache()
    source.fails = error = LookupError("down")
    with pytest.raises(LookupError) as caught:
        colour.run(cache.get_or_load_many([1, 2], load))
    assert caught.value is error
    assert cache.info().currsize == 0


def test_a_copy_that_fails_costs_a_load(colour: Any, source: Any, load: Any) -> None:
    """`get_or_load_many` answers with a value of its own; `get_many` raises, as `get` does."""

    def copied(value: Any) -> Any:
        raise RuntimeError("cannot be copied")

    cache = colour.cache(copy=copied)
    colour.run(cache.set(1, "v1"))
    assert colour.run(cache.get_or_load_many([1, 2], load)) == {1: "v1", 2: "v2"}
    colour.run(cache.set(1, "v1"))
    with pytest.raises(OperationFailed):
        colour.run(cache.get_many([1]))


def test_stale_values_are_refreshed_behind(colour: Any, source: Any, load: Any, timer: Any) -> None:
    """`stale_while_revalidate` holds here, too: served at once, and loaded behind by one call."""
    cache = colour.cache(ttl=10, stale_while_revalidate=10, timer=timer)
    colour.run(cache.get_or_load_many([1, 2], load))
    timer.advance(10)
    source.prefix = "w"
    assert colour.run(cache.get_or_load_many([1, 2], load)) == {1: "v1", 2: "v2"}
    colour.settle()
    assert colour.run(cache.get_or_load_many([1, 2], load)) == {1: "w1", 2: "w2"}
    assert source.asked == [[1, 2], [1, 2]]


def test_a_failing_read(colour: Any, source: Any, load: Any) -> None:
    """`get_or_load_many` loads, and `get_many` raises."""
    backend = colour.faulty()
    cache = colour.cache(backend)
    colour.run(cache.set_many({1: "v1", 2: "v2"}))
    with backend.inject("raise", "read", first=2):
        with pytest.raises(OperationFailed):
            colour.run(cache.get_many([1, 2]))
        assert colour.run(cache.get_or_load_many([1, 2], load)) == {1: "v1", 2: "v2"}
    assert colour.run(cache.get_many([1, 2])) == {1: "v1", 2: "v2"}


def test_a_failing_write(colour: Any) -> None:
    """`set_many` tells how many were stored; under `strict` it raises, having tried all."""
    backend = colour.faulty()
    cache = colour.cache(backend)
    with backend.inject("raise", "write", first=2, last=2):
        assert colour.run(cache.set_many({1: "a", 2: "b", 3: "c"})) == 2
    owed = {2: "b"} if colour.is_async else {}  # a store that is waited for is told later
    assert colour.run(cache.get_many([1, 2, 3])) == {1: "a", 3: "c"} | owed
    strict = colour.cache(backend, policy=Policy.strict(timeout=30))
    with backend.inject("raise", "write", first=2, last=2), pytest.raises(OperationFailed):
        colour.run(strict.set_many({1: "x", 2: "y", 3: "z"}))
    assert colour.run(cache.get_many([1, 3])) == {1: "x", 3: "z"}


def test_a_key_that_cannot_be_hashed(colour: Any, load: Any) -> None:
    """It is an `OperationFailed` that says so, before anything is stored or loaded."""
    cache = colour.cache()
    for call in (
        lambda: cache.get_many([1, [2]]),
        lambda: cache.get_or_load_many([1, [2]], load),
    ):
        with pytest.raises(OperationFailed, match="key"):
            colour.run(call())
    assert cache.info().currsize == 0


def test_namespaces_keep_keys_apart(colour: Any, load: Any) -> None:
    """Two caches on one store with a namespace each do not meet."""
    store: dict[Any, Any] = {}
    a, b = colour.cache(store, namespace="a"), colour.cache(store, namespace="b")
    colour.run(a.set_many({1: "a1"}))
    assert colour.run(b.get_many([1])) == {}
    assert colour.run(b.get_or_load_many([1], load)) == {1: "v1"}
    assert colour.run(a.get_many([1])) == {1: "a1"}
    assert len(store) == 2


def test_past_the_cache(colour: Any, source: Any, load: Any) -> None:
    """Bypassed, `get_or_load_many` loads all keys and gives the same answer as ever."""
    cache = colour.cache()
    colour.run(cache.set_many({1: "mine"}))
    source.missing = {3}
    with bypass():
        answer = colour.run(cache.get_or_load_many(iter([2, 1, 2, 3]), load))
    assert answer == {2: "v2", 1: "v1"}
    assert list(answer) == [2, 1]
    assert source.asked == [[2, 1, 3]]
    assert cache.info()[:2] == (0, 0)


def test_a_cache_decorates_functions_of_many_ids(colour: Any, source: Any) -> None:
    """`cache.cached.many` keeps its entries in the cache's own store, apart from its keys."""
    cache = colour.cache(maxsize=10)
    f = cache.cached.many(colour(source))
    g = cache.cached.many(ttl=60)(colour(lambda ids: dict.fromkeys(ids, "g")))
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert colour.run(g([1])) == {1: "g"}
    assert colour.run(cache.get_many([1, 2])) == {}
    assert cache.info().currsize == 3
