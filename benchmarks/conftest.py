"""What the benchmarks share: one way to measure, in turns, and what a quick look leaves out.

A shared machine is now faster, now slower, for seconds on end. Therefore the peers of one group
take turns (A B C A B C ...), a few rounds each, and a ratio is taken within one turn, where the
machine was the same to all; `run.py` reports the median of the turns. `--turns 10` asks for that.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--turns`."""
    parser.addoption("--turns", type=int, default=1, help="how often the peers take turns")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every benchmark of a peer for each turn."""
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(metafunc.config.getoption("turns")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the benchmarks of a turn one after the other, peer by peer."""
    places: dict[Any, int] = {}

    def place(item: Any) -> tuple[int, int]:
        given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        turn = given.pop("turn", 0)
        given.pop("peer", None)
        group = (item.path, item.originalname, tuple(given.items()))
        return places.setdefault(group, len(places)), turn

    items.sort(key=place)


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether this is no measurement but a look at whether the benchmarks run."""
    return bool(request.config.getoption("benchmark_disable"))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One event loop for all rounds; what a peer leaves running in it is cancelled."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture
def measure(benchmark: Any, turn: int) -> Callable[..., Any]:
    """Time rounds of `target` for `peer` in `group`; a round is `calls` calls.

    `setup` is called before each round and may return `(args, kwargs)` for `target`; what else is
    given is noted with the result.
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
        **noted: Any,
    ) -> Any:
        benchmark.group = group
        benchmark.extra_info.update(peer=peer.name, turn=turn, calls=calls, **noted)
        return benchmark.pedantic(target, setup=setup, rounds=rounds, warmup_rounds=2)

    return measured


@pytest.fixture
def note(benchmark: Any) -> Callable[..., None]:
    """Note a figure that is no time; `unit` says what `value` counts."""

    def noted(group: str, peer: Any, value: float, unit: str, **more: Any) -> None:
        benchmark.group = group
        benchmark.extra_info.update(peer=peer.name, value=value, unit=unit, **more)
        benchmark.pedantic(int, rounds=1)  # a result needs a time: this one says nothing

    return noted
