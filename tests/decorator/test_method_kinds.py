"""Classmethods, staticmethods and property getters, with `@cached` above and below."""

import gc
import weakref

import pytest

from memo import cached


def kinds(colour):
    """A class with every order of the descriptors and `@cached`, a subclass, and what was run."""
    runs = []

    class Kinds:
        @classmethod
        @colour.cached
        def class_below(cls, a=1):
            runs.append((cls.__name__, a))
            return [cls.__name__, a]

        @cached
        @classmethod
        @colour
        def class_above(cls, a=1):
            runs.append((cls.__name__, a))
            return [cls.__name__, a]

        @staticmethod
        @colour.cached
        def static_below(a=1):
            runs.append(a)
            return [a]

        @cached
        @staticmethod
        @colour
        def static_above(a=1):
            runs.append(a)
            return [a]

    class Sub(Kinds):
        pass

    return Kinds, Sub, runs


@pytest.mark.parametrize("name", ["class_below", "class_above"])
def test_classmethods_are_cached_per_class(colour, name) -> None:
    """A class and its subclass have values of their own, on the class and on instances."""
    base, sub, runs = kinds(colour)
    first = colour.run(getattr(base, name)(5))
    assert first == ["Kinds", 5]
    assert colour.run(getattr(base, name)(a=5)) is first
    assert colour.run(getattr(base(), name)(5)) is first
    other = colour.run(getattr(sub, name)(5))
    assert other == ["Sub", 5]
    assert colour.run(getattr(sub(), name)(5)) is other
    assert runs == [("Kinds", 5), ("Sub", 5)]


@pytest.mark.parametrize("name", ["class_below", "class_above"])
def test_classmethods_without_arguments(colour, name) -> None:
    """A call without arguments is cached as well."""
    base, sub, _ = kinds(colour)
    first = colour.run(getattr(base, name)())
    assert first == ["Kinds", 1]
    assert colour.run(getattr(base, name)()) is first
    assert colour.run(getattr(base(), name)(1)) is first
    assert colour.run(getattr(sub, name)()) == ["Sub", 1]


@pytest.mark.parametrize("name", ["static_below", "static_above"])
def test_staticmethods_are_cached_once(colour, name) -> None:
    """A staticmethod has one cache, on the class, its subclasses and all instances."""
    base, sub, runs = kinds(colour)
    first = colour.run(getattr(base, name)(5))
    assert first == [5]
    for owner in (base, base(), sub, sub()):
        assert colour.run(getattr(owner, name)(5)) is first
        assert colour.run(getattr(owner, name)(a=5)) is first
    assert runs == [5]


@pytest.mark.parametrize("name", ["static_below", "static_above"])
def test_staticmethods_without_arguments(colour, name) -> None:
    """A call without arguments is cached as well, and is the same as with the default."""
    base, sub, _ = kinds(colour)
    first = colour.run(getattr(base, name)())
    for owner in (base, base(), sub, sub()):
        assert colour.run(getattr(owner, name)()) is first
    assert colour.run(getattr(base, name)(1)) is first


def test_an_instance_as_the_argument_of_a_staticmethod(colour) -> None:
    """An instance of the class is an argument like any other there."""

    class B:
        @staticmethod
        @colour.cached
        def below(one, other=None):
            return [one.n, other]

        @cached
        @staticmethod
        @colour
        def above(one, other=None):
            return [one.n, other]

        def __init__(self, n):
            self.n = n

    b, c = B(1), B(2)
    for method in (B.below, B.above, b.below, b.above):
        first = colour.run(method(b))
        assert first == [1, None]
        assert colour.run(method(one=b)) is first
        assert colour.run(method(c)) == [2, None]
        assert colour.run(method(b, c)) == [1, c]
    assert B.below.cache_info().currsize == B.above.cache_info().currsize == 3


@pytest.mark.parametrize("name", ["class_above", "static_above"])
def test_the_handle_of_class_and_static_methods(colour, name) -> None:
    """With `@cached` outermost the handle is there, on the class and on instances."""
    base, _, _ = kinds(colour)
    method = getattr(base, name)
    colour.run(method(5))
    colour.run(method(5))
    assert getattr(base, name).cache_info()[:2] == (1, 1)
    assert colour.run(getattr(base, name).lookup(5)).status == "fresh"
    assert colour.run(getattr(base(), name).invalidate(5)) is True
    assert colour.run(getattr(base, name).lookup(5)).status == "miss"
    assert colour.run(getattr(base, name).set("x", a=5)) is True
    assert colour.run(getattr(base, name).get(5)) == "x"
    assert colour.run(getattr(base, name).refresh(5))[-1] == 5
    colour.run(getattr(base, name).cache_clear())
    assert getattr(base, name).cache_info() == (0, 0, 1024, 0)


def test_a_handle_under_a_classmethod_acts_or_refuses(colour) -> None:
    """With `@classmethod` outermost a handle call concerns the class, or is a TypeError."""
    base, _, _ = kinds(colour)
    colour.run(base.class_below(5))
    handle = base.class_below.__func__
    assert colour.run(handle.lookup(base, 5)).status == "fresh"
    with pytest.raises(TypeError, match=r"instance|class"):
        colour.run(handle.invalidate(5))
    assert colour.run(handle.invalidate(base, 5)) is True
    assert colour.run(handle.lookup(base, 5)).status == "miss"


