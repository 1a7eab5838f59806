"""Cached functions that call themselves: how deep they reach, and what a level costs."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from peers import NO_CACHE, SYNC, Peer, names

LEVELS = 100


def fibonacci(peer: Peer) -> Any:
    """The textbook function, cached."""

    @peer
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)  # type: ignore[no-any-return]

    return fib


def reach(peer: Peer) -> int:
    """The deepest call that a fresh cache answers, from an empty stack at the usual limit."""
    reached = 0

    def attempt(depth: int) -> bool:
        @peer
        def down(n: int) -> int:
            return 0 if n == 0 else down(n - 1) + 1  # type: ignore[no-any-return]

        try:
            return bool(down(depth) == depth)
        except RecursionError:
            return False

    def search() -> None:
        nonlocal reached
        low, high = 1, sys.getrecursionlimit()
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if attempt(middle) else (low, middle - 1)
        reached = low

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    return reached


@pytest.mark.parametrize(**names(SYNC))
def test_depth(note: Any, peer: Peer) -> None:
    """How many levels fit under the default recursion limit of 1,000."""
    note("recursion, depth reached", peer, reach(peer), "levels")


@pytest.mark.parametrize(**names([peer for peer in SYNC if peer is not NO_CACHE]))
def test_speed(measure: Any, peer: Peer) -> None:
    """The 100th Fibonacci number from an empty cache: 101 misses and 98 hits."""

    def cold() -> tuple[tuple[Any, ...], dict[str, Any]]:
        fib = fibonacci(peer)
        fib(1)
        return (fib,), {}

    measure(
        "recursion, 100 levels, by level",
        peer,
        lambda fib: fib(LEVELS),
        setup=cold,
        calls=LEVELS,
        rounds=20,
    )
