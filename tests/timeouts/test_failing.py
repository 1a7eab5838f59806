"""Functions that fail: what is served meanwhile, and when they are tried again."""

from __future__ import annotations

import pytest

from memo import STALE, AsyncCache, Cache, Policy, cached
from memo.backends import BytesBackend


class Upstream:
    """Something that fails when it is told to, and counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.error = None

    def __call__(self, key):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return f"{key} {self.asked}"


def test_a_broken_upstream_is_not_hammered(ways):
    """After a covered failure it is left alone for `retry_after`, while stale values are served."""

    @ways.run
    async def _():
        upstream = Upstream()
        f = ways.gated(upstream, ttl=10, stale_if_error=100, retry_after=5)
        await ways.call(f, "k")
        ways.timer.advance(20)
        upstream.error = ConnectionError()
        for _ in range(100):
            assert await ways.call(f, "k") == "k 1"
        assert upstream.asked == 2
        info = f.cache_info()
        assert (info.hits, info.stale_hits, info.load_failures) == (100, 100, 1)
        ways.timer.advance(5)
        assert await ways.call(f, "k") == "k 1"
        assert upstream.asked == 3
        upstream.error = None
        ways.timer.advance(4.9)
        assert await ways.call(f, "k") == "k 1"
        ways.timer.advance(0.1)
        assert await ways.call(f, "k") == "k 4"


def test_a_pause_is_of_one_key_of_one_instance(ways):
    """Other keys, and the same key of another receiver, are tried."""

    @ways.run
    async def _():
        upstream = Upstream()

        class Client:
            get = decorated(ways, upstream, ttl=10, stale_if_error=100, retry_after=5)

        a, b = Client(), Client()
        for client, key in ((a, 1), (a, 2), (b, 1)):
            await ways.call(client.get, key)
        upstream.error = ConnectionError()
        ways.timer.advance(20)
        asked = upstream.asked
        for client, key in ((a, 1), (a, 2), (b, 1), (a, 1), (a, 2), (b, 1)):
            await ways.call(client.get, key)
        assert upstream.asked == asked + 3


def decorated(ways, upstream, **options):
    """A cached method of this colour."""
    if ways.is_async:

        @cached(timer=ways.timer, **options)
        async def get(self, key):
            return upstream(key)
    else:

        @cached(timer=ways.timer, **options)
        def get(self, key):
            return upstream(key)

    return get


@pytest.mark.parametrize("end", ["set", "invalidate", "cache_clear", "refresh"])
def test_a_pause_ends_with_what_somebody_does_about_the_key(ways, end):
    """A value set, dropped or loaded on demand: nothing of the failure is left."""

    @ways.run
    async def _():
        upstream = Upstream()
        f = ways.gated(upstream, ttl=10, stale_if_error=100, retry_after=1000)
        await ways.call(f, "k")
        ways.timer.advance(20)
        upstream.error = ConnectionError()
        await ways.call(f, "k")
        upstream.error = None
        if end == "cache_clear":
            await ways.call(f.cache_clear)
        elif end == "set":
            await ways.call(f.set, "set", "k")
        else:
            await ways.call(getattr(f, end), "k")
        ways.timer.advance(20)
        assert await ways.call(f, "k") == f"k {upstream.asked}"
        assert upstream.asked > 2


def test_refreshes_behind_pause_too(ways):
    """Within `stale_while_revalidate` a failing refresh is not begun with each hit."""

    @ways.run
    async def _():
        upstream = Upstream()
        f = ways.gated(upstream, ttl=10, stale_while_revalidate=100, retry_after=5)
        await ways.call(f, "k")
        ways.timer.advance(20)
        upstream.error = ConnectionError()
        assert await ways.call(f, "k") == "k 1"
        await refreshed(ways, f, 2)
        for _ in range(20):
            assert await ways.call(f, "k") == "k 1"
        ways.timer.advance(5)
        assert await ways.call(f, "k") == "k 1"
        await refreshed(ways, f, 3)
        assert upstream.asked == 3


async def refreshed(ways, function, loads):
    """Wait until `function` has been loaded so often."""
    core = function._self_site.core
    await ways.until(lambda: core.stats.loads == loads and not core.flights)


def test_under_the_policy_stale_refreshes_pause_too(ways):
    """Whatever it is that serves what is stale."""

    @ways.run
    async def _():
        upstream = Upstream()
        f = ways.gated(upstream, ttl=10, retry_after=5, policy=Policy(expired=STALE))
        await ways.call(f, "k")
        ways.timer.advance(20)
        upstream.error = ConnectionError()
        await ways.call(f, "k")
        await refreshed(ways, f, 2)
        for _ in range(20):
            assert await ways.call(f, "k") == "k 1"
        assert upstream.asked == 2


def test_only_chosen_exceptions_are_covered(ways):
    """With a mapping: those it names, each for as long as it says."""

    @ways.run
    async def _():
        upstream = Upstream()
        f = ways.gated(upstream, ttl=10, stale_if_error={ConnectionError: 100, OSError: 20})
        await ways.call(f, "k")
        ways.timer.advance(25)
        for error, served in (
            (ConnectionResetError(), True),
            (FileNotFoundError(), True),
            (ValueError("no"), False),
        ):
            upstream.error = error
            if served:
                assert await ways.call(f, "k") == "k 1"
            else:
                with pytest.raises(type(error)):
                    await ways.call(f, "k")
        ways.timer.advance(10)
        upstream.error = FileNotFoundError()
        with pytest.raises(FileNotFoundError):
            await ways.call(f, "k")
        upstream.error = ConnectionResetError()
        assert await ways.call(f, "k") == "k 1"


def test_failures_that_are_remembered_spare_the_upstream(ways):
    """`cache_exceptions`, with nothing stale at hand: one load per lifetime, here or behind."""

    @ways.run
    async def _():
        upstream = Upstream()
        upstream.error = ConnectionError("down")
        f = ways.gated(
            upstream,
            ttl=10,
            stale_if_error=100,
            hard_timeout=60,
            cache_exceptions={ConnectionError: 5},
        )
        for _ in range(50):
            with pytest.raises(ConnectionError, match="down"):
                await ways.call(f, "k")
        assert upstream.asked == 1
        ways.timer.advance(5)
        upstream.error = None
        assert await ways.call(f, "k") == "k 2"


class Kept(BytesBackend):
    """A dict of bytes, as other processes would share it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.held = {}

    def read_bytes(self, name, deadline):
        return self.held.get(name)

    def write_bytes(self, name, data, entry, deadline):
        self.held[name] = data

    def delete_bytes(self, name, deadline):
        return self.held.pop(name, None) is not None

    def clear_prefix(self, prefix, deadline):
        for name in [name for name in self.held if name.startswith(prefix)]:
            del self.held[name]


