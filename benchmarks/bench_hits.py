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
from peers import (
    ASYNC_HITS,
    ASYNC_METHODS,
    DOGPILE,
    METHODS,
    NO_CACHE,
    SYNC,
    SYNC_HITS,
    Peer,
    async_class_of,
    class_of,
    names,
)
from work import burst, burst_async, five, five_async, one, one_async, two, two_async

CALLS = 1000
THREADS = 8

INTEGERS = list(range(1000, 1000 + CALLS))
STRINGS = [f"user:{n}" for n in range(CALLS)]
MIXED = [(n, f"user:{n}", n / 7, (n, "pair"))[n % 4] for n in range(CALLS)]
PAIRS = [(n, n % 10) for n in INTEGERS]
FIVES = [(n, f"user:{n}", n / 7, None, True) for n in INTEGERS]


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


def with_keyword(f: Any, calls: list[Any]) -> None:
    """Call with one argument, by keyword."""
    for a in calls:
        f(a=a)


def with_keywords(f: Any, calls: list[Any]) -> None:
    """Call with two arguments by keyword."""
    for a, b in calls:
        f(a=a, b=b)


async def with_two_async(f: Any, calls: list[Any]) -> None:
    """As `with_two`, awaiting each."""
    for a, b in calls:
        await f(a, b)


async def with_five_async(f: Any, calls: list[Any]) -> None:
    """As `with_five`, awaiting each."""
    for a, b, c, d, e in calls:
        await f(a, b, c, d, e)


async def with_last_by_keyword_async(f: Any, calls: list[Any]) -> None:
    """As `with_last_by_keyword`, awaiting each."""
    for a, b in calls:
        await f(a, b=b)


async def with_keywords_async(f: Any, calls: list[Any]) -> None:
    """As `with_keywords`, awaiting each."""
    for a, b in calls:
        await f(a=a, b=b)


Shape = tuple[Any, Callable[[Any, list[Any]], Any], list[Any]]
SHAPES: dict[str, Shape] = {
    "one int": (one, burst, INTEGERS),
    "one str": (one, burst, STRINGS),
    "one of mixed types": (one, burst, MIXED),
    "two ints": (two, with_two, PAIRS),
    "five mixed": (five, with_five, FIVES),
}
KEYWORD_SHAPES: dict[str, Shape] = {
    "one by keyword": (one, with_keyword, INTEGERS),
    "two, the last by keyword": (two, with_last_by_keyword, PAIRS),
    "two by keyword": (two, with_keywords, PAIRS),
}
ASYNC_SHAPES: dict[str, Shape] = {
    "one int": (one_async, burst_async, INTEGERS),
    "one str": (one_async, burst_async, STRINGS),
    "one of mixed types": (one_async, burst_async, MIXED),
    "two ints": (two_async, with_two_async, PAIRS),
    "five mixed": (five_async, with_five_async, FIVES),
    "two, the last by keyword": (two_async, with_last_by_keyword_async, PAIRS),
    "two by keyword": (two_async, with_keywords_async, PAIRS),
}

CASES = [(peer, shape) for shape in SHAPES for peer in SYNC_HITS]
CASES += [(peer, shape) for shape in KEYWORD_SHAPES for peer in SYNC_HITS if peer is not DOGPILE]


@pytest.mark.parametrize(
    ("peer", "shape"), CASES, ids=[f"{peer.name}, {shape}" for peer, shape in CASES]
)
def test_sync_hit(measure: Any, peer: Peer, shape: str) -> None:
    """A hit of a plain function."""
    template, call_all, calls = (SHAPES | KEYWORD_SHAPES)[shape]
    runs: list[None] = []
    f = peer(counted(template, runs) if peer is not NO_CACHE else template)
    call_all(f, calls)
    measure(f"sync hit, {shape}", peer, lambda: call_all(f, calls), calls=CALLS)
    assert peer is NO_CACHE or len(runs) == CALLS


