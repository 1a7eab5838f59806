"""Functions of many ids that wait until they are let go on, and tell what they were asked for."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

from concurrency.watch import core, turn_until

__all__ = ["AsyncGated", "Gated", "alone", "followed"]


class _Gated:
    """What both colours have in common.

    Attributes:
        asked: the ids of each call.
        missing: the ids that have no value.
        fails: what a call raises that is asked for one of these ids.
        prefix: what each value begins with; the one that holds when a call begins.
    """

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.missing: set[Any] = set()
        self.fails: dict[Any, Exception] = {}
        self.prefix = "v"

    def values(self, ids: Iterable[Any], prefix: str) -> dict[Any, str]:
        """What a call for `ids` returns or raises."""
        for one in ids:
            if one in self.fails:
                raise self.fails[one]
        return {one: f"{prefix}{one}" for one in ids if one not in self.missing}


class Gated(_Gated):
    """A plain one: it waits for `gate`, a `threading.Event`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def __call__(self, ids: list[Any]) -> dict[Any, str]:
        prefix = self.prefix
        self.asked.append(ids)
        assert self.gate.wait(15)
        return self.values(ids, prefix)


class AsyncGated(_Gated):
    """A coroutine function: it waits for `gate`, an `asyncio.Event`.

    Attributes:
        ended: of each call that has ended "done" or "cancelled".
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.ended: list[str] = []

    async def __call__(self, ids: list[Any]) -> dict[Any, str]:
        prefix = self.prefix
        self.asked.append(ids)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return self.values(ids, prefix)


def followed(f: Any, count: int) -> Callable[[], bool]:
    """A function that tells whether so many tasks wait for loads of `f` that others lead."""
    flights = core(f.one).flights._flights
    return lambda: sum(len(flight.waiters) for flight in list(flights.values())) == count


async def alone() -> None:
    """Wait until no task is left on this loop but the test's own."""
    me = asyncio.current_task()
    limits = {task for task in asyncio.all_tasks() if "limited" in repr(task.get_coro())}
    await turn_until(lambda: asyncio.all_tasks() <= limits | {me})
