"""What a hit on memcached costs: one after the other, and ninety at once; and what a miss adds.

The server runs on this machine, so the time is that of the client, the codec and the cache. The row
"pymemcache" is the client's own `get` and msgpack, without any cache.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiocache
import aiocache.serializers
import dogpile.cache
import msgspec
import pytest
from peers import TTL, Peer, names
from pymemcache.client.base import Client
from work import burst, burst_async

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers.memcached import Memcached

from memo import Policy, cached

CALLS = 100
AT_ONCE = 90
KEYS = list(range(CALLS))

#: Keys that no call had before.
FRESH = itertools.count(1_000_000)

#: Where the server of this run listens; the peers are set up with it when they decorate.
where: dict[str, Any] = {}


def row(number: int) -> dict[str, Any]:
    """What is cached: something like a row of a table."""
    return {"id": number, "name": f"user {number}", "tags": ["a", "b"], "score": number / 7}


async def row_async(number: int) -> dict[str, Any]:
    """The same, to be awaited."""
    return row(number)


def _memo(function: Any, maxsize: int) -> Any:
    url = f"memcached://{where['host']}:{where['port']}"
    # On a busy machine the first connection may take longer than the quarter of a second allowed.
    return cached(ttl=TTL, backend=url, policy=Policy(timeout=30))(function)


def _dogpile(function: Any, maxsize: int) -> Any:
    region = dogpile.cache.make_region().configure(
        "dogpile.cache.pymemcache",
        expiration_time=TTL,
        arguments={"url": [f"{where['host']}:{where['port']}"]},
    )
    return region.cache_on_arguments()(function)


def _pymemcache(function: Any, maxsize: int) -> Any:
    client = Client((where["host"], where["port"]), no_delay=True, default_noreply=False)
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode

    def call(number: int) -> Any:
        key = f"bench:{number}"
        found = client.get(key)
        if found is None:
            value = function(number)
            client.set(key, encode(value), TTL)
            return value
        return decode(found)

    return call


def _aiocache(function: Any, maxsize: int) -> Any:
    return aiocache.cached(
        ttl=TTL,
        cache=aiocache.Cache.MEMCACHED,
        endpoint=where["host"],
        port=where["port"],
        pool_size=10,
        serializer=aiocache.serializers.JsonSerializer(),
        namespace="bench",
    )(function)


MEMO = Peer("memo", "memo-cache", _memo)
SYNC = [
    MEMO,
    Peer(
        "dogpile.cache (pymemcache)",
        "dogpile.cache",
        _dogpile,
        "values are pickled, unsigned; no deadline; `clear` of a region is known to one process",
    ),
    Peer("pymemcache, msgspec", "pymemcache", _pymemcache, "no cache: the client by itself"),
]
ASYNC = [
    MEMO,
    Peer(
        "aiocache (memcached)",
        "aiocache",
        _aiocache,
        "through aiomcache; values as JSON here; a cancelled read may hand its answer to another",
    ),
]


@pytest.fixture(autouse=True, scope="module")
def server() -> Iterator[None]:
    """A server of our own."""
    with Memcached("-m", "256") as running:
        where.update(host=running.host, port=running.port)
        yield


def all_well(f: Any) -> None:
    """See that what was measured was no failure that memo absorbs."""
    info = getattr(f, "cache_info", None)
    assert info is None or info().failures == 0


@pytest.mark.parametrize(**names(SYNC))
def test_sync_hit(measure: Any, peer: Peer) -> None:
    """Hits of a plain function, one after the other."""
    f = peer(row)
    burst(f, KEYS)
    measure("memcached hit, sync", peer, lambda: burst(f, KEYS), calls=CALLS)
    assert f(5) == row(5)
    all_well(f)


@pytest.mark.parametrize(**names(SYNC))
def test_sync_miss(measure: Any, peer: Peer) -> None:
    """Misses of a plain function: a read, the function, a write."""
    f = peer(row)
    group = "memcached miss, sync"
    measure(group, peer, lambda: burst(f, itertools.islice(FRESH, CALLS)), calls=CALLS)
    all_well(f)


@pytest.mark.parametrize(**names(ASYNC))
def test_async_hit(measure: Any, loop: Any, peer: Peer) -> None:
    """Hits of a coroutine function, one after the other."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))
    measure("memcached hit, async", peer, lambda: run(burst_async(f, KEYS)), calls=CALLS)
    all_well(f)


@pytest.mark.parametrize(**names(ASYNC))
def test_concurrent_hits(measure: Any, loop: Any, peer: Peer) -> None:
    """Ninety hits that are awaited together."""
    f = peer(row_async)
    run = loop.run_until_complete
    run(burst_async(f, KEYS))

    async def together() -> None:
        await asyncio.gather(*(f(number) for number in KEYS[:AT_ONCE]))

    measure(f"memcached hit, {AT_ONCE} at once", peer, lambda: run(together()), calls=AT_ONCE)
    all_well(f)
