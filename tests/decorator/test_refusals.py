"""What cannot be cached is refused when it is decorated, with advice."""

import functools

import pytest

from memo import cached


def generator():
    """Yield something."""
    yield 1


async def async_generator():
    """Yield something, asynchronously."""
    yield 1


class CallableGenerator:
    """An object whose call is a generator."""

    def __call__(self):
        yield 1


class WithMethods:
    """Methods that are generators."""

    def m(self):
        yield 1

    @classmethod
    def c(cls):
        yield 1

    @staticmethod
    async def s():
        yield 1


GENERATORS = {
    "function": generator,
    "async function": async_generator,
    "partial": functools.partial(generator),
    "nested partial": functools.partial(functools.partial(async_generator)),
    "object": CallableGenerator(),
    "bound method": WithMethods().m,
    "classmethod": vars(WithMethods)["c"],
    "staticmethod": vars(WithMethods)["s"],
}


@pytest.mark.parametrize("function", GENERATORS.values(), ids=GENERATORS)
def test_generators_are_refused(function) -> None:
    """A generator's iterator is used up once; the error says so and what to do instead."""
    for decorate in (cached, cached(ttl=5)):
        with pytest.raises(TypeError, match="generator") as caught:
            decorate(function)
        assert "list" in str(caught.value)


def test_classes_are_refused() -> None:
    """A class is no function; the error says what to cache instead."""

    class A:
        pass

    for decorate in (cached, cached(ttl=5)):
        with pytest.raises(TypeError, match="class A"):
            decorate(A)
    with pytest.raises(TypeError, match="class int"):
        cached(int)


def test_properties_are_refused() -> None:
    """`@cached` above `@property` is the wrong order; the error says the right one."""
    with pytest.raises(TypeError, match="@property above @cached"):
        cached(property(lambda self: 1))
    with pytest.raises(TypeError, match="takes a function"):
        cached(functools.cached_property(lambda self: 1))


@pytest.mark.parametrize("thing", [None, 5, "text", [], object(), NotImplemented], ids=repr)
def test_what_is_not_callable_is_refused(thing) -> None:
    """Anything that cannot be called is a TypeError when it is decorated."""
    with pytest.raises(TypeError):
        cached(ttl=5)(thing)


def test_coroutine_objects_are_refused() -> None:
    """A coroutine is no coroutine function."""

    async def f(): ...

    coroutine = f()
    with pytest.raises(TypeError, match="function"):
        cached(ttl=5)(coroutine)
    coroutine.close()


def test_a_returned_generator_is_handed_out_whole(colour) -> None:
    """A plain function that returns a generator after all is never answered with a used one."""
    f = colour.cached(lambda: (n for n in [1, 2]))
    assert list(colour.run(f())) == [1, 2]
    assert list(colour.run(f())) == [1, 2]


@pytest.mark.parametrize("name", ["static", "class_"])
def test_wrong_things_inside_descriptors_are_refused(name) -> None:
    """A staticmethod or classmethod around what cannot be cached is refused like it."""
    around = {"static": staticmethod, "class_": classmethod}[name]
    with pytest.raises(TypeError):
        cached(around(5))
    with pytest.raises(TypeError, match="class"):
        cached(around(int))
