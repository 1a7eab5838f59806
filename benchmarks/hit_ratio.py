"""Hit ratios of eviction policies on recorded traces, in percent.

    python benchmarks/hit_ratio.py --traces DIR [--trace web07 --sizes 256 1024] [--markdown]

Compared are LRU, SIEVE and S3-FIFO (small references, below), cachetools' LFU, theine (W-TinyLFU,
if it is installed), memo's default, and the optimum, which knows the future (Belady, 1966). The
folder of traces has files named `*.trace.xz` (big-endian int32 each) and `*.trace.gz` (one integer
a line). Each policy begins empty and sees each trace once, from its beginning to its end.
"""

import argparse
import gzip
import heapq
import json
import lzma
import os
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from memo.eviction import DEFAULT, ordering

SIZES = {
    "web07": (64, 256, 1024, 4096),
    "orm-night-1m": (128, 512, 2048, 4096, 8192),
    "multi1": (300, 600, 1000, 1500),
    "multi2": (500, 1000, 2000),
    "multi3": (500, 1000, 2000, 4000),
    "sprite": (100, 300, 600, 1000, 2000),
    "gli": (250, 500, 1000, 1500),
    "loop": (256, 512, 768, 1000),
    "2_pools": (100, 200, 450, 900),
}
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Sizes for a trace that is not listed above, as shares of its distinct keys."""


def suffixed(name: str) -> str | None:
    """The name of a trace, from that of its file."""
    for suffix in (".trace.xz", ".trace.gz"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return None


@cache
def read(path: Path) -> array:
    """The keys of a trace, in order."""
    if path.name.endswith(".xz"):
        keys = array("i", lzma.decompress(path.read_bytes()))
        if sys.byteorder == "little":
            keys.byteswap()
        return keys
    with gzip.open(path, "rt") as lines:
        return array("q", (int(line) for line in map(str.strip, lines) if line not in {"", "*"}))


def memo(name: str, keys: Sequence[int], size: int) -> int:
    """Hits of one of memo's orderings, read as its store in memory reads it: by marks."""
    store = ordering(name, size)
    find, insert, node_type = store.table.get, store.insert, store.node_type
    hits = 0
    for key in keys:
        node = find(key)
        if node is None:
            insert(node_type(key, None))
        else:
            node.used = True
            hits += 1
    return hits


def memo_default(keys: Sequence[int], size: int) -> int:
    """Hits of memo's default."""
    return memo(DEFAULT, keys, size)


def lru(keys: Sequence[int], size: int) -> int:
    """Hits of an exact LRU."""
    order: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in keys:
        if key in order:
            order.move_to_end(key)
            hits += 1
        else:
            if len(order) >= size:
                order.popitem(last=False)
            order[key] = None
    return hits


def sieve(keys: Sequence[int], size: int) -> int:
    """Hits of SIEVE (Zhang et al., NSDI 2024)."""
    visited: dict[int, bool] = {}
    older: dict[int, int | None] = {}
    newer: dict[int, int | None] = {}
    head = tail = hand = None
    hits = 0
    for key in keys:
        if key in visited:
            visited[key] = True
            hits += 1
            continue
        if len(visited) >= size:
            victim = hand if hand is not None else tail
            while visited[victim]:
                visited[victim] = False
                victim = newer[victim] if newer[victim] is not None else tail
            hand = newer[victim]
            before, after = older.pop(victim), newer.pop(victim)
            if before is None:
                tail = after
            else:
                newer[before] = after
            if after is None:
                head = before
            else:
                older[after] = before
            del visited[victim]
        visited[key] = False
        older[key], newer[key] = head, None
        if head is None:
            tail = key
        else:
            newer[head] = key
        head = key
    return hits


