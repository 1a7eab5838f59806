"""Waiting for what runs in the background, so that a test can look at what came of it."""

from __future__ import annotations

from ..background import background
from ..freshness import Duration, seconds

__all__ = ["wait_for_refreshes"]


def wait_for_refreshes(timeout: Duration = 10.0) -> bool:
    """Wait until no refresh of a cached function runs or waits in the background.

    Refreshes of coroutine functions are tasks of the test's own event loop, which this does not
    know of.

    Args:
        timeout: how long to wait at most.

    Returns:
        Whether all are done.

    Raises:
        TypeError, ValueError: a `timeout` that is no duration.
    """
    return background.wait(seconds("timeout", timeout))
