"""One server for all tests that do it no harm."""

import pytest
from memcached.colours import both, opened
from servers.memcached import shared_memcached

__all__ = ["backend", "server"]


@pytest.fixture
def server():
    """A server that other tests use as well: not to be stopped."""
    return shared_memcached()


@pytest.fixture(params=both.args[1], ids=both.kwargs["ids"])
def backend(request, server):
    """A backend on it, of one colour and the other, called plainly."""
    with opened(request.param, server) as plain:
        yield plain