def s3fifo(keys: Sequence[int], size: int) -> int:
    """Hits of S3-FIFO (Yang et al., SOSP 2023): a tenth for newcomers, promoted after two uses."""
    small: deque[int] = deque()
    main: deque[int] = deque()
    ghosts: OrderedDict[int, None] = OrderedDict()
    uses: dict[int, int] = {}
    main_room = size - max(1, size // 10)
    hits = 0

    def evict() -> None:
        while small and len(main) <= main_room:
            key = small.popleft()
            if uses[key] > 1:
                uses[key] = 0
                main.append(key)
            else:
                del uses[key]
                ghosts[key] = None
                if len(ghosts) > size:
                    ghosts.popitem(last=False)
                return
        while uses[main[0]]:
            uses[main[0]] -= 1
            main.rotate(-1)
        del uses[main.popleft()]

    for key in keys:
        if key in uses:
            uses[key] = min(uses[key] + 1, 3)
            hits += 1
            continue
        if len(uses) >= size:
            evict()
        uses[key] = 0
        if key in ghosts:
            del ghosts[key]
            main.append(key)
        else:
            small.append(key)
    return hits


def lfu(keys: Sequence[int], size: int) -> int:
    """Hits of cachetools' LFU."""
    from cachetools import LFUCache

    store = LFUCache(size)
    hits = 0
    for key in keys:
        if key in store:
            store[key]
            hits += 1
        else:
            store[key] = None
    return hits


def theine(keys: Sequence[int], size: int) -> int:
    """Hits of theine: W-TinyLFU with an adaptive window (Einziger et al., ACM TOS 2017)."""
    from theine import Cache

    store = Cache(size)
    hits = 0
    for key in keys:
        if store.get(key)[1]:
            hits += 1
        else:
            store.set(key, None)
    store.close()
    return hits


def optimum(keys: Sequence[int], size: int) -> int:
    """Hits of who evicts what is used again last (Belady, IBM Systems Journal 1966)."""
    never = len(keys)
    following = [never] * never
    seen: dict[int, int] = {}
    for moment in range(never - 1, -1, -1):
        following[moment] = seen.get(keys[moment], never)
        seen[keys[moment]] = moment
    held: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    hits = 0
    for moment, key in enumerate(keys):
        if key in held:
            hits += 1
        elif len(held) >= size:
            while True:
                negated, victim = heapq.heappop(latest)
                if held.get(victim) == -negated:
                    del held[victim]
                    break
        held[key] = following[moment]
        heapq.heappush(latest, (-following[moment], key))
    return hits


POLICIES: dict[str, Callable[[Sequence[int], int], int]] = {
    "LRU": lru,
    "SIEVE": sieve,
    "S3-FIFO": s3fifo,
    "LFU": lfu,
    "theine": theine,
    "memo": memo_default,
    "optimum": optimum,
}


def measure(job: tuple[Path, int, str]) -> float:
    """The hit ratio of one policy on one trace at one size, in percent."""
    path, size, policy = job
    keys = read(path)
    return 100 * POLICIES[policy](keys, size) / len(keys)


def find_traces(folder: Path | None) -> dict[str, Path]:
    """The traces in a folder by name; says what is wrong when there are none."""
    if folder is None:
        sys.exit("hit_ratio: where are the traces? Say --traces DIR, or set MEMO_TRACES")
    if not folder.is_dir():
        sys.exit(f"hit_ratio: there is no folder {folder}")
    found = {name: path for path in sorted(folder.iterdir()) if (name := suffixed(path.name))}
    if not found:
        sys.exit(f"hit_ratio: no *.trace.xz or *.trace.gz in {folder}")
    return found


def sizes_for(name: str, path: Path) -> Sequence[int]:
    """The sizes at which a trace is worth looking at."""
    if name in SIZES:
        return SIZES[name]
    distinct = len(set(read(path)))
    return sorted({max(1, round(share * distinct)) for share in SHARES})


def main() -> None:
    """Measure, print while measuring, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = os.environ.get("MEMO_TRACES")
    parser.add_argument("--traces", type=Path, default=Path(default) if default else None)
    parser.add_argument("--trace", action="append", help="only this one; may be repeated")
    parser.add_argument("--sizes", type=int, nargs="+", help="in entries")
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), default=list(POLICIES))
    parser.add_argument("--markdown", action="store_true", help="a table for a document")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()

    traces = find_traces(options.traces)
    for name in options.trace or ():
        if name not in traces:
            sys.exit(f"hit_ratio: no trace {name!r}; there are {', '.join(traces)}")
    policies = list(options.policies)
    if "theine" in policies and find_spec("theine") is None:
        policies.remove("theine")
        print("theine is not installed: its column is missing\n", file=sys.stderr)

    rows = [
        (name, size)
        for name in options.trace or traces
        for size in options.sizes or sizes_for(name, traces[name])
    ]
    width = max(len(f"{name}, {size}") for name, size in rows)
    if options.markdown:
        print(f"| trace, size | {' | '.join(policies)} |")
        print(f"|---|{'---|' * len(policies)}")
    else:
        print(" " * width, *(f"{policy:>8}" for policy in policies))
    figures = []
    with ProcessPoolExecutor(options.jobs) as pool:
        jobs = [(traces[name], size, policy) for name, size in rows for policy in policies]
        ratios = pool.map(measure, jobs)
        for name, size in rows:
            row = [next(ratios) for _ in policies]
            figures.append({"trace": name, "size": size, **dict(zip(policies, row, strict=True))})
            label = f"{name}, {size}"
            if options.markdown:
                print(f"| {label} | {' | '.join(f'{ratio:.2f}' for ratio in row)} |", flush=True)
            else:
                print(label.ljust(width), *(f"{ratio:8.2f}" for ratio in row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
