"""Callers that go away: who still waits gets an answer, and what nobody waits for ends."""

import asyncio
import threading
from typing import Any

import pytest
from concurrency.watch import nothing_left, run, turn_until
from many.gates import AsyncGated, alone, followed

from memo import Entry, cached


def test_a_cancelled_call_takes_no_follower_along() -> None:
    """The load goes on for those who wait for some of its ids, and its values are stored."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        follower = asyncio.create_task(f([2, 3]))
        await turn_until(lambda: len(gated.asked) == 2)
        single = asyncio.create_task(f.one(1))
        await turn_until(followed(f, 1))
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gated.gate.set()
        assert await follower == {2: "v2", 3: "v3"}
        assert await single == "v1"
        assert gated.asked == [[1, 2], [3]]
        assert gated.ended == ["done", "done"]
        assert await f([1, 2]) == {1: "v1", 2: "v2"}
        assert nothing_left(f.one)

    run(main())


def test_a_cancelled_call_that_nobody_follows_ends_its_load() -> None:
    """The function is cancelled with its last caller, and the next call starts anew."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        caller = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await turn_until(lambda: gated.ended)
        assert gated.ended == ["cancelled"]
        gated.gate.set()
        assert await f([1]) == {1: "v1"}
        assert nothing_left(f.one)

    run(main())


def test_the_last_of_several_who_leaves_ends_the_load() -> None:
    """When the caller and then every follower have gone, the load is cancelled."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        followers = [asyncio.create_task(f.one(1)), asyncio.create_task(f([2]))]
        await turn_until(followed(f, 2))
        leader.cancel()
        await asyncio.wait({leader})
        followers[0].cancel()
        await asyncio.wait({followers[0]})
        for _ in range(5):
            await asyncio.sleep(0)
        assert gated.ended == []
        followers[1].cancel()
        await turn_until(lambda: gated.ended)
        assert gated.ended == ["cancelled"]
        assert nothing_left(f.one)

    run(main())


def test_a_follower_that_is_cancelled_disturbs_nobody() -> None:
    """The leader and the other followers get their answers."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        followers = [asyncio.create_task(f([1])) for _ in range(3)]
        await turn_until(followed(f, 3))
        followers[1].cancel()
        gated.gate.set()
        answers = await asyncio.gather(leader, *followers, return_exceptions=True)
        assert [type(answer) for answer in answers] == [dict, dict, asyncio.CancelledError, dict]
        assert gated.asked == [[1, 2]]

    run(main())


def test_a_timeout_of_the_caller_s_is_a_timeout() -> None:
    """`asyncio.timeout` around a call works as around any other coroutine."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await f([1])
        gated.gate.set()
        assert await f([1]) == {1: "v1"}

    run(main())


def test_an_invalidation_wins_also_over_a_write_whose_caller_has_gone() -> None:
    """A value on its way into a blocking store is not left there by a cancelled caller."""
    gate, writing = threading.Event(), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.held: dict[Any, Entry] = {}

        def read(self, key: Any) -> Entry | None:
            return self.held.get(key)

        def write(self, key: Any, entry: Entry) -> None:
            writing.set()
            assert gate.wait(15)
            self.held[key] = entry

        def delete(self, key: Any) -> bool:
            return self.held.pop(key, None) is not None

        def clear(self) -> None:
            self.held.clear()

    values = ["old"]

    async def main() -> None:
        @cached.many(backend=Slow())
        async def f(ids: Any) -> Any:
            return dict.fromkeys(ids, values[0])

        caller = asyncio.create_task(f([1]))
        await asyncio.to_thread(writing.wait, 15)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        values[0] = "new"
        await f.invalidate(1)
        gate.set()
        await turn_until(lambda: nothing_left(f.one))
        await alone()
        assert await f([1]) == {1: "new"}

    run(main())


def test_a_follower_that_leaves_leaves_the_load_findable() -> None:
    """The load of its id goes on for the others: nobody loads beside it, and drops still win."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        one, two = asyncio.create_task(f.one(1)), asyncio.create_task(f.one(2))
        await turn_until(followed(f, 2))
        for task in (leader, one):
            task.cancel()
            await asyncio.wait({task})
        again = asyncio.create_task(f([1]))
        await turn_until(followed(f, 2))
        assert gated.asked == [[1, 2]]
        again.cancel()
        await asyncio.wait({again})
        gated.prefix = "new"
        await f.invalidate(1)
        gated.gate.set()
        assert await two == "v2"
        assert await f([1]) == {1: "new1"}
        assert nothing_left(f.one)

    run(main())


def test_a_load_in_a_later_round_ends_with_its_caller() -> None:
    """What a call loads after it has waited in vain for others is cancelled with it, too."""

    async def main() -> None:
        gated = AsyncGated()
        gated.fails = {9: LookupError(9)}
        f = cached.many(gated)
        leader = asyncio.create_task(f([2, 9]))
        await turn_until(lambda: gated.asked == [[2, 9]])
        caller = asyncio.create_task(f([3, 2]))
        await turn_until(lambda: [3] in gated.asked)
        gated.gate.set()
        gated.gate.clear()  # those who wait just now go on, and nobody else
        with pytest.raises(LookupError):
            await leader
        await turn_until(lambda: [2] in gated.asked)
        caller.cancel()
        await turn_until(lambda: gated.ended[2:])
        assert gated.ended == ["done", "done", "cancelled"]
        assert nothing_left(f.one)

    run(main())
