"""Methods: each instance has a cache of its own, which keeps it alive no longer than it lives."""

import abc
import asyncio
import functools
import gc
import threading
import weakref

import pytest

import memo
from memo import Miss, cached


class A:
    """A class with a cached method of each colour, which say who they were called on."""

    def __init__(self, n):
        self.n = n
        self.runs = []

    @cached(ttl=60, maxsize=16)
    def m(self, a, b=2):
        self.runs.append((a, b))
        return [self.n, a, b]

    @cached
    async def co(self, a, b=2):
        self.runs.append((a, b))
        return [self.n, a, b]


def made(colour, **options):
    """A class with one cached method in the given colour."""

    class Made:
        def __init__(self, n=0):
            self.n = n
            self.runs = []

        @colour.cached(**options)
        def m(self, a=1, b=2):
            self.runs.append((a, b))
            return [self.n, a, b]

    return Made


def test_instances_are_never_mixed(colour) -> None:
    """Each instance gets its own values, computed for it."""
    cls = made(colour)
    instances = [cls(n) for n in range(20)]
    for _ in range(2):
        for n, instance in enumerate(instances):
            assert colour.run(instance.m(5)) == [n, 5, 2]
    assert all(instance.runs == [(5, 2)] for instance in instances)


def test_equal_calls_of_a_method_are_one(colour) -> None:
    """Keywords and defaults are normalised without the receiver."""
    a = made(colour)()
    calls = [a.m(1), a.m(a=1), a.m(1, 2), a.m(b=2, a=1), a.m()]
    first, *others = [colour.run(call) for call in calls]
    assert all(other is first for other in others)
    assert a.runs == [(1, 2)]


def test_calling_through_the_class_is_the_same_call(colour) -> None:
    """`A.m(a, 1)` and `a.m(1)` share what is cached, and every handle of it."""
    cls = made(colour)
    a, b = cls(1), cls(2)
    first = colour.run(a.m(1))
    assert colour.run(cls.m(a, 1)) is first
    assert colour.run(cls.m(a, a=1, b=2)) is first
    assert colour.run(cls.m(b, 1)) == [2, 1, 2]
    assert colour.run(cls.m.get(a, 1)) is first
    assert colour.run(cls.m.lookup(a, 1)).value is first
    assert cls.m.cache_key(a, 1) == a.m.cache_key(1)
    assert colour.run(cls.m.set("set", a, 1)) is True
    assert colour.run(a.m(1)) == "set"
    assert colour.run(cls.m.invalidate(a, 1)) is True
    assert colour.run(a.m.lookup(1)).status == "miss"
    refreshed = colour.run(cls.m.refresh(a, 1))
    assert colour.run(a.m(1)) is refreshed
    assert colour.run(b.m(1)) == [2, 1, 2]
    assert b.runs == [(1, 2)]


def test_the_receiver_by_name_is_the_same_call(colour) -> None:
    """`A.m(self=a, a=1)` is unusual, right, and the same call as `a.m(1)`."""
    cls = made(colour)
    a = cls(1)
    first = colour.run(a.m(1))
    assert colour.run(cls.m(self=a, a=1)) is first
    assert cls.m.cache_key(self=a, a=1) == a.m.cache_key(1)
    assert colour.run(cls.m.lookup(a=1, self=a)).value is first
    assert colour.run(cls.m.invalidate(self=a, a=1)) is True
    again = colour.run(cls.m(self=a, a=1))
    assert again is not first
    assert colour.run(a.m(1)) is again
    assert a.runs == [(1, 2), (1, 2)]


def of_one_argument(colour):
    """A class with a cached method of one argument, and the same not cached."""

    class Made:
        def plain(self, a):
            return [self, a]

    Made.m = colour.cached(Made.plain)
    Made.m.__set_name__(Made, "m")
    return Made


