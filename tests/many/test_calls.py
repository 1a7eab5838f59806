"""Calls with many ids: which are asked for, and what comes back, in what order."""

import collections
import functools
from typing import Any

import pytest

from memo import cached


def test_only_missing_ids_are_loaded_and_by_one_call(colour: Any, source: Any) -> None:
    """The function is called once, for exactly those ids that are not cached."""
    f = colour.many(source)
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert colour.run(f([2, 3, 1, 4])) == {2: "v2", 3: "v3", 1: "v1", 4: "v4"}
    assert colour.run(f([4, 1])) == {4: "v4", 1: "v1"}
    assert source.asked == [[1, 2], [3, 4]]


def test_the_answer_is_in_the_order_of_the_ids(colour: Any) -> None:
    """Neither what is cached nor the order in which the function answers changes the order."""

    @colour.many
    def f(ids: Any) -> dict[int, int]:
        return {one: -one for one in reversed(ids)}

    colour.run(f([5, 3]))
    assert list(colour.run(f([1, 5, 2, 3, 4]))) == [1, 5, 2, 3, 4]


def test_an_id_given_twice_is_one_id(colour: Any, source: Any) -> None:
    """Duplicates are loaded once, answered once and counted once."""
    f = colour.many(source)
    assert list(colour.run(f([2, 1, 2, 2, 1]))) == [2, 1]
    assert source.asked == [[2, 1]]
    assert f.cache_info()[:2] == (0, 2)


def test_equal_ids_are_one_id(colour: Any, source: Any) -> None:
    """1, 1.0 and True are one id, as they are one key of a dict; the first stands for all."""
    f = colour.many(source)
    assert colour.run(f([1.0, 1, True])) == {1: "v1.0"}
    assert source.asked == [[1.0]]
    assert type(source.asked[0][0]) is float
    answer = colour.run(f([True]))
    assert answer == {1: "v1.0"}
    assert source.asked == [[1.0]]


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2],
        (1, 2),
        {1: "a", 2: "b"},
        {1: 0, 2: 0}.keys(),
        range(1, 3),
        collections.deque([1, 2]),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_any_iterable_gives_ids(colour: Any, source: Any, ids: Any) -> None:
    """Lists, tuples, ranges, mappings and views are all asked for their items."""
    f = colour.many(source)
    assert colour.run(f(ids)) == {1: "v1", 2: "v2"}
    assert source.asked == [[1, 2]]


def test_ids_from_a_generator_are_taken_once(colour: Any, source: Any) -> None:
    """A generator gives ids as a list does, and the function is handed a list."""
    seen = []
    f = colour.many(lambda ids: seen.append(type(ids)) or source(ids))
    assert colour.run(f(one for one in (1, 2))) == {1: "v1", 2: "v2"}
    assert colour.run(f(iter([2, 3]))) == {2: "v2", 3: "v3"}
    assert seen == [list, list]
    assert source.asked == [[1, 2], [3]]


@pytest.mark.parametrize("ids", ["12", b"12", 12, None, object(), len], ids=repr)
def test_what_gives_no_ids_is_refused(colour: Any, source: Any, ids: Any) -> None:
    """Text is one id and no list of letters: it is refused, as is what cannot be iterated."""
    f = colour.many(source)
    with pytest.raises(TypeError, match="takes an iterable of ids first"):
        colour.run(f(ids))
    assert source.asked == []


def test_no_ids_are_answered_without_a_call(colour: Any, source: Any) -> None:
    """An empty iterable gives an empty dict, and nothing is counted."""
    f = colour.many(source)
    assert colour.run(f([])) == {}
    assert colour.run(f(one for one in ())) == {}
    assert source.asked == []
    assert f.cache_info()[:2] == (0, 0)


def test_each_call_gives_a_dict_of_its_own(colour: Any, source: Any) -> None:
    """Callers may change the dict they get: it is neither the function's nor another caller's."""
    given = []
    f = colour.many(lambda ids: given.append(source(ids)) or given[-1])
    first = colour.run(f([1]))
    first[2] = "mine"
    del first[1]
    assert given == [{1: "v1"}]
    assert colour.run(f([1])) == {1: "v1"}
    assert type(colour.run(f([1]))) is dict