@pytest.mark.parametrize("shape", ASYNC_SHAPES)
@pytest.mark.parametrize(**names(ASYNC_HITS))
def test_async_hit(measure: Any, loop: Any, peer: Peer, shape: str) -> None:
    """A hit of a coroutine function, awaited in one task."""
    template, call_all, calls = ASYNC_SHAPES[shape]
    runs: list[None] = []
    f = peer(counted(template, runs) if peer is not NO_CACHE else template)
    run = loop.run_until_complete
    run(call_all(f, calls))
    measure(f"async hit, {shape}", peer, lambda: run(call_all(f, calls)), calls=CALLS)
    assert peer is NO_CACHE or len(runs) == CALLS


def counted(function: Any, runs: list[None]) -> Any:
    """A function of the same parameters and colour, that notes each of its runs."""
    code = function.__code__
    parameters = ", ".join(code.co_varnames[: code.co_argcount])
    colour = "async " if code.co_flags & 0x80 else ""
    namespace: dict[str, Any] = {"runs": runs}
    source = f"{colour}def f({parameters}):\n    runs.append(None)\n    return a\n"
    exec(source, namespace)
    return namespace["f"]


def method_of_one(instance: Any, calls: list[Any]) -> None:
    """Call a method of `instance`, looked up for each call."""
    for a in calls:
        instance.method(a)


def method_of_two(instance: Any, calls: list[Any]) -> None:
    """The same with two arguments."""
    for a, b in calls:
        instance.pair(a, b)


def method_with_keyword(instance: Any, calls: list[Any]) -> None:
    """The same with the last one by keyword."""
    for a, b in calls:
        instance.pair(a, b=b)


async def method_of_one_async(instance: Any, calls: list[Any]) -> None:
    """Await a method of `instance`, looked up for each call."""
    for a in calls:
        await instance.method(a)


async def method_of_two_async(instance: Any, calls: list[Any]) -> None:
    """The same with two arguments."""
    for a, b in calls:
        await instance.pair(a, b)


METHOD_SHAPES: dict[str, tuple[Any, list[Any]]] = {
    "one int": (method_of_one, INTEGERS),
    "one str": (method_of_one, STRINGS),
    "two ints": (method_of_two, PAIRS),
    "two, the last by keyword": (method_with_keyword, PAIRS),
}
ASYNC_METHOD_SHAPES: dict[str, tuple[Any, list[Any]]] = {
    "one int": (method_of_one_async, INTEGERS),
    "two ints": (method_of_two_async, PAIRS),
}


@pytest.mark.parametrize("shape", METHOD_SHAPES)
@pytest.mark.parametrize(**names(METHODS))
def test_method_hit(measure: Any, peer: Peer, shape: str) -> None:
    """A hit of a method."""
    call_all, calls = METHOD_SHAPES[shape]
    instance = class_of(peer)()
    call_all(instance, calls)
    measure(f"method hit, {shape}", peer, lambda: call_all(instance, calls), calls=CALLS)


@pytest.mark.parametrize("shape", ASYNC_METHOD_SHAPES)
@pytest.mark.parametrize(**names(ASYNC_METHODS))
def test_async_method_hit(measure: Any, loop: Any, peer: Peer, shape: str) -> None:
    """A hit of a method that is a coroutine function."""
    call_all, calls = ASYNC_METHOD_SHAPES[shape]
    instance = async_class_of(peer)()
    run = loop.run_until_complete
    run(call_all(instance, calls))
    measure(f"async method hit, {shape}", peer, lambda: run(call_all(instance, calls)), calls=CALLS)


@pytest.mark.parametrize(**names(SYNC))
def test_hit_in_threads(measure: Any, quick: bool, peer: Peer) -> None:
    """Hits in 8 threads at once; the time is that of all calls by their number."""
    f = peer(one)
    burst(f, INTEGERS)
    times = 1 if quick else 3
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
