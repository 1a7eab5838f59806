"""What a hit costs: sync and async, functions and methods, several shapes of call and of key.

A round is 1,000 calls in a plain loop over 1,000 keys, all of which are held. The row "no cache" is
the loop with the bare function, so what a cache adds is the difference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peers import ASYNC, METHODS, NO_CACHE, SYNC, Peer, class_of, names
from work import burst, burst_async, one, one_async, two, two_async

CALLS = 1000
THREADS = 8


def five(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """A function with five parameters."""
    return a


def with_two(f: Any, calls: list[Any]) -> None:
    """Call with two positional arguments."""
    for a, b in calls:
        f(a, b)


def with_five(f: Any, calls: list[Any]) -> None:
    """Call with five positional arguments."""
    for a, b, c, d, e in calls:
        f(a, b, c, d, e)


def with_last_by_keyword(f: Any, calls: list[Any]) -> None:
    """Call with one positional argument and one by keyword."""
    for a, b in calls:
        f(a, b=b)


def with_keywords(f: Any, calls: list[Any]) -> None:
    """Call with two arguments by keyword."""
    for a, b in calls:
        f(a=a, b=b)


INTEGERS = list(range(1000, 1000 + CALLS))
STRINGS = [f"user:{n}" for n in range(CALLS)]
MIXED = [(n, f"user:{n}", n / 7, (n, "pair"))[n % 4] for n in range(CALLS)]
PAIRS = [(n, n % 10) for n in INTEGERS]
FIVES = [(n, f"user:{n}", n / 7, None, True) for n in INTEGERS]

Shape = tuple[Any, Callable[[Any, list[Any]], None], list[Any]]
SHAPES: dict[str, Shape] = {
    "one int": (one, burst, INTEGERS),
    "one str": (one, burst, STRINGS),
    "one of mixed types": (one, burst, MIXED),
    "two ints": (two, with_two, PAIRS),
    "five mixed": (five, with_five, FIVES),
    "two, the last by keyword": (two, with_last_by_keyword, PAIRS),
    "two by keyword": (two, with_keywords, PAIRS),
}


def counted(function: Any) -> tuple[Any, list[None]]:
    """`function`, noting each run in the list."""
    runs: list[None] = []
    namespace = {"runs": runs, "function": function}
    count = function.__code__.co_argcount
    parameters = ", ".join("abcde"[:count])
    source = f"def f({parameters}):\n    runs.append(None)\n    return a\n"
    exec(source, namespace)
    return namespace["f"], runs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(**names(SYNC))
def test_sync_hit(measure: Any, peer: Peer, shape: str) -> None:
    """A hit of a plain function."""
    template, call_all, calls = SHAPES[shape]
    function, runs = counted(template)
    if peer is NO_CACHE:
        function = template
    f = peer(function)
    call_all(f, calls)
    measure(f"sync hit, {shape}", peer, lambda: call_all(f, calls), calls=CALLS)
    assert peer is NO_CACHE or len(runs) == CALLS


async def with_two_async(f: Any, calls: list[Any]) -> None:
    """As `with_two`, awaiting each."""
    for a, b in calls:
        await f(a, b)


async def with_last_by_keyword_async(f: Any, calls: list[Any]) -> None:
    """As `with_last_by_keyword`, awaiting each."""
    for a, b in calls:
        await f(a, b=b)


ASYNC_SHAPES: dict[str, tuple[Any, Any, list[Any]]] = {
    "one int": (one_async, burst_async, INTEGERS),
    "one str": (one_async, burst_async, STRINGS),
    "two ints": (two_async, with_two_async, PAIRS),
    "two, the last by keyword": (two_async, with_last_by_keyword_async, PAIRS),
}


@pytest.mark.parametrize("shape", ASYNC_SHAPES)
@pytest.mark.parametrize(**names(ASYNC))
def test_async_hit(measure: Any, loop: Any, peer: Peer, shape: str) -> None:
    """A hit of a coroutine function, awaited in one task."""
    function, call_all, calls = ASYNC_SHAPES[shape]
    f = peer(function)
    run = loop.run_until_complete
    run(call_all(f, calls))
    measure(f"async hit, {shape}", peer, lambda: run(call_all(f, calls)), calls=CALLS)


def with_method(instance: Any, calls: list[Any]) -> None:
    """Call a method of `instance`."""
    for a in calls:
        instance.method(a)


@pytest.mark.parametrize(**names(METHODS))
def test_method_hit(measure: Any, peer: Peer) -> None:
    """A hit of a method, looked up on its instance for each call."""
    instance = class_of(peer)()
    with_method(instance, INTEGERS)
    measure("method hit, one int", peer, lambda: with_method(instance, INTEGERS), calls=CALLS)


@pytest.mark.parametrize(**names(SYNC))
def test_hit_in_threads(measure: Any, quick: bool, peer: Peer) -> None:
    """Hits in 8 threads at once; the time is that of all calls by their number."""
    f = peer(one)
    burst(f, INTEGERS)
    times = 1 if quick else 10
    barrier = threading.Barrier(THREADS)

    def work(_: int) -> None:
        barrier.wait()
        for _ in range(times):
            burst(f, INTEGERS)

    with ThreadPoolExecutor(THREADS) as pool:
        measure(
            f"sync hit, one int, {THREADS} threads",
            peer,
            lambda: list(pool.map(work, range(THREADS))),
            calls=THREADS * times * CALLS,
            rounds=7,
        )