def test_ids_may_be_given_by_keyword(colour: Any, source: Any) -> None:
    """The first parameter has a name like every other."""

    @colour.many
    def f(ids: Any, suffix: str = "") -> Any:
        return {one: value + suffix for one, value in source(ids).items()}

    assert colour.run(f(ids=[1])) == {1: "v1"}
    assert colour.run(f([1])) == {1: "v1"}
    assert colour.run(f(suffix="!", ids=[1])) == {1: "v1!"}
    assert source.asked == [[1], [1]]


def test_other_arguments_count_for_the_key(colour: Any) -> None:
    """What else a call is given tells its ids apart, however it is written."""
    calls = []

    @colour.many
    def f(ids: Any, lang: str = "en", *, short: bool = False) -> Any:
        calls.append((ids, lang, short))
        return {one: (one, lang, short) for one in ids}

    assert colour.run(f([1], "de")) == {1: (1, "de", False)}
    assert colour.run(f([1, 2], lang="de")) == {1: (1, "de", False), 2: (2, "de", False)}
    assert colour.run(f([1, 2])) == {1: (1, "en", False), 2: (2, "en", False)}
    assert colour.run(f([2], "en", short=False)) == {2: (2, "en", False)}
    assert colour.run(f([2], short=True)) == {2: (2, "en", True)}
    assert calls == [
        ([1], "de", False),
        ([2], "de", False),
        ([1, 2], "en", False),
        ([2], "en", True),
    ]


def test_ignored_arguments_do_not_count(colour: Any, source: Any) -> None:
    """`ignore` works as for single calls."""
    f = colour.many(ignore="connection")(lambda ids, connection: source(ids))
    colour.run(f([1], "a"))
    assert colour.run(f([1, 2], "b")) == {1: "v1", 2: "v2"}
    assert source.asked == [[1], [2]]


def test_key_is_given_one_id(colour: Any, source: Any) -> None:
    """`key` makes the key of one id: it is called as the function would be for that id alone."""
    f = colour.many(key=str.lower)(source)
    assert colour.run(f(["A", "b"])) == {"A": "vA", "b": "vb"}
    assert colour.run(f(["a", "B"])) == {"a": "vA", "B": "vb"}
    assert source.asked == [["A", "b"]]


def test_ids_that_share_a_key_all_have_its_value(colour: Any, source: Any) -> None:
    """Of ids with one key the first is loaded, and all that were asked for are in the answer."""
    f = colour.many(key=str.lower)(source)
    assert colour.run(f(["A", "b", "a"])) == {"A": "vA", "b": "vb", "a": "vA"}
    assert source.asked == [["A", "b"]]


def test_wrong_arguments_are_a_type_error(colour: Any, source: Any) -> None:
    """A call that does not fit the signature says so, as it does for every cached function."""
    f = colour.many(source)
    with pytest.raises(TypeError, match="ids"):
        colour.run(f())
    with pytest.raises(TypeError, match="nonsense"):
        colour.run(f([1], nonsense=1))
    with pytest.raises(TypeError):
        colour.run(f([1], 2))
    assert source.asked == []


@pytest.mark.parametrize("kind", ["bound method", "partial", "object"])
def test_any_callable_can_be_decorated(colour: Any, source: Any, kind: str) -> None:
    """Bound methods, partials and objects that can be called work as functions do."""

    class Load:
        async def awaited(self, ids: Any) -> Any:
            return source(ids)

        def plain(self, ids: Any) -> Any:
            return source(ids)

    class Awaited:
        async def __call__(self, ids: Any) -> Any:
            return source(ids)

    bound = Load().awaited if colour.is_async else Load().plain
    called = {
        "bound method": bound,
        "partial": functools.partial(bound),
        "object": Awaited() if colour.is_async else source,
    }[kind]
    f = cached.many(called)
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}
    assert colour.run(f.one(2)) == "v2"
    assert source.asked == [[1, 2]]
