"""A time limit for the exchanges of one event loop, with one timer for all of them.

`asyncio.timeout` sets a timer of its own and takes it back again: a tenth of what a hit costs.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Any, Final

__all__ = ["TimeLimit"]

#: Where the timer is late by more than so many seconds, the loop itself was held up, and answers
#: may have come that nobody has looked at yet: they are given so many turns to be read.
_LATE: Final = 0.01
_TURNS: Final = 5

#: For a task that has been told that it is late.
_TOLD: Final = -math.inf


class TimeLimit:
    """Has a task leave its `with` after so many seconds, by a `TimeoutError`.

    For tasks that nobody cancels unless their loop ends, each in one `with` at a time.

    Args:
        seconds: how long a task may stay.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        #: The tasks that are inside, the first to have come before others, and when they are late.
        self._inside: dict[Any, float] = {}
        self._is_set = False

    def __enter__(self) -> None:
        due = self._inside[asyncio.current_task()] = self._loop.time() + self._seconds
        if not self._is_set:
            self._set(due)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        task: Any = asyncio.current_task()
        told = self._inside.pop(task) is _TOLD
        if told and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _set(self, due: float) -> None:
        self._is_set = True
        self._loop.call_at(due, self._look, due)

    def _look(self, due: float, turns: int = _TURNS) -> None:
        """Cancel whoever is late by now; the timer was set for `due`."""
        now = self._loop.time()
        if turns and now - due > _LATE:
            self._loop.call_soon(self._look, due, turns - 1)
            return
        self._is_set = False
        for task, its in list(self._inside.items()):
            if its > now:
                self._set(its)
                return
            if its is not _TOLD:
                self._inside[task] = _TOLD
                task.cancel()
