"""The guard of a backend that is waited for in an event loop: an async one, or one in threads."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Final

from ..backends.base import is_async
from ..entry import ABSENT, Entry
from ..errors import CacheError
from ..recovery import Owed
from .answers import counted, entry_of, is_final
from .blocking import BlockingGuard
from .bounded import Bounded, for_each, waits
from .budget import Budget
from .underway import Operation
from .workers import Call

__all__ = ["AwaitingGuard"]

#: Operations that have been given up and go on; a task that nothing refers to may vanish.
_strays: Final[set[asyncio.Task[Any]]] = set()


class AwaitingGuard(Bounded):
    """A backend whose operations give a result or raise a `CacheError`, in time, to be awaited.

    A blocking backend is called in a thread. What has not answered in time, or by the time that the
    breaker opens, is cancelled, where that can be, and is not waited for, whether it heeds that or
    not.

    Args:
        backend, scope, policy, timer, hear, random: as `Bounded` has them.
        sleep: waits for so many seconds, before a retry.
    """

    in_loop = True

    def __init__(
        self,
        backend: Any,
        scope: Any,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **more: Any,
    ) -> None:
        super().__init__(backend, scope, **more)
        self._sleep = sleep
        self._underway = self.origin.underway
        self._timed: set[str] = set()
        #: By which a blocking backend is told what it is owed: without a loop.
        self._threads: BlockingGuard | None = None
        #: Whether its coroutines promise to end at once when they are cancelled.
        self._prompt = is_async(backend) and getattr(backend, "prompt", False)
        if not is_async(backend):
            self._threads = BlockingGuard(backend, scope, **more)
            self._timed = self._threads.timed

    @property
    def debtor(self) -> Any:
        """In whose name things are owed."""
        return self if self._threads is None else self._threads

    async def read(self, key: Any, budget: Budget | None = None) -> Entry | None:
        """The entry under `key`."""
        recovery = self.recovery
        if recovery.active:
            owed = self._answer("read", key)
            if owed is not ABSENT:
                return owed  # type: ignore[no-any-return]
        found = await self._call("read", key, budget, "read", (key,))
        if recovery.active:  # it may have been overtaken
            owed = self._answer("read", key)
            if owed is not ABSENT:
                return owed  # type: ignore[no-any-return]
        return entry_of(found, key, self.name)

    async def write(self, key: Any, entry: Entry, budget: Budget | None = None) -> int:
        """Store `entry`; returns how many entries were evicted for it, as far as is known."""
        owed = self._begin("write", key, entry) if self.recovery.active else None
        if waits(owed):
            return 0
        try:
            evicted = await self._call("write", key, budget, "write", (key, entry), (key,))
        except CacheError as failure:
            self._missed(owed, key, entry, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return counted(evicted)

    async def delete(self, key: Any, budget: Budget | None = None) -> bool:
        """Drop what is under `key`; whether there was anything."""
        owed = None
        had = False
        if self.recovery.active:
            had = isinstance(self._answer("delete", key), Entry)
            owed = self._begin("delete", key, None)
            if waits(owed):
                return had
        try:
            done = await self._call("delete", key, budget, "delete", (key,))
        except CacheError as failure:
            self._missed(owed, key, None, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return bool(done) or had

    async def clear(self, budget: Budget | None = None) -> bool:
        """Drop this cache's entries, or all where the backend cannot tell them apart."""
        owed = self.recovery.begin_clear(self.debtor) if self.recovery.active else None
        try:
            await self._call("clear", None, budget, self._clear, self._clear_args)
        except CacheError as failure:
            self._missed_clear(owed, failure)
            raise
        except BaseException:
            self._let_go(owed)
            raise
        self._landed(owed)
        return True

    async def evict(self, n: int, budget: Budget | None = None) -> int:
        """Make room for `n` entries; how many were dropped."""
        if not self.evicts:
            return 0
        return int(await self._call("write", None, budget, "evict", (n,)))

    async def read_many(self, keys: list[Any], budget: Budget | None = None) -> dict[Any, Any]:
        """For each of `keys` its entry, None, or the error that reading it met."""
        answers: dict[Any, Any] = {}
        others = self._with_owed(keys, answers)
        if others:
            try:
                found = await self._call("read", None, budget, "read_many", (others,))
            except CacheError as failure:
                return answers | for_each(others, failure)
            answers |= self._sorted_out(self._with_owed(others, answers), found)
        return answers

    async def write_many(
        self, entries: Mapping[Any, Entry], budget: Budget | None = None
    ) -> dict[Any, Any]:
        """Store `entries`; for each of the keys how many were evicted for it, or an error."""
        owed, direct = self._begin_many(entries)
        answers: dict[Any, Any] = dict.fromkeys(entries, 0)
        if not direct:
            return answers
        try:
            evicted = await self._call("write", None, budget, "write_many", (direct,), direct)
        except CacheError as failure:
            if is_final(failure):  # one of them is to blame: find out which
                return answers | await self._one_by_one(direct, budget)
            return answers | self._missed_many(owed, direct, failure)
        except BaseException:
            for one in owed.values():
                self._let_go(one)
            raise
        for one in owed.values():
            self._landed(one)
        answers[next(iter(direct))] = counted(evicted)
        return answers

    async def _one_by_one(
        self, entries: Mapping[Any, Entry], budget: Budget | None
    ) -> dict[Any, Any]:
        answers: dict[Any, Any] = {}
        for key, entry in entries.items():
            try:
                answers[key] = await self.write(key, entry, budget)
            except CacheError as failure:
                answers[key] = failure
        return answers

    async def carry_out(self, owed: Owed) -> None:
        """Do what is owed; no more than that.

        Raises:
            CacheError: it could not be done.
        """
        budget = self._own_budget()
        if owed.is_clear:
            await self._call("clear", None, budget, self._clear, self._clear_args)
        elif (entry := owed.read()) is None:
            await self._call("delete", owed.key, budget, "delete", (owed.key,))
        else:
            key = owed.key
            await self._call("write", key, budget, "write", (key, entry), (key,))

    async def _call(  # noqa: C901, PLR0917 - what an operation is made of, in one frame
        self,
        operation: str,
        key: Any,
        budget: Budget | None,
        name: str,
        args: tuple[Any, ...],
        doubtful: Iterable[Any] = (),
    ) -> Any:
        """Call the backend's method of that name, again if need be.

        Args:
            doubtful: the keys that may still be written to, where it is given up.

        Raises:
            CacheError: it failed, timed out, or was not tried.
        """
        circuit = self.circuit
        watch = self._underway.here()
        task: Any = asyncio.current_task()
        if task is None:  # something else than a task steps this: what is to be cancelled needs one
            again = self._call(operation, key, budget, name, args, doubtful)
            return await asyncio.get_running_loop().create_task(again)
        tries = 0
        while True:
            probe = 0
            if (circuit is not None and circuit.shut) or (budget is not None and budget.left <= 0):
                probe = self._admitted(operation, key, budget)
            started = monotonic()
            deadline = math.inf if budget is None else started + budget.left
            attempt = Operation(deadline, circuit, task.cancel)
            cancelled = task.cancelling()
            watch.begin(attempt)
            try:
                try:
                    answer = await self._run(name, args, deadline, doubtful)
                except asyncio.CancelledError:
                    if attempt.error is None or task.cancelling() - 1 > cancelled:
                        raise  # others have cancelled it, too
                    raise attempt.error from None
                finally:
                    del watch.operations[attempt]
                    if attempt.error is not None:
                        task.uncancel()
            except BaseException as error:
                took = monotonic() - started
                failure = self._failed(error, operation, key, probe, took, budget)
                if failure is None:
                    raise
                pause = self._pause(failure, tries, probe, budget)
                try:
                    if pause < 0:
                        raise failure from failure.__cause__
                finally:
                    # They lead to this frame, and must not be led back to.
                    del failure, attempt
            else:
                self._succeeded(probe, monotonic() - started, budget)
                return answer
            tries += 1
            started = monotonic()
            await self._sleep(pause)
            if budget is not None:
                budget.left -= monotonic() - started

    # One attempt, each way.

    # Whoever waits is cancelled when the time is up.

    def _run(
        self, name: str, args: tuple[Any, ...], deadline: float, doubtful: Iterable[Any]
    ) -> Awaitable[Any]:
        """Begin the backend's operation; what is given is awaited."""
        method = getattr(self.backend, name)
        if self._prompt:
            return method(*args)  # type: ignore[no-any-return]
        if self._threads is None:
            return self._in_task(method(*args), doubtful)
        if name in self._timed:
            until = None if deadline == math.inf else deadline
            return self._in_thread(functools.partial(method, *args, deadline=until), doubtful)
        return self._in_thread(functools.partial(method, *args), doubtful)

    async def _in_task(self, coroutine: Any, doubtful: Iterable[Any]) -> Any:
        """Await it in a task of its own: one that swallows its cancellation holds nobody up."""
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any] = loop.create_task(coroutine)
        landed: asyncio.Future[Any] = loop.create_future()
        task.add_done_callback(functools.partial(_land, landed))
        try:
            await landed
        finally:
            if not task.done():
                self._abandon(task, doubtful)
            elif not task.cancelled():
                task.exception()  # a caller that is cancelled just now will not ask for it
        try:
            if task.cancelled():
                raise RuntimeError("the operation was cancelled, and not by us")
            return task.result()
        finally:
            del task  # which keeps what it raises, which leads to this frame

    def _abandon(self, task: asyncio.Task[Any], doubtful: Iterable[Any]) -> None:
        """Cancel `task` and let it end by itself, whenever it does."""
        task.cancel()
        _strays.add(task)
        keys = list(doubtful)
        if keys:
            self.recovery.doubt(self.debtor, keys)
        task.add_done_callback(functools.partial(self._stray_ended, keys))

    def _stray_ended(self, keys: list[Any], task: asyncio.Task[Any] | None = None) -> None:
        if task is not None:
            _strays.discard(task)
            if not task.cancelled():
                task.exception()  # nobody else asks for it
        if keys:
            self.recovery.settle(keys)
            self.origin.replays.wake(at_once=True)

    async def _in_thread(self, method: Callable[[], Any], doubtful: Iterable[Any]) -> Any:
        """Have it called in a thread."""
        call = Call(asyncio.get_running_loop(), method)
        self.origin.workers.submit(call)
        try:
            await call.landed
        except BaseException:
            self._withdraw(call, doubtful)
            raise
        return call.outcome()

    def _withdraw(self, call: Call, doubtful: Iterable[Any]) -> None:
        """Wait for `call` no longer, which may go on in its thread."""
        keys = list(doubtful)
        if keys:
            self.recovery.doubt(self.debtor, keys)
        goes_on = self.origin.workers.give_up(call, functools.partial(self._stray_ended, keys))
        if keys and not goes_on:
            self.recovery.settle(keys)


def _land(landed: asyncio.Future[Any], *_: Any) -> None:
    """It is over."""
    if not landed.done():
        landed.set_result(None)
