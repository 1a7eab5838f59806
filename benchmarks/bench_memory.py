"""Bytes that an entry takes beyond the caller's own key and value.

Keys (text) and values exist before the count begins. Each cache is filled in a process of its own,
twice: once under `tracemalloc`, which counts what Python allocates exactly, and once without, for
the growth of the resident set, which also has what compiled caches allocate for themselves.

Run as a program, this is the process that does the filling: `bench_memory.py PEER COUNT WAY`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from work import one, one_async

#: Fills dicts to three quarters: right after they have grown, and right before, they tell less.
COUNT = 1 << 15
QUICK = 2_000


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def fill(name: str, count: int, way: str) -> float:
    """Bytes per entry of the peer of that name."""
    from peers import ASYNC, SYNC, by_name

    is_async = name.startswith("async ")
    peer = by_name(name.removeprefix("async "), ASYNC if is_async else SYNC)
    f = peer(one_async if is_async else one, count)
    keys = [f"key:{n}" for n in range(count)]
    gc.collect()

    if way == "tracemalloc":
        tracemalloc.start()
    size = (lambda: tracemalloc.get_traced_memory()[0]) if way == "tracemalloc" else resident
    before = after = size()

    async def fill_async() -> None:
        nonlocal after
        for key in keys:
            await f(key)
        gc.collect()
        after = size()

    if is_async:
        asyncio.run(fill_async())
    else:
        for key in keys:
            f(key)
        gc.collect()
        after = size()
    return (after - before) / count


def measured(name: str, count: int, way: str) -> float:
    """The same, from a process of its own."""
    probe = [sys.executable, __file__, name, str(count), way]
    done = subprocess.run(probe, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def both(name: str, count: int) -> tuple[float, float]:
    """What Python has allocated, and what the resident set has grown by."""
    with ThreadPoolExecutor() as pool:
        exact, grown = pool.map(partial(measured, name, count), ("tracemalloc", "resident"))
    return exact, grown


if __name__ == "__main__":
    print(json.dumps(fill(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
else:
    import pytest
    from peers import ASYNC, NO_CACHE, SYNC, Peer, names

    @pytest.mark.parametrize(**names([peer for peer in SYNC if peer is not NO_CACHE]))
    def test_bytes(note: Any, quick: bool, peer: Peer) -> None:
        """An entry of a plain function."""
        count = QUICK if quick else COUNT
        exact, grown = both(peer.name, count)
        note("memory per entry", peer, exact, "bytes", resident=grown)

    @pytest.mark.parametrize(**names([peer for peer in ASYNC if peer is not NO_CACHE]))
    def test_bytes_async(note: Any, quick: bool, peer: Peer) -> None:
        """An entry of a coroutine function, while its event loop runs."""
        count = QUICK if quick else COUNT
        exact, grown = both(f"async {peer.name}", count)
        note("memory per entry, async", peer, exact, "bytes", resident=grown)
