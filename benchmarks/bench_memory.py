"""Bytes that an entry takes beyond the caller's own key and value.

Keys (text) and values exist before the count begins. Each cache is filled in a process of its own,
twice: once under `tracemalloc`, which counts what Python allocates exactly, and once without, for
the growth of the resident set, which also has what compiled caches allocate for themselves. Dicts
grow by doubling, so that an entry takes most right after they did and least right before: given is
the mean over one doubling.

Run as a program, this is the process that does the filling: `bench_memory.py PEER COUNTS WAY`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from work import one, one_async

#: At how many entries it is looked: evenly over what doubles a dict, on a scale of ratios.
COUNTS = [round(2**15 * 4 / 3 * 2 ** (-part / 8)) for part in (7, 5, 3, 1)]
QUICK = [1_000, 2_000]


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def fill(name: str, counts: list[int], way: str) -> float:
    """Bytes per entry of the peer of that name, the mean over several numbers of entries."""
    from peers import ASYNC, SYNC, by_name

    is_async = name.startswith("async ")
    peer = by_name(name.removeprefix("async "), ASYNC if is_async else SYNC)
    f = peer(one_async if is_async else one, max(counts))
    keys = [f"key:{n}" for n in range(max(counts))]
    gc.collect()

    if way == "tracemalloc":
        tracemalloc.start()
    size = (lambda: tracemalloc.get_traced_memory()[0]) if way == "tracemalloc" else resident
    before = size()
    found = []

    def look(number: int) -> None:
        if number in counts:
            gc.collect()
            found.append((size() - before) / number)

    async def fill_async() -> None:
        for number, key in enumerate(keys, 1):
            await f(key)
            look(number)

    if is_async:
        asyncio.run(fill_async())
    else:
        for number, key in enumerate(keys, 1):
            f(key)
            look(number)
    return statistics.fmean(found)


def measured(name: str, counts: list[int], way: str) -> float:
    """The same, from a process of its own."""
    probe = [sys.executable, __file__, name, json.dumps(counts), way]
    done = subprocess.run(probe, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def both(name: str, counts: list[int]) -> tuple[float, float]:
    """What Python has allocated, and what the resident set has grown by."""
    with ThreadPoolExecutor() as pool:
        exact, grown = pool.map(partial(measured, name, counts), ("tracemalloc", "resident"))
    return exact, grown


if __name__ == "__main__":
    print(json.dumps(fill(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])))
else:
    import pytest
    from peers import ASYNC, NO_CACHE, SYNC, Peer, names

    @pytest.mark.parametrize(**names([peer for peer in SYNC if peer is not NO_CACHE]))
    def test_bytes(note: Any, quick: bool, peer: Peer) -> None:
        """An entry of a plain function."""
        counts = QUICK if quick else COUNTS
        exact, grown = both(peer.name, counts)
        note("memory per entry", peer, exact, "bytes", resident=grown)

    @pytest.mark.parametrize(**names([peer for peer in ASYNC if peer is not NO_CACHE]))
    def test_bytes_async(note: Any, quick: bool, peer: Peer) -> None:
        """An entry of a coroutine function, while its event loop runs."""
        counts = QUICK if quick else COUNTS
        exact, grown = both(f"async {peer.name}", counts)
        note("memory per entry, async", peer, exact, "bytes", resident=grown)
