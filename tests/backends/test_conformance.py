"""Every backend there is passes the conformance suite, and so do thirty lines of anybody's own."""

import asyncio
import threading

import cachetools
import pytest

from memo.backends import CachetoolsBackend, MappingBackend, Memory, Null
from memo.backends.memory import EVICTIONS
from memo.testing import AsyncFaultyBackend, BackendSuite, FakeTimer, FaultyBackend


class TestMemory(BackendSuite):
    @pytest.fixture(params=EVICTIONS)
    def backend(self, request):
        return Memory(6000, eviction=request.param)


class TestUnboundedMemory(BackendSuite):
    @pytest.fixture(params=["adaptive", "lru", "none"])
    def backend(self, request):
        return Memory(None, eviction=request.param)


class TestSmallMemory(BackendSuite):
    @pytest.fixture(params=EVICTIONS)
    def backend(self, request):
        return Memory(12, eviction=request.param)


class TestMemoryOfOne(BackendSuite):
    @pytest.fixture(params=EVICTIONS)
    def backend(self, request):
        return Memory(1, eviction=request.param)


class TestMemoryOfNothing(BackendSuite):
    room = 0

    def make_backend(self):
        return Memory(0)


class TestSizedMemory(BackendSuite):
    room = 500

    @pytest.fixture(params=EVICTIONS)
    def backend(self, request):
        return Memory(2000, eviction=request.param, getsizeof=lambda value: len(repr(value)) / 10)


class TestMemoryWithTimer(BackendSuite):
    def make_backend(self):
        return Memory(None, timer=FakeTimer(1_700_000_000.123456))


class TestMapping(BackendSuite):
    def make_backend(self):
        return MappingBackend({})


class TestCachetoolsLRU(BackendSuite):
    def make_backend(self):
        return CachetoolsBackend(cachetools.LRUCache(6000))


class TestCachetoolsTTL(BackendSuite):
    def make_backend(self):
        return CachetoolsBackend(cachetools.TTLCache(6000, ttl=3600))


class TestCachetoolsTLRU(BackendSuite):
    def make_backend(self):
        def until(_key, entry, _now):
            return entry.kept_until

        return CachetoolsBackend(cachetools.TLRUCache(6000, until))


class TestSmallCachetools(BackendSuite):
    def make_backend(self):
        return CachetoolsBackend(cachetools.LFUCache(12))


class TestNull(BackendSuite):
    room = 0

    def make_backend(self):
        return Null()


class TestFaultyBackendWithoutFaults(BackendSuite):
    def make_backend(self):
        return FaultyBackend(Memory(6000))


class TestAsyncFaultyBackendWithoutFaults(BackendSuite):
    def make_backend(self):
        return AsyncFaultyBackend(Memory(6000))


class TestAsyncFaultyBackendOverAnAsyncOne(BackendSuite):
    async def make_backend(self):
        return AsyncFaultyBackend(AsyncFaultyBackend(MappingBackend({})))


class Own:
    """What a user might write: text keys, a lock, and a bound."""

    maxsize = 5000

    def __init__(self):
        self.entries = {}
        self.lock = threading.Lock()

    def read(self, key):
        if not isinstance(key, str):
            raise TypeError("keys are text")
        with self.lock:
            return self.entries.get(key)

    def write(self, key, entry):
        with self.lock:
            self.entries.pop(key, None)
            while len(self.entries) >= self.maxsize:
                del self.entries[next(iter(self.entries))]
            self.entries[key] = entry

    def delete(self, key):
        with self.lock:
            return self.entries.pop(key, None) is not None

    def clear(self):
        with self.lock:
            self.entries.clear()


class AsyncOwn:
    """The same, async, and giving way to other tasks in the middle of everything."""

    def __init__(self):
        self.own = Own()

    async def read(self, key):
        await asyncio.sleep(0)
        return self.own.read(key)

    async def write(self, key, entry):
        await asyncio.sleep(0)
        self.own.write(key, entry)

    async def delete(self, key):
        await asyncio.sleep(0)
        return self.own.delete(key)

    async def clear(self):
        await asyncio.sleep(0)
        self.own.clear()


class TestOwn(BackendSuite):
    string_keys = True

    def make_backend(self):
        return Own()


class TestAsyncOwn(BackendSuite):
    string_keys = True

    def make_backend(self):
        return AsyncOwn()
