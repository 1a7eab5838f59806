"""Keys: calls that mean the same have one, calls that differ do not."""

from __future__ import annotations

import copy
import inspect
from collections import Counter, OrderedDict, defaultdict, deque
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from memo.keys import Keys, NotAccepted, freeze


def keys_of(func, **options):
    """The keys of calls of `func`."""
    return Keys(inspect.signature(func), **options)


def plain(a, b=2, *rest, c=3, **others):
    """Every kind of parameter but positional-only."""


def strict(a, b, /, c, d=4, *, e, f=6):
    """Positional-only and keyword-only ones."""


@pytest.mark.parametrize(
    "calls",
    [
        [((1,), {}), ((), {"a": 1}), ((1, 2), {}), ((1,), {"b": 2}), ((1,), {"c": 3})],
        [((), {"a": 1, "b": 2, "c": 3}), ((), {"c": 3, "b": 2, "a": 1}), ((1,), {})],
        [((1, 5), {}), ((1,), {"b": 5}), ((), {"b": 5, "a": 1})],
        [((1, 2, 3), {}), ((1, 2, 3), {"c": 3})],
        [((1,), {"c": 5}), ((1, 2), {"c": 5}), ((), {"c": 5, "a": 1})],
        [((1,), {"x": 1, "y": 2}), ((), {"x": 1, "a": 1, "y": 2}), ((1, 2), {"x": 1, "y": 2})],
        [((1.0,), {}), ((True,), {}), ((1,), {})],
        [((1, 2.0), {}), ((1,), {})],
    ],
)
def test_calls_that_mean_the_same_have_one_key(calls):
    """Position, name, and explicit defaults make no difference."""
    keys = keys_of(plain)
    made = [keys.make(args, kwargs) for args, kwargs in calls]
    assert all(key == made[0] and hash(key) == hash(made[0]) for key in made)


def test_calls_that_differ_have_different_keys():
    """No two of these have a key in common."""
    calls = [
        ((1,), {}),
        ((2,), {}),
        ((1, 3), {}),
        ((1, 2, 2), {}),
        ((1, 2, 3), {}),
        ((1, 2, 3, 3), {}),
        ((1,), {"c": 4}),
        ((1,), {"x": 1}),
        ((1,), {"x": 1, "y": 2}),
        ((1,), {"y": 2, "x": 1}),  # the order of keywords counts, as in functools
        ((1, 2, "x", 1), {}),
        (((1,),), {}),
        (([1],), {}),
        (({1},), {}),
        ((None,), {}),
    ]
    keys = keys_of(plain)
    made = [keys.make(args, kwargs) for args, kwargs in calls]
    assert len(set(made)) == len(calls)


def test_positional_only_and_keyword_only_arguments():
    """Both are normalised; a keyword of a positional-only name goes to `**kwargs`."""
    keys = keys_of(strict)
    assert keys.make((1, 2), {"c": 3, "e": 5}) == keys.make((1, 2, 3, 4), {"e": 5, "f": 6})

    def open_ended(a, /, **others):
        pass

    keys = keys_of(open_ended)
    assert keys.make((1,), {"a": 2}) != keys.make((1,), {})
    assert keys.make((1,), {"a": 2}) != keys.make((1,), {"b": 2})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2), {"c": 3}),
        ((1, 2, 3, 4, 5), {"e": 1}),
        ((1, 2), {"c": 3, "e": 5, "x": 1}),
        ((1,), {"b": 2, "c": 3, "e": 5}),
        ((1, 2, 3), {"c": 3, "e": 5}),
    ],
)
def test_calls_that_do_not_fit_are_not_accepted(args, kwargs):
    """Just those that the function itself would refuse."""
    with pytest.raises(TypeError):
        inspect.signature(strict).bind(*args, **kwargs)
    with pytest.raises(NotAccepted):
        keys_of(strict).make(args, kwargs)


def test_a_positional_call_is_its_own_key():
    """At no cost: the very tuple."""

    def two(a, b):
        pass

    args = (1, "x")
    assert keys_of(two).make(args, {}) is args
    assert keys_of(two).direct


# Containers.

CONTAINERS = [
    [1],
    (1,),
    {1},
    frozenset({1}),
    {1: 1},
    deque([1]),
    OrderedDict({1: 1}),
    defaultdict(int, {1: 1}),
    Counter([1]),
    bytearray(b"\x01"),
    b"\x01",
    [[1]],
    [(1,)],
    ([1],),
    {1: [1]},
    [{1}],
    [],
    (),
    {},
    set(),
]