def test_a_method_of_one_argument(colour) -> None:
    """By position, by name, through the class, and the receiver by name: one call, one run."""
    cls = of_one_argument(colour)
    a = cls()
    first = colour.run(a.m(1))
    same = [a.m(a=1), cls.m(a, 1), cls.m(a, a=1), cls.m(self=a, a=1), cls.m(a=1, self=a)]
    assert all(colour.run(call) is first for call in same)
    assert colour.run(cls.m(self=a, a=2)) == [a, 2]
    assert cls.m.cache_info()[:2] == (5, 2)
    assert colour.run(a.m([])) == [a, []]  # no key: the function is called
    assert colour.run(cls().m(1)) is not first


def test_a_wrong_call_of_a_method_of_one_argument(colour) -> None:
    """A call that does not fit gives the message that the method itself would give."""
    cls = of_one_argument(colour)
    a = cls()
    for args, kwargs in [
        ((), {}),
        ((a,), {}),
        ((a, 1, 2), {}),
        ((a,), {"b": 1}),
        ((a, 1), {"a": 1}),
        ((), {"a": 1}),
        ((a,), {"self": a, "a": 1}),
    ]:
        with pytest.raises(TypeError) as plain:
            cls.plain(*args, **kwargs)
        with pytest.raises(TypeError) as ours:
            colour.run(cls.m(*args, **kwargs))
        assert str(ours.value) == str(plain.value)


def test_any_names_for_the_receiver_and_the_argument(colour) -> None:
    """Both may be called as any local of ours."""

    class Made:
        @colour.cached
        def m(own, node):  # noqa: N805
            return [own, node]

        @colour.cached
        def n(turn, self):  # noqa: N805
            return [turn, self]

        @colour.cached
        def o(func, quick):  # noqa: N805
            return [func, quick]

    a = Made()
    for _ in range(2):
        assert colour.run(a.m(1)) == colour.run(Made.m(own=a, node=1)) == [a, 1]
        assert colour.run(a.n(1)) == colour.run(Made.n(turn=a, self=1)) == [a, 1]
        assert colour.run(a.o(1)) == colour.run(Made.o(func=a, quick=1)) == [a, 1]
    assert [m.cache_info()[:2] for m in (Made.m, Made.n, Made.o)] == [(3, 1)] * 3


def test_a_temporary_instance_lives_for_its_call(colour) -> None:
    """`A(1).m(1)` works, although nobody else holds the instance."""
    cls = made(colour)
    for n in range(50):
        assert colour.run(cls(n).m(1)) == [n, 1, 2]
    bound = cls(7).m
    gc.collect()
    assert colour.run(bound(1)) == [7, 1, 2]


def test_the_handle_of_a_bound_method(colour) -> None:
    """Every part of the handle works on `a.m`, for that instance alone."""
    cls = made(colour)
    a, b = cls(1), cls(2)
    with pytest.raises(Miss):
        colour.run(a.m.get(1))
    assert colour.run(a.m.set("x", 1)) is True
    assert colour.run(a.m.get(a=1)) == "x"
    assert colour.run(b.m.lookup(1)).status == "miss"
    assert colour.run(b.m(1)) == [2, 1, 2]
    assert colour.run(a.m.invalidate(1)) is True
    assert colour.run(a.m.invalidate(1)) is False
    assert colour.run(b.m.lookup(1)).status == "fresh"
    assert colour.run(a.m.refresh(1)) == [1, 1, 2]
    assert colour.run(a.m.prewarm([(1,), (3,)])) == (1, 1, 0)
    assert a.m.cache_key(1) == a.m.cache_key(a=1)
    assert a.m.cache_parameters() == cls.m.cache_parameters()
    assert colour.run(a.m.__wrapped__(1)) == [1, 1, 2]
    colour.run(a.m.cache_clear())
    assert a.m.cache_info() == (0, 0, 1024, 0)
    assert colour.run(a.m.lookup(1)).status == "miss"
    assert colour.run(b.m.lookup(1)).status == "fresh"


