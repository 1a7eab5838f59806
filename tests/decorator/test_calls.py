"""What a call of a decorated function gives, and which calls are the same."""

import functools
import math
import operator
import sys
from types import SimpleNamespace

import pytest

from memo import cached


def counting(func):
    """The function, with a list of what it was called with."""
    calls = []

    @functools.wraps(func)
    def counted(*args, **kwargs):
        calls.append((args, kwargs))
        return func(*args, **kwargs)

    counted.calls = calls
    return counted


def test_a_call_is_computed_once(colour) -> None:
    """The second call with the same arguments gives the first one's very value."""
    f = colour.cached(lambda a: [a])
    first = colour.run(f(1))
    assert first == [1]
    assert colour.run(f(1)) is first
    assert colour.run(f(2)) == [2]


@pytest.mark.parametrize(
    "value", [None, False, 0, "", (), [], NotImplemented, Ellipsis, KeyError()], ids=repr
)
def test_every_value_is_a_value(colour, value) -> None:
    """None and all that is falsy or odd is cached like anything else."""
    runs = []

    @colour.cached(ttl=5)
    def f():
        runs.append(1)
        return value

    assert colour.run(f()) is colour.run(f()) is value
    assert runs == [1]
    assert colour.run(f.get()) is value
    assert colour.run(f.lookup()).value is value


def test_equal_calls_are_one_key(colour) -> None:
    """`f(1)`, `f(a=1)` and `f(1, b=<default>)` are one call; another value is another."""
    runs = []

    @colour.cached
    def f(a, b=2, *, c=3):
        runs.append((a, b, c))
        return len(runs)

    same = [
        f(1),
        f(a=1),
        f(1, 2),
        f(1, b=2),
        f(b=2, a=1),
        f(1, c=3),
        f(1, 2, c=3),
        f(c=3, b=2, a=1),
    ]
    assert [colour.run(call) for call in same] == [1] * len(same)
    assert [colour.run(call) for call in (f(1, 3), f(1, c=2), f(2))] == [2, 3, 4]
    assert runs == [(1, 2, 3), (1, 3, 3), (1, 2, 2), (2, 2, 3)]


def test_every_kind_of_parameter_arrives(colour) -> None:
    """Positional-only, keyword-only, defaults, `*args` and `**kwargs` reach the function whole."""

    @colour.cached
    def f(a, /, b, c=3, *rest, d, e=5, **others):
        return a, b, c, rest, d, e, others

    for _ in range(2):
        assert colour.run(f(1, 2, d=4)) == (1, 2, 3, (), 4, 5, {})
        assert colour.run(f(1, b=2, d=4)) == (1, 2, 3, (), 4, 5, {})
        assert colour.run(f(1, 2, 6, 7, 8, d=4)) == (1, 2, 6, (7, 8), 4, 5, {})
        assert colour.run(f(1, 2, d=4, a=9)) == (1, 2, 3, (), 4, 5, {"a": 9})
        assert colour.run(f(1, 2, d=4, e=0, z=1)) == (1, 2, 3, (), 4, 0, {"z": 1})
    assert f.cache_info()[:2] == (6, 4)


def test_names_of_ours_are_free_for_parameters(colour) -> None:
    """A parameter may have any name at all, also in calls of the handle."""

    @colour.cached
    def f(*, self=1, value=2, func=3, args=4, key=5, instance=6, cls=7):
        return self, value, func, args, key, instance, cls

    named = {"self": 0, "value": 0, "func": 0, "args": 0, "key": 0, "instance": 0, "cls": 0}
    assert colour.run(f(**named)) == (0,) * 7
    assert colour.run(f.get(**named)) == (0,) * 7
    assert colour.run(f.lookup(**named)).status == "fresh"
    assert colour.run(f.set("other", **named)) is True
    assert colour.run(f(**named)) == "other"
    assert colour.run(f.refresh(**named)) == (0,) * 7
    assert f.cache_key(**named) == f.cache_key(**named)
    assert colour.run(f.invalidate(**named)) is True


