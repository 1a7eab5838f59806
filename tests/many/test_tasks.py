"""Overlapping calls in tasks and event loops: each id is loaded once."""

import asyncio
import contextvars
import threading
from typing import Any

from concurrency.watch import nothing_left, run, turn_until
from many.gates import AsyncGated, alone

from memo import AsyncCache, cached


def test_each_id_is_loaded_once() -> None:
    """A call loads what nobody loads, and waits for the rest."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        tasks = [asyncio.create_task(f([n % 7, n % 5 + 3, n % 3 + 8])) for n in range(60)]
        await turn_until(lambda: sum(map(len, gated.asked)) == 11)
        gated.gate.set()
        for n, answer in enumerate(await asyncio.gather(*tasks)):
            ids = (n % 7, n % 5 + 3, n % 3 + 8)
            assert answer == {one: f"v{one}" for one in ids}
        assert sorted(one for ids in gated.asked for one in ids) == list(range(11))
        assert f.cache_info().misses == f.cache_info().loads == 11
        assert nothing_left(f.one)

    run(main())


def test_two_calls_each_lead_what_the_other_wants() -> None:
    """Both are in their own load, and then get the other's ids; neither waits for ever."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        first = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked == [[1, 2]])
        others = [asyncio.create_task(f([3, 1])), asyncio.create_task(f([2, 3, 4]))]
        await turn_until(lambda: len(gated.asked) == 3)
        gated.gate.set()
        assert await asyncio.gather(first, *others) == [
            {1: "v1", 2: "v2"},
            {3: "v3", 1: "v1"},
            {2: "v2", 3: "v3", 4: "v4"},
        ]
        assert gated.asked == [[1, 2], [3], [4]]

    run(main())


def test_one_and_many_share_flights() -> None:
    """`f.one(id)` waits for a load by `f(ids)`, and the other way round."""

    async def main() -> None:
        gated = AsyncGated()
        f = cached.many(gated)
        tasks = [asyncio.create_task(one) for one in (f([1, 2]), f.one(3))]
        await turn_until(lambda: len(gated.asked) == 2)
        tasks += [asyncio.create_task(one) for one in (f.one(1), f([3, 2]))]
        await asyncio.sleep(0)
        gated.gate.set()
        assert await asyncio.gather(*tasks) == [
            {1: "v1", 2: "v2"},
            "v3",
            "v1",
            {3: "v3", 2: "v2"},
        ]
        assert sorted(map(sorted, gated.asked)) == [[1, 2], [3]]

    run(main())


def test_the_load_sees_the_context_of_its_caller() -> None:
    """`contextvars` reach the function, and what it sets stays inside."""
    language = contextvars.ContextVar("language", default="en")

    async def main() -> None:
        @cached.many
        async def f(ids: Any) -> Any:
            answer = dict.fromkeys(ids, language.get())
            language.set("changed")
            return answer

        language.set("de")
        assert await f([1]) == {1: "de"}
        assert language.get() == "de"

    run(main())


def test_one_function_serves_many_loops() -> None:
    """A hundred event loops one after the other, and several at once, share one cache."""
    asked = []

    @cached.many
    async def f(ids: Any) -> Any:
        asked.extend(ids)
        await asyncio.sleep(0)
        return {one: -one for one in ids}

    for n in range(100):
        assert asyncio.run(f([n, n + 1])) == {n: -n, n + 1: -n - 1}
    assert asked == list(range(101))
    ids = list(range(200, 220))
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(asyncio.run(f(ids)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert answers == [{one: -one for one in ids}] * 4
    assert sorted(asked[101:]) == ids


def test_closing_a_cache_leaves_calls_alone() -> None:
    """`close` ends refreshes behind; a call under way gets its answer."""

    async def main() -> None:
        gated = AsyncGated()
        cache = AsyncCache()
        call = asyncio.create_task(cache.get_or_load_many([1], gated))
        await turn_until(lambda: gated.asked)
        await cache.close()
        gated.gate.set()
        assert await call == {1: "v1"}

    run(main())


def test_no_task_is_left_behind() -> None:
    """When the calls are answered, nothing runs on."""

    async def main() -> None:
        gated = AsyncGated()
        gated.gate.set()
        f = cached.many(gated)
        await asyncio.gather(*(f([n, n + 1]) for n in range(50)))
        await alone()
        assert nothing_left(f.one)

    run(main())
