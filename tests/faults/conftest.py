"""What the fault tests share: callers of both colours, a server to be ill-treated, and quiet."""

from __future__ import annotations

import logging

import pytest
from faults.callers import POLICY, STRICT, Tasks, Threads
from servers.proxy import Proxy
from servers.valkey import Valkey

__all__ = ["callers", "policy", "proxy", "server"]


@pytest.fixture(params=[Threads, Tasks], ids=["threads", "tasks"])
def callers(request):
    """The class of callers, of one colour and the other."""
    return request.param


@pytest.fixture(params=[POLICY, STRICT], ids=["absorb", "strict"])
def policy(request):
    """A policy that absorbs all errors, and one that raises them."""
    return request.param


@pytest.fixture
def server():
    """A server of the test's own, which it may kill."""
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def proxy(server):
    """A network between the callers and the server."""
    with Proxy(server.address) as network:
        yield network


@pytest.fixture(autouse=True)
def _quiet():
    """The log of an outage is long, and is tested elsewhere."""
    log = logging.getLogger("memo")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)