def test_cache_info_is_per_instance_and_in_sum(colour) -> None:
    """`a.m.cache_info()` is that instance's; `A.m.cache_info()` is the sum of all."""
    cls = made(colour, maxsize=5)
    a, b = cls(), cls()
    for one, times in ((a, 3), (b, 2)):
        for _ in range(times):
            colour.run(one.m(1))
    assert a.m.cache_info() == (2, 1, 5, 1)
    assert b.m.cache_info() == (1, 1, 5, 1)
    assert cls.m.cache_info() == (3, 2, 5, 2)
    assert cls.m.cache_info().loads == 2


def test_the_sum_counts_the_dead(colour) -> None:
    """Calls of instances that are gone stay in the sum; what they held does not."""
    cls = made(colour)
    for n in range(10):
        instance = cls(n)
        colour.run(instance.m(1))
        colour.run(instance.m(1))
        del instance
    gc.collect()
    assert cls.m.cache_info() == (10, 10, 1024, 0)


def test_clearing_through_the_class_clears_all(colour) -> None:
    """`A.m.cache_clear()` drops the entries and the counts of every instance, dead ones too."""
    cls = made(colour)
    a, b = cls(), cls()
    for one in (a, b, cls()):
        colour.run(one.m())
    gc.collect()
    colour.run(cls.m.cache_clear())
    assert a.m.cache_info() == b.m.cache_info() == cls.m.cache_info() == (0, 0, 1024, 0)
    assert colour.run(a.m.lookup()).status == "miss"


def test_maxsize_is_per_instance(colour) -> None:
    """One instance's entries push none of another's out."""
    cls = made(colour, maxsize=2)
    a, b = cls(), cls()
    for n in range(5):
        colour.run(a.m(n))
    colour.run(b.m(0))
    assert a.m.cache_info().currsize == 2
    assert b.m.cache_info().currsize == 1
    assert cls.m.cache_info().currsize == 3


@pytest.mark.parametrize(
    "handle", ["get", "lookup", "invalidate", "refresh", "cache_key", "set", "__call__"]
)
def test_a_handle_call_without_its_receiver_is_a_type_error(colour, handle) -> None:
    """`A.m.invalidate(1)` is a mistake, and says that the instance is missing."""
    cls = made(colour)
    colour.run(cls().m(1))

    def call(*args):
        result = getattr(cls.m, handle)(*args)
        return result if handle == "cache_key" else colour.run(result)

    if handle == "__call__":
        with pytest.raises(AttributeError):
            call(1)
        return
    first = ("value",) if handle == "set" else ()
    for args in ((), (1,), ("a", 2), (object(),)):
        with pytest.raises(TypeError, match="instance"):
            call(*first, *args)


def test_a_method_called_on_a_stranger_is_just_called(colour) -> None:
    """`A.m(stranger)` is Python's business: the function is called with it."""
    cls = made(colour)

    class Stranger:
        n = 9

        def __init__(self):
            self.runs = []

    stranger = Stranger()
    assert colour.run(cls.m(stranger, 1)) == [9, 1, 2]


def test_short_lived_instances_leave_nothing() -> None:
    """Instances with cached methods die as if nothing had been cached."""
    alive = weakref.WeakSet()
    cls = made_sync()
    for n in range(20_000):
        instance = cls(n)
        if n % 100 == 0:
            alive.add(instance)
        instance.m(1)
    del instance
    gc.collect()
    assert len(alive) == 0
    assert cls.m.cache_info()[:2] == (0, 20_000)
    assert cls.m.cache_info().currsize == 0
    assert len(cls.m._self_site.receivers.caches) == 0


def made_sync():
    """A small class with a cached method."""

    class Small:
        def __init__(self, n):
            self.n = n

        @cached
        def m(self, a):
            return self.n + a

    return Small