def test_the_order_of_other_keywords_counts(colour) -> None:
    """As in functools, `f(x=1, y=2)` and `f(y=2, x=1)` differ for a function of `**kwargs`."""
    f = colour.cached(lambda **others: list(others))
    assert colour.run(f(x=1, y=2)) == ["x", "y"]
    assert colour.run(f(y=2, x=1)) == ["y", "x"]


def test_arguments_by_position_and_by_name_do_not_mix(colour) -> None:
    """What looks alike when flattened is kept apart."""
    f = colour.cached(lambda *args, **others: (args, others))
    calls = [
        ((("x", 1),), {}),
        (("x", 1), {}),
        ((), {"x": 1}),
        (((),), {}),
        ((), {}),
        (((1, 2),), {}),
        ((1, 2), {}),
    ]
    for args, kwargs in calls * 2:
        assert colour.run(f(*args, **kwargs)) == (args, kwargs)
    assert f.cache_info()[:2] == (len(calls), len(calls))


def test_a_wrong_call_is_the_functions_own_type_error(colour) -> None:
    """A call that does not fit gives the message that the function itself would give."""

    def f(a, *, b): ...

    g = colour.cached(f)
    for args, kwargs in [((), {}), ((1, 2), {"b": 1}), ((1,), {}), ((1,), {"b": 1, "c": 2})]:
        with pytest.raises(TypeError) as plain:
            f(*args, **kwargs)
        with pytest.raises(TypeError) as ours:
            colour.run(g(*args, **kwargs))
        assert str(ours.value).split("()")[-1] == str(plain.value).split("()")[-1]
        assert ours.value.__context__ is None
    with pytest.raises(TypeError, match="multiple values"):
        colour.run(g(1, a=1, b=2))
    assert g.cache_info().currsize == 0


@pytest.mark.parametrize(
    "argument",
    [[1], {1}, {"a": [1]}, bytearray(b"x"), [[{1}]], ([1],), {1: {2: {3}}}],
    ids=repr,
)
def test_unhashable_containers_are_arguments(colour, argument) -> None:
    """Built-in containers count by content and type, nested as they may be."""
    f = colour.cached(counting(repr))
    assert colour.run(f(argument)) == colour.run(f(argument)) == repr(argument)
    assert f.cache_info()[:2] == (1, 1)


def test_containers_that_differ_in_type_differ() -> None:
    """`[1]`, `(1,)`, `{1}` and `frozenset({1})` are four arguments, and stay so when nested."""
    f = cached(repr)
    arguments = [[1], (1,), {1}, frozenset({1}), [[1]], [(1,)], ([1],), {1: 1}, [(1, 1)]]
    for argument in arguments * 2:
        assert f(argument) == repr(argument)


def test_a_changed_container_is_another_argument(colour) -> None:
    """A list that was changed after the call does not answer for its earlier content."""
    f = colour.cached(sum)
    numbers = [1, 2]
    assert colour.run(f(numbers)) == 3
    numbers.append(3)
    assert colour.run(f(numbers)) == 6
    assert colour.run(f([1, 2])) == 3


def test_1_and_1_0_and_true_share_a_key_unless_typed(colour) -> None:
    """As in functools, equal arguments are one key, and with `typed=True` their types count."""
    f = colour.cached(repr)
    assert [colour.run(f(a)) for a in (1, 1.0, True)] == ["1"] * 3
    g = colour.cached(typed=True)(repr)
    assert [colour.run(g(a)) for a in (1, 1.0, True, 1, 1.0, True)] == ["1", "1.0", "True"] * 2
    assert g.cache_info()[:2] == (3, 3)


def test_typed_counts_the_types_of_keywords() -> None:
    """With `typed=True` the types of keyword-only arguments and of `**kwargs` count too."""

    @cached(typed=True)
    def f(*, a=0, **others):
        return repr((a, others))

    assert f(a=1) == "(1, {})"
    assert f(a=1.0) == "(1.0, {})"
    assert f(z=1) == "(0, {'z': 1})"
    assert f(z=True) == "(0, {'z': True})"
    assert f(a=False) == "(False, {})"


