"""Async reads that are asked for together leave together."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from servers.using_redis import PATIENCE, entry, namespaces
from servers.valkey import Valkey, shared_cluster

from memo.backends.redis_async import AsyncRedis


@pytest.fixture(scope="module")
def own():
    """A server that nobody else asks anything, so that what it is asked can be counted."""
    with Valkey() as server:
        yield server


def asked(server):
    """How often the server was asked for what, since the last time."""
    stats = server.info("commandstats")
    server.ask("CONFIG", "RESETSTAT")
    return {
        name.removeprefix("cmdstat_"): int(text.split(",")[0].removeprefix("calls="))
        for name, text in stats.items()
        if name.removeprefix("cmdstat_") in {"get", "mget", "set"}
    }


def test_reads_of_one_turn_are_one_request(own):
    """Ninety reads at once are one MGET; one read is a GET; each gets its own value."""

    async def use():
        backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
        await backend.write_many({n: entry(n) for n in range(80)})
        asked(own)
        found = await asyncio.gather(*(backend.read(n) for n in range(90)))
        assert [one and one.value for one in found] == [*range(80), *[None] * 10]
        assert asked(own) == {"mget": 1}
        assert (await backend.read(3)).value == 3
        assert asked(own) == {"get": 1}
        same = await asyncio.gather(*(backend.read(n % 2) for n in range(10)))
        assert [one.value for one in same] == [0, 1] * 5
        assert len({id(one) for one in same}) == 10
        assert asked(own) == {"mget": 1}

    asyncio.run(use())


def test_large_requests_are_cut_into_pieces(own):
    """A server is not kept from answering others for long: 200 keys in one command at most."""

    async def use():
        backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
        await backend.write_many({n: entry(n) for n in range(1000)})
        asked(own)
        found = await asyncio.gather(*(backend.read(n) for n in range(1000)))
        assert [one.value for one in found] == list(range(1000))
        assert asked(own) == {"mget": 5}
        assert len(await backend.read_many(range(1000))) == 1000
        assert asked(own) == {"mget": 5}

    asyncio.run(use())


def test_what_is_wanted_meanwhile_leaves_together(own):
    """While a few requests are under way, further reads gather, and leave in one."""

    async def use():
        backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=10)
        await backend.write_many({n: entry(n) for n in range(100)})
        asked(own)
        own.stop()
        tasks = []
        for n in range(100):
            tasks.append(asyncio.create_task(backend.read(n)))
            await asyncio.sleep(0)  # a turn of the loop
        own.resume()
        found = await asyncio.gather(*tasks)
        assert [one.value for one in found] == list(range(100))

    asyncio.run(use())
    counts = asked(own)
    assert counts == {"get": 4, "mget": 1}


def test_who_is_cancelled_takes_nobody_along(own):
    """One of those who read together is cancelled; the others get their values."""

    async def use():
        backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
        await backend.write_many({n: entry(n) for n in range(10)})
        tasks = [asyncio.create_task(backend.read(n)) for n in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        tasks[7].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [n for n, one in enumerate(found) if isinstance(one, BaseException)] == [3, 7]
        assert all(found[n].value == n for n in range(10) if n not in {3, 7})

    asyncio.run(use())


def test_a_failure_reaches_each_as_its_own(own):
    """Those who read together get an exception each, equal, and with tracebacks of their own."""

    async def use():
        backend = AsyncRedis("redis://127.0.0.1:1", namespace=namespaces(), socket_timeout=PATIENCE)
        tasks = (backend.read(n) for n in range(3))
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(type(error) is RedisConnectionError for error in errors)
        assert len({id(error) for error in errors}) == 3
        assert len({str(error) for error in errors}) == 1
        assert len({id(error.__traceback__) for error in errors}) == 3

    asyncio.run(use())


def test_reads_of_a_cluster_leave_together():
    """Reads that belong to several masters are one request to each."""
    cluster = shared_cluster()

    async def use():
        backend = AsyncRedis(cluster.url, namespace=namespaces(), socket_timeout=PATIENCE)
        await backend.write_many({n: entry(n) for n in range(90)})
        found = await asyncio.gather(*(backend.read(n) for n in range(90)))
        assert [one.value for one in found] == list(range(90))
        before = [int(node.info("stats")["total_reads_processed"]) for node in cluster.masters]
        found = await asyncio.gather(*(backend.read(n) for n in range(90)))
        assert [one.value for one in found] == list(range(90))
        after = [int(node.info("stats")["total_reads_processed"]) for node in cluster.masters]
        # Each master has read once from us, and a few times from its replica and for `info`; one by
        # one it would have been thirty times.
        assert all(b - a <= 15 for a, b in zip(before, after, strict=True)), (before, after)
        await backend.clear()

    asyncio.run(use())
