"""One event loop after the other, several at once, and loops that end in the middle of things."""

import asyncio
import gc
import logging
import threading

import pytest
from servers.using_redis import PATIENCE, entry, namespaces
from servers.valkey import Sentinels, Valkey, shared_cluster

from memo import Policy, cached
from memo.backends.redis import Redis
from memo.backends.redis_async import AsyncRedis


def clients(server):
    """How many connections the server has, but for the one that asks."""
    return int(server.info("clients")["connected_clients"]) - 1


@pytest.fixture(scope="module")
def own():
    """A server that nobody else is connected to."""
    with Valkey() as server:
        yield server


@pytest.fixture
def quiet(caplog):
    """Nothing is logged, by asyncio above all, and nothing is left to be warned of."""
    with caplog.at_level(logging.WARNING):
        yield
        gc.collect()
    assert not caplog.records


def test_a_hundred_loops_one_after_the_other(own, quiet):
    """A cached function serves one asyncio.run after the other; each closes what it opened."""
    failures = []
    calls = []
    policy = Policy(on_error=failures.append)

    @cached(ttl=60, backend=f"{own.url}?namespace={namespaces()}", policy=policy, name="square")
    async def square(number):
        calls.append(number)
        return number * number

    async def use():
        return await asyncio.gather(*(square(number) for number in range(5)))

    for _ in range(100):
        assert asyncio.run(use()) == [0, 1, 4, 9, 16]
    assert calls == [0, 1, 2, 3, 4]
    assert failures == []
    assert clients(own) == 0


def test_loops_that_are_closed_without_being_told_to_finish(own, quiet):
    """A loop that is just closed leaves no connection, warning or complaint behind."""
    backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
    for turn in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(backend.write("k", entry(turn)))
        assert loop.run_until_complete(backend.read("k")).value == turn
        loop.close()
        assert clients(own) == 1  # that of this loop
        del loop
        gc.collect()
    asyncio.run(backend.close())
    assert clients(own) == 0


@pytest.mark.parametrize("kind", ["cluster", "sentinels"])
def test_loops_of_clusters_and_sentinels(kind, quiet):
    """What redis-py needs to find its way is closed with the loop as well, or left with it."""
    with Sentinels(count=1) if kind == "sentinels" else _Shared() as where:
        backend = AsyncRedis(where.url, namespace=namespaces(), socket_timeout=PATIENCE)
        for turn in range(3):
            asyncio.run(backend.write("k", entry(turn)))
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(backend.read("k")).value == turn
            loop.close()
        asyncio.run(backend.clear())
        asyncio.run(backend.close())


class _Shared:
    def __enter__(self):
        return shared_cluster()

    def __exit__(self, *_):
        pass


def test_loops_in_several_threads(own, quiet):
    """Loops that run at the same time have connections of their own."""
    backend = Redis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
    wrong = []

    async def use(who):
        for turn in range(50):
            await backend.twin.write(who, entry((who, turn)))
            if (await backend.twin.read(who)).value != (who, turn):
                wrong.append(who)

    threads = [threading.Thread(target=lambda who=who: asyncio.run(use(who))) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert clients(own) == 0


def test_a_loop_that_ends_in_the_middle(own, quiet):
    """Calls under way when the loop ends are cancelled, and what they do then still works."""
    backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=10)
    found = []
    under_way = []  # asyncio itself holds its tasks weakly

    async def forever():
        try:
            while True:
                await backend.read("k")
        finally:
            # While the loop cancels everything.
            found.append(await backend.read("k"))

    async def stuck():
        await backend.read("k")
        own.stop()
        await asyncio.gather(backend.read("k"), backend.write("k2", entry(1)))

    async def use(work):
        await backend.write("k", entry("value"))
        under_way.append(asyncio.create_task(work()))
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(use(forever))
    assert [one.value for one in found] == ["value"]
    try:
        asyncio.run(use(stuck))
    finally:
        own.resume()
    assert asyncio.run(backend.read("k")).value == "value"
    assert clients(own) == 0


def test_a_read_that_never_began_does_not_keep_others_waiting(own, quiet):
    """The loop ends before a read has begun: whoever reads after that is not left hanging."""
    backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
    outcomes = []
    under_way = []  # asyncio itself holds its tasks weakly

    async def late():
        try:
            await asyncio.Event().wait()
        finally:
            outcomes.append(await backend.read("k"))

    async def use():
        under_way.append(asyncio.create_task(late()))
        under_way.append(asyncio.create_task(backend.read("k")))
        await asyncio.sleep(0)

    asyncio.run(use())
    assert outcomes == [None]


def test_close_closes_the_connections_of_all_loops(own, quiet):
    """`close` closes what the running loop has open, and has the others close theirs."""
    backend = AsyncRedis(own.url, namespace=namespaces(), socket_timeout=PATIENCE)
    used, leave = threading.Event(), threading.Event()

    async def elsewhere():
        await backend.write("k", entry("value"))
        used.set()
        await asyncio.to_thread(leave.wait, 60)
        assert (await backend.read("k")).value == "value"

    async def here():
        await backend.read("k")
        await backend.close()
        await backend.close()

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    used.wait(60)
    assert clients(own) == 1
    asyncio.run(here())
    leave.set()
    thread.join()
    assert clients(own) == 0