def test_an_instance_dies_without_a_collection(no_collection, colour) -> None:
    """No reference cycle is made by a call, of either colour."""
    cls = made(colour)
    a = cls()
    ref = weakref.ref(a)
    if colour.is_async:

        async def main(a):
            return await a.m(1)

        colour.run(main(a))
        colour.settle()
    else:
        a.m(1)
        a.m(1)
        a.m.invalidate(1)
        a.m.refresh(1)
    del a
    assert ref() is None


def test_an_instance_dies_after_an_exception(no_collection) -> None:
    """An exception of the method keeps its instance only as long as somebody holds it."""

    class B:
        @cached
        def m(self):
            raise ValueError

    b = B()
    ref = weakref.ref(b)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - there is only one
        b.m()
    del b
    assert ref() is not None  # its frame is in the traceback, as without a cache
    del caught
    assert ref() is None


def test_an_instance_dies_after_a_cached_exception(no_collection) -> None:
    """A remembered exception holds no instance, not even while it is remembered."""

    class B:
        @cached(cache_exceptions={ValueError: 60})
        def m(self):
            raise ValueError

    b = B()
    ref = weakref.ref(b)
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011 - there is only one
            b.m()
    del b
    gc.collect()  # pytest's own cycles
    assert ref() is None


def test_an_instance_dies_after_a_background_refresh(colour, timer) -> None:
    """A refresh lets go of the instance when it has ended."""
    cls = made(colour, ttl=10, stale_while_revalidate=10, timer=timer)
    a = cls()
    ref = weakref.ref(a)
    colour.run(a.m(1))
    timer.advance(15)
    colour.run(a.m(1))
    colour.settle()
    assert a.m.cache_info().loads == 2
    del a
    colour.settle()
    gc.collect()
    assert ref() is None


def test_a_value_that_refers_to_its_instance_keeps_it_as_long_as_it_is_cached(colour) -> None:
    """The documented limit: such a value keeps its instance alive until it is dropped."""

    class B:
        @colour.cached
        def me(self):
            return self

        @colour.cached
        def holder(self):
            return {"owner": self}

    b = B()
    ref = weakref.ref(b)
    assert colour.run(b.me()) is b
    assert colour.run(b.holder())["owner"] is b
    colour.settle()
    colour.run(b.me.cache_clear())
    assert colour.run(b.holder.invalidate()) is True
    colour.settle()
    del b
    gc.collect()
    assert ref() is None


def test_an_instance_that_is_an_argument_is_a_key_like_any() -> None:
    """Only the receiver is held weakly: another instance as an argument is held by the key."""

    class B:
        @cached(maxsize=1)
        def m(self, other):
            return id(other)

    a, b = B(), B()
    ref = weakref.ref(b)
    assert a.m(b) == id(b)
    del b
    gc.collect()
    assert ref() is not None
    a.m(None)
    gc.collect()
    assert ref() is None


def test_a_classs_death_is_not_in_the_way() -> None:
    """A class with cached methods that nobody refers to any more goes."""
    cls = made_sync()
    instance = cls(1)
    instance.m(1)
    refs = [weakref.ref(cls), weakref.ref(instance), weakref.ref(cls.m)]
    del cls, instance
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3


class Equal:
    """Instances that are all equal, and hash alike."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return isinstance(other, Equal)

    def __hash__(self):
        return 1

    @cached
    def m(self):
        return self.n


class Raising:
    """Instances whose `__eq__`, `__hash__`, `__bool__`, `__len__` and `__repr__` raise."""

    def __init__(self, n):
        self.n = n

    def fail(self, *args):
        raise ZeroDivisionError

    __eq__ = __hash__ = __bool__ = __len__ = __repr__ = __str__ = fail

    @cached
    def m(self):
        return self.n

    @cached
    async def co(self):
        return self.n


class Unhashable(Equal):
    """Instances that are equal and cannot be hashed."""

    __hash__ = None

    def __eq__(self, other):
        return True


@pytest.mark.parametrize("cls", [Equal, Raising, Unhashable])
def test_instances_are_told_apart_by_identity(cls) -> None:
    """The user's `__eq__` and `__hash__` are never asked who an instance is."""
    one, other = cls(1), cls(2)
    assert [one.m(), other.m(), one.m(), other.m()] == [1, 2, 1, 2]
    assert one.m.cache_info() == (1, 1, 1024, 1)
    assert one.m.invalidate() is True
    assert other.m.lookup().status == "fresh"
    assert "m" in repr(one.m)


