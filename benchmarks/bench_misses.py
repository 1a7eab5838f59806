"""What a miss costs beyond the function: into a store with room, and into a full one.

A round is 1,000 calls with keys never seen before. In the groups "full store" the store holds 1,000
entries, so that each miss also has to choose what goes. Who has no bound is not in them.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peers import AIOCACHE, ASYNC, CACHETOOLS_LOCK, DOGPILE, MEMO, SYNC, Peer, names
from work import burst, burst_async, one, one_async

CALLS = 1000
ROOM = 1 << 20
FULL = 1000
THREADS = 8

SYNC_MISS = [*SYNC, CACHETOOLS_LOCK]
SYNC_MISS_FULL = [peer for peer in SYNC_MISS if peer is not DOGPILE]
ASYNC_MISS_FULL = [peer for peer in ASYNC if peer is not AIOCACHE]


class Fresh:
    """Gives 1,000 new keys for each round."""

    def __init__(self, f: Any) -> None:
        self._f = f
        self._numbers = itertools.count(1000)

    def __call__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self._f, list(itertools.islice(self._numbers, CALLS))), {}


@pytest.mark.parametrize(**names(SYNC_MISS))
def test_sync_miss(measure: Any, peer: Peer) -> None:
    """A miss while there is room."""
    f = peer(one, ROOM)
    measure("sync miss, store with room", peer, burst, setup=Fresh(f), calls=CALLS)


@pytest.mark.parametrize(**names(SYNC_MISS_FULL))
def test_sync_miss_full(measure: Any, peer: Peer) -> None:
    """A miss that has to evict."""
    f = peer(one, FULL)
    fresh = Fresh(f)
    for _ in range(3):
        burst(*fresh()[0])
    measure("sync miss, full store", peer, burst, setup=fresh, calls=CALLS)
    assert peer is not MEMO or f.cache_info().currsize == FULL


@pytest.mark.parametrize(**names(SYNC_MISS_FULL))
def test_sync_miss_in_threads(measure: Any, peer: Peer) -> None:
    """Misses that have to evict in 8 threads at once, each with keys of its own."""
    f = peer(one, FULL)
    fresh = Fresh(f)
    for _ in range(3):
        burst(*fresh()[0])
    barrier = threading.Barrier(THREADS)

    def work(keys: list[int]) -> None:
        barrier.wait()
        burst(f, keys)

    with ThreadPoolExecutor(THREADS) as pool:
        measure(
            f"sync miss, full store, {THREADS} threads",
            peer,
            lambda shares: list(pool.map(work, shares)),
            setup=lambda: (([fresh()[0][1] for _ in range(THREADS)],), {}),
            calls=THREADS * CALLS,
            rounds=5,
        )


@pytest.mark.parametrize(**names(ASYNC))
def test_async_miss(measure: Any, loop: Any, peer: Peer) -> None:
    """A miss of a coroutine function, while there is room."""
    f = peer(one_async, ROOM)
    measure(
        "async miss, store with room",
        peer,
        lambda *args: loop.run_until_complete(burst_async(*args)),
        setup=Fresh(f),
        calls=CALLS,
        rounds=5,
    )


@pytest.mark.parametrize(**names(ASYNC_MISS_FULL))
def test_async_miss_full(measure: Any, loop: Any, peer: Peer) -> None:
    """A miss of a coroutine function that has to evict."""
    f = peer(one_async, FULL)
    fresh = Fresh(f)
    for _ in range(3):
        loop.run_until_complete(burst_async(*fresh()[0]))
    measure(
        "async miss, full store",
        peer,
        lambda *args: loop.run_until_complete(burst_async(*args)),
        setup=fresh,
        calls=CALLS,
        rounds=5,
    )