def test_an_explicit_default_is_typed() -> None:
    """With `typed=True` an argument equal to a default of another type is not the default."""

    @cached(typed=True)
    def f(a=1):
        return repr(a)

    assert [f(), f(1.0), f(True), f(1), f(a=1.0)] == ["1", "1.0", "True", "1", "1.0"]
    assert f.cache_info()[:2] == (2, 3)


def test_an_argument_equal_to_the_default_is_one_key() -> None:
    """Untyped, `f(1.0)`, `f(True)` and `f(1)` are one key, also where 1 is the default."""

    @cached
    def f(a=1):
        return repr(a)

    assert [f(1.0), f(True), f(1), f(), f(a=1)] == ["1.0"] * 5
    assert f.cache_key(1.0) == f.cache_key(1) == f.cache_key()
    assert f.invalidate(1) is True
    assert [f(), f(1.0)] == ["1", "1"]
    assert f(0) == "0"


@pytest.mark.parametrize("ignore", ["session", ["session"], ("session",), {"session"}])
def test_ignored_parameters_do_not_count(colour, ignore) -> None:
    """Calls that differ in an ignored parameter alone are one, however it is given."""

    @colour.cached(ignore=ignore)
    def f(session, user, limit=10):
        return session, user, limit

    assert colour.run(f("s1", 1)) == ("s1", 1, 10)
    assert colour.run(f("s2", 1)) == ("s1", 1, 10)
    assert colour.run(f(session=[], user=1)) == ("s1", 1, 10)
    assert colour.run(f(object(), user=1, limit=10)) == ("s1", 1, 10)
    assert colour.run(f("s1", 2)) == ("s1", 2, 10)


def test_ignored_parameters_of_every_kind() -> None:
    """Defaults, keyword-only ones, `*args`, `**kwargs` and names inside it can be ignored."""

    def f(a, b=2, *rest, c=3, **others):
        return a, b, rest, c, others

    g = cached(ignore="b")(f)
    assert g(1) == g(1, 5) == g(1, b=7) == (1, 2, (), 3, {})
    assert g(1, 5, 6) == g(1, 7, 6) == (1, 5, (6,), 3, {})
    g = cached(ignore=["rest"])(f)
    assert g(1, 2, 3) == g(1, 2) == g(1) == (1, 2, (3,), 3, {})
    g = cached(ignore=["c"])(f)
    assert g(1, c=5) == g(1) == (1, 2, (), 5, {})
    g = cached(ignore=["others"])(f)
    assert g(1, x=1) == g(1, y=2) == g(1) == (1, 2, (), 3, {"x": 1})
    g = cached(ignore=["trace"])(f)
    assert g(1, trace=1) == g(1, trace=2) == g(1) == (1, 2, (), 3, {"trace": 1})
    assert g(1, x=1) == (1, 2, (), 3, {"x": 1})


def test_key_says_what_tells_calls_apart(colour) -> None:
    """With `key=` nothing else of the arguments counts; an unhashable container is a key too."""

    @colour.cached(key=lambda request, **_: [request.path])
    def f(request, verbose=False):
        return request.path, request.user

    one, other = SimpleNamespace(path="/a", user=1), SimpleNamespace(path="/a", user=2)
    assert colour.run(f(one)) == colour.run(f(other)) == ("/a", 1)
    assert colour.run(f(other, verbose=True)) == ("/a", 1)
    assert colour.run(f.invalidate(other)) is True
    assert colour.run(f(other)) == ("/a", 2)


def test_a_key_that_fails_costs_a_call_and_is_counted(colour) -> None:
    """A `key` that raises, or gives what cannot be hashed, leaves the function's value."""
    for key in (lambda a: 1 / 0, lambda a: SimpleNamespace(a=a)):
        f = colour.cached(key=key)(lambda a: 2 * a)
        assert [colour.run(f(1)), colour.run(f(1))] == [2, 2]
        info = f.cache_info()
        assert (info.hits, info.misses, info.failures) == (0, 2, 2)


