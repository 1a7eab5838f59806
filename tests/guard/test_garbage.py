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
from concurrency.watch import run
from guard.stores import AsyncStore, Prompt, ThreadStore, TimedStore

from memo import Breaker, CacheError, OperationFailed, Policy, cached

CALLS = 40
SHORT = 0.005


def cached_by(store, policy, *, asynchronous):
    """A function that is to be cached by `store`, and two ways of calling it."""
    decorate = cached(ttl=60, backend=store, policy=policy)
    if not asynchronous:

        @decorate
        def double(x):
            return 2 * x

        async def call(x):
            with contextlib.suppress(OperationFailed):
                assert double(x) == 2 * x

        return double, call

    @decorate
    async def double_soon(x):
        return 2 * x

    async def call_soon(x):
        with contextlib.suppress(OperationFailed):
            assert await double_soon(x) == 2 * x

    return double_soon, call_soon


async def garbage(call):
    """How many objects so many calls leave to the collector, beyond a few that are not theirs."""
    for number in range(10):
        await call(number)
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        for number in range(CALLS):
            await call(number)
        await asyncio.sleep(0)
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize("preset", [Policy.absorb, Policy.strict], ids=["absorb", "strict"])
@pytest.mark.parametrize("what", ["refused", "failing", "late"])
@pytest.mark.parametrize(
    ("kind", "asynchronous"),
    [(TimedStore, False), (AsyncStore, True), (Prompt, True), (ThreadStore, True)],
)
def test_a_call_that_the_backend_fails_leaves_no_cycles(kind, asynchronous, what, preset):
    """Refused by the open breaker, failed by the backend, or not answered in time."""
    store = kind()
    if what == "late":
        store.hangs = {"read"}
    else:
        store.down()
    breaker = None if what != "refused" else Breaker(probe_every=1000)
    policy = preset(timeout=SHORT, breaker=breaker)
    _, call = cached_by(store, policy, asynchronous=asynchronous)
    assert run(garbage(call)) < CALLS
    if kind is ThreadStore:
        store.released.set()


@pytest.mark.parametrize("preset", [Policy.absorb, Policy.strict], ids=["absorb", "strict"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_handles_leave_no_cycles_either(asynchronous, preset):
    """A look, a store and a drop that are refused."""
    store = Prompt() if asynchronous else TimedStore()
    store.down()
    policy = preset(timeout=1, breaker=Breaker(probe_every=1000))
    double, _ = cached_by(store, policy, asynchronous=asynchronous)

    async def call(x):
        for name, args in (("get", (x,)), ("set", (1, x)), ("invalidate", (x,)), ("lookup", (x,))):
            with contextlib.suppress(CacheError):
                answer = getattr(double, name)(*args)
                if asynchronous:
                    await answer

    assert run(garbage(call)) < CALLS
