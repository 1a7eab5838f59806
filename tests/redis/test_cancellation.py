"""Callers that are cancelled, at whatever moment, against servers that do what they like."""

import asyncio
import os

import pytest
from servers.proxy import Proxy
from servers.using_redis import PATIENCE, entry, namespaces
from servers.valkey import Valkey

from memo.backends.redis_async import AsyncRedis

#: MEMO_CANCELLATIONS=10000 for the full count.
COUNT = int(os.environ.get("MEMO_CANCELLATIONS", "500"))


def clients(server):
    """How many connections the server has, but for the one that asks."""
    return int(server.info("clients")["connected_clients"]) - 1


def test_cancelled_reads_of_a_server_that_stands_still():
    """However many are cancelled: no value reaches the wrong key, nothing is missed or leaks."""
    keys = 50

    async def use(server):
        backend = AsyncRedis(server.url, namespace=namespaces(), socket_timeout=PATIENCE)
        for n in range(keys):
            await backend.write(n, entry(n))
        open_before = clients(server)
        for turn in range(10):
            server.stop()
            for n in range(COUNT // 10):
                task = asyncio.create_task(backend.read(n % keys))
                for _ in range(n % 4):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            waiting = [asyncio.create_task(backend.read(n)) for n in range(keys)]
            await asyncio.sleep(0)
            server.resume()
            found = await asyncio.gather(*waiting, return_exceptions=True)
            for n, one in enumerate(found):  # each its own, or too late
                assert isinstance(one, TimeoutError) or one.value == n, (turn, n, one)
            found = await asyncio.gather(*(backend.read(n) for n in range(keys)))
            assert [one.value for one in found] == list(range(keys))
        assert clients(server) <= max(open_before, 4 + 8)
        await backend.close()

    with Valkey() as server:
        asyncio.run(use(server))
        assert clients(server) == 0


def test_cancelled_everywhere():
    """Reads, writes and deletes, cancelled after each number of turns: the rest is as it was."""

    async def use(server):
        backend = AsyncRedis(server.url, namespace=namespaces(), socket_timeout=PATIENCE)
        for turn in range(COUNT):
            key = turn % 10
            work = (
                backend.read(key),
                backend.write(("other", key), entry(("other", key))),
                backend.delete(("third", key)),
                backend.read_many([key, ("other", key)]),
                backend.write_many({key: entry(key), ("other", key): entry(("other", key))}),
                backend.clear_scope("fourth"),
                backend.ping(),
            )
            tasks = [asyncio.create_task(one) for one in work]
            for _ in range(turn % 13):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome is None or not isinstance(outcome, Exception), outcome
            await backend.write(key, entry(key))
            assert (await backend.read(key)).value == key
        await backend.close()

    with Valkey() as server:
        asyncio.run(use(server))
        assert clients(server) == 0


def test_a_timeout_is_for_the_caller_alone():
    """A caller with little patience leaves; one with more gets the answer to its question."""

    async def use(proxy):
        url = f"redis://{proxy.host}:{proxy.port}"
        backend = AsyncRedis(url, namespace=namespaces(), socket_timeout=30)
        await backend.write(1, entry("one"))
        await backend.write(2, entry("two"))
        proxy.hang()
        patient = asyncio.create_task(backend.read(2))
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await backend.read(1)
        proxy.normal()
        assert (await patient).value == "two"
        assert (await backend.read(1)).value == "one"
        await backend.close()

    with Valkey() as server, Proxy(server.address) as proxy:
        asyncio.run(use(proxy))
        proxy.wait_for_connections(0)


def test_a_server_that_does_not_answer_is_given_up():
    """After `socket_timeout` a connection is closed, though nobody waits for it any more."""

    async def use(proxy):
        url = f"redis://{proxy.host}:{proxy.port}"
        backend = AsyncRedis(url, namespace=namespaces(), socket_timeout=0.2)
        await backend.write("k", entry("value"))
        proxy.drip(0.1)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await backend.read("k")
        task = asyncio.create_task(backend.read("k"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.to_thread(proxy.wait_for_connections, 0)
        proxy.normal()
        assert (await backend.read("k")).value == "value"
        await backend.close()

    with Valkey() as server, Proxy(server.address) as proxy:
        asyncio.run(use(proxy))
