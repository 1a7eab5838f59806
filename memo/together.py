"""Many keys at once: their flows, side by side, with one read, one load and one write for all.

Each key has the flow that it would have alone, and decides what it would decide alone. Here the
flows are resumed in turns, and what several of them want at the same time is asked for in one step.
Like a flow, this does nothing by itself: it yields what it wants done, and is sent what came of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

from .errors import CacheError
from .flow import Flow
from .steps import Admit, Join, Load, LoadBehind, Refresh, Step

__all__ = ["All", "Elsewhere", "Follow", "Joins", "Landed", "LoadAll", "together"]


class All:
    """Do these steps, all of one kind; answered with a list of answers and `CacheError`s."""

    __slots__ = ("steps",)

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps


class Joins:
    """Lead the load of each of `keys`, or find the flight to follow; answered with a mapping.

    Of each key: a `Watch` that the caller leads, or `Elsewhere(flight)`.
    """

    __slots__ = ("keys",)

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys


class LoadAll:
    """Call the function for `keys`; answered with what it gave for each, and how long it took.

    That is a mapping of values or `Raised`s, and seconds.
    """

    __slots__ = ("keys",)

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys


class Landed:
    """The flow of `key` has ended with `result`: whoever follows its flight may have that."""

    __slots__ = ("key", "result")

    def __init__(self, key: Any, result: Any) -> None:
        self.key = key
        self.result = result


class Follow:
    """Wait for another caller's load; answered as the flow's `Join` is, or None: join anew."""

    __slots__ = ("flight", "key")

    def __init__(self, key: Any, flight: Any) -> None:
        self.key = key
        self.flight = flight


class Elsewhere:
    """The answer to a join: another caller leads this flight."""

    __slots__ = ("flight",)

    def __init__(self, flight: Any) -> None:
        self.flight = flight


Batch = Generator[Any, Any, None]
Answers = Generator[Any, Any, dict[Any, Any]]


def together(flows: Mapping[Any, Flow], results: dict[Any, Any]) -> Batch:
    """Run the flow of each key; what each ended with is put into `results` once it is known."""
    ready: dict[Any, Any] = dict.fromkeys(flows)
    waiting: dict[Any, Any] = {}
    while ready or waiting:
        loading: dict[Any, Load] = {}
        while ready:
            wanted: dict[type, dict[Any, Step]] = {}
            for key, answer in ready.items():
                step = _resumed(flows[key], answer)
                if type(step) is _Ended:
                    results[key] = step.result
                    yield Landed(key, step.result)
                elif type(step) is Load:
                    loading[key] = step
                else:
                    wanted.setdefault(type(step), {})[key] = step
            ready = yield from _answers(wanted, waiting)
        if loading:
            # What this call leads is loaded before it waits for anybody: two calls that want what
            # the other one leads do not wait for each other.
            ready = yield from _loaded(loading)
        elif waiting:
            key, flight = next(iter(waiting.items()))
            del waiting[key]
            joined = yield Follow(key, flight)
            ready = (yield from _joined([key], waiting)) if joined is None else {key: joined}


class _Ended:
    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


def _resumed(flow: Flow, answer: Any) -> Any:
    """The next step of `flow`, given the answer to its last one; or how it has ended."""
    try:
        return flow.throw(answer) if isinstance(answer, CacheError) else flow.send(answer)
    except StopIteration as stop:
        return _Ended(stop.value)


def _answers(wanted: Mapping[type, Mapping[Any, Step]], waiting: dict[Any, Any]) -> Answers:
    """What the flows that want these steps are sent; those who are to wait go to `waiting`."""
    ready: dict[Any, Any] = {}
    for kind, steps in wanted.items():
        if kind is Join:
            ready |= yield from _joined(steps, waiting)
        elif kind is LoadBehind or kind is Admit:
            ready |= dict.fromkeys(steps)  # one call loads for all, here and now
        elif kind is Refresh:
            for key, step in steps.items():
                ready[key] = yield step
        else:
            answers = yield All(list(steps.values()))
            ready |= zip(steps, answers, strict=True)
    return ready


def _joined(keys: Iterable[Any], waiting: dict[Any, Any]) -> Answers:
    ready: dict[Any, Any] = {}
    for key, joined in (yield Joins(list(keys))).items():
        if type(joined) is Elsewhere:
            waiting[key] = joined.flight
        else:
            ready[key] = joined
    return ready


def _loaded(loading: Mapping[Any, Load]) -> Answers:
    loaded: dict[Any, Any]
    loaded, seconds = yield LoadAll(list(loading))
    for step in loading.values():
        step.took = seconds / len(loading)
    return loaded
