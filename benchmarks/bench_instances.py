"""Instances with a cached method that come and go: what each costs, and whether any is left."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from peers import MEMO, METHODS, Peer, class_of, names

COUNT = 10_000


@pytest.mark.parametrize(**names(METHODS))
def test_short_lived(measure: Any, benchmark: Any, quick: bool, peer: Peer) -> None:
    """Each instance answers one call from the function and one from its cache, and is dropped."""
    kind = class_of(peer)
    count = 500 if quick else COUNT
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def come_and_go() -> None:
        for n in range(count):
            instance = kind()
            instance.method(n)
            instance.method(n)
            if n % 100 == 0:
                alive.add(instance)

    measure("short-lived instances, by instance", peer, come_and_go, calls=count, rounds=3)
    gc.collect()
    benchmark.extra_info["alive"] = f"{len(alive)} of {len(range(0, count, 100))} looked at"
    assert peer is not MEMO or not alive