def test_hostile_instances_work_in_a_loop() -> None:
    """The same for coroutine methods."""

    async def main():
        one, other = Raising(1), Raising(2)
        assert [await one.co(), await other.co(), await one.co()] == [1, 2, 1]

    asyncio.run(main())


def test_bound_methods_compare_by_instance_and_function() -> None:
    """`a.m == a.m`, `a.m != b.m`, as bound methods do; none asks the user's `__eq__`."""
    one, other = Equal(1), Equal(2)
    assert one.m == one.m
    assert one.m != other.m
    assert len({one.m, one.m, other.m}) == 2
    assert Raising(1).m != Raising(1).m


def test_inheritance_shares_the_method() -> None:
    """A subclass uses the inherited method, each instance with its own cache."""

    class B(A):
        pass

    a, b = A(1), B(2)
    assert (a.m(1), b.m(1), b.m(1)) == ([1, 1, 2], [2, 1, 2], [2, 1, 2])
    assert B.m is A.m
    assert B.m(b, 1) is A.m(b, 1) is b.m(1)


def test_an_override_and_super_are_two_functions(colour) -> None:
    """A cached method overridden by a cached one that calls super(): both cached, none mixed."""

    class Base:
        @colour.cached
        def m(self, a):
            return ["base", a]

    class Derived(Base):
        if colour.is_async:

            @cached
            async def m(self, a):
                return ["derived", await super().m(a)]
        else:

            @cached
            def m(self, a):
                return ["derived", super().m(a)]

    base, derived = Base(), Derived()
    for _ in range(2):
        assert colour.run(derived.m(1)) == ["derived", ["base", 1]]
        assert colour.run(base.m(1)) == ["base", 1]
        assert colour.run(super(Derived, derived).m(1)) == ["base", 1]
        assert colour.run(Base.m(derived, 1)) == ["base", 1]
    assert derived.m.cache_info()[:2] == (1, 1)
    assert super(Derived, derived).m.cache_info()[:2] == (4, 1)
    colour.run(derived.m.invalidate(1))
    assert colour.run(derived.m(1)) == ["derived", ["base", 1]]


def test_overriding_with_a_plain_method() -> None:
    """A plain override hides the cached method, and may call it."""

    class B(A):
        def m(self, a):
            return ("plain", super().m(a))

    b = B(1)
    assert b.m(1) == ("plain", [1, 1, 2])
    assert b.m(1)[1] is b.m(1)[1]
    assert b.runs == [(1, 2)]


def test_multiple_inheritance_and_mixins() -> None:
    """A mixin's cached method works on whatever it is mixed into."""

    class Mixin:
        @cached
        def m(self):
            return self.n

    class B(Mixin):
        n = 1

    class C(Mixin):
        n = 2

    class D(B, C):
        pass

    b, c, d = B(), C(), D()
    assert [b.m(), c.m(), d.m(), b.m()] == [1, 2, 1, 1]


def test_abstract_methods() -> None:
    """`@abstractmethod` is seen through `@cached`, above and below; an override is cached."""

    class Base(abc.ABC):
        @cached
        @abc.abstractmethod
        def below(self): ...

        @abc.abstractmethod
        @cached
        def above(self): ...

    assert Base.__abstractmethods__ == {"below", "above"}
    with pytest.raises(TypeError, match="abstract"):
        Base()

    class Full(Base):
        @cached
        def below(self):
            return [1]

        @cached
        def above(self):
            return [2]

    full = Full()
    assert full.below() is full.below()
    assert full.above() is full.above()


