"""What those get who wait for a load that gives them no value."""

import asyncio
import threading
from typing import Any

import pytest
from concurrency.watch import Crew, following, nothing_left, run, turn_until, until
from many.gates import AsyncGated, Gated, followed

from memo import cached


@pytest.fixture
def gated() -> Any:
    """A function that waits at a gate."""
    gated = Gated()
    yield gated
    gated.gate.set()


def test_what_a_leader_raises_reaches_its_own_caller_alone(gated: Any) -> None:
    """A follower of one id is not told of a failure that another id may have caused.

    It loads what it wants itself.
    """
    f = cached.many(gated)
    gated.fails = {2: LookupError(2)}
    crew = Crew([lambda: f([1, 2])])
    until(lambda: len(gated.asked) == 1)
    crew.add(lambda: f([1, 3]))
    crew.add(lambda: f.one(1))
    until(lambda: [3] in gated.asked)
    until(lambda: following() == 1)
    gated.gate.set()
    crew.wait()
    assert type(crew.errors[0]) is LookupError
    assert crew.results == {1: {1: "v1", 3: "v3"}, 2: "v1"}
    assert [one for ids in gated.asked for one in ids].count(1) == 2
    assert nothing_left(f.one)


def test_followers_of_a_load_for_one_id_share_its_exception(gated: Any) -> None:
    """Where the load was for that id alone, its failure is the followers' too, in a copy each."""
    f = cached.many(gated)
    gated.fails = {1: LookupError(1)}
    crew = Crew([lambda: f([1])])
    until(lambda: len(gated.asked) == 1)
    for _ in range(5):
        crew.add(lambda: f([1]))
    until(lambda: following() == 5)
    gated.gate.set()
    crew.wait()
    errors = list(crew.errors.values())
    assert [type(error) for error in errors] == [LookupError] * 6
    assert len({id(error) for error in errors}) == 6
    assert gated.asked == [[1]]


def test_followers_of_an_id_without_a_value_do_not_queue_up(gated: Any) -> None:
    """They are told that there is no value; they do not each load in turn."""
    f = cached.many(gated)
    gated.missing = {1}
    crew = Crew([lambda: f([1, 2])])
    until(lambda: len(gated.asked) == 1)
    for _ in range(20):
        crew.add(lambda: f([1]))
    until(lambda: following() == 20)
    gated.gate.set()
    assert crew.join() == [{2: "v2"}] + [{}] * 20
    assert gated.asked == [[1, 2]]
    assert nothing_left(f.one)


def test_one_that_follows_an_id_without_a_value_is_a_key_error(gated: Any) -> None:
    """`f.one` raises KeyError, whoever found out that there is no value."""
    f = cached.many(gated)
    gated.missing = {1}
    crew = Crew([lambda: f([1, 2])])
    until(lambda: len(gated.asked) == 1)
    crew.add(lambda: f.one(1))
    until(lambda: following() == 1)
    gated.gate.set()
    crew.wait()
    assert crew.results == {0: {2: "v2"}}
    assert isinstance(crew.errors[1], KeyError)
    assert crew.errors[1].args == (1,)


def test_an_interrupted_leader_strands_nobody() -> None:
    """A follower of a load that an interrupt has ended loads for itself."""
    asked = []
    gate = threading.Event()

    @cached.many
    def f(ids: Any) -> Any:
        asked.append(ids)
        if len(asked) == 1:
            assert gate.wait(15)
            raise KeyboardInterrupt
        return {one: -one for one in ids}

    crew = Crew([lambda: f([1, 2])])
    until(lambda: asked)
    crew.add(lambda: f([2, 3]))
    until(lambda: following() == 1)
    gate.set()
    crew.wait()
    assert type(crew.errors[0]) is KeyboardInterrupt
    assert crew.results == {1: {2: -2, 3: -3}}
    assert nothing_left(f.one)


def test_failures_reach_those_who_asked_for_them() -> None:
    """A follower of one id loads it itself where a load of several ids failed."""

    async def main() -> None:
        gated = AsyncGated()
        gated.fails = {2: LookupError(2)}
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        followers = [asyncio.create_task(f([1])), asyncio.create_task(f.one(1))]
        await turn_until(followed(f, 2))
        gated.gate.set()
        answers = await asyncio.gather(leader, *followers, return_exceptions=True)
        assert type(answers[0]) is LookupError
        assert answers[1:] == [{1: "v1"}, "v1"]
        assert nothing_left(f.one)

    run(main())


def test_tasks_that_follow_an_id_without_a_value_do_not_queue_up() -> None:
    """They are told that there is no value; `one` raises KeyError."""

    async def main() -> None:
        gated = AsyncGated()
        gated.missing = {1}
        f = cached.many(gated)
        leader = asyncio.create_task(f([1, 2]))
        await turn_until(lambda: gated.asked)
        followers = [asyncio.create_task(f([1])) for _ in range(20)]
        single = asyncio.create_task(f.one(1))
        await turn_until(followed(f, 21))
        gated.gate.set()
        assert await asyncio.gather(leader, *followers) == [{2: "v2"}] + [{}] * 20
        with pytest.raises(KeyError):
            await single
        assert gated.asked == [[1, 2]]

    run(main())