def test_containers_carry_their_type():
    """No two of these are one key, and each is the key of an equal one of its type."""
    frozen = [freeze(container) for container in CONTAINERS]
    assert len(set(frozen)) == len(CONTAINERS)
    for container, key in zip(CONTAINERS, frozen, strict=True):
        assert freeze(copy.deepcopy(container)) == key


def test_order_counts_where_it_counts_in_comparing():
    """Dicts and sets are equal whatever their order; lists and `OrderedDict`s are not."""
    assert freeze({1: 1, 2: 2}) == freeze({2: 2, 1: 1})
    assert freeze({1, 2}) == freeze({2, 1})
    assert freeze(OrderedDict({1: 1, 2: 2})) != freeze(OrderedDict({2: 2, 1: 1}))
    assert freeze([1, 2]) != freeze([2, 1])


def test_what_is_hashable_is_left_as_it_is():
    """Subclasses and other people's types are theirs to compare."""

    class Mine(list):
        __hash__ = object.__hash__

    class Point(NamedTuple):
        x: int
        y: int

    for thing in (1, "x", None, Mine([1]), Point(1, 2), frozenset({1}), object()):
        assert freeze(thing) is thing


def test_what_cannot_be_frozen_cannot_be_a_key():
    """The hash's own `TypeError` comes out."""

    class Unhashable(list):
        pass

    for args in ((Unhashable(),), ([Unhashable()],), ({"k": Unhashable()},)):
        with pytest.raises(TypeError, match="unhashable"):
            keys_of(plain).make(args, {})


def test_a_container_as_a_default_is_left_out():
    """`f()` and `f(<the default itself>)` are one key."""
    default = [1]

    def func(a=default):
        pass

    keys = keys_of(func)
    assert keys.make((), {}) == keys.make((default,), {}) == keys.make((), {"a": default})


# Options.


def test_typed_tells_equal_arguments_of_different_types_apart():
    """Also for keywords; and says nothing about what is inside a container."""
    keys = keys_of(plain, typed=True)
    assert len({keys.make((value,), {}) for value in (1, 1.0, True)}) == 3
    assert len({keys.make((0,), {"c": value}) for value in (1, 1.0, True)}) == 3
    assert len({keys.make((0,), {"x": value}) for value in (1, 1.0, True)}) == 3
    assert keys.make((1,), {}) == keys.make((), {"a": 1}) == keys.make((1, 2), {})
    assert keys.make((1, 2.0), {}) != keys.make((1, 2), {})
    assert not keys.direct


def test_ignored_parameters_do_not_count():
    """By name, of every kind."""
    for name, calls in {
        "a": [((1,), {}), ((2,), {}), ((), {"a": 3})],
        "b": [((1,), {}), ((1, 5), {}), ((1,), {"b": [6]})],
        "rest": [((1, 2), {}), ((1, 2, 3), {}), ((1, 2, 3, 4), {})],
        "c": [((1,), {}), ((1,), {"c": 9})],
        "others": [((1,), {}), ((1,), {"x": 1})],
        "x": [((1,), {}), ((1,), {"x": 1}), ((1,), {"x": object()})],
    }.items():
        keys = keys_of(plain, ignore=name)
        assert len({keys.make(*call) for call in calls}) == 1, name
        assert keys.make((1, 2), {"c": 1, "y": 1}) != keys.make((1, 2), {"c": 2, "y": 2})


def test_what_is_not_ignored_counts():
    """An ignored parameter does not take its neighbours along."""
    keys = keys_of(plain, ignore=["a", "c"])
    assert keys.make((1, 2), {}) != keys.make((1, 3), {})
    assert keys.make((1, 2, 3), {}) != keys.make((1, 2), {})
    assert keys.make((1, 2, 3), {}) == keys.make((9, 2, 3), {"c": 7})


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"ignore": "nothing"}, ValueError, "no parameter 'nothing'; it has a, b"),
        ({"ignore": 3}, TypeError, "ignore=3"),
        ({"ignore": [3]}, TypeError, "ignore="),
        ({"typed": 1}, TypeError, "typed=1"),
        ({"key": 3}, TypeError, "key=3"),
        ({"key": len, "typed": True}, ValueError, "typed has no effect beside key"),
        ({"key": len, "ignore": "a"}, ValueError, "ignore has no effect beside key"),
    ],
)
def test_wrong_options_are_told(options, kind, words):
    """One error that names the option and the value."""

    def two(a, b):
        pass

    with pytest.raises(kind, match=words):
        keys_of(two, **options)


