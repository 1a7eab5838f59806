"""Each test that asks for `ways` runs for functions of both colours."""

from __future__ import annotations

import pytest
from timeouts.waiting import AsyncWays, Ways


@pytest.fixture(params=[Ways, AsyncWays], ids=["sync", "async"])
def ways(request):
    """Functions that end when they are told to."""
    return request.param()
