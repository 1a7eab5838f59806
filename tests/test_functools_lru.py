"""CPython's own tests of `functools.lru_cache`, run against `cached(eviction="lru")`.

Where ours differs on purpose, the test of that name is replaced here by one of what ours does
instead; `DIFFERENCES` says why, and docs/functools-differences.md says it to users.
"""

import functools
import inspect
import os
import re
import subprocess
import sys
import threading
import types
import unittest.mock
from pathlib import Path

import pytest

from memo import CacheInfo, cached

try:
    from test import test_functools
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("this Python comes without its `test` package", allow_module_level=True)

DIFFERENCES = {
    "test_lru_hash_only_once": "a key is hashed for each look at it, not once for a call",
    "test_lru_type_error": "unhashable built-in containers are accepted; no key is no error",
    "test_lru_with_maxsize_negative": "a negative maxsize is an error, not a silent zero",
    "test_lru_with_types": "arguments given by position and by name are one key",
    "test_lru_cache_threaded2": "of simultaneous calls with one key, one runs",
    "test_lru_method": "each instance has a cache of its own, and a.f.cache_info() is its own",
    "test_common_signatures": "the handle is annotated, so its signatures say what they return",
}

NEWER = {"test_common_signatures"}
"""Of these, what the oldest supported Python has no test of."""


def lru_cache(maxsize=128, typed=False):
    """Make what `functools.lru_cache` makes of the same arguments, out of `cached`."""
    if callable(maxsize):
        return cached(maxsize=128, eviction="lru", typed=typed)(maxsize)
    return cached(maxsize=maxsize, eviction="lru", typed=typed)


module = types.SimpleNamespace(
    lru_cache=lru_cache,
    _CacheInfo=CacheInfo,
    partial=functools.partial,
    WRAPPER_ASSIGNMENTS=functools.WRAPPER_ASSIGNMENTS,
)


@lru_cache()
def cached_function(x, y):
    """Stand in for the test package's own function, which is to be pickled by name."""
    return 3 * x + y