def test_version_and_name_change_nothing_in_a_store_of_ones_own(colour) -> None:
    """`version` and `name` are taken, and calls are answered as ever."""
    f = colour.cached(version=2, name="the function")(lambda a: [a])
    assert colour.run(f(1)) is colour.run(f(1))


def test_another_version_is_another_function_in_a_shared_store(colour) -> None:
    """One function decorated twice on one mapping is one cache; another version is another."""
    store = {}
    runs = []

    def f(a):
        runs.append(a)
        return len(runs)

    g = colour(f)
    first, again = cached(backend=store)(g), cached(backend=store)(g)
    other = cached(backend=store, version=2)(g)
    assert [colour.run(one(1)) for one in (first, again, other, first)] == [1, 1, 2, 1]


def test_name_is_what_messages_say(colour, caplog) -> None:
    """The log calls the function by the name it was given."""
    f = colour.cached(name="prices", should_cache=lambda value: 1 / 0)(lambda a: a)
    colour.run(f(1))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["prices"]


@pytest.mark.parametrize("maxsize", [0, 0.0])
def test_maxsize_0_never_stores(colour, maxsize) -> None:
    """With `maxsize=0` each call runs the function and is a miss."""
    runs = []

    @colour.cached(maxsize=maxsize)
    def f(a):
        runs.append(a)
        return a

    assert [colour.run(f(1)) for _ in range(3)] == [1, 1, 1]
    assert runs == [1, 1, 1]
    assert f.cache_info() == (0, 3, 0, 0)
    assert f.cache_parameters()["maxsize"] == 0
    assert colour.run(f.set(5, 1)) is False
    assert colour.run(f.lookup(1)).status == "miss"


def test_maxsize_none_keeps_everything(colour) -> None:
    """With `maxsize=None` there is no bound."""
    f = colour.cached(maxsize=None)(lambda a: a)
    for a in range(3000):
        assert colour.run(f(a)) == a
    assert f.cache_info() == (0, 3000, None, 3000)


@pytest.mark.parametrize("maxsize", [1, 2, 17, math.inf])
def test_maxsize_is_kept(colour, maxsize) -> None:
    """No more than `maxsize` entries are held, at any time."""
    f = colour.cached(maxsize=maxsize)(lambda a: a)
    for a in range(40):
        colour.run(f(a))
        assert f.cache_info().currsize == min(a + 1, maxsize)
    assert f.cache_info().evictions == max(0, 40 - maxsize)


def test_lru_drops_what_was_used_longest_ago(colour) -> None:
    """With `eviction="lru"` a hit saves an entry."""
    f = colour.cached(maxsize=2, eviction="lru")(lambda a: a)
    for a in (1, 2, 1, 3):
        colour.run(f(a))
    assert [colour.run(f.lookup(a)).status for a in (1, 2, 3)] == ["fresh", "miss", "fresh"]


def test_getsizeof_bounds_the_sum_of_sizes(colour) -> None:
    """With `getsizeof` the bound is in its unit, and what is too large alone is not stored."""
    f = colour.cached(maxsize=10, getsizeof=len)(lambda n: "x" * n)
    for n in (4, 5, 6, 11):
        assert colour.run(f(n)) == "x" * n
        assert f.cache_info().currsize <= 10
    info = f.cache_info()
    assert info.maxsize == 10
    assert info.failures == 1
    assert colour.run(f.lookup(11)).status == "miss"
    assert colour.run(f.lookup(6)).status == "fresh"


@pytest.mark.parametrize("size", [-1, "big", None, True, math.nan, 1 / 3])
def test_getsizeof_may_be_wrong(colour, size) -> None:
    """A size that is none, or an exception of `getsizeof`, costs the entry and not the value."""
    f = colour.cached(maxsize=10, getsizeof=lambda value: size)(lambda a: a)
    assert [colour.run(f(1)), colour.run(f(1))] == [1, 1]
    info = f.cache_info()
    stored = isinstance(size, float) and size > 0
    assert (info.currsize, info.failures) == ((size, 0) if stored else (0, 2))


