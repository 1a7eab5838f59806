"""After an invalidation nobody gets what was there before, whatever else is going on.

A source has a version of each id, which grows. Once `invalidate(id)` has returned, every call that
begins gets the version that was in force then, or a later one; calls overlap, are cancelled, follow
each other and ask for ids one by one or together. In memory that holds at every moment; on other
stores an old value may be there for the moment between the write of an overtaken load and its
withdrawal, but does not stay.
"""

import asyncio
import random
import threading
from collections import Counter
from typing import Any

import pytest
from concurrency.watch import Crew, nothing_left, run, turn_until
from many.gates import alone

from memo import Entry, cached
from memo.backends import Memory
from memo.testing import AsyncFaultyBackend

IDS = range(6)


class Versions:
    """The version of each id, and the least that a call may still give."""

    def __init__(self) -> None:
        self.current: Counter[int] = Counter()
        self.least: Counter[int] = Counter()

    def changed(self, one: int) -> int:
        """A new version of `one`; it counts once the cache has been told."""
        self.current[one] += 1
        return self.current[one]

    def told(self, one: int, version: int) -> None:
        """The cache has been told of `version`."""
        self.least[one] = max(self.least[one], version)


async def _visit(
    f: Any, versions: Versions, dice: random.Random, seen: Counter[str], *, exact: bool
) -> None:
    """One visitor's calls; `exact`: no old value is allowed at any moment."""
    for _ in range(30):
        ids = dice.sample(IDS, dice.randint(1, 4))
        what = dice.random()
        if what < 0.2:
            version = versions.changed(ids[0])
            await f.invalidate(ids[0])
            versions.told(ids[0], version)
        elif what < 0.4:
            least = versions.least[ids[0]]
            assert await f.one(ids[0]) >= least or not exact
        elif what < 0.6:
            call = asyncio.ensure_future(f(ids) if dice.random() < 0.5 else f.one(ids[0]))
            for _ in range(dice.randint(0, 6)):
                await asyncio.sleep(0)
            seen["cancelled"] += call.cancel()
            await asyncio.wait({call})
        else:
            floor = {one: versions.least[one] for one in ids}
            answer = await f(ids)
            assert list(answer) == ids
            assert not exact or all(answer[one] >= floor[one] for one in ids), (answer, floor)
            seen["asked"] += 1
        if dice.random() < 0.3:
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("store", ["memory", "async", "thread"])
def test_tasks_never_see_what_was_invalidated(store: str, seed: int) -> None:
    """Ten tasks on one loop, with loads and stores that take a few of its turns."""

    async def main() -> None:
        dice = random.Random(f"{store} {seed}")
        versions, seen = Versions(), Counter()

        async def turns(_: float) -> None:
            for _ in range(dice.randint(0, 3)):
                await asyncio.sleep(0)

        backend: Any = {
            "memory": None,
            "async": AsyncFaultyBackend(delays=0.5, sleep=turns),
            "thread": _Blocking(),
        }[store]

        @cached.many(backend=backend)
        async def f(ids: Any) -> Any:
            answer = {one: versions.current[one] for one in ids}
            for _ in range(dice.randint(0, 9)):
                await asyncio.sleep(0)
            return answer

        async with asyncio.TaskGroup() as group:
            for number in range(10):
                own = random.Random(f"{store} {seed} {number}")
                group.create_task(_visit(f, versions, own, seen, exact=store == "memory"))
        assert seen["asked"] > 50
        assert seen["cancelled"] > 5
        await turn_until(lambda: nothing_left(f.one))
        await alone()
        answer = await f(IDS)
        assert all(answer[one] >= versions.least[one] for one in IDS), (answer, versions.least)

    run(main(), 60)


class _Blocking(Memory):
    """A memory that says that it blocks: async functions ask it in threads."""

    blocking = True

    def read(self, key: Any, /) -> Entry | None:
        return super().read(key)


@pytest.mark.parametrize("seed", range(3))
def test_threads_never_see_what_was_invalidated(seed: int) -> None:
    """Eight threads, with loads that let others go first."""
    versions = Versions()
    lock = threading.Lock()

    @cached.many(maxsize=4)
    def f(ids: Any) -> Any:
        answer = {one: versions.current[one] for one in ids}
        threading.Event().wait(0)
        return answer

    def visit(number: int) -> int:
        dice = random.Random(f"{seed} {number}")
        asked = 0
        for _ in range(150):
            ids = dice.sample(IDS, dice.randint(1, 4))
            if dice.random() < 0.25:
                with lock:
                    version = versions.changed(ids[0])
                f.invalidate(ids[0])
                with lock:
                    versions.told(ids[0], version)
            else:
                with lock:
                    floor = {one: versions.least[one] for one in ids}
                answer = f(ids) if dice.random() < 0.7 else {ids[0]: f.one(ids[0])}
                assert all(value >= floor[one] for one, value in answer.items()), (answer, floor)
                asked += 1
        return asked

    assert sum(Crew([lambda number=number: visit(number) for number in range(8)]).join(60)) > 500
    assert nothing_left(f.one)
