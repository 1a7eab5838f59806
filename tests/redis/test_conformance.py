"""Both colours pass the conformance suite, wherever and behind a faulty backend."""

import pytest
from servers.using_redis import PATIENCE, namespaces
from servers.valkey import Sentinels, Valkey, shared_cluster, shared_valkey

from memo.backends.redis import Redis
from memo.backends.redis_async import AsyncRedis
from memo.testing import AsyncFaultyBackend, BackendSuite, FaultyBackend

# What is slow to begin with begins once: a backend goes on after it was closed.


@pytest.fixture(scope="module")
def unix():
    """A server on a unix socket."""
    with Valkey(unix=True) as server:
        yield Redis(server.url, socket_timeout=PATIENCE)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of three masters."""
    return Redis(shared_cluster().url, socket_timeout=PATIENCE)


@pytest.fixture(scope="module")
def sentinels():
    """A primary under a sentinel."""
    with Sentinels(count=1) as servers:
        yield Redis(servers.url, socket_timeout=PATIENCE)


class Suite(BackendSuite):
    room = 500

    @pytest.fixture
    def url(self):
        return f"{shared_valkey().url}?namespace={namespaces()}&socket_timeout={PATIENCE}"


class TestRedis(Suite):
    @pytest.fixture
    def backend(self, url):
        return Redis(url)


class TestAsyncRedis(Suite):
    @pytest.fixture
    def backend(self, url):
        return AsyncRedis(url)


class TestBehindAFaultyBackend(Suite):
    room = 100

    @pytest.fixture
    def backend(self, url):
        return FaultyBackend(Redis(url))


class TestAsyncBehindAFaultyBackend(Suite):
    room = 100

    @pytest.fixture
    def backend(self, url):
        return AsyncFaultyBackend(AsyncRedis(url))


class TestRedisOnUnixSocket(Suite):
    room = 100

    @pytest.fixture
    def backend(self, unix):
        return unix


class TestCluster(Suite):
    room = 100

    @pytest.fixture
    def backend(self, cluster):
        return cluster


class TestAsyncCluster(Suite):
    room = 100

    @pytest.fixture
    def backend(self, cluster):
        return cluster.twin


class TestSentinels(Suite):
    room = 100

    @pytest.fixture
    def backend(self, sentinels):
        return sentinels


class TestAsyncSentinels(Suite):
    room = 100

    @pytest.fixture
    def backend(self, sentinels):
        return sentinels.twin
