"""Calls of an outage leave nothing behind that only the garbage collector can find.

An error knows the frames that it has passed, and whatever is in them. Where one of these knows the
error, both stay until a full collection, with the arguments of the call; and as each call makes
more of it, full collections come often, during which all threads stand still.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from concurrency.watch import PATIENCE, run, until
from guard.stores import AsyncStore, Prompt, ThreadStore, TimedStore

from memo import Breaker, CacheError, OperationFailed, Policy, cached
from memo.guard import async_guard_of

CALLS = 40
SHORT = 0.005


class Down(ConnectionError):
    """What the backend raises."""


class Item:
    """What the function is called with."""


def cached_by(store, policy, *, asynchronous):
    """A function that is to be cached by `store`, and two ways of calling it."""
    decorate = cached(ttl=60, backend=store, policy=policy)
    if not asynchronous:

        @decorate
        def described(x):
            return type(x)

        async def call(x):
            with contextlib.suppress(OperationFailed):
                assert described(x) is Item

        return described, call

    @decorate
    async def described_soon(x):
        return type(x)

    async def call_soon(x):
        with contextlib.suppress(OperationFailed):
            assert await described_soon(x) is Item

    return described_soon, call_soon


def troubled(kind, *operations):
    """A backend that fails, or hangs in these operations."""
    store = kind()
    store.name = "troubled"
    store.error = Down
    if operations:
        store.hangs = set(operations)
    else:
        store.down()
    return store


async def garbage(call):
    """What so many calls leave to the collector; not what others of this process leave."""
    for _ in range(10):
        await call(Item())
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(CALLS):
            await call(Item())
        await asyncio.sleep(0)
        gc.collect()
        return [one for one in gc.garbage if _is_of_a_call(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_of_a_call(one):
    if type(one) is OperationFailed:
        return one.backend == "troubled"
    return type(one) in {Down, Item}


@pytest.mark.parametrize("preset", [Policy.absorb, Policy.strict], ids=["absorb", "strict"])
@pytest.mark.parametrize("what", ["refused", "failing", "late"])
@pytest.mark.parametrize(
    ("kind", "asynchronous"),
    [(TimedStore, False), (AsyncStore, True), (Prompt, True), (ThreadStore, True)],
)
def test_a_call_that_the_backend_fails_leaves_no_cycles(kind, asynchronous, what, preset):
    """Refused by the open breaker, failed by the backend, or not answered in time."""
    store = troubled(kind, "read") if what == "late" else troubled(kind)
    breaker = None if what != "refused" else Breaker(probe_every=1000)
    policy = preset(timeout=SHORT, breaker=breaker)
    _, call = cached_by(store, policy, asynchronous=asynchronous)
    assert run(garbage(call)) == []
    if kind is ThreadStore:
        store.released.set()


@pytest.mark.parametrize("preset", [Policy.absorb, Policy.strict], ids=["absorb", "strict"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_handles_leave_no_cycles_either(asynchronous, preset):
    """A look, a store and a drop that are refused."""
    store = troubled(Prompt if asynchronous else TimedStore)
    policy = preset(timeout=1, breaker=Breaker(probe_every=1000))
    described, _ = cached_by(store, policy, asynchronous=asynchronous)

    async def call(x):
        for name, args in (("get", (x,)), ("set", (1, x)), ("invalidate", (x,)), ("lookup", (x,))):
            with contextlib.suppress(CacheError):
                answer = getattr(described, name)(*args)
                if asynchronous:
                    await answer

    assert run(garbage(call)) == []


def test_a_failure_that_comes_as_its_caller_leaves_is_no_cycle():
    """It is over in its thread, and the loop has not heard of it, when the time is up."""
    store = ThreadStore()
    store.error = Down
    store.down()
    guard = async_guard_of(store, None, policy=Policy(timeout=PATIENCE, breaker=None))
    workers = guard.origin.workers

    async def main():
        async def call(x):
            caller = asyncio.ensure_future(guard.read(x))
            await asyncio.sleep(0)
            until(lambda: not workers._calls and workers._free == workers._threads)  # no await
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller

        assert await garbage(call) == []

    run(main())
