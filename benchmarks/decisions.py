"""The figures of docs/design-decisions.md: `python benchmarks/decisions.py [name ...]`.

Each question has a few ways to do one thing. They are timed in turns, many times over, and the
best round of each is shown: in nanoseconds, and as a ratio to the first way.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import sys
import threading
import time
import timeit
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cachetools
import wrapt

from memo import cached
from memo.backends import Memory
from memo.entry import Entry
from memo.errors import Miss

ROUNDS = 150
SECONDS = 0.0015

Way = tuple[str, str, dict[str, Any]]


def figures(ways: list[Way]) -> None:
    """Print how long each statement takes."""
    timers = [(name, timeit.Timer(code, globals=names)) for name, code, names in ways]
    numbers = {}
    for name, timer in timers:
        number, taken = timer.autorange()
        numbers[name] = max(1, int(number * SECONDS / max(taken, 1e-9)))
    best = dict.fromkeys(numbers, float("inf"))
    for _ in range(ROUNDS):
        for name, timer in timers:
            best[name] = min(best[name], timer.timeit(numbers[name]) / numbers[name])
    first = best[ways[0][0]]
    for name, taken in best.items():
        print(f"  {name:<58}{taken * 1e9:9.0f} ns {taken / first:6.2f}")


def plain(x: Any) -> Any:
    """A function that costs next to nothing."""
    return x


def proxy() -> None:
    """What carries identity, and what it costs a call."""

    class Bare(wrapt.CallableObjectProxy):
        pass

    class Called(wrapt.CallableObjectProxy):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.__wrapped__(*args, **kwargs)

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    def closure(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs)

    figures(
        [
            ("the function itself", "f(1)", {"f": plain}),
            ("a closure in between", "f(1)", {"f": closure}),
            ("a wrapt proxy, call in C", "f(1)", {"f": Bare(plain)}),
            ("a wrapt proxy with a Python __call__", "f(1)", {"f": Called(plain)}),
            ("wrapt.FunctionWrapper", "f(1)", {"f": wrapt.FunctionWrapper(plain, wrapper)}),
        ]
    )


def hit() -> None:
    """A hit, as it is."""
    memo = cached(ttl=60, maxsize=1024)(plain)
    lru = functools.lru_cache(1024)(plain)
    locked = cachetools.cached(cachetools.TTLCache(1024, 60), lock=threading.RLock(), info=True)(
        plain
    )
    for function in (memo, lru, locked):
        function(1)
    figures(
        [
            ("functools.lru_cache", "f(1)", {"f": lru}),
            ("memo.cached(ttl, maxsize)", "f(1)", {"f": memo}),
            ("cachetools.cached(TTLCache, lock, info)", "f(1)", {"f": locked}),
        ]
    )


def closure() -> None:
    """The fast path as a closure, or as a method of an object."""
    table = {(1,): [5, 2e9]}
    stats = types.SimpleNamespace(hits=0)
    peek, timer = table.get, time.monotonic

    def by_closure(*args: Any, **kwargs: Any) -> Any:
        node = peek(args)
        if node is not None and timer() < node[1]:
            stats.hits += 1
            return node[0]
        return None

    class Path:
        def __init__(self) -> None:
            self.table, self.timer, self.stats = table, time.monotonic, stats

        def key(self, args: Any, kwargs: Any) -> Any:
            return args

        def look(self, key: Any) -> Any:
            return self.table.get(key)

        def fresh(self, node: Any) -> bool:
            return self.timer() < node[1]

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            node = self.look(self.key(args, kwargs))
            if node is not None and self.fresh(node):
                self.stats.hits += 1
                return node[0]
            return None

    figures(
        [
            ("a closure that does it all", "f(1)", {"f": by_closure}),
            ("an object that does it through its methods", "f(1)", {"f": Path()}),
        ]
    )


def recording() -> None:
    """Telling the eviction that an entry was read."""

    class Node:
        __slots__ = ("used",)

    class Recorder:
        def __init__(self) -> None:
            self.reads: collections.deque[Any] = collections.deque(maxlen=4096)

        def record(self, node: Any) -> None:
            self.reads.append(node)

    order = cachetools.LRUCache(16)
    order[1] = 1
    lock = threading.Lock()
    reads: collections.deque[Any] = collections.deque(maxlen=4096)
    names = {"node": Node(), "record": Recorder().record, "append": reads.append}
    figures(
        [
            ("a mark: node.used = True", "node.used = True", names),
            ("a bounded deque: append(node)", "append(node)", names),
            ("a method that appends: record(node)", "record(node)", names),
            (
                "moving it in the order at once, under a lock",
                "with lock: order[1]",
                {"lock": lock, "order": order},
            ),
        ]
    )


def counting() -> None:
    """Counting a hit."""

    class Stats:
        __slots__ = ("hits",)

        def __init__(self) -> None:
            self.hits = 0

    stats, lock = Stats(), threading.Lock()
    names = {"stats": stats, "lock": lock}
    figures(
        [
            ("stats.hits += 1", "stats.hits += 1", names),
            ("the same under a lock", "with lock: stats.hits += 1", names),
        ]
    )


def keys() -> None:
    """The key of a positional call with one argument."""
    make = cachetools.keys.hashkey
    one = cached(plain)._self_site.keys.make
    figures(
        [
            ("the tuple of arguments, as it stands", "args", {"args": (1,)}),
            ("memo, positional", "make(args, kwargs)", {"make": one, "args": (1,), "kwargs": {}}),
            (
                "memo, by keyword",
                "make(args, kwargs)",
                {"make": one, "args": (), "kwargs": {"x": 1}},
            ),
            ("cachetools.keys.hashkey", "make(1)", {"make": make}),
        ]
    )


def entries() -> None:
    """Making an entry."""

    @dataclasses.dataclass(frozen=True, slots=True)
    class Frozen:
        value: Any
        created: float
        expires: float
        kept_until: float
        tags: tuple[str, ...] = ()

    class Named(NamedTuple):
        value: Any
        created: float
        expires: float
        kept_until: float
        tags: tuple[str, ...] = ()

    figures(
        [
            ("a NamedTuple", "make(1, 2.0, 3.0, 4.0)", {"make": Named}),
            ("a frozen dataclass with slots", "make(1, 2.0, 3.0, 4.0)", {"make": Frozen}),
        ]
    )


def absence() -> None:
    """Saying that there is nothing."""

    def value() -> Any:
        return None

    def error() -> Any:
        raise Miss(1)

    def caught() -> Any:
        with contextlib.suppress(Miss):
            return error()
        return None

    figures(
        [
            ("None", "f()", {"f": value}),
            ("Miss, raised and caught", "f()", {"f": caught}),
        ]
    )


def methods() -> None:
    """A hit on a method, by what attribute access gives."""

    class Memo:
        @cached(ttl=60, maxsize=16)
        def one(self, x: Any) -> Any:
            return x

    class Locked:
        def __init__(self) -> None:
            self.cache = cachetools.TTLCache(16, 60)
            self.lock = threading.RLock()

        @cachetools.cachedmethod(lambda self: self.cache, lock=lambda self: self.lock)
        def one(self, x: Any) -> Any:
            return x

    class Wrapt:
        @wrapt.lru_cache(maxsize=16)
        def one(self, x: Any) -> Any:
            return x

    def call(self: Any, x: Any) -> Any:
        return x

    class Partial(functools.partial):
        __slots__ = ()

    a, b, c = Memo(), Locked(), Wrapt()
    a.one(1), b.one(1), c.one(1)
    figures(
        [
            ("memo", "a.one(1)", {"a": a}),
            ("cachetools.cachedmethod with a lock", "a.one(1)", {"a": b}),
            ("wrapt.lru_cache", "a.one(1)", {"a": c}),
        ]
    )
    figures(
        [
            ("types.MethodType(f, a)(1)", "M(f, a)(1)", {"M": types.MethodType, "f": call, "a": a}),
            (
                "functools.partial(f, a)(1)",
                "M(f, a)(1)",
                {"M": functools.partial, "f": call, "a": a},
            ),
            ("a subclass of it", "M(f, a)(1)", {"M": Partial, "f": call, "a": a}),
        ]
    )


def storing() -> None:
    """A write to a full store, one entry of which is evicted for it."""
    store = Memory(1024)
    ttl = cachetools.TTLCache(1024, 60)
    lock = threading.RLock()
    count = iter(range(10**12))
    figures(
        [
            (
                "memo.backends.Memory, which lines entries up by lifetime",
                "n = next(count); write(n, Entry(n, 0.0, 60.0, 60.0))",
                {"write": store.write, "count": count, "Entry": Entry},
            ),
            (
                "cachetools.TTLCache, under a lock",
                "n = next(count)\nwith lock: ttl[n] = n",
                {"ttl": ttl, "lock": lock, "count": count},
            ),
        ]
    )


def depth() -> None:
    """How deep a recursive function gets from the top of a thread, at a limit of 1,000."""

    def reached(decorate: Callable[[Any], Any]) -> int:
        low, high = 1, 1000
        while low < high:
            middle = (low + high + 1) // 2

            @decorate
            def down(n: int) -> int:
                return 0 if n == 0 else 1 + down(n - 1)

            try:
                down(middle)
                low = middle
            except RecursionError:
                high = middle - 1
        return low

    def in_a_thread(decorate: Callable[[Any], Any]) -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(reached(decorate)))
        thread.start()
        thread.join()
        return found[0]

    sys.setrecursionlimit(1000)
    for name, decorate in ways_down():
        print(f"  {name:<58}{in_a_thread(decorate):9} calls")


def ways_down() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Decorators, by name, each of which makes a new cache."""

    def with_a_lock(function: Any) -> Any:
        return cachetools.cached({}, lock=threading.RLock())(function)

    def with_a_frame(function: Any) -> Any:
        inner = cached(function)
        return lambda n: inner(n)  # noqa: PLW0108 - the frame is what is measured

    yield "no cache", lambda function: function
    yield "memo.cached", cached
    yield "the same with one more Python frame in between", with_a_frame
    yield "cachetools.cached with a lock", with_a_lock
    yield "functools.lru_cache", functools.lru_cache(None)


QUESTIONS = (
    hit, proxy, closure, recording, counting, keys, entries, absence, methods, storing, depth
)  # fmt: skip

if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}, wrapt {wrapt.__version__}, best of {ROUNDS}")
    wanted = sys.argv[1:]
    for question in QUESTIONS:
        if not wanted or question.__name__ in wanted:
            print(f"\n{question.__name__}: {question.__doc__}")
            question()