def test_a_function_assigned_to_a_class_later_is_a_method(colour) -> None:
    """A cached function that is patched into a class serves as its method."""

    @colour.cached
    def patched(self, a):
        return [self.n, a]

    class B:
        def __init__(self, n):
            self.n = n

    B.m = patched
    one, other = B(1), B(2)
    assert colour.run(one.m(5)) is colour.run(one.m(5))
    assert (colour.run(one.m(5)), colour.run(other.m(5))) == ([1, 5], [2, 5])
    ref = weakref.ref(one)
    colour.settle()
    del one
    gc.collect()
    assert ref() is None


def test_a_function_used_first_and_assigned_later(colour) -> None:
    """A cached function keeps working as a function once it is a method too."""

    @colour.cached
    def f(self, a):
        return [getattr(self, "n", self), a]

    before = colour.run(f(0, 5))

    class B:
        n = 1

    B.m = f
    b = B()
    assert colour.run(b.m(5)) == [1, 5]
    assert colour.run(b.m(5)) is colour.run(b.m(5))
    assert colour.run(f(0, 5)) is before


def test_a_lambda_in_a_class_body_is_a_method() -> None:
    """Functions that are named otherwise than their attribute are methods as well."""

    class B:
        def __init__(self, n):
            self.n = n

        m = cached(lambda self: [self.n])
        alias = m

    one, other = B(1), B(2)
    assert one.m() is one.m() is one.alias()
    assert (one.m(), other.m()) == ([1], [2])


def test_one_function_in_two_classes(colour) -> None:
    """A cached function shared by two classes mixes no two instances."""

    @colour.cached
    def shared(self):
        return [self.n]

    class B:
        n = 1
        m = shared

    class C:
        n = 2
        m = shared

    b, c = B(), C()
    for _ in range(2):
        assert colour.run(b.m()) == [1]
        assert colour.run(c.m()) == [2]


