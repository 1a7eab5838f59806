"""One server for all tests that do it no harm."""

import pytest
from servers.using_redis import both, opened
from servers.valkey import shared_valkey

__all__ = ["backend", "server"]


@pytest.fixture
def server():
    """A server that other tests use as well: not to be stopped, filled or emptied."""
    return shared_valkey()


@pytest.fixture(params=both.args[1], ids=both.kwargs["ids"])
def backend(request, server):
    """A backend on it, of one colour and the other, called plainly."""
    with opened(request.param, server.url) as plain:
        yield plain
