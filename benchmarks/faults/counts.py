"""The rows of the table of faults in which it is counts that must be right, not times.

Each runs until so many calls have been made, in both colours, and fails where what was counted is
not what it must be.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from faults.callers import Callers, Tasks, Threads
from faults.clocks import TTL, YEAR, Machine
from faults.hooks import Handler, Hook
from servers.memcached import Memcached
from servers.valkey import Valkey

from memo import AsyncCache, Breaker, Cache, OperationFailed, Policy
from memo.backends import Memcached as MemcachedBackend
from memo.backends import Memory, Redis, Sqlite
from memo.testing import AsyncFaultyBackend, FakeTimer, FaultyBackend

__all__ = ["ROWS"]

Row = dict[str, Any]

#: What an outage must not bring back.
OLD, NEW = "old", "new"


def told(name: str, callers: str, *, calls: int, errors: int, wrong: int, counted: str) -> Row:
    """A row of the table."""
    assert not wrong, name
    return {
        "fault": name,
        "callers": callers,
        "calls": f"{calls:,}",
        "errors": f"{errors:,}",
        "wrong": wrong,
        "counted": counted,
    }


def call(crowd: Callers, calls: int) -> None:
    """Wait until that many calls more have ended."""
    goal = len(crowd.calls) + calls
    while len(crowd.calls) < goal:
        crowd.expect_well()
        time.sleep(0.01)


# A breaker that is half open.


class Slow(FaultyBackend):
    """A server whose reads are counted while they are under way."""

    blocking = True
    under_way = most = 0
    _counting = threading.Lock()

    def _note(self, change: int) -> None:
        with self._counting:
            self.under_way += change
            self.most = max(self.most, self.under_way)

    def read(self, key: Any, /, **more: Any) -> Any:
        """As ever, and counted."""
        self._note(1)
        try:
            return super().read(key, **more)
        finally:
            self._note(-1)


class AsyncSlow(AsyncFaultyBackend):
    """The same for tasks."""

    under_way = most = 0

    async def read(self, key: Any, /) -> Any:
        """As ever, and counted."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await super().read(key)
        finally:
            self.under_way -= 1


#: The two kinds of callers, and the server that each of them has.
COLOURS: tuple[tuple[type[Callers], Any], ...] = ((Threads, Slow), (Tasks, AsyncSlow))


