"""What the function may answer: mappings, with gaps or too much in them, and exceptions."""

import collections
import types
from collections.abc import Mapping
from typing import Any

import pytest

from memo import cached


def test_ids_without_a_value_are_left_out(colour: Any, source: Any) -> None:
    """An id for which the function has no value is in no answer, and is asked for each time."""
    source.missing = {2}
    f = colour.many(source)
    assert colour.run(f([1, 2, 3])) == {1: "v1", 3: "v3"}
    assert colour.run(f([1, 2, 3])) == {1: "v1", 3: "v3"}
    assert source.asked == [[1, 2, 3], [2]]
    source.missing = set()
    assert colour.run(f([1, 2, 3])) == {1: "v1", 2: "v2", 3: "v3"}


def test_ids_without_a_value_are_not_stored(colour: Any, source: Any) -> None:
    """Nothing is kept of an id that has no value."""
    source.missing = {1, 2}
    f = colour.many(source)
    assert colour.run(f([1, 2])) == {}
    assert f.cache_info().currsize == 0
    assert colour.run(f.lookup(1)).status == "miss"


def test_none_is_a_value(colour: Any) -> None:
    """An id whose value is None is in the answer, and is cached."""
    calls = []
    f = colour.many(lambda ids: calls.append(ids) or dict.fromkeys(ids))
    assert colour.run(f([1])) == {1: None}
    assert colour.run(f([1])) == {1: None}
    assert calls == [[1]]


def test_values_that_nobody_asked_for_are_left_alone(colour: Any, source: Any) -> None:
    """More than was asked for is neither answered nor stored."""
    f = colour.many(lambda ids: {**source(ids), 99: "extra"})
    assert colour.run(f([1])) == {1: "v1"}
    assert f.cache_info().currsize == 1
    assert colour.run(f([99])) == {99: "extra"}
    assert source.asked == [[1], [99]]


@pytest.mark.parametrize(
    "made",
    [
        types.MappingProxyType,
        lambda values: collections.ChainMap({}, values),
        lambda values: collections.defaultdict(lambda: "made up", values),
        collections.OrderedDict,
    ],
    ids=["proxy", "chain", "defaultdict", "ordered"],
)
def test_any_mapping_gives_values(colour: Any, source: Any, made: Any) -> None:
    """The function may return any mapping; what that makes up when asked is no value."""
    source.missing = {2}
    f = colour.many(lambda ids: made(source(ids)))
    assert colour.run(f([1, 2])) == {1: "v1"}


@pytest.mark.parametrize("answer", [None, ["v1"], [(1, "v1")], "text", 5, iter(())], ids=repr)
def test_what_is_no_mapping_is_a_type_error(colour: Any, answer: Any) -> None:
    """A function that returns anything else gets a clear error, and nothing is stored."""
    f = colour.many(lambda ids: answer)
    with pytest.raises(TypeError, match="must return a mapping"):
        colour.run(f([1]))
    assert f.cache_info().currsize == 0


def test_what_the_function_raises_is_raised(colour: Any, source: Any) -> None:
    """The very exception reaches the caller, without a context of ours; nothing is stored."""
    f = colour.many(source)
    colour.run(f([1]))
    source.fails = error = LookupError("down")
    with pytest.raises(LookupError) as caught:
        colour.run(f([1, 2, 3]))
    assert caught.value is error
    assert error.__context__ is None
    assert error.__cause__ is None
    assert colour.run(f([1])) == {1: "v1"}
    source.fails = None
    assert colour.run(f([1, 2])) == {1: "v1", 2: "v2"}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, StopIteration, KeyError])
def test_strange_exceptions_are_raised_too(source: Any, kind: type[BaseException]) -> None:
    """Interrupts, exits and exceptions with a meaning of their own pass through unchanged."""
    f = cached.many(source)
    source.fails = error = kind("stop")
    with pytest.raises(kind) as caught:
        f([1, 2])
    assert caught.value is error
    source.fails = None
    assert f([1, 2]) == {1: "v1", 2: "v2"}


def test_a_mapping_may_be_lazy(colour: Any) -> None:
    """What looking a value up in the returned mapping raises is the function's own exception."""

    class Lazy(Mapping[Any, Any]):
        def __getitem__(self, one: Any) -> Any:
            raise ConnectionError(one)

        def __iter__(self) -> Any:
            return iter([1])

        def __len__(self) -> int:
            return 1

        def __contains__(self, one: object) -> bool:
            return True

    f = colour.many(lambda ids: Lazy())
    with pytest.raises(ConnectionError):
        colour.run(f([1]))
    assert f.cache_info().currsize == 0