def test_should_cache_says_what_is_stored(colour) -> None:
    """What `should_cache` refuses is handed out and not stored."""
    runs = []

    @colour.cached(should_cache=lambda value: value > 1)
    def f(a):
        runs.append(a)
        return a

    assert [colour.run(f(a)) for a in (1, 2, 1, 2)] == [1, 2, 1, 2]
    assert runs == [1, 2, 1]
    assert f.cache_info().failures == 0


@pytest.mark.parametrize("option", ["should_cache", "ttl", "getsizeof"])
def test_a_hook_that_raises_costs_the_entry_alone(colour, option) -> None:
    """A failing hook leaves the value, counts a failure and stores nothing."""
    f = colour.cached(**{option: lambda value: 1 / 0})(lambda a: 2 * a)
    assert [colour.run(f(1)), colour.run(f(1))] == [2, 2]
    info = f.cache_info()
    assert (info.hits, info.misses, info.failures, info.currsize) == (0, 2, 2, 0)


def test_copy_is_applied_to_what_is_handed_out(colour) -> None:
    """With `copy` each caller gets a copy of its own, and the stored value stays as it was."""
    f = colour.cached(copy=list)(lambda: [1])
    first = colour.run(f())
    first.append(2)
    second = colour.run(f())
    second.append(3)
    assert colour.run(f()) == [1]
    assert first == [1, 2]
    assert second == [1, 3]


def test_copy_reaches_every_way_out(colour) -> None:
    """`get`, `refresh` and `lookup` hand out copies too."""
    f = colour.cached(copy=list)(lambda: [1])
    colour.run(f())
    colour.run(f.get()).append(2)
    colour.run(f.lookup()).value.append(3)
    colour.run(f.refresh()).append(4)
    assert colour.run(f()) == [1]


def test_copy_keeps_what_is_set_by_hand(colour) -> None:
    """A value that was stored with `set` and is handed out copied stays as it was set."""
    f = colour.cached(copy=list)(lambda: [1])
    colour.run(f.set([5]))
    colour.run(f()).append(6)
    assert colour.run(f()) == [5]


def test_a_copy_that_fails_never_shares_the_value(colour) -> None:
    """Where `copy` raises each call gets a value computed for it alone."""

    def fails(value):
        raise RuntimeError("no copies today")

    runs = []

    @colour.cached(copy=fails)
    def f():
        runs.append(1)
        return []

    results = [colour.run(f()) for _ in range(3)]
    assert len({id(result) for result in results}) == 3
    assert len(runs) == 3
    info = f.cache_info()
    assert info.hits + info.misses == 3
    assert info.failures >= 3


def test_single_flight_can_be_switched_off(colour) -> None:
    """With `single_flight=False` a call inside a call of the same key runs by itself, as ever."""
    runs = []

    @cached(single_flight=False)
    def f(n):
        runs.append(n)
        return f(n) if len(runs) < 3 else n

    assert f(1) == 1
    assert runs == [1, 1, 1]


def test_a_recursive_function_calls_itself_through_the_cache() -> None:
    """Recursion goes through the decorated function: each value is computed once."""

    @cached(maxsize=None)
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(90) == 2880067194370816120
    assert fib.cache_info()[:2] == (88, 91)


def test_a_recursion_too_deep_leaves_the_cache_usable() -> None:
    """After a RecursionError shallow calls work, and what was computed is right."""

    @cached(maxsize=None)
    def depth(n):
        return 0 if n == 0 else 1 + depth(n - 1)

    with pytest.raises(RecursionError):
        depth(sys.getrecursionlimit() * 5)
    assert [depth(n) for n in range(50)] == list(range(50))


def test_built_ins_can_be_cached() -> None:
    """A built-in is cached, with a signature or without one."""
    for function, args in [
        (len, ("abc",)),
        (math.gcd, (12, 18)),
        (max, (1, 2, 3)),
        (operator.itemgetter(1), ((4, 5),)),
        (divmod, (7, 2)),
        (str.upper, ("abc",)),
        ("a,b".split, (",",)),
    ]:
        g = cached(function)
        assert g(*args) == g(*args) == function(*args)
        assert g.cache_info()[:2] == (1, 1)


