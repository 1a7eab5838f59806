"""A call for many ids is a loop over calls for one, whatever has happened before.

Two functions with the same options and the same source are taken through the same history: one is
called with many ids, the other, by its `one`, with each of them in turn.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo import cached
from memo.testing import FakeTimer

IDS = st.integers(0, 5)
NUMBERS = st.one_of(IDS, IDS.map(float), st.booleans())

OPERATIONS = st.one_of(
    st.tuples(st.just("call"), st.lists(NUMBERS, max_size=6)),
    st.tuples(st.just("call"), st.lists(NUMBERS, max_size=6)),
    st.tuples(st.just("set"), IDS),
    st.tuples(st.just("invalidate"), IDS),
    st.tuples(st.just("refresh"), IDS),
    st.tuples(st.just("advance"), st.sampled_from([1, 5, 10, 40])),
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("miss"), st.sets(IDS)),
    st.tuples(st.just("fail"), st.booleans()),
    st.tuples(st.just("clear"), st.none()),
)

# With a bound, since a store without one drops what has expired when something else is written:
# whether the next look counts it as expired would depend on which came first.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"maxsize": 99},
    "ttl": {"maxsize": 99, "ttl": 10},
    "of the value": {"maxsize": 99, "ttl": lambda value: value[0] * 4},
    "stale if error": {"maxsize": 99, "ttl": 10, "stale_if_error": 30},
    "filter": {"maxsize": 99, "should_cache": lambda value: value[0] % 2 == 0},
    "nothing": {"maxsize": 0},
    "alone": {"maxsize": 99, "ttl": 10, "single_flight": False},
    "mapping": {"backend": dict, "ttl": 10},
    "by key": {"maxsize": 99, "key": lambda one: one % 4},
}


class World:
    """A source of values that changes, has gaps and fails; and a clock."""

    def __init__(self) -> None:
        self.version = 0
        self.missing: set[int] = set()
        self.fails = False

    def load(self, ids: Any) -> Any:
        if self.fails:
            raise ConnectionError("down")
        return {one: (int(one), self.version) for one in ids if one not in self.missing}


class Side:
    """One of the two functions, and how it is called; `runner` for one that is async."""

    def __init__(self, options: dict[str, Any], runner: asyncio.Runner | None) -> None:
        self.world = World()
        self.clock = FakeTimer()
        own = dict(options, timer=self.clock)
        if own.get("backend") is dict:
            own["backend"] = {}
        self.runner = runner
        if runner is None:
            self.f: Any = cached.many(**own)(self.world.load)
        else:

            async def load(ids: Any) -> Any:
                return self.world.load(ids)

            self.f = cached.many(**own)(load)

    def run(self, result: Any) -> Any:
        return result if self.runner is None else self.runner.run(result)

    def tried(self, call: Any, *args: Any) -> Any:
        try:
            return self.run(call(*args))
        except (ConnectionError, KeyError) as error:
            return KeyError if isinstance(error, KeyError) else type(error)

    def do(self, operation: str, argument: Any) -> Any:
        f, world = self.f, self.world
        if operation == "set":
            return self.run(f.set((argument, "mine"), argument))
        if operation in {"invalidate", "refresh"}:
            return self.tried(getattr(f, operation), argument)
        if operation == "clear":
            return self.run(f.cache_clear())
        if operation == "advance":
            return self.clock.advance(argument)
        if operation == "change":
            world.version += 1
        elif operation == "miss":
            world.missing = argument
        else:
            world.fails = argument
        return None

    def by_many(self, ids: list[Any]) -> Any:
        return self.tried(self.f, iter(ids))

    def by_loop(self, ids: list[Any], key: Any) -> Any:
        answers: dict[Any, Any] = {}
        asked: dict[Any, Any] = {}
        for one in ids:
            if key(one) not in asked:  # of ids with one key a call asks for the first
                asked[key(one)] = self.tried(self.f.one, one)
            answers.setdefault(one, asked[key(one)])
        if ConnectionError in answers.values():
            return ConnectionError
        return {one: answer for one, answer in answers.items() if answer is not KeyError}

    def counts(self) -> dict[str, Any]:
        info = self.f.cache_info()
        names = ("expirations", "stale_hits", "failures", "loads", "load_failures")
        return {name: getattr(info, name) for name in names} | {"sequence": tuple(info)}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_many_is_a_loop_over_one(options: dict[str, Any], colour: str) -> None:
    """Answers and counters of the two are the same after every operation."""

    @settings(max_examples=60 if colour == "sync" else 20)
    @given(st.lists(OPERATIONS, max_size=25))
    def check(history: list[tuple[str, Any]]) -> None:
        key = options.get("key", lambda one: one)
        if colour == "sync":
            compare(Side(options, None), Side(options, None), history, key)
        else:
            with asyncio.Runner() as runner:
                compare(Side(options, runner), Side(options, runner), history, key)

    check()


def compare(many: Side, loop: Side, history: list[tuple[str, Any]], key: Any) -> None:
    """Take both through `history`."""
    for operation, argument in history:
        if operation == "call":
            answer = many.by_many(argument)
            assert answer == loop.by_loop(argument, key)
            if isinstance(answer, dict):
                assert list(answer) == list(dict.fromkeys(one for one in argument if one in answer))
        else:
            assert many.do(operation, argument) == loop.do(operation, argument)
        assert many.counts() == loop.counts()