def test_a_handle_under_a_staticmethod_refuses(colour) -> None:
    """With `@staticmethod` outermost a handle call is a TypeError, and never without effect."""
    base, _, _ = kinds(colour)
    colour.run(base.static_below(5))
    for handle in ("lookup", "invalidate", "get", "refresh"):
        with pytest.raises(TypeError, match="static_below"):
            colour.run(getattr(base.static_below, handle)(5))
    assert base.static_below.cache_info()[:2] == (0, 1)
    colour.run(base.static_below.cache_clear())
    assert base.static_below.cache_info() == (0, 0, 1024, 0)


def test_a_classmethod_on_instances_keeps_none(colour) -> None:
    """Calling a classmethod on an instance keeps the class's value, and not the instance."""
    base, _, _ = kinds(colour)
    for name in ("class_below", "class_above"):
        instance = base()
        ref = weakref.ref(instance)
        colour.run(getattr(instance, name)(5))
        del instance
        gc.collect()
        assert ref() is None
        assert colour.run(getattr(base, name)(5)) == ["Kinds", 5]


def test_a_class_with_cached_classmethods_can_go(colour) -> None:
    """A class is held by its cache as little as an instance is."""
    base, sub, _ = kinds(colour)
    for cls in (base, sub):
        colour.run(cls.class_below(5))
        colour.run(cls.class_above(5))
    colour.settle()
    ref = weakref.ref(sub)
    del sub, cls
    gc.collect()
    assert ref() is None


def test_a_propertys_getter_is_cached_per_instance() -> None:
    """`@property` above `@cached`: computed once for each instance, which is not kept alive."""

    class B:
        def __init__(self, n):
            self.n = n
            self.runs = 0

        @property
        @cached(ttl=60)
        def doubled(self):
            """Twice n."""
            self.runs += 1
            return [2 * self.n]

    one, other = B(1), B(2)
    assert one.doubled is one.doubled
    assert (one.doubled, other.doubled) == ([2], [4])
    assert (one.runs, other.runs) == (1, 1)
    assert B.doubled.__doc__ == "Twice n."
    assert B.doubled.fget.invalidate(one) is True
    assert one.doubled == [2]
    assert one.runs == 2
    assert B.doubled.fget.cache_info()[:2] == (2, 3)
    with pytest.raises(TypeError, match="instance"):
        B.doubled.fget.invalidate()
    ref = weakref.ref(other)
    del other
    gc.collect()
    assert ref() is None


def test_a_propertys_setter_can_invalidate() -> None:
    """Setter and getter of one property work together through the getter's handle."""

    class B:
        def __init__(self):
            self._n = 1

        @property
        @cached
        def n(self):
            return [self._n]

        @n.setter
        def n(self, value):
            self._n = value
            type(self).n.fget.invalidate(self)

    b = B()
    assert b.n == [1]
    b.n = 5
    assert b.n == [5]


def test_a_property_in_a_subclass() -> None:
    """Overriding a cached property and calling super()'s mixes nothing."""

    class Base:
        @property
        @cached
        def p(self):
            return ["base"]

    class Derived(Base):
        @property
        @cached
        def p(self):
            return ["derived", *super().p]

    derived, base = Derived(), Base()
    assert derived.p is derived.p
    assert derived.p == ["derived", "base"]
    assert base.p == ["base"]


def test_an_equal_instance_has_a_property_of_its_own() -> None:
    """Under `@property` too, instances are told apart by identity."""

    class Equal:
        def __init__(self, n):
            self.n = n

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        @property
        @cached
        def p(self):
            return self.n

    assert [Equal(1).p, Equal(2).p] == [1, 2]


def test_a_metaclasss_method() -> None:
    """A cached method of a metaclass is cached per class."""

    class Meta(type):
        @cached
        def m(cls, a):
            return [cls.__name__, a]

    class B(metaclass=Meta):
        pass

    class C(metaclass=Meta):
        pass

    assert B.m(1) is B.m(1)
    assert (B.m(1), C.m(1)) == (["B", 1], ["C", 1])


def test_init_subclass_and_class_getitem() -> None:
    """`__class_getitem__` can be cached, as a classmethod."""

    class B:
        @classmethod
        @cached
        def __class_getitem__(cls, item):
            return [cls.__name__, item]

    class C(B):
        pass

    assert B[int] is B[int]
    assert (B[int], C[int]) == (["B", int], ["C", int])


def test_special_methods_can_be_cached() -> None:
    """`__call__`, `__getitem__` and the like are looked up on the class, and cached too."""

    class B:
        def __init__(self, n):
            self.n = n

        @cached
        def __getitem__(self, item):
            return [self.n, item]

        @cached
        def __call__(self, a=1):
            return [self.n, a]

        @cached
        def __hash__(self):
            return 5

    one, other = B(1), B(2)
    assert one[5] is one[5]
    assert (one[5], other[5]) == ([1, 5], [2, 5])
    assert one() is one(1)
    assert (one(), other()) == ([1, 1], [2, 1])
    assert hash(one) == hash(other) == 5
