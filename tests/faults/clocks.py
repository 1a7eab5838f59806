"""Programs on machines whose wall clocks are wrong, and the true time, which no clock tells."""

from __future__ import annotations

import time
from typing import Any

from memo import Cache, Policy
from memo.testing import FakeTimer

__all__ = ["TTL", "YEAR", "Machine"]

PATIENT = Policy.strict(timeout=30)
YEAR = 365 * 86_400.0
TTL = 3600.0


class Machine:
    """A program on a machine with a clock of its own.

    Args:
        store: which other machines share.
        truth: the true time.
        policy: of its cache.
    """

    def __init__(self, store: Any, truth: FakeTimer, policy: Policy = PATIENT) -> None:
        self.truth = truth
        self.clock = FakeTimer(time.time())
        self.cache = Cache(store, namespace="n", ttl=TTL, timer=self.clock, policy=policy)
        self.loads = 0

    def age(self) -> float:
        """How old the answer is in truth, in seconds."""

        def load() -> float:
            self.loads += 1
            return self.truth()

        return self.truth() - self.cache.get_or_load("key", load)
