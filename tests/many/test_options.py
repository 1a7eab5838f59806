"""The other options, id by id: copies, filters, remembered exceptions; caching switched off."""

import copy
from typing import Any

import pytest

from memo import Policy, bypass, configure


def test_each_caller_gets_a_copy_of_each_value(colour: Any) -> None:
    """With `copy` nobody can change what is stored, the one whose call loaded it included."""
    f = colour.many(copy=copy.deepcopy)(lambda ids: {one: [one] for one in ids})
    first = colour.run(f([1, 2]))
    first[1].append("changed")
    second = colour.run(f([1, 2]))
    assert second == {1: [1], 2: [2]}
    second[2].append("changed")
    assert colour.run(f.one(2)) == [2]


def test_a_copy_that_fails_costs_a_load(colour: Any, source: Any) -> None:
    """Under `absorb` the caller gets a value of its own, and none that others share."""
    fails = []

    def copied(value: Any) -> Any:
        if value in fails:
            raise RuntimeError("cannot be copied")
        return value

    f = colour.many(copy=copied)(source)
    colour.run(f([1, 2]))
    fails.append("v2")
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert source.asked == [[1, 2], [2]]
    fails.append("v3")
    assert colour.run(f([3])) == {3: "v3"}
    assert colour.run(f.lookup(3)).status == "miss"
    assert f.cache_info().failures >= 2


def test_values_not_worth_storing(colour: Any) -> None:
    """`should_cache` is asked for each value."""
    asked = []
    f = colour.many(should_cache=lambda value: value % 2 == 0)(
        lambda ids: asked.append(ids) or {one: one for one in ids}
    )
    assert colour.run(f([1, 2, 3])) == {1: 1, 2: 2, 3: 3}
    assert colour.run(f([1, 2, 3])) == {1: 1, 2: 2, 3: 3}
    assert asked == [[1, 2, 3], [1, 3]]


def test_a_filter_that_fails_is_survived(colour: Any, source: Any) -> None:
    """A `should_cache` or `ttl` that raises costs the storing, not the answer."""

    def raises(value: Any) -> Any:
        raise RuntimeError("no idea")

    for options in ({"should_cache": raises}, {"ttl": raises}):
        f = colour.many(**options)(source)
        assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
        info = f.cache_info()
        assert (info.currsize, info.failures) == (0, 2)


class NotFound(LookupError):
    """What a source raises for a bad id."""


def test_an_exception_of_a_load_for_one_id_is_remembered(
    colour: Any, source: Any, timer: Any
) -> None:
    """`cache_exceptions` works where it is known which id the exception is about."""
    f = colour.many(cache_exceptions={NotFound: 30}, timer=timer)(source)
    source.fails = NotFound(1)
    for _ in range(3):
        with pytest.raises(NotFound):
            colour.run(f([1]))
        with pytest.raises(NotFound):
            colour.run(f.one(1))
    assert source.asked == [[1]]
    timer.advance(30)
    source.fails = None
    assert colour.run(f([1])) == {1: "v1"}


def test_one_bad_id_does_not_poison_the_others(colour: Any) -> None:
    """An exception of a load for several ids is remembered for none of them."""
    bad = {2}

    def load(ids: Any) -> Any:
        if bad & set(ids):
            raise NotFound(*bad)
        return {one: f"v{one}" for one in ids}

    f = colour.many(cache_exceptions={NotFound: 30})(load)
    with pytest.raises(NotFound):
        colour.run(f([1, 2]))
    assert colour.run(f([1])) == {1: "v1"}


def test_a_missing_id_is_no_remembered_exception(colour: Any, source: Any) -> None:
    """`cache_exceptions={LookupError: ...}` does not remember that an id had no value."""
    f = colour.many(cache_exceptions={LookupError: 30})(source)
    source.missing = {1}
    with pytest.raises(KeyError):
        colour.run(f.one(1))
    assert colour.run(f([1, 2])) == {2: "v2"}
    source.missing = set()
    assert colour.run(f([1])) == {1: "v1"}
    assert colour.run(f.one(1)) == "v1"


def test_keys_that_cannot_be_made_are_loads(colour: Any, source: Any) -> None:
    """Where `key` fails, all ids of the call go to the function; it is counted."""
    f = colour.many(key=lambda one: one.name)(source)
    assert colour.run(f(one for one in (1, 2, 1))) == {1: "v1", 2: "v2"}
    assert source.asked == [[1, 2]]
    info = f.cache_info()
    assert (info.hits, info.misses) == (0, 2)
    assert info.failures >= 1
    assert colour.run(f.one(1)) == "v1"


def test_keys_that_cannot_be_made_are_errors_where_the_policy_says_so(
    colour: Any, source: Any
) -> None:
    """Under `strict` an id without a key is an `OperationFailed`."""
    f = colour.many(key=lambda one: one.name, policy=Policy.strict())(source)
    with pytest.raises(Exception, match="key cannot be made"):
        colour.run(f([1]))
    assert source.asked == []


def test_results_that_can_be_used_once_are_not_stored(colour: Any) -> None:
    """A generator among the values goes to its caller, and nowhere else."""
    f = colour.many(lambda ids: {one: (n for n in range(one)) for one in ids})
    assert list(colour.run(f([3]))[3]) == [0, 1, 2]
    assert list(colour.run(f([3]))[3]) == [0, 1, 2]
    assert f.cache_info().currsize == 0


@pytest.mark.parametrize("how", ["bypass", "disable"])
def test_past_the_cache_the_answer_is_the_same(colour: Any, source: Any, how: str) -> None:
    """Switched off, a call gives what it would give otherwise; nothing is read, stored, counted.

    The function is handed a list of different ids, as ever.
    """
    seen = []

    def load(ids: Any) -> Any:
        seen.append(ids)
        return {99: "extra", **dict(reversed(source(ids).items()))}

    f = colour.many(load)
    colour.run(f([1]))
    source.prefix = "w"
    source.missing = {5}

    def past() -> Any:
        return colour.run(f(one for one in (3, 1, 3, 5, 2)))

    if how == "bypass":
        with bypass():
            answer = past()
    else:
        configure(enabled=False)
        answer = past()
        configure(enabled=True)
    assert answer == {3: "w3", 1: "w1", 2: "w2"}
    assert list(answer) == [3, 1, 2]
    assert seen[1] == [3, 1, 5, 2]
    assert f.cache_info()[:2] == (0, 1)
    assert colour.run(f([1])) == {1: "v1"}


def test_one_goes_past_the_cache_too(colour: Any, source: Any) -> None:
    """`bypass` holds for `f.one`, and a handle works on the cache all the same."""
    f = colour.many(source)
    colour.run(f([1]))
    source.prefix = "w"
    with bypass():
        assert colour.run(f.one(1)) == "w1"
        assert colour.run(f.get(1)) == "v1"


def test_hostile_keys_fail_no_call(colour: Any) -> None:
    """An id whose `__eq__` raises costs the caching of that call, not its answer."""

    class Hostile:
        broken = False

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if Hostile.broken:
                raise RuntimeError("no comparison")
            return self is other

    values: dict[Any, str] = {}
    f = colour.many(lambda ids: values)
    one, other = Hostile(), Hostile()
    values[one] = "one"
    assert colour.run(f([one])) == {one: "one"}
    Hostile.broken = True
    try:
        answer = colour.run(f([one]))
    finally:
        Hostile.broken = False
    assert answer == {one: "one"}
    values[other] = "other"
    assert colour.run(f([other, one])) == {other: "other", one: "one"}
    assert f.cache_info().currsize == 2
