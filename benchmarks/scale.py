"""What changes with ten million entries, a hundred functions on one store, and 64 threads.

    python benchmarks/scale.py                          # all: some minutes, 5 GB of memory
    python benchmarks/scale.py --entries 1_000_000      # with fewer entries
    python benchmarks/scale.py --only expiry,collector  # some of it
    python benchmarks/scale.py --json scale.json        # and write the figures to a file

Each part runs in a process of its own. Times are of this machine; what carries from one to another
is their ratio to what stands beside them: a plain dict, or a peer.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cachetools

from memo import cached
from memo.backends import Memory

Row = dict[str, Any]

HITS = 200_000
HOUR = 3600.0


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def per_call(call: Callable[[Any], Any], arguments: Iterable[Any], number: int) -> float:
    """Nanoseconds for one of `number` calls."""
    begun = time.perf_counter()
    for argument in arguments:
        call(argument)
    return (time.perf_counter() - begun) / number * 1e9


def best(call: Callable[[Any], Any], arguments: list[Any]) -> float:
    """The least of five: nanoseconds for one call."""
    return min(per_call(call, arguments, len(arguments)) for _ in range(5))


def itself(key: int) -> int:
    """The function that is cached."""
    return key


def entries(count: int) -> list[Row]:
    """Fill one function's memory with `count` entries, and then more, and read some."""
    rows = []
    held: dict[Any, Any] = {}
    for size in sorted({count // 1000, count // 10, count}):
        f = cached(ttl=HOUR, maxsize=size)(itself)
        gc.collect()
        before = resident()
        fill = per_call(f, range(size), size)
        taken = resident() - before
        chosen = [random.randrange(size) for _ in range(HITS)]
        hit = best(f, chosen)
        evicting = per_call(f, range(size, size + HITS), HITS)
        assert f.cache_info().currsize == size
        f.cache_clear()
        held = {(key,): (key, HOUR) for key in range(size)}
        plain = best(lambda key, held=held: held.get((key,)), chosen)
        held.clear()
        rows.append(
            {
                "entries": size,
                "ns to fill one": fill,
                "ns for a hit": hit,
                "ns for a look into a dict": plain,
                "ns for a miss that evicts": evicting,
                "bytes resident for one": taken / size,
            }
        )
    return rows


def functions(count: int) -> list[Row]:
    """A hundred functions on one store, against as many with memories of their own."""
    each = max(10, min(count, 1_000_000) // 100)
    rows = []
    for where in ("a memory of its own", "one store for all"):
        store = Memory(100 * each)
        options = {} if where.startswith("a memory") else {"backend": store}
        if not options:
            options = {"maxsize": each}
        made = [cached(ttl=HOUR, **options)(lambda key: key) for _ in range(100)]
        begun = time.perf_counter()
        for f in made:
            for key in range(each):
                f(key)
        fill = (time.perf_counter() - begun) / each / 100 * 1e9
        chosen = [random.randrange(each) for _ in range(2_000)]
        hit = sum(best(f, chosen) for f in made) / 100
        begun = time.perf_counter()
        made[0].cache_clear()
        clear = time.perf_counter() - begun
        assert made[1].cache_info().hits
        rows.append(
            {
                "100 functions, each with": where,
                "entries": 100 * each,
                "ns to fill one": fill,
                "ns for a hit": hit,
                "ms to clear one function": clear * 1e3,
            }
        )
    return rows


def threads(count: int) -> list[Row]:
    """Hits and misses of 1, 8 and 64 threads at once."""
    rows = []
    calls = 200_000
    for number in (1, 8, 64):
        row: Row = {"threads": number}
        for work, room, keys in (("hit", 10_000, 10_000), ("miss", 10_000, 1 << 40)):
            f = cached(ttl=HOUR, maxsize=room)(itself)
            for key in range(room):
                f(key)
            f.cache_info()
            share = calls // number
            barrier = threading.Barrier(number + 1)

            pool = [
                threading.Thread(
                    target=_calls,
                    args=(f, random.Random(seed).choices(range(keys), k=share), barrier),
                )
                for seed in range(number)
            ]
            for thread in pool:
                thread.start()
            barrier.wait()
            begun = time.perf_counter()
            barrier.wait()
            took = time.perf_counter() - begun
            for thread in pool:
                thread.join()
            info = f.cache_info()
            assert info.hits + info.misses == room + share * number
            assert info.currsize <= room
            row[f"ns for a {work}"] = took / (share * number) * 1e9
        rows.append(row)
    return rows


def _calls(f: Any, chosen: list[int], barrier: threading.Barrier) -> None:
    """What one of the threads does."""
    barrier.wait()
    for key in chosen:
        f(key)
    barrier.wait()


class _Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def expiry(count: int) -> list[Row]:
    """All entries of a full store expire at one moment: how long the calls after that take.

    The longest call is given in time of the processor: what others do to the machine is not ours.
    """
    size = min(count, 1_000_000)
    rows = []
    for name in ("memo", "memo, no bound", "cachetools TTLCache"):
        clock = _Clock()
        call: Any
        if name.startswith("memo"):
            room = None if "no bound" in name else size
            call = cached(ttl=60, maxsize=room, timer=clock)(itself)
        else:
            call = cachetools.cached(cachetools.TTLCache(size, 60, timer=clock))(itself)
        for key in range(size):
            call(key)
        gc.collect()
        gc.disable()  # its pauses are another part's
        clock.now = 61.0
        longest, calls = 0.0, 100_000
        begun = time.perf_counter()
        for key in range(size, size + calls):
            before = time.thread_time()
            call(key)
            longest = max(longest, time.thread_time() - before)
        took = time.perf_counter() - begun
        gc.enable()
        rows.append(
            {
                "store": name,
                "expired at once": size,
                "longest call after that, ms": longest * 1e3,
                "ns for a call": took / calls * 1e9,
            }
        )
    return rows


def collector(count: int) -> list[Row]:
    """How long a full run of the garbage collector takes with so many entries in a store."""
    size = min(count, 1_000_000)
    rows = []
    makers: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "a dict of tuples (value, expiry, [])": lambda: {(k,): (k, HOUR, []) for k in range(size)},
        "a dict of tuples (value, expiry)": lambda: {(k,): (k, HOUR) for k in range(size)},
        "memo": lambda: _filled(cached(ttl=HOUR, maxsize=size)(itself), size),
        "cachetools TTLCache": lambda: _filled(
            cachetools.cached(cachetools.TTLCache(size, HOUR))(itself), size
        ),
    }
    for name, make in makers.items():
        held = make()
        gc.collect()
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            gc.collect()
            times.append(time.perf_counter() - begun)
        rows.append({"held": name, "entries": size, "ms for a full collection": min(times) * 1e3})
        del held
    return rows


def _filled(f: Any, size: int) -> Any:
    for key in range(size):
        f(key)
    return f


PARTS: dict[str, Callable[[int], list[Row]]] = {
    "entries": entries,
    "functions": functions,
    "threads": threads,
    "expiry": expiry,
    "collector": collector,
}

TITLES = {
    "entries": "One function, and how many entries it has",
    "functions": "A hundred functions, on one store or on their own",
    "threads": "Threads that call one function",
    "expiry": "All entries expire at one moment",
    "collector": "A full run of the garbage collector, by what is held",
}


def shown(value: Any) -> str:
    """A figure as one reads it."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", "|" + "---:|" * len(head)]
    lines += [f"| {' | '.join(shown(row[name]) for name in head)} |" for row in rows]
    return "\n".join(lines)


def apart(part: str, count: int) -> list[Row]:
    """What `part` gives, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="memo-scale-") as scratch:
        report = Path(scratch) / "rows.json"
        command = [sys.executable, __file__, "--part", part, f"--entries={count}"]
        subprocess.run([*command, f"--json={report}"], check=True)
        return json.loads(report.read_text())  # type: ignore[no-any-return]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--entries", type=int, default=10_000_000, help="in the largest store")
    parser.add_argument("--only", default=",".join(PARTS), help="which parts; all if not given")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    if options.part:
        options.json.write_text(json.dumps(PARTS[options.part](options.entries)))
        return
    found = {}
    for part in options.only.split(","):
        found[part] = apart(part, options.entries)
        print(f"### {TITLES[part]}\n\n{table(found[part])}\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