def test_lambdas_and_partials_can_be_cached(colour) -> None:
    """What has no name of its own is cached like anything else."""
    f = colour.cached(lambda a: [a])
    assert colour.run(f(1)) is colour.run(f(1))
    g = cached(functools.partial(colour(lambda a, b, c=3: [a, b, c]), 1, c=4))
    assert colour.run(g(2)) is colour.run(g(b=2)) is colour.run(g(2, c=4))
    assert colour.run(g(2)) == [1, 2, 4]
    assert colour.run(g(2, c=5)) == [1, 2, 5]


def test_callable_objects_can_be_cached(colour) -> None:
    """An object with `__call__` is cached in the colour of that method."""

    class Adder:
        def __init__(self, n):
            self.n = n

        if colour.is_async:

            async def __call__(self, a):
                return [self.n + a]
        else:

            def __call__(self, a):
                return [self.n + a]

    f, g = cached(Adder(1)), cached(Adder(2))
    assert colour.run(f(1)) is colour.run(f(1))
    assert (colour.run(f(1)), colour.run(g(1))) == ([2], [3])
    assert f.cache_info()[:2] == (2, 1)


def test_bound_methods_can_be_cached(colour) -> None:
    """A bound method handed to `cached` is cached for the instance that it is bound to."""

    class A:
        def __init__(self, n):
            self.n = n

        m = colour(lambda self, a: [self.n, a])

    f, g = cached(A(1).m), cached(A(2).m)
    assert colour.run(f(5)) is colour.run(f(a=5))
    assert (colour.run(f(5)), colour.run(g(5))) == ([1, 5], [2, 5])


def test_two_decorated_functions_share_nothing(colour) -> None:
    """Each use of the decorator has a store of its own, also on the same function."""

    def f(a):
        return [a]

    one, other = colour.cached(f), colour.cached(f)
    assert colour.run(one(1)) is not colour.run(other(1))


def test_closures_of_one_function_never_answer_for_each_other(colour) -> None:
    """Functions made by one piece of code are different functions, on a shared mapping too."""
    store = {}

    def make(n):
        return colour.cached(backend=store)(lambda a: n + a)

    add1, add2 = make(1), make(2)
    assert [colour.run(f(1)) for f in (add1, add2, add1, add2)] == [2, 3, 2, 3]


class Hostile:
    """An argument whose `__eq__` or `__hash__` raises."""

    def __init__(self, *, eq=False, hash_=False):
        self.eq, self.hash = eq, hash_

    def __eq__(self, other):
        if self.eq:
            raise ZeroDivisionError("eq")
        return self is other

    def __hash__(self):
        if self.hash:
            raise ZeroDivisionError("hash")
        return 1


@pytest.mark.parametrize("how", [{"eq": True}, {"hash_": True}])
def test_a_hostile_argument_costs_no_answer(colour, how) -> None:
    """An `__eq__` or `__hash__` that raises leaves the function's value and a usable cache."""
    f = colour.cached(lambda a: type(a).__name__)
    for argument in [Hostile(**how), Hostile(**how), Hostile(), Hostile(**how), 5]:
        assert colour.run(f(argument)) == type(argument).__name__
    assert colour.run(f(5)) == "int"
    info = f.cache_info()
    assert info.hits + info.misses == 6
    assert info.failures > 0
    assert info.hits > 0


@pytest.mark.parametrize("where", ["<listcomp>", "<genexpr>", "<lambda>", "f.<locals>.<dictcomp>"])
def test_a_function_made_in_a_comprehension_is_no_method(where) -> None:
    """Its hits are answered by the path of plain functions, whatever stands in its name."""

    def function(key):
        return key

    function.__qualname__ = f"{where}.function"
    made = cached(function)
    assert not made._self_site.has_receivers
    assert made(3) == 3
