"""A decorated function is still that function: its name, signature, type and place."""

import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import subprocess
import sys
import textwrap
import types
import typing
import weakref
from pathlib import Path

import pytest

import memo
from memo import AsyncCachedFunction, CachedFunction, cached


@cached(ttl=60)
def documented(a: int, /, b: str = "x", *rest: float, c: bool = True, **others: bytes) -> str:
    """A function with everything."""
    return f"{a}{b}{rest}{c}{others}"


documented.colour = "green"


@cached
async def coroutine(a: int) -> int:
    """A coroutine function."""
    return a


@cached
@cached
def twice(a):
    """Decorated twice."""
    return [a]


class Outer:
    """A class at the top of a module, whose methods pickle by name."""

    class Inner:
        """A class in a class."""

        @cached
        def method(self):
            return 5

    @staticmethod
    @cached
    def static(a):
        return a

    @cached
    def method(self, a):
        return a


def test_name_docs_and_module_are_kept() -> None:
    """What introspection asks for is the user's function's."""
    plain = documented.__wrapped__
    assert documented.__name__ == "documented"
    assert documented.__qualname__ == "documented"
    assert documented.__module__ == __name__
    assert documented.__doc__ == "A function with everything."
    assert documented.__defaults__ == plain.__defaults__
    assert documented.__kwdefaults__ == plain.__kwdefaults__
    assert documented.__code__ is plain.__code__
    assert documented.__annotations__ == plain.__annotations__
    assert typing.get_type_hints(documented) == typing.get_type_hints(plain)


def test_the_signature_is_kept() -> None:
    """`inspect.signature` gives the user's, with and without following `__wrapped__`."""
    expected = inspect.signature(documented.__wrapped__)
    assert inspect.signature(documented) == expected
    assert str(expected).startswith("(a: int, /, b: str = 'x', *rest: float")
    assert inspect.unwrap(documented) is documented.__wrapped__
    assert inspect.getsource(documented).startswith("@cached(ttl=60)")
    assert inspect.getfile(documented) == __file__
    assert inspect.getdoc(documented) == "A function with everything."
    assert inspect.getfullargspec(documented).args == ["a", "b"]


def test_the_kind_of_function_is_kept(colour) -> None:
    """`iscoroutinefunction` and its kin say of a decorated function what is true of it."""
    f = colour.cached(lambda a: a)
    assert inspect.iscoroutinefunction(f) is colour.is_async
    assert asyncio.iscoroutinefunction(f) is colour.is_async
    assert not inspect.isgeneratorfunction(f)
    assert not inspect.isasyncgenfunction(f)
    assert callable(f)
    assert isinstance(f, AsyncCachedFunction if colour.is_async else CachedFunction)
    assert isinstance(f, types.FunctionType)
    colour.run(f(1))
    assert inspect.iscoroutinefunction(f) is colour.is_async


def test_the_kind_of_a_bound_method_is_kept(colour) -> None:
    """The same for a method got from an instance."""

    class A:
        @colour.cached
        def m(self, a, b=1):
            """What it does."""
            return a

    m = A().m
    assert inspect.iscoroutinefunction(m) is colour.is_async
    assert list(inspect.signature(m).parameters) == ["a", "b"]
    assert list(inspect.signature(A.m).parameters) == ["self", "a", "b"]
    assert (m.__name__, m.__doc__) == ("m", "What it does.")
    assert m.__qualname__.endswith("A.m")
    assert m.__module__ == __name__
    assert isinstance(m.__self__, A)
    assert m.__func__ is A.m
    assert inspect.getdoc(A.m) == "What it does."


def test_a_coroutine_is_what_a_call_gives() -> None:
    """An async call gives a coroutine that runs once, and a task can be made of it."""

    async def main():
        call = coroutine(1)
        assert inspect.iscoroutine(call)
        assert await call == 1
        assert await asyncio.create_task(coroutine(1)) == 1
        assert await asyncio.gather(coroutine(2), coroutine(1)) == [2, 1]

    asyncio.run(main())