class TestCached(test_functools.TestLRU, unittest.TestCase):
    """Every test that CPython has of `lru_cache`."""

    module = module
    cached_func = (cached_function,)

    @lru_cache()
    def cached_meth(self, x, y):
        return 3 * x + y

    @staticmethod
    @lru_cache()
    def cached_staticmeth(x, y):
        return 3 * x + y

    def test_lru_hash_only_once(self):
        """A call hashes its arguments at least once; an eviction and a plain answer never do."""

        @lru_cache(maxsize=1)
        def f(x, y):
            return x * 3 + y

        five = unittest.mock.Mock()
        five.__mul__ = unittest.mock.Mock(return_value=15)
        five.__hash__ = unittest.mock.Mock(return_value=999)

        def hashed_by(call):
            five.__hash__.reset_mock()
            call()
            return five.__hash__.call_count

        assert hashed_by(lambda: f(five, 1)) > 1
        assert f.cache_info() == (0, 1, 1, 1)
        assert hashed_by(lambda: f(five, 1)) == 1
        assert f.cache_info() == (1, 1, 1, 1)
        hashed_by(lambda: f(6, 2))
        assert f.cache_info() == (1, 2, 1, 1)
        assert hashed_by(lambda: f(five, 1)) > 1
        assert f.cache_info() == (1, 3, 1, 1)

    def test_lru_type_error(self):
        """A list is part of a key like any value; what cannot be one is called for each time."""
        for maxsize in (None, 10):
            calls = []

            @lru_cache(maxsize=maxsize)
            def f(o, calls=calls):
                calls.append(o)
                return len(calls)

            assert f([]) == f([]) == 1
            assert f.cache_info()[:2] == (1, 1)

            class Unhashable:
                __hash__ = None

            thing = Unhashable()
            assert [f(thing), f(thing)] == [2, 3]
            assert f.cache_info().failures == 2

    def test_lru_with_maxsize_negative(self):
        """A negative maxsize is refused, in words."""
        with pytest.raises(ValueError, match=r"maxsize=-10: must be at least 0"):
            lru_cache(maxsize=-10)

    def test_lru_with_types(self):
        """With typed=True equal arguments of two types differ, however they are given."""
        for maxsize in (None, 128):

            @lru_cache(maxsize=maxsize, typed=True)
            def square(x):
                return x * x

            for _ in range(2):
                assert (square(3), type(square(x=3))) == (9, int)
                assert (square(3.0), type(square(x=3.0))) == (9.0, float)
            assert square.cache_info()[:2] == (6, 2)

    def test_lru_cache_threaded2(self):
        """Threads that call with one key at once run the function once, and all get its result."""
        n, m = 5, 7
        entered = threading.Barrier(n + 1)
        left = threading.Barrier(n + 1)
        runs = []

        @lru_cache(maxsize=n * m)
        def f(x):
            runs.append(x)
            return 3 * x

        def work():
            for i in range(m):
                entered.wait(10)
                results.append(f(i) == 3 * i)
                left.wait(10)

        results = []
        threads = [threading.Thread(target=work) for _ in range(n)]
        for thread in threads:
            thread.start()
        for i in range(m):
            entered.wait(10)
            left.wait(10)
            assert f.cache_info() == ((n - 1) * (i + 1), i + 1, n * m, i + 1)
        for thread in threads:
            thread.join()
        assert results == [True] * n * m
        assert runs == list(range(m))

    def test_lru_method(self):
        """Equal instances share nothing; the class's info is the sum, an instance's its own."""

        class X(int):
            f_cnt = 0

            @lru_cache(2)
            def f(self, x):
                self.f_cnt += 1
                return x * 10 + self

        a, b, c = X(5), X(5), X(7)
        assert X.f.cache_info() == (0, 0, 2, 0)

        for x in 1, 2, 2, 3, 1, 1, 1, 2, 3, 3:
            assert a.f(x) == x * 10 + 5
        assert (a.f_cnt, b.f_cnt, c.f_cnt) == (6, 0, 0)
        assert a.f.cache_info() == X.f.cache_info() == (4, 6, 2, 2)

        for x in 1, 2, 1, 1, 1, 1, 3, 2, 2, 2:
            assert b.f(x) == x * 10 + 5
        assert (a.f_cnt, b.f_cnt, c.f_cnt) == (6, 4, 0)
        assert b.f.cache_info() == (6, 4, 2, 2)
        assert X.f.cache_info() == (10, 10, 2, 4)

        for x in 2, 1, 1, 1, 1, 2, 1, 3, 2, 1:
            assert c.f(x) == x * 10 + 7
        assert (a.f_cnt, b.f_cnt, c.f_cnt) == (6, 4, 5)
        assert c.f.cache_info() == (5, 5, 2, 2)
        assert X.f.cache_info() == (15, 15, 2, 6)

    def test_common_signatures(self):
        """The function's signature is kept whole, and the handle takes what functools' takes."""

        @lru_cache(1)
        def f(a, /, b, c=True): ...

        assert str(inspect.signature(f)) == "(a, /, b, c=True)"
        assert not inspect.signature(f.cache_info).parameters
        assert not inspect.signature(f.cache_clear).parameters


def test_only_listed_tests_are_replaced() -> None:
    """Every test of CPython's runs as it is, but for the handful that `DIFFERENCES` names."""
    theirs = {name for name in dir(test_functools.TestLRU) if name.startswith("test_")}
    ours = {name for name in vars(TestCached) if name.startswith("test_")}
    assert len(theirs) > 25
    assert ours == set(DIFFERENCES)
    assert ours - theirs <= NEWER


def test_the_differences_are_documented() -> None:
    """The page of differences has a row for each, and none besides."""
    page = Path(__file__).parents[1] / "docs" / "functools-differences.md"
    rows = re.findall(r"^\| .*?`(test_\w+)` \|", page.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(DIFFERENCES)


def test_the_same_holds_under_wrapt_in_python() -> None:
    """CPython's tests pass as well where wrapt runs without its C extension."""
    if os.environ.get("WRAPT_DISABLE_EXTENSIONS"):
        return  # this is that run
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "TestCached", __file__],
        env=os.environ | {"WRAPT_DISABLE_EXTENSIONS": "1"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
