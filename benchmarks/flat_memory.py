"""Whether memory stays flat under ten million distinct keys and `maxsize=10_000`.

    python benchmarks/flat_memory.py --count 10_000_000
    python benchmarks/flat_memory.py --count 500_000 --tracemalloc

Prints, at intervals, what is held, what of the process is resident, and how many blocks of memory
Python has allocated. With `--tracemalloc` also how many bytes these are, which makes each call some
ten times slower. `--json` writes the same to a file, for `run.py` and its plot. Exits with 1 if
memory went on growing after the cache was full.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from memo import cached

#: Growth between the first and the last tenth of the run that is put down to the allocator.
TOLERATED = 1.10


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measured(count: int, maxsize: int, intervals: int, *, traced: bool) -> list[dict[str, Any]]:
    """Call with `count` distinct keys; what memory looked like at each interval."""

    @cached(ttl=3600, maxsize=maxsize)
    def f(key: int) -> int:
        return key

    if traced:
        tracemalloc.start()
    rows: list[dict[str, Any]] = []
    started = time.perf_counter()
    step = max(1, count // intervals)
    print(f"{'keys':>12} {'held':>8} {'resident MiB':>13} {'blocks':>9} {'traced MiB':>11}")
    for begin in range(0, count, step):
        for key in range(begin, min(begin + step, count)):
            f(key)
        gc.collect()
        row = {
            "keys": min(begin + step, count),
            "held": f.cache_info().currsize,
            "resident": resident(),
            "blocks": sys.getallocatedblocks(),
            "traced": tracemalloc.get_traced_memory()[0] if traced else None,
            "seconds": time.perf_counter() - started,
        }
        rows.append(row)
        bytes_traced = f"{row['traced'] / 2**20:11.2f}" if traced else f"{'-':>11}"
        print(
            f"{row['keys']:12,} {row['held']:8,} {row['resident'] / 2**20:13.2f} "
            f"{row['blocks']:9,} {bytes_traced}",
            flush=True,
        )
    info = f.cache_info()
    assert info.currsize == min(maxsize, count), info
    assert info.misses == count, info
    return rows


def grew(rows: list[dict[str, Any]], what: str) -> float:
    """The last value by the one after a tenth of the run, or when the cache was full."""
    full = [row for row in rows if row["held"] == rows[-1]["held"]]
    values = [row[what] for row in full[1:] or full if row[what] is not None]
    return values[-1] / values[min(len(values) - 1, len(rows) // 10)] if values else 1.0


def main() -> int:
    """Measure, print, and say whether it stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="distinct keys")
    parser.add_argument("--maxsize", type=int, default=10_000)
    parser.add_argument("--intervals", type=int, default=20)
    parser.add_argument("--tracemalloc", action="store_true", help="count bytes, too; slow")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows = measured(options.count, options.maxsize, options.intervals, traced=options.tracemalloc)
    if options.json:
        options.json.write_text(json.dumps(rows))
    growth = {what: grew(rows, what) for what in ("resident", "blocks", "traced")}
    print(", ".join(f"{what}: {by:.3f} of what it was" for what, by in growth.items()))
    return int(max(growth.values()) > TOLERATED)


if __name__ == "__main__":
    sys.exit(main())