def test_attributes_are_the_functions() -> None:
    """What is set on the decorated function is there, stays there, and can be deleted."""
    assert documented.colour == "green"
    documented(1)
    assert documented.colour == "green"
    documented.shade = "dark"
    assert documented.shade == "dark"
    with memo.bypass():
        documented(1)
        assert documented.shade == "dark"
    del documented.shade
    assert not hasattr(documented, "shade")

    def g(): ...

    g.mark = [1]
    assert cached(g).mark is g.mark


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    """A misspelled handle is an AttributeError that says its name, on functions and methods."""
    with pytest.raises(AttributeError, match="invaldate"):
        documented.invaldate(1)
    with pytest.raises(AttributeError, match="invaldate"):
        Outer().method.invaldate(1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "function",
    [documented, coroutine, twice, Outer.static, Outer.method, Outer.Inner.method],
    ids=lambda f: f.__qualname__,
)
def test_functions_pickle_by_name(function, protocol) -> None:
    """Unpickling gives the very function of that name."""
    assert pickle.loads(pickle.dumps(function, protocol)) is function


def test_bound_methods_pickle_with_their_instance() -> None:
    """Unpickling a bound method gives that method of the unpickled instance."""
    method = pickle.loads(pickle.dumps(Outer().method))
    assert isinstance(method.__self__, Outer)
    assert method(5) == 5


def test_a_local_function_does_not_pickle() -> None:
    """What has no name to be found by is an error, as for plain functions."""
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(cached(lambda: 1))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_copies_are_the_function_itself(again) -> None:
    """As for plain functions, copying gives the same object, also within containers."""
    assert again(documented) is documented
    assert again(coroutine) is coroutine
    assert again([documented])[0] is documented
    assert again(cached).__call__ is not None
    bound = Outer().method
    assert again(bound) == bound


def test_cached_itself_pickles_and_copies() -> None:
    """The decorator is one object, wherever it is sent."""
    assert pickle.loads(pickle.dumps(cached)) is cached
    assert copy.copy(cached) is copy.deepcopy(cached) is cached


def test_equality_and_hash_are_identity() -> None:
    """A decorated function equals itself alone, and its hash stays as what is behind changes."""
    f = cached(abs)
    g = cached(abs)
    before = hash(f)
    table = {f: "f", g: "g"}
    assert f == f  # noqa: PLR0124 - it is what is asked
    assert f != g
    assert f != abs
    assert f(-1) == 1
    with memo.bypass():
        assert f(-1) == 1
        assert hash(f) == before
        assert table[f] == "f"
    f(-1)
    memo.configure(enabled=False)
    try:
        f(-1)
        assert hash(f) == before
        assert table[f] == "f"
    finally:
        memo.configure(enabled=True)
    assert (table[f], table[g]) == ("f", "g")


def test_decorated_functions_are_referenced_weakly() -> None:
    """A weak reference lives as long as the function does."""
    f = cached(lambda: 1)
    ref = weakref.ref(f)
    assert ref() is f
    assert f in weakref.WeakSet([f])
    f()
    assert ref() is f
    del f
    gc.collect()
    assert ref() is None


def test_truth_and_text() -> None:
    """A decorated function is true, and says what it is."""
    assert documented
    assert "documented" in repr(documented)
    assert "cached" in repr(documented)
    assert "method" in repr(Outer().method)
    assert str(documented) == repr(documented)


def test_decorating_twice_works(colour) -> None:
    """A cached function can be cached again; each has its own entries and handle."""
    inner = colour.cached(ttl=60)(lambda a: [a])
    outer = cached(maxsize=5)(inner)
    assert colour.run(outer(1)) is colour.run(outer(1))
    assert outer.cache_info() == (1, 1, 5, 1)
    assert inner.cache_info()[:2] == (0, 1)
    assert outer.__wrapped__ is inner
    assert twice(1) is twice(1)
    colour.run(outer.invalidate(1))
    colour.run(outer(1))
    assert inner.cache_info()[:2] == (1, 1)


