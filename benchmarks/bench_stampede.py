"""Many callers, one cold key: how long until all have the answer, and how often the function ran.

The function waits for 5 ms, as one that asks a server would. A round is one stampede on a new key.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peers import (
    AIOCACHE_STAMPEDE,
    ASYNC,
    CACHETOOLS_CONDITION,
    CASHEWS_LOCK,
    NO_CACHE,
    SYNC,
    Peer,
    names,
)

THREADS = 64
TASKS = 1000
WAIT = 0.005

SYNC_PEERS = [*(peer for peer in SYNC if peer is not NO_CACHE), CACHETOOLS_CONDITION]
ASYNC_PEERS = [*(peer for peer in ASYNC if peer is not NO_CACHE), AIOCACHE_STAMPEDE, CASHEWS_LOCK]


@pytest.mark.parametrize(**names(SYNC_PEERS))
def test_stampede_of_threads(measure: Any, benchmark: Any, peer: Peer) -> None:
    """64 threads."""
    runs = itertools.count()
    keys = itertools.count(1000)
    barrier = threading.Barrier(THREADS)

    def slow(a: Any) -> Any:
        next(runs)
        time.sleep(WAIT)
        return a

    f = peer(slow)

    def call(key: int) -> Any:
        barrier.wait()
        return f(key)

    with ThreadPoolExecutor(THREADS) as pool:

        def stampede() -> None:
            key = next(keys)
            assert list(pool.map(call, [key] * THREADS)) == [key] * THREADS

        measure(f"stampede, {THREADS} threads", peer, stampede, calls=1, rounds=5)
    stampedes = next(keys) - 1000
    benchmark.extra_info["runs"] = round(next(runs) / stampedes, 1)


@pytest.mark.parametrize(**names(ASYNC_PEERS))
def test_stampede_of_tasks(measure: Any, benchmark: Any, loop: Any, peer: Peer) -> None:
    """1,000 tasks of one event loop."""
    runs = itertools.count()
    keys = itertools.count(1000)

    async def slow(a: Any) -> Any:
        next(runs)
        await asyncio.sleep(WAIT)
        return a

    f = peer(slow)

    async def call(key: int) -> Any:
        return await f(key)

    async def stampede() -> None:
        key = next(keys)
        answers = await asyncio.gather(*(call(key) for _ in range(TASKS)))
        assert answers == [key] * TASKS

    measure(
        f"stampede, {TASKS:,} tasks",
        peer,
        lambda: loop.run_until_complete(stampede()),
        calls=1,
        rounds=5,
    )
    stampedes = next(keys) - 1000
    benchmark.extra_info["runs"] = round(next(runs) / stampedes, 1)
