"""The two loops that run a flow: they do what it asks for and decide nothing.

Both stop where the flow wants the function called, so that the caller's own frame can call it, and
are entered again with what came of that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .errors import CacheError
from .flow import Flow, Load, Step

__all__ = ["advance", "advance_async"]


def advance(flow: Flow, answer: Any, perform: Callable[[Step], Any]) -> Any:
    """Resume `flow` with `answer`; returns the `Load` it wants next, or else its result."""
    try:
        step = flow.send(answer)
        while type(step) is not Load:
            try:
                answer = perform(step)
            except CacheError as error:
                step = flow.throw(error)
            except StopIteration as error:  # of a key's own code; it is not the flow's end
                raise RuntimeError("a step raised StopIteration") from error
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        step = None  # it may know an error, which knows this frame
        return stop.value
    return step


async def advance_async(flow: Flow, answer: Any, perform: Callable[[Step], Awaitable[Any]]) -> Any:
    """Resume `flow` with `answer`; returns the `Load` it wants next, or else its result."""
    try:
        step = flow.send(answer)
        while type(step) is not Load:
            try:
                answer = await perform(step)
            except CacheError as error:
                step = flow.throw(error)
            except StopIteration as error:  # of a key's own code; it is not the flow's end
                raise RuntimeError("a step raised StopIteration") from error
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        step = None  # it may know an error, which knows this frame
        return stop.value
    return step
