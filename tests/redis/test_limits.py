"""The time limit of exchanges, on a clock that stands until it is moved."""

import asyncio
import contextlib

import pytest

from memo.backends.redis_limits import TimeLimit


class Loop(asyncio.SelectorEventLoop):
    """Its time is what it is told; eighths of a second, which are exact."""

    now = 100.0

    def time(self):
        return self.now


def run(main):
    """Run `main(loop, limit)`, where the limit is of one second."""
    loop = Loop()

    async def begin():
        await main(loop, TimeLimit(1.0))
        assert len(asyncio.all_tasks()) == 1

    try:
        loop.run_until_complete(begin())
    finally:
        loop.close()


async def moved(loop, seconds, turns=10):
    """Let what is to begin do so, let so much time pass, and let the loop turn."""
    await asyncio.sleep(0)
    loop.now += seconds
    for _ in range(turns):
        await asyncio.sleep(0)


def exchange(limit, answer):
    """A task that waits for `answer` inside of `limit`."""

    async def wait():
        with limit:
            return await answer

    return asyncio.ensure_future(wait())


def test_who_stays_too_long_is_late_and_no_one_else():
    """Each has the same time, from when it came."""

    async def main(loop, limit):
        answers = [loop.create_future() for _ in range(3)]
        first = exchange(limit, answers[0])
        await moved(loop, 0.25)
        second, third = exchange(limit, answers[1]), exchange(limit, answers[2])
        await moved(loop, 0.625)
        assert not first.done()
        await moved(loop, 0.125)
        with pytest.raises(TimeoutError) as caught:
            await first
        assert type(caught.value.__cause__) is asyncio.CancelledError
        assert first.cancelling() == 0
        answers[2].set_result("in time")
        await moved(loop, 0.125)
        assert await third == "in time"
        assert not second.done()
        await moved(loop, 0.125)
        with pytest.raises(TimeoutError):
            await second
        last = exchange(limit, loop.create_future())  # after a while without anybody inside
        await moved(loop, 0.875)
        assert not last.done()
        await moved(loop, 0.125)
        with pytest.raises(TimeoutError):
            await last

    run(main)


def test_a_task_may_come_in_again():
    """And has all its time once more."""

    async def main(loop, limit):
        async def twice():
            for _ in range(2):
                with limit:
                    await asyncio.sleep(0.75)
            with limit:
                await loop.create_future()

        task = asyncio.ensure_future(twice())
        await moved(loop, 0)
        for _ in range(4):
            await moved(loop, 0.375)
        assert not task.done()
        await moved(loop, 0.875)
        assert not task.done()
        await moved(loop, 0.125)
        with pytest.raises(TimeoutError):
            await task

    run(main)


@pytest.mark.parametrize("late", [False, True])
def test_who_is_cancelled_by_others_is_cancelled(late):
    """That is no timeout, even where the time is up by then."""

    async def main(loop, limit):
        task = exchange(limit, loop.create_future())
        await moved(loop, 0.5)
        task.cancel()
        if late:
            loop.now += 0.5
        await moved(loop, 0)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_one_who_does_not_heed_it_keeps_nobody_in():
    """Others are told all the same; and its next exchange is a new one."""

    async def main(loop, limit):
        answer = loop.create_future()

        async def deaf():
            with limit, contextlib.suppress(asyncio.CancelledError):
                await loop.create_future()
            with limit:
                return await answer

        task, other = asyncio.ensure_future(deaf()), exchange(limit, loop.create_future())
        await moved(loop, 0)
        await moved(loop, 1.0)
        with pytest.raises(TimeoutError):
            await other
        answer.set_result("well")
        assert await task == "well"
        assert task.cancelling() == 0

    run(main)


def test_what_has_come_while_the_loop_was_held_up_is_in_time():
    """Nobody was late but the loop."""

    async def main(loop, limit):
        answer, step = loop.create_future(), loop.create_future()

        async def in_steps():
            with limit:
                await step
                return await answer

        read, lost = asyncio.ensure_future(in_steps()), exchange(limit, loop.create_future())
        await moved(loop, 0)
        step.add_done_callback(lambda _: answer.set_result("there all the time"))
        loop.call_soon(step.set_result, None)  # what the loop will find out first
        loop.now += 5.0
        await moved(loop, 0)
        assert await read == "there all the time"
        with pytest.raises(TimeoutError):
            await lost

    run(main)
