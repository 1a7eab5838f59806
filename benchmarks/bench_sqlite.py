"""What a hit on a SQLite file costs, one after the other, at once and in threads; what a miss adds.

diskcache is the peer: it keeps a SQLite file as well, for processes to share, bounded and with
expiry. The row "sqlite3, msgspec" is one SELECT or INSERT and msgpack, without any cache.

A round of misses is so long that the write-ahead log of each is copied into its file meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache
import msgspec
import pytest
from peers import TTL, Peer, closing, names
from work import burst, burst_async

from memo import cached
from memo.backends import Sqlite

HITS = 1000
MISSES = 2500
AT_ONCE = 90
THREADS = 8

KEYS = list(range(HITS))

#: Keys that no call had before.
FRESH = itertools.count(1_000_000)

#: Where the files of this test are.
where: list[Path] = []

#: The arguments of each run of the function.
ran: list[int] = []


def row(number: int) -> dict[str, Any]:
    """What is cached: something like a row of a table."""
    ran.append(number)
    return {"id": number, "name": f"user {number}", "tags": ["a", "b"], "score": number / 7}


async def row_async(number: int) -> dict[str, Any]:
    """The same, to be awaited."""
    return row(number)


def _memo(function: Any, maxsize: int) -> Any:
    backend = Sqlite(where[0] / "memo.db")
    closing.append(backend.close)
    return cached(ttl=TTL, backend=backend)(function)


def _diskcache(function: Any, maxsize: int) -> Any:
    cache = diskcache.Cache(where[0] / "diskcache")
    closing.append(cache.close)
    decorated = cache.memoize(expire=TTL)(function)
    key_of = decorated.__cache_key__
    decorated.set = lambda value, *args: cache.set(key_of(*args), value, expire=TTL)
    return decorated


def _sqlite3(function: Any, maxsize: int) -> Any:
    connection = sqlite3.connect(
        where[0] / "plain.db", isolation_level=None, check_same_thread=False
    )
    closing.append(connection.close)
    execute = connection.execute
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = NORMAL")
    execute("CREATE TABLE entries (name TEXT PRIMARY KEY, expires REAL, data BLOB)")
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode

    @functools.wraps(function)
    def call(number: int) -> Any:
        name = f"bench:{number}"
        found = execute("SELECT data, expires FROM entries WHERE name = ?", (name,)).fetchone()
        if found is not None and found[1] > time.time():
            return decode(found[0])
        value = function(number)
        call.set(value, number)
        return value

    def put(value: Any, number: int) -> None:
        new = (f"bench:{number}", time.time() + TTL, encode(value))
        execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", new)

    call.set = put
    return call


MEMO = Peer("memo", "memo-cache", _memo)
DISKCACHE = Peer(
    "diskcache",
    "diskcache",
    _diskcache,
    "values are pickled, unsigned; no coroutines; no deadline; a damaged file is fatal",
)
SQLITE3 = Peer(
    "sqlite3, msgspec", None, _sqlite3, "no cache: one statement by itself, without bounds"
)
SYNC = [MEMO, DISKCACHE, SQLITE3]


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Iterator[None]:
    """Files of its own for each measurement."""
    where[:] = [tmp_path]
    ran.clear()
    yield
    while closing:
        closing.pop()()


@pytest.mark.parametrize(**names(SYNC))
def test_hit(measure: Any, peer: Peer) -> None:
    """Hits of a plain function."""
    f = peer(row)
    burst(f, KEYS)
    measure("SQLite hit, sync", peer, lambda: burst(f, KEYS), calls=HITS)
    assert len(ran) == HITS
    assert f(5) == row(5)


@pytest.mark.parametrize(**names(SYNC))
def test_miss(measure: Any, quick: bool, peer: Peer) -> None:
    """Misses of a plain function: a read, the function, and a write."""
    f = peer(row)
    calls = 10 if quick else MISSES
    measure(
        "SQLite write, sync", peer, lambda: burst(f, itertools.islice(FRESH, calls)), calls=calls
    )
    assert len(set(ran)) == len(ran) >= calls


@pytest.mark.parametrize(**names(SYNC))
def test_replace(measure: Any, quick: bool, peer: Peer) -> None:
    """Writes over entries that are there."""
    f = peer(row)
    burst(f, KEYS)
    values = [row(number) for number in KEYS]
    times = 1 if quick else 5

    def replace() -> None:
        for _ in range(times):
            for number in KEYS:
                f.set(values[number], number)

    measure("SQLite write over an entry, sync", peer, replace, calls=times * HITS)
    assert f(5) == row(5)


@pytest.mark.parametrize(**names(SYNC))
def test_hit_in_threads(measure: Any, peer: Peer) -> None:
    """Hits in 8 threads at once; the time is that of all calls by their number."""
    f = peer(row)
    burst(f, KEYS)
    barrier = threading.Barrier(THREADS)

    def work(_: int) -> None:
        barrier.wait()
        burst(f, KEYS)

    with ThreadPoolExecutor(THREADS) as pool:
        measure(
            f"SQLite hit, {THREADS} threads",
            peer,
            lambda: list(pool.map(work, range(THREADS))),
            calls=THREADS * HITS,
            rounds=7,
        )


@pytest.mark.parametrize(**names([MEMO]))
def test_async_hit(measure: Any, loop: Any, peer: Peer) -> None:
    """Hits of a coroutine function, one after the other, each by way of a thread."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))
    measure("SQLite hit, async", peer, lambda: run(burst_async(f, KEYS)), calls=HITS)
    assert len(ran) == HITS


@pytest.mark.parametrize(**names([MEMO]))
def test_concurrent_hits(measure: Any, loop: Any, peer: Peer) -> None:
    """Ninety hits that are awaited together."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))

    async def together() -> None:
        await asyncio.gather(*(f(number) for number in KEYS[:AT_ONCE]))

    measure(f"SQLite hit, {AT_ONCE} at once", peer, lambda: run(together()), calls=AT_ONCE)
    assert len(ran) == HITS