def probes(calls: int, policy: Policy) -> Iterator[Row]:
    """Of 64 callers one at a time is let through, ten times a second, and each time takes 20 ms."""
    policy = dataclasses.replace(policy, breaker=Breaker(failures=5, probe_every=0.1))
    for callers, kind in COLOURS:
        yield _probed(callers, kind(Memory(maxsize=None), delay=0.02), calls // 2_000, policy)


def _probed(callers: type[Callers], backend: Any, probes: int, policy: Policy) -> Row:
    with callers(backend, policy=policy, size=64, single_flight=False) as crowd:
        crowd.warm_up()
        backend.inject("delay", "read")
        backend.fail()
        crowd.until("the breaker opens", lambda: crowd.is_open)
        crowd.more(2)
        _after_a_probe(crowd, backend)
        asked, backend.most = backend.calls["read"], 0
        with crowd.during() as phase:
            crowd.until(f"{probes} probes", lambda: phase.probes >= probes)
            _after_a_probe(crowd, backend)
        reads, most = backend.calls["read"] - asked, backend.most
    phase.sound()
    assert reads == phase.probes, (reads, phase.probes)
    assert most == 1, most
    slowest = max(one.took for one in phase.calls) * 1e3
    return told(
        "half-open breaker",
        _who(crowd),
        calls=len(phase.calls),
        errors=len(phase.errors),
        wrong=len(phase.wrong),
        counted=f"{phase.probes} probes, {most} at once; {slowest:.0f} ms at most",
    )


def _after_a_probe(crowd: Callers, backend: Any) -> None:
    """Wait for a moment from which no other probe begins for a while."""
    crowd.until("a probe", lambda: backend.under_way)
    crowd.until("its end", lambda: not backend.under_way)


def _who(crowd: Callers) -> str:
    return f"{crowd.count} {type(crowd).__name__.lower()}"


# Hooks that raise each time.


def hooks(calls: int, policy: Policy) -> Iterator[Row]:
    """`on_error`, `on_change`, a log handler and `should_cache` raise, each time."""
    for callers, kind in COLOURS:
        for fails in (True, False):
            yield _hooked(callers, kind(Memory(maxsize=None)), calls // 10, policy, fails=fails)


def _hooked(
    callers: type[Callers], backend: Any, calls: int, policy: Policy, *, fails: bool
) -> Row:
    """A server that is down, or one that is well and can store nothing."""
    heard, change, stores = Hook(), Hook(KeyError), Hook()
    breaker = Breaker(failures=5, probe_every=1.0, on_change=change)
    policy = dataclasses.replace(policy, on_error=heard, breaker=breaker)
    if fails:
        backend.fail()
    with failing_log() as handler:
        options = {"single_flight": False, "should_cache": stores}
        with callers(backend, policy=policy, **options) as crowd, crowd.during() as phase:
            call(crowd, calls)
    made = len(crowd.calls)
    info = crowd.function.cache_info()
    counts = info.failures_by
    assert info.hits + info.misses == made, info
    assert counts["OperationFailed", "read" if fails else "call"] == made == heard.asked, info
    assert info.failures == sum(counts.values()) == 2 * made, info  # the failure, and the hook's
    assert handler.asked >= 2 * made
    assert change.asked == fails
    assert stores.asked == (0 if fails else made)
    errors = sum(one.error is not None for one in crowd.calls)
    assert errors == (made if fails and crowd.strict else 0)
    phase.sound()
    return told(
        "hooks raise, server down" if fails else "hooks raise",
        _who(crowd),
        calls=made,
        errors=errors,
        wrong=len(phase.wrong),
        counted=f"{counts['OperationFailed', 'report']:,} failures of hooks",
    )


@contextlib.contextmanager
def failing_log() -> Iterator[Handler]:
    """Have each line written, to a handler that raises."""
    log = logging.getLogger("memo")
    handler, level = Handler(), log.level
    log.addHandler(handler)
    log.setLevel(logging.WARNING)
    log.propagate = False
    try:
        with mock.patch("memo.alerts._QUIET", -1.0), mock.patch("memo.guard.circuit._QUIET", -1.0):
            yield handler
    finally:
        log.propagate = True
        log.setLevel(level)
        log.removeHandler(handler)


# What is invalidated while the server is away.


class Program:
    """A program with one cache on a source of values, which it waits for in a loop, or not."""

    def __init__(self, url: str, policy: Policy, runner: asyncio.Runner | None) -> None:
        self.source: dict[int, str] = {}
        self.calls = self.errors = self.wrong = 0
        self._run: Any = runner and runner.run
        self._cache: Any = (AsyncCache if runner else Cache)(
            Redis(url), namespace="n", ttl=600, policy=policy
        )

    def get(self, key: int) -> None:
        """Ask for a value, which must be that of the source."""

        async def load() -> str:
            return self.source[key]

        answer = self._do("get_or_load", key, load if self._run else lambda: self.source[key])
        self.wrong += answer not in {None, self.source[key]}

    def invalidate(self, key: int) -> None:
        """The source has another value."""
        self.source[key] = NEW
        self._do("delete", key)

    def owed(self) -> int:
        """How much has not reached the server."""
        owed: int = self._cache.health().owed
        return owed

    def wait(self, seconds: float) -> None:
        """Do nothing for a while."""
        if self._run:
            self._run(asyncio.sleep(seconds))
        else:
            time.sleep(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._do("close")

    def _do(self, name: str, *args: Any) -> Any:
        """The answer, or None where it is refused."""
        self.calls += 1
        try:
            done = getattr(self._cache, name)(*args)
            return self._run(done) if self._run else done
        except OperationFailed:
            self.errors += 1
            return None


def invalidation(calls: int, policy: Policy) -> Iterator[Row]:
    """Values are invalidated while the server, which keeps the old ones, is killed or stopped."""
    for colour in ("thread", "loop"):
        for hurt, heal in (("kill", "restart"), ("stop", "resume")):
            with Valkey(appendonly="yes") as valkey, asyncio.Runner() as runner:
                program = Program(valkey.url, policy, runner if colour == "loop" else None)
                program.source = dict.fromkeys(range(calls // 20), OLD)
                counted = _invalidated(
                    program, valkey, getattr(valkey, hurt), getattr(valkey, heal)
                )
                program.close()
                yield told(
                    f"invalidated, {hurt}",
                    f"1 {colour}",
                    calls=program.calls,
                    errors=program.errors,
                    wrong=program.wrong,
                    counted=counted,
                )


def _invalidated(
    program: Program, valkey: Valkey, hurt: Callable[[], Any], heal: Callable[[], Any]
) -> str:
    for key in program.source:
        program.get(key)
    assert valkey.ask("DBSIZE") == len(program.source)
    hurt()
    for key in program.source:
        program.invalidate(key)
        program.get(key)
    owed = program.owed()
    heal()
    healed = time.monotonic()
    while program.owed():
        program.get(0)
        program.wait(0.01)
    took = time.monotonic() - healed
    for key in program.source:
        program.get(key)
    other = Cache(Redis(valkey.url), namespace="n", ttl=600)
    program.wrong += [other.get(key, None) for key in program.source].count(OLD)
    other.close()
    return f"{owed:,} owed, carried out within {took:.1f} s"


# Clocks that are wrong.


def clocks(calls: int, policy: Policy) -> Iterator[Row]:
    """Of two machines on one store one has its clock set by a year, and right again."""
    with (
        tempfile.TemporaryDirectory(prefix="memo-faults-") as scratch,
        Valkey() as valkey,
        Memcached() as memcached,
    ):
        stores: dict[str, Callable[[], Any]] = {
            "SQLite": lambda: Sqlite(Path(scratch) / "cache.db"),
            "Valkey": lambda: Redis(valkey.url),
            "memcached": lambda: MemcachedBackend(memcached.url),
        }
        for name, opened in stores.items():
            for jump, way in ((YEAR, "on"), (-YEAR, "back")):
                yield _jumping(f"clock a year {way}, {name}", opened, jump, calls // 10, policy)


def _jumping(name: str, opened: Callable[[], Any], jump: float, calls: int, policy: Policy) -> Row:
    chance = random.Random(1)
    truth = FakeTimer()
    machines = [Machine(opened(), truth, policy) for _ in range(2)]
    moved = machines[0].clock
    machines[0].cache.clear()
    errors = wrong = jumps = 0
    for number in range(calls):
        if number % 50 == 49:
            moved.advance(jump if jumps % 2 == 0 else -jump)
            jumps += 1
        for clock in (truth, *(machine.clock for machine in machines)):
            clock.advance(chance.uniform(0, TTL / 50))
        try:
            wrong += not 0 <= chance.choice(machines).age() < TTL
        except OperationFailed:
            errors += 1
    for machine in machines:
        machine.cache.close()
    loads = sum(machine.loads for machine in machines)
    counted = f"{jumps} jumps, {loads:,} loads"
    return told(name, "2 programs", calls=calls, errors=errors, wrong=wrong, counted=counted)


ROWS: dict[str, Callable[[int, Policy], Iterator[Row]]] = {
    "probes": probes,
    "hooks": hooks,
    "invalidation": invalidation,
    "clocks": clocks,
}
