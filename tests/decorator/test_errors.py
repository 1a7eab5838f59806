"""The four errors as a caller meets them: matched, pickled, read, and with their cause."""

import copy
import pickle

import pytest

from memo import CacheError, Expired, Full, Miss, OperationFailed, Policy, cached


@pytest.fixture
def errors(colour, timer, failing_mapping):
    """Each of the four, as raised by a call."""
    only = colour.cached(ttl=10, timer=timer, policy=Policy.cache_only())(lambda a: a)
    large = colour.cached(maxsize=2, getsizeof=len, policy=Policy.strict())(lambda a: a * "x")
    broken = colour.cached(backend=failing_mapping(), policy=Policy.strict())(lambda a: a)
    raised = []
    for function, argument in ((only, 1), (only, 2), (large, 3), (broken, 4)):
        if argument == 2:
            colour.run(only.set("old", 2))
            timer.advance(15)
        with pytest.raises(CacheError) as caught:
            colour.run(function(argument))
        raised.append(caught.value)
    return raised


def test_each_has_its_type(errors) -> None:
    """A call raises exactly the error that came up."""
    assert [type(error) for error in errors] == [Miss, Expired, Full, OperationFailed]


def test_each_matches_by_position(errors) -> None:
    """`case Miss(key)` and its kin give what the error names."""
    found = []
    for error in errors:
        match error:
            case Miss(key):
                found.append(("miss", key))
            case Expired(key):
                found.append(("expired", key, error.value, error.age))
            case Full(key):
                found.append(("full", key, error.value, error.too_large))
            case OperationFailed(reason):
                found.append(("failed", "no connection" in reason, error.operation, error.backend))
    assert found == [
        ("miss", (1,)),
        ("expired", (2,), "old", 15),
        ("full", (3,), "xxx", True),
        ("failed", True, "read", "mapping"),
    ]


def test_each_is_one_sentence(errors) -> None:
    """The text of an error is one line that names what it is about."""
    texts = [str(error) for error in errors]
    assert all(text and "\n" not in text for text in texts)
    words = ("no entry", "expired", "larger", "read failed")
    assert all(word in text for word, text in zip(words, texts, strict=True))
    assert all(number in text for number, text in zip("1234", texts, strict=True))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_each_pickles_with_all_it_carries(protocol) -> None:
    """Unpickling gives an equal error of the same type, attributes included."""
    for error in (
        Miss(("k", 1)),
        Expired("k", value=[1], age=2.5),
        Full("k", value="v", too_large=True),
        OperationFailed("why", operation="write", key="k", backend="redis", value=5),
    ):
        twin = pickle.loads(pickle.dumps(error, protocol))
        assert type(twin) is type(error)
        assert vars(twin) == vars(error)
        assert (twin.args, str(twin)) == (error.args, str(error))
        assert vars(copy.copy(error)) == vars(error)


def test_the_cause_is_the_foreign_error(errors) -> None:
    """`OperationFailed` has the backend's exception as its cause; the others need none."""
    *others, failed = errors
    assert isinstance(failed.__cause__, ConnectionError)
    assert [error.__cause__ for error in others] == [None] * 3


def test_a_failed_write_carries_the_value(colour, failing_mapping) -> None:
    """Where the function has run, the error has its result."""
    store = failing_mapping(("write",))
    f = colour.cached(backend=store, policy=Policy.strict())(lambda: [5])
    with pytest.raises(OperationFailed) as caught:
        colour.run(f())
    assert (caught.value.operation, caught.value.value) == ("write", [5])


def test_a_key_that_cannot_be_shown_is_no_obstacle() -> None:
    """An argument whose `__repr__` raises leaves the text of an error readable."""

    class Unshowable:
        def __repr__(self):
            raise ZeroDivisionError

    f = cached(policy=Policy.cache_only())(lambda a: a)
    with pytest.raises(Miss) as caught:
        f(Unshowable())
    assert "no entry for key" in str(caught.value)
