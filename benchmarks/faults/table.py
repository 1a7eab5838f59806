"""The table of faults at full size: what must hold on a bad night, and how long calls took.

    python benchmarks/faults/table.py                    # all rows: some five minutes
    python benchmarks/faults/table.py --calls 10_000     # smaller
    python benchmarks/faults/table.py --only kill,chaos

The budget of a call is 100 ms, the breaker opens at five failures and probes once a second. Callers
are eight threads that pause for a millisecond between calls, and 200 tasks of one loop that call as
often in all. They are those of `tests/faults`, which asserts counts; here are the times. "Added" is
what a call took beyond the median of the calls before the fault.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from faults.callers import Tasks, Threads  # noqa: E402
from faults.phases import Phase, descriptors  # noqa: E402
from servers.proxy import Proxy  # noqa: E402
from servers.valkey import Valkey  # noqa: E402

from memo import Breaker, Policy  # noqa: E402
from memo.backends import Redis  # noqa: E402
from memo.testing import FaultyBackend  # noqa: E402

BUDGET = 0.1
POLICY = Policy(timeout=BUDGET, breaker=Breaker(failures=5, probe_every=1.0))
STRICT = dataclasses.replace(Policy.strict(), timeout=BUDGET, breaker=POLICY.breaker)

Crowd = Threads | Tasks
Row = dict[str, Any]


def told(name: str, crowd: Crowd, phase: Phase, typical: float, more: Row | None = None) -> Row:
    """A row of the table."""
    added = sorted(call.took - typical for call in phase.calls)
    late = BUDGET + 0.01
    return {
        "fault": name,
        "callers": f"{crowd.count} {type(crowd).__name__.lower()}",
        "calls": len(phase.calls),
        "errors": len(phase.errors),
        "wrong": len(phase.wrong),
        "added, median": f"{statistics.median(added) * 1e6:.0f} µs",
        "added, most": f"{added[-1] * 1e3:.0f} ms",
        "over budget + 10 ms": sum(one > late for one in added),
        "held up": len(phase.tried),
        "probes": phase.probes,
        **(more or {}),
    }


def outage(
    name: str,
    crowd: Crowd,
    begin: Callable[[], Any],
    end: Callable[[], Any],
    *,
    calls: int,
    seconds: float = 0.0,
) -> Row:
    """So many calls, and so many seconds, between `begin` and `end`; and how hits come back."""
    with crowd:
        crowd.warm_up()
        crowd.more(50)
        typical = statistics.median(call.took for call in crowd.calls)
        before = crowd.ratio()
        with crowd.during(begin) as phase:
            begun, goal = time.monotonic(), len(crowd.calls) + calls
            while len(crowd.calls) < goal or time.monotonic() - begun < seconds:
                crowd.expect_well()
                time.sleep(0.05)
        end()
        healed = time.monotonic()
        while crowd.ratio() < 0.95 * before:
            crowd.expect_well()
            time.sleep(0.01)
        back = time.monotonic() - healed
    phase.sound()
    return told(name, crowd, phase, typical, {"hits are back after": f"{back:.1f} s"})


def server(
    name: str, calls: int, policy: Policy, hurt: tuple[str, str], seconds: float
) -> list[Row]:
    """A server that is killed, or stands still."""
    rows = []
    for callers in (Threads, Tasks):
        with Valkey() as valkey:
            crowd = callers(valkey.url, policy=policy)
            begin, end = (getattr(valkey, one) for one in hurt)
            rows.append(outage(name, crowd, begin, end, calls=calls, seconds=seconds))
    return rows


def restart(calls: int) -> list[Row]:
    """A server that is killed and started again at once, on the same port."""
    rows = []
    for callers in (Threads, Tasks):
        with Valkey() as valkey:
            crowd = callers(valkey.url, policy=POLICY)
            rows.append(outage("restart", crowd, valkey.restart, lambda: None, calls=calls))
    return rows


def network(calls: int) -> list[Row]:
    """Drip, half-open and reset, with file descriptors before and after."""
    rows = []
    faults: dict[str, Callable[[Proxy], Any]] = {
        "drip": lambda proxy: proxy.drip(0.05),
        "half-open": lambda proxy: proxy.swallow(),
        "reset": lambda proxy: proxy.reset(),
    }
    for name, fault in faults.items():
        for callers in (Threads, Tasks):
            with Valkey() as valkey, Proxy((valkey.host, valkey.port)) as proxy:
                crowd = callers(f"redis://{proxy.host}:{proxy.port}/0", policy=POLICY)
                before = descriptors()
                row = outage(
                    name, crowd, lambda p=proxy, f=fault: f(p), proxy.normal, calls=calls // 10
                )
                row["descriptors"] = f"{before} to {descriptors()}"
                rows.append(row)
    return rows


def chaos(calls: int) -> list[Row]:
    """30 % of operations raise, some take up to 200 ms; counters add up to the calls."""
    rows = []
    for callers in (Threads, Tasks):
        with Valkey() as valkey:
            inner = Redis(valkey.url)
            backend = FaultyBackend(inner, raises=0.3, delays=0.02, delay=0.2, seed=1)
            crowd = callers(backend, policy=dataclasses.replace(POLICY, breaker=None))
            with crowd:
                with crowd.during() as phase:
                    while len(crowd.calls) < calls // 2:
                        crowd.expect_well()
                        time.sleep(0.05)
                backend.heal()
                crowd.recover()
            phase.sound()
            info = crowd.function.cache_info()
            assert info.hits + info.misses == len(crowd.calls), info
            assert info.failures == len(crowd.heard) == sum(info.failures_by.values()), info
            rows.append(told("chaos", crowd, phase, 0.0, {"counters": "add up"}))
            inner.close()
    return rows


ROWS: dict[str, Callable[[int], list[Row]]] = {
    "kill": lambda calls: server("kill", calls, POLICY, ("kill", "restart"), 0),
    "stop": lambda calls: server("stop, 10 s", calls, POLICY, ("stop", "resume"), 10),
    "restart": restart,
    "network": network,
    "chaos": chaos,
    "strict": lambda calls: [
        *server("kill, strict", calls // 10, STRICT, ("kill", "restart"), 0),
        *server("stop, strict", calls // 10, STRICT, ("stop", "resume"), 3),
    ],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000, help="calls of a long row")
    parser.add_argument("--only", default=",".join(ROWS), help="which rows; all if not given")
    options = parser.parse_args()
    head = None
    with tempfile.TemporaryDirectory(prefix="memo-faults-"):
        for name in options.only.split(","):
            for row in ROWS[name](options.calls):
                if list(row) != head:
                    head = list(row)
                    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
                print(f"| {' | '.join(str(value) for value in row.values())} |", flush=True)


if __name__ == "__main__":
    main()
