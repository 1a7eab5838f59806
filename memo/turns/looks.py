"""Calls over stores that have to be asked: a plain hit is handed out without a turn.

What a look finds is either fresh and handed out as it is, which is all a flow would say to it; or
it is taken along into a turn, as the answer to the flow's first step. On a server's hit the flow,
the turn and their steps would cost as much as everything else that memo does there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .. import flow as flows
from ..guard import Budget
from .base import landings_of
from .tasks import AsyncTurn
from .threads import Turn

__all__ = ["Answer", "AsyncLook", "look"]


class Answer:
    """To its caller, a turn that is answered."""

    __slots__ = ("answer",)

    answered: Final = True

    def __init__(self, answer: Any) -> None:
        self.answer = answer


def look(
    core: Any,
    key: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Answer | Turn:
    """A turn for the call, as far as it goes without the function."""
    landings = landings_of(core, key)
    budget = None if core.timeout is None else Budget(core.timeout)
    found: Any
    try:
        found = core.read(key, budget)
        if found is not None and core.rules.timer() < core.answers_until(found):
            core.stats.hits += 1
            return Answer(found.value)
    except Exception as error:
        found = error
    turn = Turn(core, key, flows.call(key, core.rules, core.stats), function, args, kwargs)
    turn.go_on_from(found, landings, budget)
    del found  # an exception knows this frame
    return turn.begin()


class AsyncLook:
    """The same for a call in a task: to its caller, a turn."""

    __slots__ = ("args", "core", "function", "key", "kwargs")

    def __init__(
        self,
        core: Any,
        key: Any,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.core = core
        self.key = key
        self.function = function
        self.args = args
        self.kwargs = kwargs

    async def run(self) -> Any:
        """The whole call; returns the answer, as `AsyncTurn.run`."""
        core, key = self.core, self.key
        landings = landings_of(core, key)
        budget = None if core.timeout is None else Budget(core.timeout)
        found: Any
        try:
            found = await core.read(key, budget)
            if found is not None and core.rules.timer() < core.answers_until(found):
                core.stats.hits += 1
                return found.value
        except Exception as error:
            found = error
        flow = flows.call(key, core.rules, core.stats)
        turn = AsyncTurn(core, key, flow, self.function, self.args, self.kwargs)
        turn.go_on_from(found, landings, budget)
        del found  # an exception knows this frame
        return await turn.run()
