"""A primary under sentinels: found, lost, and found again where it is then; in both colours."""

import contextlib

import pytest
from servers.process import wait_until
from servers.using_redis import both, entry, opened
from servers.valkey import Sentinels

from memo.backends.redis import Redis

#: How often a call may fail before what has changed is known.
TRIES = 5


@pytest.fixture(scope="module")
def sentinels():
    """Two servers, and three sentinels that watch them."""
    with Sentinels(count=3) as servers:
        yield servers


def first_that_works(call):
    """The answer of the first of a few calls that is one."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Exception):
            return call()
    return call()


@both
def test_the_primary_is_found(colour, sentinels):
    """What is stored is on the server that the sentinels say is in charge."""
    with opened(colour, sentinels.url) as backend:
        backend.write("k", entry("value"))
        assert sentinels.primary.ask("EXISTS", backend.name("k")) == 1
        assert backend.read("k").value == "value"
        backend.ping()


@both
def test_a_sentinel_that_stands_still(colour, sentinels):
    """The sentinel that is asked first hangs: that call is cut off, and the next asks another."""
    with opened(colour, sentinels.url, socket_timeout=0.2) as backend:
        backend.write("k", entry("value"))
        backend.close()  # so that the sentinels are asked again
        sentinels.sentinels[0].stop()
        try:
            backend.within = 1
            assert first_that_works(lambda: backend.read("k")).value == "value"
        finally:
            sentinels.sentinels[0].resume()


@both
def test_no_such_service(colour, sentinels):
    """A service that the sentinels do not know is named in the error."""
    url = sentinels.url.replace("/cache", "/nonsense")
    with opened(colour, url) as backend, pytest.raises(Exception, match="nonsense"):
        backend.read("k")


def test_failover(sentinels):
    """The primary dies, another takes over, and both colours go on there, unasked."""
    with opened(Redis, sentinels.url) as plain, opened(_twin_of(plain), None) as twin:
        plain.write("k", entry("value"))
        assert twin.read("k").value == "value"
        new = sentinels.fail_over()
        for backend in (plain, twin):
            wait_until("writes succeed", lambda backend=backend: succeeds(backend))
            assert backend.read("k").value == "after"
        assert new.ask("EXISTS", plain.name("k")) == 1


def succeeds(backend):
    """Whether a write to the backend does."""
    try:
        backend.write("k", entry("after"))
    except Exception:
        return False
    return True


def _twin_of(plain):
    return lambda *_, **__: plain.backend.twin
