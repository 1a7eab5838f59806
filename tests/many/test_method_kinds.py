"""Every kind of method can be one of many ids: inherited, of classes, static, set later."""

from typing import Any

import pytest

from memo import cached


def test_inherited_methods_work(colour: Any) -> None:
    """A subclass shares the function, not the entries; an overridden one is another function."""

    class Base:
        name = "base"

        @colour.many
        def values(self, ids: Any) -> Any:
            return {one: f"{self.name}{one}" for one in ids}

    class Derived(Base):
        name = "derived"

    class Other(Base):
        @colour.many
        def values(self, ids: Any) -> Any:
            return dict.fromkeys(ids, "other")

    assert colour.run(Base().values([1])) == {1: "base1"}
    assert colour.run(Derived().values([1])) == {1: "derived1"}
    assert colour.run(Other().values([1])) == {1: "other"}
    one = Other()
    assert colour.run(Base.values(one, [1])) == {1: "base1"}
    assert colour.run(one.values([1])) == {1: "other"}


def test_classmethods_work_either_way_round(colour: Any) -> None:
    """Above and below `@classmethod` each class has entries of its own."""

    class Above:
        @colour.many
        def plain(self, ids: Any) -> Any:
            return {one: (type(self).__name__, one) for one in ids}

        below = classmethod(colour.many(lambda cls, ids: {one: (cls.__name__, one) for one in ids}))
        outer = cached.many(classmethod(colour(lambda cls, ids: dict.fromkeys(ids, cls.__name__))))

    class Derived(Above):
        pass

    assert colour.run(Above.below([1])) == {1: ("Above", 1)}
    assert colour.run(Derived.below([1])) == {1: ("Derived", 1)}
    assert colour.run(Above().below([1])) == {1: ("Above", 1)}
    assert colour.run(Above.outer([1])) == {1: "Above"}
    assert colour.run(Derived.outer([1])) == {1: "Derived"}
    assert colour.run(Above().outer([1, 2])) == {1: "Above", 2: "Above"}
    assert colour.run(Above.outer.get(1)) == "Above"
    assert colour.run(Above.outer.invalidate(1))
    assert colour.run(Derived.outer.lookup(1)).status == "fresh"


def test_staticmethods_work_either_way_round(colour: Any, source: Any) -> None:
    """A static method has no receiver: all calls share the function's entries."""

    class Static:
        below = staticmethod(colour.many(source))
        outer = cached.many(staticmethod(colour(source)))

    for name in ("below", "outer"):
        source.asked.clear()
        assert colour.run(getattr(Static, name)([1])) == {1: "v1"}
        assert colour.run(getattr(Static(), name)([1, 2])) == {1: "v1", 2: "v2"}
        assert source.asked == [[1], [2]]
    assert colour.run(Static.outer.get(1)) == "v1"


def test_staticmethods_defined_in_a_class_work(colour: Any) -> None:
    """A function whose name says that it is defined in a class need not be a method."""

    class Static:
        @staticmethod
        @colour.many
        def below(ids: Any) -> Any:
            return {one: -one for one in ids}

        @cached.many
        @staticmethod
        def outer(ids: Any) -> Any:
            return {one: -one for one in ids}

    assert colour.run(Static.below([1])) == colour.run(Static().below([1])) == {1: -1}
    assert Static.outer([1]) == Static().outer([1]) == {1: -1}


def test_a_function_set_on_a_class_later_is_a_method(colour: Any) -> None:
    """A function that becomes a method after its decoration recognises its instances."""

    class Late:
        def __init__(self, name: str) -> None:
            self.name = name

    Late.values = colour.many(lambda self, ids: dict.fromkeys(ids, self.name))
    a, b = Late("a"), Late("b")
    assert colour.run(a.values([1])) == {1: "a"}
    assert colour.run(b.values([1])) == {1: "b"}
    assert colour.run(a.values.get(1)) == "a"


def test_instances_without_weak_references_keep_their_own(colour: Any) -> None:
    """An instance that has a `__dict__` and no `__weakref__` keeps its entries itself."""

    class Tuple(tuple[int, ...]):
        __slots__ = ()

        @colour.many
        def items(self, ids: Any) -> Any:
            return {one: self[one] for one in ids}

    with pytest.raises(TypeError, match="key="):
        colour.run(Tuple([5, 6]).items([0]))

    class Roomy(tuple[int, ...]):  # noqa: SLOT001 - it is the `__dict__` that counts
        @colour.many
        def items(self, ids: Any) -> Any:
            return {one: self[one] for one in ids}

    one = Roomy([5, 6])
    assert colour.run(one.items([0, 1])) == {0: 5, 1: 6}
    assert one.items.cache_info().misses == 2


def test_key_says_what_tells_instances_apart(colour: Any) -> None:
    """With `key=` the instance is an argument of the key; the ids are still what comes after it."""
    loads = []

    class Shelf:
        def __init__(self, name: str) -> None:
            self.name = name

        @colour.many(key=lambda self, one, lang="en": (self.name, one, lang))
        def titles(self, ids: Any, lang: str = "en") -> Any:
            loads.append(ids)
            return {one: f"{self.name}{one}{lang}" for one in ids}

    assert colour.run(Shelf("a").titles([1, 2])) == {1: "a1en", 2: "a2en"}
    assert colour.run(Shelf("a").titles([2, 3])) == {2: "a2en", 3: "a3en"}
    assert colour.run(Shelf.titles(Shelf("b"), [1], "de")) == {1: "b1de"}
    assert colour.run(Shelf("b").titles(ids=[1], lang="de")) == {1: "b1de"}
    assert colour.run(Shelf("a").titles.one(3)) == "a3en"
    assert colour.run(Shelf("a").titles.get(1)) == "a1en"
    assert colour.run(Shelf("a").titles.invalidate(1))
    assert loads == [[1, 2], [3], [1]]


def test_key_of_a_classmethod_is_given_the_class(colour: Any) -> None:
    """The same above `@classmethod`."""

    class Base:
        name = "base"
        titles = cached.many(key=lambda cls, one: (cls.name, one))(
            classmethod(colour(lambda cls, ids: dict.fromkeys(ids, cls.name)))
        )

    class Derived(Base):
        name = "derived"

    assert colour.run(Base.titles([1])) == {1: "base"}
    assert colour.run(Derived.titles([1])) == {1: "derived"}
    assert colour.run(Base().titles([1, 2])) == {1: "base", 2: "base"}
    assert colour.run(Derived.titles.one(1)) == "derived"