def test_set_name_is_passed_on_by_other_decorators() -> None:
    """A cached method under another decorator still tells its instances apart by identity."""

    def logged(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return func(*args, **kwargs)

        return wrapper

    class B:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        @logged
        @cached
        def m(self):
            return self.n

    one, other = B(1), B(2)
    assert [one.m(), other.m(), one.m()] == [1, 2, 1]
    ref = weakref.ref(one)
    del one
    gc.collect()
    assert ref() is None


def test_partialmethod_of_a_cached_method() -> None:
    """`functools.partialmethod` binds arguments of a cached method as of any."""

    class B(A):
        five = functools.partialmethod(A.m, 5)

    b, c = B(1), B(2)
    assert b.five() is b.five() is b.m(5)
    assert c.five() == [2, 5, 2]
    assert b.five(b=3) == [1, 5, 3]


def test_a_partialmethod_of_a_function_defined_elsewhere() -> None:
    """The same for a function that has never been an attribute of the class."""

    @cached
    def f(self, a, b):
        return [self.n, a, b]

    class B:
        def __init__(self, n):
            self.n = n

        five = functools.partialmethod(f, 5)

    one, other = B(1), B(2)
    assert one.five(2) is one.five(2)
    assert (one.five(2), other.five(2)) == ([1, 5, 2], [2, 5, 2])


def test_a_method_with_star_args_only() -> None:
    """`def m(*args)` is a method too: its first argument is the receiver."""

    class B:
        def __init__(self, n):
            self.n = n

        @cached
        def m(*args, **kwargs):
            return [args[0].n, args[1:], kwargs]

    one, other = B(1), B(2)
    assert one.m(5, x=1) is one.m(5, x=1)
    assert (one.m(5), other.m(5)) == ([1, (5,), {}], [2, (5,), {}])


def test_key_sees_the_receiver(colour) -> None:
    """With `key=` the user's key says who shares: also across instances."""

    class B:
        def __init__(self, n):
            self.n = n
            self.runs = []

        @colour.cached(key=lambda self, a: (self.n, a))
        def m(self, a):
            return [self.n, a]

    one, same, other = B(1), B(1), B(2)
    assert colour.run(one.m(5)) is colour.run(same.m(5))
    assert colour.run(other.m(5)) == [2, 5]
    assert colour.run(one.m.invalidate(5)) is True
    assert colour.run(same.m.lookup(5)).status == "miss"
    assert one.m.cache_info() == same.m.cache_info() == B.m.cache_info()
    ref = weakref.ref(other)
    colour.settle()
    del other
    gc.collect()
    assert ref() is None


def test_typed_and_ignore_on_methods() -> None:
    """The options about arguments work beside a receiver, also when they name it."""

    class B:
        def __init__(self, n):
            self.n = n

        @cached(typed=True)
        def typed(self, a):
            return [a]

        @cached(ignore="trace")
        def ignoring(self, a, trace):
            return [self.n, a, trace]

        @cached(ignore=("self",))
        def selfless(self, a):
            return [a]

    one, other = B(1), B(2)
    assert one.typed(1) is one.typed(1) is not one.typed(1.0)
    assert one.ignoring(1, 2) is one.ignoring(1, trace=3) is B.ignoring(one, 1, 4)
    assert other.ignoring(1, 2) == [2, 1, 2]
    assert one.selfless(1) is one.selfless(1)


def test_methods_under_bypass() -> None:
    """Inside `bypass` a method is called with its instance, and nothing is stored."""
    a = A(1)
    with memo.bypass():
        assert a.m(1) == A.m(a, 1) == [1, 1, 2]
    assert a.runs == [(1, 2)] * 2
    assert a.m.cache_info() == (0, 0, 16, 0)
    assert a.m(1) is a.m(1)


def test_methods_on_a_shared_mapping_are_told_apart() -> None:
    """On one mapping, instances have their own entries, which go when they go."""
    store = {}

    class B:
        def __init__(self, n):
            self.n = n

        @cached(backend=store)
        def m(self, a):
            return [self.n, a]

    one, other = B(1), B(2)
    assert one.m(5) is one.m(5)
    assert (one.m(5), other.m(5)) == ([1, 5], [2, 5])
    assert len(store) == 2
    one.m.cache_clear()
    assert len(store) == 1
    assert other.m.lookup(5).status == "fresh"
    del other
    gc.collect()
    B(3).m(5)
    gc.collect()
    B(4).m(5)
    assert len(store) <= 2


def test_methods_called_by_many_threads() -> None:
    """Threads on the same and on different instances get each instance's own values."""

    class B:
        def __init__(self, n):
            self.n = n

        @cached(maxsize=4)
        def m(self, a):
            return (self.n, a)

    instances = [B(n) for n in range(4)]
    wrong = []

    def work(start):
        for i in range(start, start + 2000):
            instance, a = instances[i % 4], i % 6
            if instance.m(a) != (instance.n, a):
                wrong.append((instance.n, a))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    info = B.m.cache_info()
    assert info.hits + info.misses == 12_000


def test_async_methods_share_one_run() -> None:
    """Tasks that call one coroutine method at once share its run, for each instance apart."""
    one, other = A(1), A(2)

    async def main():
        first = await one.co(1)
        assert await one.co(a=1, b=2) is first
        assert await A.co(one, 1) is first
        assert await other.co(1) == [2, 1, 2]
        results = await asyncio.gather(*(one.co(9) for _ in range(20)))
        assert all(result is results[0] for result in results)

    asyncio.run(main())
    assert one.runs == [(1, 2), (9, 2)]
