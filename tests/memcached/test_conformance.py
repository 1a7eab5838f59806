"""Both colours pass the conformance suite, by themselves and behind a faulty backend."""

import pytest
from memcached.colours import namespaces
from servers.memcached import shared_memcached

from memo.backends.memcached import Memcached
from memo.backends.memcached_async import AsyncMemcached
from memo.testing import AsyncFaultyBackend, BackendSuite, FaultyBackend


class Suite(BackendSuite):
    room = 500

    @pytest.fixture
    def where(self):
        return shared_memcached().where


class TestMemcached(Suite):
    @pytest.fixture
    def backend(self, where):
        return Memcached(where, namespace=namespaces())


class TestAsyncMemcached(Suite):
    @pytest.fixture
    def backend(self, where):
        return AsyncMemcached(where, namespace=namespaces())


class TestTwin(Suite):
    @pytest.fixture
    def backend(self, where):
        return Memcached(where, namespace=namespaces()).twin


class TestBehindAFaultyBackend(Suite):
    room = 100

    @pytest.fixture
    def backend(self, where):
        return FaultyBackend(Memcached(where, namespace=namespaces()))


class TestAsyncBehindAFaultyBackend(Suite):
    room = 100

    @pytest.fixture
    def backend(self, where):
        return AsyncFaultyBackend(AsyncMemcached(where, namespace=namespaces()))