GENEROUS = Policy(timeout=30)


def test_a_payload_that_cannot_be_decoded_is_replaced(ways):
    """It is a counted failure and a miss; what is loaded takes its place."""

    @ways.run
    async def _():
        store = Kept()
        runs = []
        cache = kind(ways)(store, ttl=10, policy=GENEROUS)

        def load():
            runs.append(1)
            return len(runs)

        assert await ways.call(cache.get_or_load, "k", coloured(ways, load)) == 1
        (name,) = store.held
        store.held[name] = b"garbage"
        assert await ways.call(cache.get_or_load, "k", coloured(ways, load)) == 2
        assert store.held[name] != b"garbage"
        assert await ways.call(cache.get_or_load, "k", coloured(ways, load)) == 2
        info = cache.info()
        assert (info.hits, info.misses, info.failures) == (1, 2, 1)


def test_a_value_that_cannot_be_encoded_drops_the_old_one(ways):
    """A `set` that says False leaves nothing that it has outdated."""

    @ways.run
    async def _():
        store = Kept()
        cache = kind(ways)(store, ttl=10, policy=GENEROUS)
        assert await ways.call(cache.set, "k", 1)
        assert await ways.call(cache.set, "k", object()) is False
        assert store.held == {}
        assert await ways.call(cache.get, "k", "nothing") == "nothing"
        assert cache.info().failures == 1


def kind(ways):
    """The cache of this colour."""
    return AsyncCache if ways.is_async else Cache


def coloured(ways, function):
    """`function` in this colour."""
    if not ways.is_async:
        return function

    async def awaited():
        return function()

    return awaited


def test_a_ttl_function_that_raises_in_a_set_drops_the_old_value(ways):
    """As one that says not to store: what is there is outdated in either case."""

    @ways.run
    async def _():
        lifetimes = iter([10, 0, 10])

        def ttl(value):
            return next(lifetimes) or 1 / 0

        f = ways.gated(ttl=ttl)
        assert await ways.call(f.set, "old", "k")
        assert await ways.call(f.set, "new", "k") is False
        assert f.cache_info().currsize == 0
        assert f.cache_info().failures == 1