def test_a_key_of_the_users_own():
    """`key=` sees the call as it was written; what it returns is frozen."""
    keys = keys_of(plain, key=lambda a, b=0, **more: [a, b])
    assert keys.make((1,), {}) != keys.make((1, 2), {})
    assert keys.make((1,), {"c": 4}) == keys.make((1,), {})
    assert keys.make((1, [2]), {}) == keys.make((1,), {"b": [2]})


def test_without_a_signature_arguments_are_taken_as_given():
    """Some built-ins have none."""
    keys = Keys(None)
    assert keys.make((1,), {}) == keys.make((1,), {})
    assert keys.make((1,), {"a": 1}) != keys.make((1,), {})


# The law: two calls have one key if and only if their bound arguments are equal.

values = st.recursive(
    st.integers(0, 3) | st.sampled_from([0.0, 1.0, True, None, "x", "", b"x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from("xy"), inner, max_size=2)
        | st.sets(st.integers(0, 2), max_size=2)
        | st.frozensets(st.integers(0, 2), max_size=2)
    ),
    max_leaves=4,
)


def function(parameters, defaults, rest, others):
    """A function with those parameters, which returns what each is bound to."""
    positional_only = [name for name, kind in parameters if kind == "positional-only"]
    either = [name for name, kind in parameters if kind == "either"]
    keyword_only = [name for name, kind in parameters if kind == "keyword-only"]

    def written(name):
        return f"{name}=DEFAULTS[{name!r}]" if name in defaults else name

    text = [written(name) for name in positional_only]
    text += ["/"] if positional_only else []
    text += [written(name) for name in either]
    text += ["*rest"] if rest else ["*"] if keyword_only else []
    text += [written(name) for name in keyword_only]
    text += ["**others"] if others else []
    bound = [f"({name!r}, {name})" for name, _ in parameters]
    bound += ["('rest', rest)"] if rest else []
    bound += ["('others', list(others.items()))"] if others else []
    namespace = {"DEFAULTS": defaults}
    exec(f"def func({', '.join(text)}): return [{', '.join(bound)}]", namespace)
    return namespace["func"]


@st.composite
def functions(draw):
    """Functions of up to four parameters, of all kinds, with and without defaults."""
    kinds = ["either", "keyword-only", "positional-only"]
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=4))
    chosen.sort(key=["positional-only", "either", "keyword-only"].index)
    parameters = list(zip("abcd", chosen, strict=False))
    defaults, later = {}, False
    for name, kind in parameters:
        needed = later and kind != "keyword-only"
        if needed or draw(st.booleans()):
            defaults[name] = draw(values)
            later = later or kind != "keyword-only"
    return function(parameters, defaults, draw(st.booleans()), draw(st.booleans()))


def one_call(draw, signature, pool, positional):
    """A call that mostly fits."""
    args, kwargs, by_name = [], {}, False
    for name, p in signature.parameters.items():
        if p.kind is p.VAR_POSITIONAL:
            if not by_name:
                args += draw(st.lists(st.sampled_from(pool), max_size=2))
        elif p.kind is p.VAR_KEYWORD:
            if not positional:
                keys = draw(st.permutations(["x", "y", *signature.parameters]))
                for extra in keys[: draw(st.integers(0, 2))]:
                    kwargs.setdefault(extra, draw(st.sampled_from(pool)))
        elif p.default is not p.empty and draw(st.booleans()):
            by_name = True
        elif p.kind is p.KEYWORD_ONLY or (
            p.kind is p.POSITIONAL_OR_KEYWORD
            and not positional
            and (by_name or draw(st.booleans()))
        ):
            by_name = True
            kwargs[name] = draw(st.sampled_from(pool))
        elif not by_name:
            args.append(draw(st.sampled_from(pool)))
    return tuple(args), dict(draw(st.permutations(list(kwargs.items()))))


@st.composite
def functions_and_calls(draw, positional=False):
    """A function, and some calls that mostly fit it and often mean the same."""
    func = draw(functions())
    signature = inspect.signature(func)
    pool = draw(st.lists(values, min_size=2, max_size=3))
    pool += [p.default for p in signature.parameters.values() if p.default is not p.empty]
    pool += [copy.deepcopy(value) for value in pool]

    return func, [
        one_call(draw, signature, pool, positional) for _ in range(6 if positional else 4)
    ]


