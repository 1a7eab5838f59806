"""What a hit on Redis costs: one after the other, and ninety at once; and what a miss adds.

The server is a Valkey on this machine, so the time is that of the client, the codec and the cache.
The rows "redis-py, msgspec" are the client's own `get` and msgpack, without any cache.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiocache
import aiocache.serializers
import cashews
import dogpile.cache
import msgspec
import pytest
import redis
import redis.asyncio
from peers import TTL, Peer, names
from work import burst, burst_async

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers.valkey import Valkey

from memo import cached

#: Peers use names of redis-py that are on their way out.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CALLS = 100
AT_ONCE = 90
THREADS = 8
KEYS = list(range(CALLS))

#: Keys that no call had before.
FRESH = itertools.count(1_000_000)

#: Where the server of this run listens; the peers are set up with it when they decorate.
where: dict[str, Any] = {}

#: What closes the connections of the peer that was measured.
closing: list[Callable[[], Any]] = []


#: The arguments of each run of the function.
ran: list[int] = []


def row(number: int) -> dict[str, Any]:
    """What is cached: something like a row of a table."""
    ran.append(number)
    return {"id": number, "name": f"user {number}", "tags": ["a", "b"], "score": number / 7}


async def row_async(number: int) -> dict[str, Any]:
    """The same, to be awaited."""
    return row(number)


def _url() -> str:
    return f"redis://{where['host']}:{where['port']}/0"


def _memo(function: Any, maxsize: int) -> Any:
    return cached(ttl=TTL, backend=_url())(function)


def _dogpile(function: Any, maxsize: int) -> Any:
    region = dogpile.cache.make_region().configure(
        "dogpile.cache.redis",
        expiration_time=TTL,
        arguments={
            "host": where["host"],
            "port": where["port"],
            "redis_expiration_time": TTL + 60,
            "distributed_lock": False,
            "thread_local_lock": False,
        },
    )
    closing.append(region.backend.reader_client.close)
    return region.cache_on_arguments()(function)


def _redis_py(function: Any, maxsize: int) -> Any:
    client = redis.Redis(host=where["host"], port=where["port"])
    closing.append(client.close)
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode

    def call(number: int) -> Any:
        key = f"bench:{number}"
        found = client.get(key)
        if found is None:
            value = function(number)
            client.set(key, encode(value), ex=TTL)
            return value
        return decode(found)

    return call


def _redis_py_async(function: Any, maxsize: int) -> Any:
    client = redis.asyncio.Redis(host=where["host"], port=where["port"])
    closing.append(client.aclose)
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode

    async def call(number: int) -> Any:
        key = f"bench:{number}"
        found = await client.get(key)
        if found is None:
            value = await function(number)
            await client.set(key, encode(value), ex=TTL)
            return value
        return decode(found)

    return call


def _aiocache(function: Any, maxsize: int) -> Any:
    decorated = aiocache.cached(
        ttl=TTL,
        cache=aiocache.Cache.REDIS,
        endpoint=where["host"],
        port=where["port"],
        serializer=aiocache.serializers.JsonSerializer(),
        namespace="bench",
    )(function)
    closing.append(decorated.cache.close)
    return decorated


def _cashews(function: Any, maxsize: int) -> Any:
    cache = cashews.Cache()
    cache.setup(_url(), client_side=False)
    closing.append(cache.close)
    return cache(ttl=TTL, key="cashews:{number}")(function)


MEMO = Peer("memo", "memo-cache", _memo)
SYNC = [
    MEMO,
    Peer(
        "dogpile.cache (redis)",
        "dogpile.cache",
        _dogpile,
        "values are pickled, unsigned; no deadline",
    ),
    Peer("redis-py, msgspec", "redis", _redis_py, "no cache: the client by itself"),
]
ASYNC = [
    MEMO,
    Peer(
        "aiocache (redis)",
        "aiocache",
        _aiocache,
        "values as JSON here; no deadline; a connection for each read that is under way",
    ),
    Peer(
        "cashews (redis)",
        "cashews",
        _cashews,
        "values are pickled, signed only where asked for; a connection for each read under way",
    ),
    Peer("redis-py, msgspec", "redis", _redis_py_async, "no cache: the client by itself"),
]


@pytest.fixture(autouse=True, scope="module")
def server() -> Iterator[None]:
    """A server of our own."""
    with Valkey() as running:
        where.update(host=running.host, port=running.port)
        yield


@pytest.fixture(autouse=True)
def closed(loop: Any) -> Iterator[None]:
    """Nothing stays open that a peer has opened."""
    ran.clear()
    yield
    while closing:
        outcome = closing.pop()()
        if inspect.isawaitable(outcome):
            loop.run_until_complete(outcome)


@pytest.mark.parametrize(**names(SYNC))
def test_sync_hit(measure: Any, peer: Peer) -> None:
    """Hits of a plain function, one after the other."""
    f = peer(row)
    burst(f, KEYS)
    measure("Redis hit, sync", peer, lambda: burst(f, KEYS), calls=CALLS)
    assert len(ran) <= CALLS
    assert f(5) == row(5)


@pytest.mark.parametrize(**names(SYNC))
def test_sync_miss(measure: Any, peer: Peer) -> None:
    """Misses of a plain function: a read, the function, a write."""
    f = peer(row)
    measure("Redis miss, sync", peer, lambda: burst(f, itertools.islice(FRESH, CALLS)), calls=CALLS)


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
            f"Redis hit, {THREADS} threads",
            peer,
            lambda: list(pool.map(work, range(THREADS))),
            calls=THREADS * CALLS,
        )
    assert len(ran) <= CALLS


@pytest.mark.parametrize(**names(ASYNC))
def test_async_hit(measure: Any, loop: Any, peer: Peer) -> None:
    """Hits of a coroutine function, one after the other."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))
    measure("Redis hit, async", peer, lambda: run(burst_async(f, KEYS)), calls=CALLS)
    assert len(ran) <= CALLS


@pytest.mark.parametrize(**names(ASYNC))
def test_concurrent_hits(measure: Any, loop: Any, peer: Peer) -> None:
    """Ninety hits that are awaited together."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))

    async def together() -> None:
        await asyncio.gather(*(f(number) for number in KEYS[:AT_ONCE]))

    measure(f"Redis hit, {AT_ONCE} at once", peer, lambda: run(together()), calls=AT_ONCE)
    assert len(ran) <= CALLS
