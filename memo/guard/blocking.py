"""The guard of a blocking backend, in the caller's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from ..entry import ABSENT, Entry
from ..errors import CacheError
from ..recovery import Owed
from .answers import cause_of, counted, entry_of, is_final
from .bounded import Bounded, for_each, takes_deadline, waits
from .budget import Budget

__all__ = ["BlockingGuard"]

_METHODS = ("read", "write", "delete", "clear", "clear_scope", "evict", "read_many", "write_many")


class BlockingGuard(Bounded):
    """A blocking backend whose operations give a result or raise a `CacheError`, in time.

    A method that has a parameter `deadline` is given the moment of `time.monotonic()` by which it
    is to raise a `TimeoutError`. Another one cannot be bounded: it is simply called, and what it
    answers too late is used, and counts as a failure.

    Args:
        backend, scope, policy, timer, hear, random: as `Bounded` has them.
        sleep: waits for so many seconds, before a retry.
    """

    in_loop = False

    def __init__(
        self,
        backend: Any,
        scope: Any,
        *,
        sleep: Callable[[float], object] = time.sleep,
        **more: Any,
    ) -> None:
        super().__init__(backend, scope, **more)
        self._sleep = sleep
        methods = {name: getattr(backend, name, None) for name in _METHODS}
        self.timed = {name for name, method in methods.items() if takes_deadline(method)}

    def read(self, key: Any, budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        recovery = self.recovery
        if recovery.active:
            owed = self._answer("read", key)
            if owed is not ABSENT:
                return owed  # type: ignore[no-any-return]
        found = self._call("read", key, budget, "read", (key,))
        if recovery.active:  # it may have been overtaken
            owed = self._answer("read", key)
            if owed is not ABSENT:
                return owed  # type: ignore[no-any-return]
        return entry_of(found, key, self.name)

    def write(self, key: Any, entry: Entry, budget: Budget | None = None) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        owed = self._begin("write", key, entry) if self.recovery.active else None
        if waits(owed):
            return 0
        try:
            evicted = self._call("write", key, budget, "write", (key, entry))
        except CacheError as failure:
            self._missed(owed, key, entry, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return counted(evicted)

    def delete(self, key: Any, budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        owed = None
        had = False
        if self.recovery.active:
            had = isinstance(self._answer("delete", key), Entry)
            owed = self._begin("delete", key, None)
            if waits(owed):
                return had
        try:
            done = self._call("delete", key, budget, "delete", (key,))
        except CacheError as failure:
            self._missed(owed, key, None, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return bool(done) or had

    def clear(self, budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        owed = self.recovery.begin_clear(self) if self.recovery.active else None
        try:
            self._call("clear", None, budget, self._clear, self._clear_args)
        except CacheError as failure:
            self._missed_clear(owed, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return True

    def evict(self, n: int, budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        return int(self._call("write", None, budget, "evict", (n,))) if self.evicts else 0

    def read_many(self, keys: list[Any], budget: Budget | None = None) -> dict[Any, Any]:
        """For each of `keys` its entry, None, or the error that reading it met."""
        answers: dict[Any, Any] = {}
        others = self._with_owed(keys, answers)
        if others:
            try:
                found = self._call("read", None, budget, "read_many", (others,))
            except CacheError as failure:
                return answers | for_each(others, failure)
            answers |= self._sorted_out(self._with_owed(others, answers), found)
        return answers

    def write_many(
        self, entries: Mapping[Any, Entry], budget: Budget | None = None
    ) -> dict[Any, Any]:
        """Store `entries`; for each of the keys how many were evicted for it, or an error."""
        owed, direct = self._begin_many(entries)
        answers: dict[Any, Any] = dict.fromkeys(entries, 0)
        if not direct:
            return answers
        try:
            evicted = self._call("write", None, budget, "write_many", (direct,))
        except CacheError as failure:
            if is_final(failure):  # one of them is to blame: find out which
                return answers | self._one_by_one(direct, budget)
            return answers | self._missed_many(owed, direct, failure)
        except BaseException:
            for one in owed.values():
                self._let_go(one)
            raise
        for one in owed.values():
            self._landed(one)
        answers[next(iter(direct))] = counted(evicted)
        return answers

    def _one_by_one(self, entries: Mapping[Any, Entry], budget: Budget | None) -> dict[Any, Any]:
        answers: dict[Any, Any] = {}
        for key, entry in entries.items():
            try:
                answers[key] = self.write(key, entry, budget)
            except CacheError as failure:
                answers[key] = failure
        return answers

    def carry_out(self, owed: Owed) -> None:
        """Do what is owed; no more than that.

        Raises:
            CacheError: it could not be done.
        """
        budget = self._own_budget()
        if owed.is_clear:
            self._call("clear", None, budget, self._clear, self._clear_args)
        elif (entry := owed.read()) is None:
            self._call("delete", owed.key, budget, "delete", (owed.key,))
        else:
            self._call("write", owed.key, budget, "write", (owed.key, entry))

    def _call(
        self, operation: str, key: Any, budget: Budget | None, name: str, args: tuple[Any, ...]
    ) -> Any:
        """Call the backend's method of that name, again if need be.

        Raises:
            CacheError: it failed, timed out, or was not tried.
        """
        tries = 0
        circuit = self.circuit
        while True:
            probe = 0
            if (circuit is not None and circuit.shut) or (budget is not None and budget.left <= 0):
                probe = self._admitted(operation, key, budget)
            started = monotonic()
            try:
                method = getattr(self.backend, name)
                if name in self.timed:
                    deadline = None if budget is None else started + budget.left
                    answer = method(*args, deadline=deadline)
                else:
                    answer = method(*args)
            except BaseException as error:
                took = monotonic() - started
                failure = self._failed(error, operation, key, probe, took, budget)
                if failure is None:
                    raise
                pause = self._pause(failure, tries, probe, budget)
                try:
                    if pause < 0:
                        raise failure from cause_of(error)
                finally:
                    del failure  # which leads to this frame, and must not be led back to
            else:
                self._succeeded(probe, monotonic() - started, budget)
                return answer
            tries += 1
            started = monotonic()
            self._sleep(pause)
            if budget is not None:
                budget.left -= monotonic() - started
