"""A thousand rounds of a thousand waiters: the leader is cancelled, then nine in ten of the rest.

    python benchmarks/soak_cancellation.py [rounds]

Every survivor must be answered, by one execution a round, and nothing must be left behind: no
task, no flight, no waiter, no growing memory. The test suite runs a hundred rounds of the same
(`tests/concurrency/test_cancellation.py`), for a thousand take about a minute.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from concurrency.soak import soak

if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    started = time.perf_counter()
    answered = soak(rounds, 1000)
    took = time.perf_counter() - started
    print(f"{rounds} rounds in {took:.1f} s: {answered} of {rounds * 99} survivors answered")
    sys.exit(answered != rounds * 99)
