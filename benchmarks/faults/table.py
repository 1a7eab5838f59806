"""The table of faults at full size: what must hold on a bad night, and how long calls took.

    python benchmarks/faults/table.py                    # all rows: some ten minutes
    python benchmarks/faults/table.py --calls 10_000     # smaller
    python benchmarks/faults/table.py --only kill,chaos --policies strict

The budget of a call is 100 ms, the breaker opens at five failures and probes once a second. Callers
are eight threads that pause for a millisecond between calls, and 200 tasks of one loop that call as
often in all. They are those of `tests/faults`, which asserts counts; here are the times.

"Added" is what a call took beyond the median of the calls before the fault. "Held up" is how many
operations got to the backend and failed: by themselves, by their deadline, or since the breaker
opened meanwhile. "Machine" is the longest time by which another process, which does nothing but
sleep for a millisecond again and again, was late: what the machine may have added. "Files" are the
descriptors that are open in this process, the network's ends included, while calls go well. The
rows that have counts instead of times are in `counts.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import counts  # noqa: E402
from faults.callers import Tasks, Threads  # noqa: E402
from faults.phases import Phase, descriptors  # noqa: E402
from servers.proxy import Proxy  # noqa: E402
from servers.valkey import Valkey  # noqa: E402

from memo import Breaker, Policy  # noqa: E402
from memo.backends import Redis  # noqa: E402
from memo.testing import FaultyBackend  # noqa: E402

BUDGET = 0.1
POLICY = Policy(timeout=BUDGET, breaker=Breaker(failures=5, probe_every=1.0))
POLICIES = {
    "absorb": POLICY,
    "strict": dataclasses.replace(Policy.strict(), timeout=BUDGET, breaker=POLICY.breaker),
}

Crowd = Threads | Tasks
Row = dict[str, Any]

#: Says when it was late, and by how much.
SLEEPER = """
import time
while True:
    began = time.perf_counter()
    time.sleep(0.001)
    late = time.perf_counter() - began - 0.001
    if late > 0.002:
        print(began, late, flush=True)
"""


class Machine:
    """How late a process was that did nothing but sleep, while a row was measured."""

    def __init__(self, out: Any) -> None:
        self._out = out

    def during(self, phase: Phase) -> Row:
        """The most that it was late in that phase."""
        calls = phase.calls
        begin, end = calls[0].at, calls[-1].at + calls[-1].took
        self._out.seek(0)
        told = [[float(word) for word in line.split()] for line in self._out.read().splitlines()]
        late = max((late for at, late in told if at + late > begin and at < end), default=0.0)
        return {"machine": f"{late * 1e3:.0f} ms"}


@contextlib.contextmanager
def watched() -> Iterator[Machine]:
    """Have such a process run."""
    with tempfile.TemporaryFile("w+") as out:
        sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=out)
        try:
            yield Machine(out)
        finally:
            sleeper.kill()
            sleeper.wait()


def told(name: str, crowd: Crowd, phase: Phase, typical: float, more: Row) -> Row:
    """A row of the table."""
    calls = phase.calls
    added = sorted(call.took - typical for call in calls)
    late = BUDGET + 0.01
    return {
        "fault": name + (", strict" if crowd.strict else ""),
        "callers": f"{crowd.count} {type(crowd).__name__.lower()}",
        "calls": f"{len(calls):,}",
        "errors": f"{len(phase.errors):,}",
        "wrong": len(phase.wrong),
        "added, median": f"{statistics.median(added) * 1e6:.0f} µs",
        "added, most": f"{added[-1] * 1e3:.0f} ms",
        "over budget + 10 ms": sum(one > late for one in added),
        "held up": f"{len(phase.tried):,}",
        "probes": phase.probes,
        **more,
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
    with watched() as machine:
        with crowd:
            crowd.warm_up()
            crowd.more(50)
            typical = statistics.median(call.took for call in crowd.calls)
            before, files = crowd.ratio(), descriptors()
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
            more = {"hits are back after": f"{time.monotonic() - healed:.1f} s"}
            crowd.more(50)
            more["files"] = f"{files} to {descriptors()}"
        phase.sound()
        return told(name, crowd, phase, typical, machine.during(phase) | more)


def server(
    name: str, calls: int, policy: Policy, hurt: tuple[str, str], seconds: float
) -> Iterator[Row]:
    """A server that is killed, or stands still."""
    for callers in (Threads, Tasks):
        with Valkey() as valkey:
            crowd = callers(valkey.url, policy=policy)
            begin, end = (getattr(valkey, one) for one in hurt)
            yield outage(name, crowd, begin, end, calls=calls, seconds=seconds)


def restart(calls: int, policy: Policy) -> Iterator[Row]:
    """A server that is killed and started again at once, on the same port."""
    for callers in (Threads, Tasks):
        with Valkey() as valkey:
            crowd = callers(valkey.url, policy=policy)
            yield outage("restart", crowd, valkey.restart, lambda: None, calls=calls)


def network(calls: int, policy: Policy) -> Iterator[Row]:
    """Drip, half-open and reset."""
    faults: dict[str, Callable[[Proxy], Any]] = {
        "drip": lambda proxy: proxy.drip(0.05),
        "half-open": lambda proxy: proxy.swallow(),
        "reset": lambda proxy: proxy.reset(),
    }
    for name, fault in faults.items():
        for callers in (Threads, Tasks):
            with Valkey() as valkey, Proxy((valkey.host, valkey.port)) as proxy:
                crowd = callers(f"redis://{proxy.host}:{proxy.port}/0", policy=policy)
                begin = functools.partial(fault, proxy)
                yield outage(name, crowd, begin, proxy.normal, calls=calls // 10)


def chaos(calls: int, policy: Policy) -> Iterator[Row]:
    """30 % of operations raise, some take up to 200 ms; counters add up to the calls."""
    for callers in (Threads, Tasks):
        with Valkey() as valkey, watched() as machine:
            inner = Redis(valkey.url)
            backend = FaultyBackend(inner, raises=0.3, delays=0.02, delay=0.2, seed=1)
            crowd = callers(backend, policy=dataclasses.replace(policy, breaker=None))
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
            more = machine.during(phase) | {"counters": "add up"}
            yield told("chaos", crowd, phase, 0.0, more)
            inner.close()


ROWS: dict[str, Callable[[int, Policy], Iterator[Row]]] = {
    "kill": lambda calls, policy: server("kill", calls, policy, ("kill", "restart"), 0),
    "stop": lambda calls, policy: server("stop, 10 s", calls, policy, ("stop", "resume"), 10),
    "restart": restart,
    "network": network,
    "chaos": chaos,
    **counts.ROWS,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000, help="calls of a long row")
    parser.add_argument("--only", default=",".join(ROWS), help="which rows; all if not given")
    parser.add_argument("--policies", default=",".join(POLICIES), help="absorb, strict, or both")
    options = parser.parse_args()
    logging.getLogger("memo").setLevel(logging.CRITICAL)  # the log of an outage is long
    gc.freeze()  # what was imported here, plotting and test tools included, is not what is measured
    head = None
    for policy in options.policies.split(","):
        for name in options.only.split(","):
            for row in ROWS[name](options.calls, POLICIES[policy]):
                if list(row) != head:
                    head = list(row)
                    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
                print(f"| {' | '.join(str(value) for value in row.values())} |", flush=True)


if __name__ == "__main__":
    main()
