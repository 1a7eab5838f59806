"""Loads that call the function they are loads of: a wait that could never end is not begun."""

import asyncio
import threading
from typing import Any

from concurrency.watch import Crew, in_thread, nothing_left, run

from memo import Entry, cached


def test_a_load_may_ask_for_its_own_ids() -> None:
    """A call made inside a load for ids of that load computes directly."""
    asked = []

    @cached.many
    def f(ids: Any) -> Any:
        asked.append(ids)
        if len(asked) < 3:
            return f(ids)
        return {one: -one for one in ids}

    assert in_thread(lambda: f([1, 2, 3])) == {1: -1, 2: -2, 3: -3}
    assert nothing_left(f.one)


def test_a_load_may_ask_for_other_ids() -> None:
    """A recursion over ids that are not being loaded yet is an ordinary call."""
    asked = []

    @cached.many
    def parents(ids: Any) -> Any:
        asked.append(ids)
        above = [one // 2 for one in ids if one > 1]
        found = parents(above)
        return {one: [one, *found.get(one // 2, [])] for one in ids}

    assert in_thread(lambda: parents([12, 13])) == {12: [12, 6, 3, 1], 13: [13, 6, 3, 1]}
    assert asked == [[12, 13], [6], [3], [1]]
    assert parents.one(24) == [24, 12, 6, 3, 1]


def test_loads_that_wait_for_each_other_do_not_deadlock() -> None:
    """Where a's load asks for b's id and b's for a's, one of them computes for itself."""
    both = threading.Barrier(2)
    asked = []

    @cached.many
    def f(ids: Any) -> Any:
        asked.append(ids)
        if len(asked) <= 2:
            both.wait(15)
            f([3 - one for one in ids])
        return {one: -one for one in ids}

    crew = Crew([lambda: f([1]), lambda: f([2])])
    assert crew.join() == [{1: -1}, {2: -2}]
    assert nothing_left(f.one)


def test_an_async_load_may_ask_for_its_own_ids() -> None:
    """A call made inside a load for ids of that load computes directly, in child tasks too."""

    async def main() -> None:
        asked = []

        @cached.many
        async def f(ids: Any) -> Any:
            asked.append(ids)
            if len(asked) == 1:
                return (await asyncio.gather(f(ids), f.one(ids[-1])))[0]
            return {one: -one for one in ids}

        assert await f([1, 2, 3]) == {1: -1, 2: -2, 3: -3}
        assert nothing_left(f.one)

    run(main())


def test_a_load_may_ask_for_its_own_ids_where_another_was_found_late() -> None:
    """The first id being found by the second look does not hide that the others are one load."""

    class Late:
        """A store where id 1 appears between the first read and the second."""

        def __init__(self) -> None:
            self.reads = 0

        async def read(self, key: Any) -> Entry | None:
            self.reads += key[1] == (1,)
            return Entry("found", 0.0) if key[1] == (1,) and self.reads == 2 else None

        async def write(self, key: Any, entry: Entry) -> None: ...

        async def delete(self, key: Any) -> bool:
            return False

        async def clear(self) -> None: ...

    async def main() -> None:
        asked = []

        @cached.many(backend=Late())
        async def f(ids: Any) -> Any:
            asked.append(ids)
            if len(asked) == 1:
                await f.one(ids[-1])
            return {one: -one for one in ids}

        assert await f([1, 2, 3]) == {1: "found", 2: -2, 3: -3}
        assert asked == [[2, 3], [3]]

    run(main())


def test_async_loads_that_wait_for_each_other_do_not_deadlock() -> None:
    """Where a's load asks for b's id and b's for a's, one of them computes for itself."""

    async def main() -> None:
        asked = []
        both = asyncio.Event()

        @cached.many
        async def f(ids: Any) -> Any:
            asked.append(ids)
            if len(asked) > 2:
                return {one: -one for one in ids}
            if len(asked) == 2:
                both.set()
            await both.wait()
            await f([(one + 2) % 4 for one in ids])
            return {one: -one for one in ids}

        answers = await asyncio.gather(f([0, 1]), f([2, 3]))
        assert answers == [{0: 0, 1: -1}, {2: -2, 3: -3}]
        assert nothing_left(f.one)

    run(main())