def test_other_decorators_below() -> None:
    """A wrapper below `@cached` is what is called, and `__wrapped__` is that wrapper."""
    seen = []

    def logged(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            seen.append(args)
            return func(*args, **kwargs)

        return wrapper

    @cached
    @logged
    def f(a, b=2):
        return a + b

    assert f(1) == f(a=1) == f(1, 2) == 3
    assert seen == [(1,)]
    assert str(inspect.signature(f)) == "(a, b=2)"


def test_other_decorators_above() -> None:
    """A wrapper above `@cached` calls the cached function each time, and keeps its name."""
    seen = []

    def logged(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            seen.append(args)
            return func(*args, **kwargs)

        return wrapper

    runs = []

    @logged
    @cached
    def f(a):
        """What it does."""
        runs.append(a)
        return a

    assert f(1) == f(1) == 1
    assert seen == [(1,), (1,)]
    assert runs == [1]
    assert (f.__name__, f.__doc__) == ("f", "What it does.")
    assert f.__wrapped__.cache_info()[:2] == (1, 1)


def test_functools_tools_take_decorated_functions() -> None:
    """`partial`, `singledispatch`, `reduce`, `map` and sorting with it work."""
    add = cached(lambda a, b: a + b)
    assert functools.partial(add, 1)(2) == 3
    assert functools.reduce(add, [1, 2, 3]) == 6
    assert list(map(cached(abs), [-1, 1])) == [1, 1]
    assert sorted([3, -2, 1], key=cached(abs)) == [1, -2, 3]
    generic = functools.singledispatch(cached(lambda a: "any"))
    generic.register(int, cached(lambda a: "int"))
    assert (generic(1), generic("x")) == ("int", "any")
    assert callable(functools.update_wrapper(lambda: 1, add))


def test_an_override_of_wrapt_is_seen_at_once() -> None:
    """Changing `__name__` or `__doc__` of the decorated function changes what it says."""
    f = cached(lambda: 1)
    f.__name__ = "renamed"
    f.__doc__ = "New."
    f()
    assert (f.__name__, f.__doc__) == ("renamed", "New.")


def test_replacing_wrapped_is_not_a_way_around_the_cache() -> None:
    """`__wrapped__` is the user's function after calls, bypasses and refreshes alike."""
    plain = documented.__wrapped__
    documented(2)
    documented.refresh(2)
    with memo.bypass():
        documented(2)
        assert documented.__wrapped__ is plain
    assert documented.__wrapped__ is plain


PROGRAM = textwrap.dedent(
    """
    import asyncio, inspect, pickle, weakref
    import wrapt
    import memo
    from memo import cached

    proxied = wrapt.CallableObjectProxy.__call__
    assert inspect.isfunction(proxied) is WITHOUT_C

    @cached
    def f(a, b=2): return [a, b]

    @cached
    async def g(a): return [a]

    class A:
        @cached
        def m(self, a): return [a]
        @cached
        async def n(self, a): return [a]
        @classmethod
        @cached
        def c(cls, a): return [cls, a]
        @staticmethod
        @cached
        def s(a=1): return [a]
        @property
        @cached
        def p(self): return [1]

    assert f(1) is f(1) is f(a=1, b=2)
    assert f.__wrapped__.__name__ == f.__name__ == "f"
    assert f.cache_info()[:2] == (2, 1)
    assert f.invalidate(1) and f(1) == [1, 2]
    assert pickle.loads(pickle.dumps(f)) is f
    assert str(inspect.signature(f)) == "(a, b=2)"
    assert f.__annotations__ == {}
    with memo.bypass():
        assert f(1) is not f(1)
        assert f.__wrapped__.__name__ == "f"
    assert f(1) is f(1)

    async def main():
        assert inspect.iscoroutinefunction(g)
        assert await g(1) is await g(1)
        assert await g.get(1) == [1]
        assert await a.n(1) is await a.n(1)
        assert await g.invalidate(1)

    a, b = A(), A()
    asyncio.run(main())
    assert a.m(1) is a.m(1) is A.m(a, 1)
    assert a.m(1) is not b.m(1)
    assert A.c(1) is A.c(1) is a.c(1)
    assert A.s(1) is a.s(1) is A.s()
    assert a.p is a.p and a.p is not b.p
    assert a.m.cache_info()[:2] == (3, 1), a.m.cache_info()
    ref = weakref.ref(b)
    del b
    import gc; gc.collect()
    assert ref() is None
    print("all of it")
    """
)


@pytest.mark.parametrize("without_c", [True, False], ids=["python", "c"])
def test_both_implementations_of_wrapt_serve(tmp_path, without_c) -> None:
    """Functions, methods and coroutines work the same under wrapt's C and Python code."""
    script = Path(tmp_path, "program.py")
    script.write_text(PROGRAM.replace("WITHOUT_C", repr(without_c)), "utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "WRAPT_DISABLE_EXTENSIONS"}
    if without_c:
        environment["WRAPT_DISABLE_EXTENSIONS"] = "1"
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "all of it\n", done.stderr
    assert done.stderr == ""
