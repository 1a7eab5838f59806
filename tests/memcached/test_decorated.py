"""Functions cached on memcached, as users write them."""

import asyncio

import pytest
from memcached.colours import namespaces
from servers.memcached import Memcached as Server

from memo import RAISE, Full, OperationFailed, Policy, cached
from memo.backends.memcached import Memcached

LOOPS = 100

#: On a busy machine a connection may take longer than the default allows.
PATIENT = Policy(timeout=30)


@pytest.fixture
def url(server):
    """A URL of a namespace that nobody else has."""
    return f"{server.url}?namespace={namespaces()}"


def test_both_colours_by_one_url(url):
    """A sync and an async function on the same URL, each with its own entries."""
    ran = []

    @cached(ttl=60, backend=url, name="plain", policy=PATIENT)
    def plain(number: int) -> dict[str, int]:
        ran.append(number)
        return {"plain": number}

    @cached(ttl=60, backend=url, name="async", policy=PATIENT)
    async def asynchronous(number: int) -> dict[str, int]:
        ran.append(number)
        return {"async": number}

    for _ in range(3):
        assert plain(1) == {"plain": 1}
        assert asyncio.run(asynchronous(1)) == {"async": 1}
    assert ran == [1, 1]
    plain.cache_clear()
    assert plain.lookup(1).status == "miss"
    assert asyncio.run(asynchronous.lookup(1)).hit
    assert plain.cache_info().failures == asynchronous.cache_info().failures == 0


def test_one_function_in_a_hundred_event_loops(url):
    """One `asyncio.run` after the other: one run of the function, no error."""
    ran = []

    @cached(ttl=60, backend=url, name="f", policy=PATIENT)
    async def f(number: int) -> int:
        ran.append(number)
        return number

    for _ in range(LOOPS):
        assert asyncio.run(f(7)) == 7
    assert ran == [7]
    assert f.cache_info().failures == 0


def test_many_at_once_take_one_question(url, server):
    """`cached.many` asks for all keys together, and stores what was missing together."""

    @cached.many(ttl=60, backend=url, name="users", policy=PATIENT)
    def users(numbers: list[int]) -> dict[int, str]:
        return {number: f"user {number}" for number in numbers}

    assert users(range(50)) == {number: f"user {number}" for number in range(50)}
    before = int(server.stats()["cmd_set"])
    assert users(range(60)) == {number: f"user {number}" for number in range(60)}
    assert int(server.stats()["cmd_set"]) - before == 10


@pytest.mark.parametrize("strict", [False, True], ids=["absorb", "strict"])
def test_a_server_that_hangs_or_is_dead_is_what_the_policy_says(strict):
    """Absorbed it is a right answer; strict it is an OperationFailed with its cause."""
    policy = Policy.strict(timeout=0.1) if strict else Policy(timeout=0.1)
    with Server() as server:

        @cached(ttl=60, backend=server.url, name="f", policy=policy)
        def f(number: int) -> int:
            return 2 * number

        for fault in (server.stop, server.kill):
            fault()
            if strict:
                with pytest.raises(OperationFailed) as caught:
                    f(1)
                assert caught.value.backend == "memcached"
                assert isinstance(caught.value.__cause__, OSError)
            else:
                assert f(1) == 2
        assert f.cache_info().failures == 2


def test_a_value_over_the_limit_is_full_with_its_value(url):
    """The function's result is not lost where the policy has Full raised."""

    @cached(ttl=60, backend=url, name="f", policy=Policy(full=RAISE, timeout=30))
    def f(size: int) -> bytes:
        return bytes(size)

    with pytest.raises(Full) as caught:
        f(2_000_000)
    assert caught.value.too_large
    assert caught.value.value == bytes(2_000_000)


def test_a_bound_beside_it_is_an_error(url):
    """The server bounds itself."""
    with pytest.raises(ValueError, match="bounds itself"):
        cached(ttl=60, maxsize=10, backend=url)
    assert Memcached("h").twin.servers.all[0].host == "h"
