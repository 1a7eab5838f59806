"""What a hit costs as the store grows from a thousand entries to a million.

A round is 10,000 hits on keys in random order, others in each round, so that a large store does not
find all it needs in the processor's caches. A plain dict of tuples shows what the memory of the
machine has to do with it: everything else is compared with that.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from peers import CACHEBOX, CACHETOOLS, FUNCTOOLS, MEMO, THEINE, TTL, WRAPT, Peer, names
from work import burst, one

#: A cache is filled in one turn, and read in all of them.
pytestmark = pytest.mark.memo(isolate=False)

CALLS = 10_000
SIZES = [1_000, 10_000, 100_000, 1_000_000]


def _plain_dict(function: Any, maxsize: int) -> Any:
    """A dict of tuples with a lifetime, and nothing else: what the least code can do."""
    held: dict[Any, tuple[Any, float]] = {}

    def f(a: Any) -> Any:
        found = held.get(a)
        if found is None:
            found = held[a] = (function(a), TTL)
        return found[0]

    return f


PLAIN = Peer("a plain dict", None, _plain_dict)
PEERS = [MEMO, PLAIN, FUNCTOOLS, CACHETOOLS, CACHEBOX, THEINE, WRAPT]

Filled = dict[tuple[str, int], tuple[Any, Iterator[str]]]


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    """Caches that were filled for an earlier turn."""
    caches: Filled = {}
    yield caches
    caches.clear()
    gc.unfreeze()
    gc.collect()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size:,}")
@pytest.mark.parametrize(**names(PEERS))
def test_hit_among(measure: Any, quick: bool, filled: Filled, peer: Peer, size: int) -> None:
    """A hit in a store of that size."""
    if quick:
        size = min(size, 2_000)
    if (peer.name, size) not in filled:
        f = peer(one, 2 * size)
        keys = [f"key:{n}" for n in range(size)]
        burst(f, keys)
        random.Random(size).shuffle(keys)
        filled[peer.name, size] = f, itertools.cycle(keys)
        gc.freeze()  # no collection is to look at a million entries, whoever's turn it is
    f, endless = filled[peer.name, size]
    measure(
        f"sync hit, one str, {size:,} entries",
        peer,
        lambda: burst(f, itertools.islice(endless, CALLS)),
        calls=CALLS,
        rounds=7,
        tidy=False,
    )
    assert peer is not MEMO or f.cache_info().misses == size
