"""What the benchmarks share: one way to measure, in turns, and what a quick look leaves out.

A shared machine is now faster, now slower, for seconds on end. Therefore the peers of one group
take turns (A B C, B C A, C A B ...), a few rounds each, and a ratio is taken within one turn, where
the machine was the same to all; `run.py` reports the median of the turns, and how far the middle
half of them lies apart. `--turns 10` asks for that.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from peers import closing

#: Seconds for the rounds of one peer in one turn; of those that take long, there are fewer.
SECONDS = 0.15
FEWEST = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--turns`."""
    parser.addoption("--turns", type=int, default=1, help="how often the peers take turns")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every benchmark of a peer for each turn."""
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(metafunc.config.getoption("turns")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put turn after turn, in it group after group, and the peers of a group side by side.

    Each turn begins with another peer: whoever comes after the same one each time has its traces
    in the processor's caches.
    """
    seen: dict[Any, dict[Any, int]] = {}

    def number(what: Any, value: Any) -> int:
        known = seen.setdefault(what, {})
        return known.setdefault(value, len(known))

    def place(item: Any) -> tuple[int, ...]:
        given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        turn, peer = given.pop("turn", 0), given.pop("peer", None)
        test = number("tests", (item.path, item.originalname))
        group = number(test, tuple(given.items()))
        return test, turn, group, number((test, group), peer and peer.name)

    places = {item: place(item) for item in items}

    def rotated(item: Any) -> tuple[int, ...]:
        test, turn, group, peer = places[item]
        return test, turn, group, (peer - turn) % len(seen[test, group])

    items.sort(key=rotated)


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether this is no measurement but a look at whether the benchmarks run."""
    return bool(request.config.getoption("benchmark_disable"))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One event loop for all rounds; what a peer leaves running in it is cancelled."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """What the peer of this benchmark has started ends with it."""
    yield
    while closing:
        closing.pop()()


@pytest.fixture
def measure(benchmark: Any, quick: bool, turn: int) -> Callable[..., Any]:
    """Time rounds of `target` for `peer` in `group`; a round is `calls` calls.

    `setup` is called before each round and may return `(args, kwargs)` for `target`; what else is
    given is noted with the result. The garbage collector runs, since who makes garbage is to pay
    for it, but sees nothing of what was there before: `tidy=False` leaves that out.
    """

    def measured(
        group: str,
        peer: Any,
        target: Callable[..., Any],
        /,
        *,
        calls: int,
        rounds: int = 12,
        setup: Callable[[], Any] | None = None,
        tidy: bool = True,
        **noted: Any,
    ) -> Any:
        benchmark.group = group
        benchmark.extra_info.update(about(peer), turn=turn, calls=calls, **noted)
        if tidy:
            gc.collect()
            gc.freeze()
        try:
            if not quick:  # two rounds to warm up, or one of those that take long
                for _ in range(2):
                    took = once(target, setup)
                    if took > SECONDS / FEWEST:
                        break
                rounds = max(FEWEST, min(rounds, int(SECONDS / took)))
            return benchmark.pedantic(target, setup=setup, rounds=rounds)
        finally:
            if tidy:
                gc.unfreeze()

    return measured


def once(target: Callable[..., Any], setup: Callable[[], Any] | None) -> float:
    """Seconds of one round."""
    args, kwargs = (setup and setup()) or ((), {})
    began = time.perf_counter()
    target(*args, **kwargs)
    return time.perf_counter() - began


@pytest.fixture
def note(benchmark: Any) -> Callable[..., None]:
    """Note a figure that is no time; `unit` says what `value` counts."""

    def noted(group: str, peer: Any, value: float, unit: str, **more: Any) -> None:
        benchmark.group = group
        benchmark.extra_info.update(about(peer), value=value, unit=unit, **more)
        benchmark.pedantic(int, rounds=1)  # a result needs a time: this one says nothing

    return noted


def about(peer: Any) -> dict[str, Any]:
    """What a report tells of a peer."""
    return {"peer": peer.name, "package": peer.package, "lacks": peer.lacks}