def meanings(func, calls, told):
    """What each call means, by index: its bound arguments as `told` tells them."""
    found = {}
    for number, (args, kwargs) in enumerate(calls):
        try:
            bound = func(*args, **kwargs)
        except TypeError:
            continue
        found[number] = [(name, told(value)) for name, value in bound]
    return found


def shape(value):
    """`value` with the type of every container in it written beside."""
    if isinstance(value, list | tuple):
        return type(value).__name__, [shape(item) for item in value]
    if isinstance(value, dict):
        return "dict", {name: shape(item) for name, item in value.items()}
    if isinstance(value, set | frozenset):
        return type(value).__name__, value
    return value


def one_key_just_where_one_meaning(made, told):
    """Two of `made` are equal if and only if the same two of `told` are."""
    for one, key in made.items():
        for other, another in made.items():
            assert (key == another) is (told[one] == told[other])
            if key == another:
                assert hash(key) == hash(another)


law = settings(suppress_health_check=[HealthCheck.too_slow])


@law
@given(functions_and_calls())
@example((lambda a=1: [("a", a)], [((1.0,), {}), ((1,), {}), ((), {}), ((True,), {})]))
@example((lambda a=[1]: [("a", a)], [(([1],), {}), ((), {}), (((1,),), {}), ((), {"a": [1]})]))
@example((lambda a, b=("x",): [("a", a), ("b", b)], [((1, ("x",)), {}), ((1,), {})]))
def test_two_calls_have_one_key_if_and_only_if_they_mean_the_same(given):
    """The bound and defaulted arguments are equal, containers of the same types."""
    func, calls = given
    told = meanings(func, calls, shape)
    keys = keys_of(func)
    made = {number: keys.make(*calls[number]) for number in told}
    one_key_just_where_one_meaning(made, told)


@law
@given(functions_and_calls())
def test_typed_keys_differ_where_types_do(given):
    """With `typed`, equal arguments of different types make different keys."""

    def typed(name, value):
        if name == "rest":
            return [(type(item), shape(item)) for item in value]
        if name == "others":
            return [(n, type(item), shape(item)) for n, item in value]
        return type(value), shape(value)

    func, calls = given
    told = {
        number: [(name, typed(name, value)) for name, value in bound]
        for number, bound in meanings(func, calls, lambda value: value).items()
    }
    keys = keys_of(func, typed=True)
    made = {number: keys.make(*calls[number]) for number in told}
    one_key_just_where_one_meaning(made, told)


@law
@given(functions_and_calls(), st.data())
def test_ignored_parameters_never_count_and_all_others_do(given, data):
    """The law, with any set of named parameters left out on both sides."""
    func, calls = given
    names = [name for name in inspect.signature(func).parameters if name != "others"]
    ignored = data.draw(st.sets(st.sampled_from(names)) if names else st.just(set()))
    by_name = [name for name in names if name in ("a", "b", "c", "d")]
    calls = [(args, {k: v for k, v in kwargs.items() if k in by_name}) for args, kwargs in calls]
    told = {
        number: [(name, value) for name, value in bound if name not in ignored]
        for number, bound in meanings(func, calls, shape).items()
    }
    keys = keys_of(func, ignore=ignored)
    made = {number: keys.make(*calls[number]) for number in told}
    one_key_just_where_one_meaning(made, told)


@law
@given(functions_and_calls())
def test_what_fits_the_function_has_a_key_and_what_does_not_has_none(given):
    """`NotAccepted` just where the call itself is a `TypeError`."""
    func, calls = given
    calls = [*calls, ((1, 2, 3), {}), ((), {"a": 1, "d": 2}), ((1,), {"a": 1}), ((), {"z": 1})]
    told = meanings(func, calls, shape)
    keys = keys_of(func)
    for number, call in enumerate(calls):
        if number in told:
            hash(keys.make(*call))
        else:
            with pytest.raises(NotAccepted):
                keys.make(*call)


@law
@given(functions_and_calls(positional=True))
def test_a_direct_look_finds_what_make_stored_or_nothing(given):
    """For positional calls: the tuple of arguments is never another call's key."""
    func, calls = given
    calls = [(args, {}) for args, _ in calls]
    told = meanings(func, calls, shape)
    keys = keys_of(func)
    stored = {keys.make(*calls[number]): meaning for number, meaning in told.items()}
    for number, meaning in told.items():
        try:
            found = stored.get(calls[number][0])
        except TypeError:
            continue  # a container that cannot be hashed
        assert found is None or found == meaning
