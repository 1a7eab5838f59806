"""Backends that fail to order: they raise, delay, lose and corrupt, by chance or by plan.

backend = FaultyBackend(raises=0.1, loses=0.2, seed=7)    # by chance, the same in every run
backend.inject("raise", "read", first=3, last=5)          # the third to the fifth read from now
backend.fail(); ...; backend.heal()                       # an outage
"""

from __future__ import annotations

import asyncio
import copy
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

from ..backends.base import is_async
from ..backends.memory import Memory
from ..backends.resolve import adopt
from ..entry import Entry
from ..errors import shown
from ..forking import mend_after_fork
from ..freshness import Duration, seconds
from ..guard.bounded import takes_deadline

__all__ = ["AsyncFaultyBackend", "Fault", "FaultyBackend"]

Kind = Literal["raise", "delay", "lose", "corrupt"]
Chance = float | Mapping[str, float]

OPERATIONS: Final = ("read", "write", "delete", "clear", "evict")

#: The operations each kind of fault strikes where none is named. A lost write is only a value
#: less; a lost delete leaves an outdated value behind, which no cache could notice.
_STRIKES: Final[Mapping[str, tuple[str, ...]]] = {
    "raise": OPERATIONS,
    "delay": OPERATIONS,
    "lose": ("write",),
    "corrupt": ("read",),
}

#: What a corrupt read gives: nothing like an entry, an entry whose times are no times, or an entry
#: with another value.
_DAMAGES: Final = ("garbage", "times", "value")
_GARBAGE: Final[tuple[Callable[[Entry], Any], ...]] = (
    tuple,
    repr,
    Entry._asdict,
    lambda entry: b"\x80\x04" + repr(entry).encode(),
    lambda _entry: 0,
)

#: What a lost delete answers.
_DONE: Final = True

#: Attributes that are the inner backend's, where it has them.
_INNER_DATA: Final = frozenset(
    {"blocking", "codec", "currsize", "maxsize", "name", "shared", "timer"}
)
_INNER_METHODS: Final = frozenset({"clear_scope", "close", "evict", "using"})


class Fault:
    """A rule by which a faulty backend fails; `inject` makes it.

    As a context manager it holds within the block: `with backend.inject("raise"): ...`.

    Attributes:
        kind: "raise", "delay", "lose" or "corrupt".
        operations: the operations it strikes.
        struck: how often it has struck.
    """

    def __init__(
        self,
        kind: str,
        operations: tuple[str, ...],
        *,
        seed: str,
        first: int,
        last: float,
        chance: float,
        delay: float,
        error: Callable[[str], BaseException],
        done: bool,
        damage: tuple[str, ...],
        cancel: Callable[[Fault], None],
    ) -> None:
        self.kind = kind
        self.operations = operations
        self.struck = 0
        self.delay = delay
        self.error = error
        self.done = done
        self._first = first
        self._last = last
        self._chance = chance
        self._damage = damage
        self._seen: Counter[str] = Counter()
        self._cancel = cancel
        # One stream for each operation: what happens to the n-th read does not depend on how many
        # writes came between.
        self._random = {operation: Random(f"{seed} {operation}") for operation in operations}

    def heal(self) -> None:
        """End this fault."""
        self._cancel(self)

    def strikes(self, operation: str) -> bool:
        """Whether the next call of `operation` is struck; counts the call."""
        if operation not in self.operations:
            return False
        self._seen[operation] += 1
        if not self._first <= self._seen[operation] <= self._last:
            return False
        return self._chance >= 1 or self._random[operation].random() < self._chance

    def damage(self) -> Callable[[Entry], Any]:
        """What to make of the entry that the read being struck may find."""
        random = self._random["read"]
        kind = random.choice(self._damage)
        if kind == "value":
            other = f"damaged {random.random()}"
            return lambda entry: entry._replace(value=other)
        if kind == "times":
            field = random.choice(("created", "expires", "kept_until"))
            time = random.choice((None, "soon", b"\x00", True, math.nan))
            return lambda entry: Entry(*{**entry._asdict(), field: time}.values())
        made: Callable[[Entry], Any] = random.choice(_GARBAGE)
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.heal()

    def __repr__(self) -> str:
        return f"<Fault {self.kind} on {', '.join(self.operations)}, struck {self.struck} times>"


class _Plan(NamedTuple):
    """What is to happen in one call."""

    delay: float = 0.0
    error: BaseException | None = None
    #: Whether the error comes after the operation was carried out.
    done: bool = False
    lost: bool = False
    corrupt: Fault | None = None
    damage: Callable[[Entry], Any] | None = None


class _Faulty:
    """What the two colours have in common: which call fails how, and the counts of it."""

    def __init__(
        self,
        inner: Any,
        *,
        seed: int,
        raises: Chance,
        delays: Chance,
        loses: Chance,
        corrupts: Chance,
        delay: Duration,
        error: Callable[[str], BaseException],
    ) -> None:
        #: The backend that does the work.
        self.inner: Any = Memory() if inner is None else adopt(inner)
        #: The backend that this is a view of, or itself.
        self.origin: Any = self
        #: How often each operation was asked for.
        self.calls: Counter[str] = Counter()
        #: How often each fault struck, by operation and kind: `struck["read", "raise"]`.
        self.struck: Counter[tuple[str, str]] = Counter()
        self._seed = seed
        self._delay = seconds("delay", delay)
        self._error = error
        self._faults: list[Fault] = []
        self._made = 0
        self._lock = threading.Lock()
        mend_after_fork(self)
        chances: tuple[tuple[Kind, Chance], ...] = (
            ("delay", delays),
            ("raise", raises),
            ("lose", loses),
            ("corrupt", corrupts),
        )
        for kind, chance in chances:
            each = chance if isinstance(chance, Mapping) else dict.fromkeys(_STRIKES[kind], chance)
            for operation, odds in each.items():
                if odds:
                    self.inject(kind, operation, chance=odds)

    def inject(
        self,
        kind: Kind,
        *operations: str,
        first: int = 1,
        last: int | None = None,
        chance: float = 1.0,
        delay: Duration | None = None,
        error: Callable[[str], BaseException] | None = None,
        done: bool = False,
        damage: Iterable[str] = ("garbage", "times"),
    ) -> Fault:
        """Have calls fail from now on.

        Where several faults strike one call, it is delayed by the sum of their delays, and then
        fails in the first of these ways that apply: it raises, it is lost, it is corrupted.

        Args:
            kind: "raise": an exception. "delay": it takes its time. "lose": it is not carried out
                and answers as if it had been; a lost read finds nothing. "corrupt": a read that
                finds an entry answers something else.
            operations: which to strike, of "read", "write", "delete", "clear" and "evict". By
                default "lose" strikes writes, "corrupt" reads, the others everything.
            first, last: the first and the last call to strike, counted from now on from 1 on, for
                each operation by itself.
            chance: the probability that a call in that range is struck.
            delay: how long "delay" takes; by default as the backend was told.
            error: makes the exception that "raise" raises, from one line of text; an exception
                type will do. By default as the backend was told.
            done: whether "raise" carries the operation out first, as a server does whose answer
                gets lost.
            damage: what "corrupt" may answer: "garbage" is nothing like an entry, "times" an entry
                with times that are no numbers, and "value" an entry with another value (a text
                that begins with "damaged"), which only somebody who knows the value can notice.

        Returns:
            The fault, which can be ended by itself (`heal()`, or a `with` block).

        Raises:
            TypeError, ValueError: an argument that cannot be; the message names it.
        """
        _one_of("kind", kind, _STRIKES)
        for operation in operations:
            _one_of("operation", operation, OPERATIONS if kind != "corrupt" else ("read",))
        damages = (damage,) if isinstance(damage, str) else tuple(damage)
        for one in damages:
            _one_of("damage", one, _DAMAGES)
        if not damages:
            raise ValueError(f"damage={damage!r}: takes at least one of {', '.join(_DAMAGES)}")
        if not 0 <= chance <= 1:
            raise ValueError(f"chance={shown(chance)}: takes a probability between 0 and 1")
        if first < 1 or (last is not None and last < first):
            raise ValueError(f"first={first}, last={last}: calls are counted from 1 on")
        with self._lock:
            self._made += 1
            fault = Fault(
                kind,
                operations or _STRIKES[kind],
                seed=f"{self._seed} {self._made}",
                first=first,
                last=math.inf if last is None else last,
                chance=chance,
                delay=self._delay if delay is None else seconds("delay", delay),
                error=error or self._error,
                done=done,
                damage=damages,
                cancel=self._cancel,
            )
            self._faults.append(fault)
        return fault

    def fail(self, *operations: str, error: Callable[[str], BaseException] | None = None) -> Fault:
        """Have all calls raise from now on, or those of `operations`, until `heal` is called."""
        return self.inject("raise", *operations, error=error)

    def heal(self) -> None:
        """End all faults, also those by chance that the backend was made with."""
        with self._lock:
            self._faults.clear()

    def after_fork_in_child(self) -> None:
        """The lock may be held by a thread that is not in this process."""
        self._lock = threading.Lock()

    def _cancel(self, fault: Fault) -> None:
        with self._lock:
            self._faults[:] = [one for one in self._faults if one is not fault]

    def _using(self, *codec_and_timer: Any) -> Self:
        # The faults and the counts are those of the one it is a view of.
        view = copy.copy(self)
        view.inner = self.inner.using(*codec_and_timer)
        mend_after_fork(view)
        return view

    def _plan(self, operation: str) -> _Plan:
        """What is to happen in this call of `operation`."""
        with self._lock:
            self.calls[operation] += 1
            if not self._faults:
                return _Plan()
            struck = [fault for fault in self._faults if fault.strikes(operation)]
            number = self.calls[operation]
            found = {fault.kind: fault for fault in reversed(struck)}  # the first of each kind
            corrupt = found.pop("corrupt", None)
            for fault in struck:
                if fault.kind == "delay" or fault is found.get(fault.kind):
                    self._count(operation, fault)
            raising = found.get("raise")
            text = f"injected fault: {operation} number {number}"
            return _Plan(
                delay=sum(fault.delay for fault in struck if fault.kind == "delay"),
                error=None if raising is None else raising.error(text),
                done=raising is not None and raising.done,
                lost="lose" in found,
                corrupt=corrupt,
                damage=None if corrupt is None else corrupt.damage(),
            )

    def _count(self, operation: str, fault: Fault) -> None:
        fault.struck += 1
        self.struck[operation, fault.kind] += 1

    def _answer(self, plan: _Plan, answer: Any) -> Any:
        """What the call answers where the inner backend answered `answer`."""
        if plan.error is not None:
            raise plan.error
        if plan.damage is None or plan.corrupt is None or type(answer) is not Entry:
            return answer
        with self._lock:
            self._count("read", plan.corrupt)
        return plan.damage(answer)

    def __getattr__(self, name: str) -> Any:
        # What the inner backend does not have, this one does not have either.
        if name in _INNER_DATA:
            return getattr(self.inner, name)
        if name in _INNER_METHODS and callable(getattr(self.inner, name)):
            return getattr(self, f"_{name}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.inner!r}>"


class FaultyBackend(_Faulty):
    """A blocking backend that fails to order, around one that works.

    It has the optional attributes that the inner one has (`evict`, `clear_scope`, `close`, `using`,
    `blocking`, `shared`, `codec`, `maxsize`, `currsize`, `timer`, `name`); `clear_scope` counts as
    a clear, and `close` and `using` never fail. Its operations take a `deadline`, by which a delay
    that is too long ends in a `TimeoutError`. It may be used from any number of threads. Chance is
    seeded: the n-th call of an operation meets the same faults in every run.

    Args:
        inner: the backend that does the work, or what can be adapted to one; None: a `Memory`.
        seed: of the faults that strike by chance.
        raises, delays, loses, corrupts: the probability of each kind of fault (see `inject`): a
            number for the operations that the kind strikes by default, or a mapping from operations
            to numbers.
        delay: how long a delay takes.
        error: makes the exception to raise, from one line of text.
        sleep: waits for so many seconds; a test puts `FakeTimer.advance` here, or a function that
            waits for an event.

    Raises:
        TypeError, ValueError: an argument that cannot be; the message names it.
    """

    def __init__(
        self,
        inner: Any = None,
        *,
        seed: int = 0,
        raises: Chance = 0.0,
        delays: Chance = 0.0,
        loses: Chance = 0.0,
        corrupts: Chance = 0.0,
        delay: Duration = 1.0,
        error: Callable[[str], BaseException] = ConnectionError,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(
            inner,
            seed=seed,
            raises=raises,
            delays=delays,
            loses=loses,
            corrupts=corrupts,
            delay=delay,
            error=error,
        )
        if is_async(self.inner):
            raise TypeError(f"inner={shown(inner)}: is async; AsyncFaultyBackend is for these")
        self._sleep = sleep

    def read(self, key: Any, /, *, deadline: float | None = None) -> Entry | None:
        """The entry under `key`, or what became of it."""
        return self._do("read", None, deadline, self.inner.read, key)  # type: ignore[no-any-return]

    def write(self, key: Any, entry: Entry, /, *, deadline: float | None = None) -> int | None:
        """Store `entry` under `key`, or not."""
        return self._do("write", 0, deadline, self.inner.write, key, entry)  # type: ignore[no-any-return]

    def delete(self, key: Any, /, *, deadline: float | None = None) -> bool:
        """Drop what is under `key`, or not."""
        return self._do("delete", _DONE, deadline, self.inner.delete, key)  # type: ignore[no-any-return]

    def clear(self, *, deadline: float | None = None) -> None:
        """Drop everything, or not."""
        self._do("clear", None, deadline, self.inner.clear)

    def _evict(self, n: int = 1, *, deadline: float | None = None) -> int:
        return self._do("evict", n, deadline, self.inner.evict, n)  # type: ignore[no-any-return]

    def _clear_scope(self, scope: Any, *, deadline: float | None = None) -> None:
        self._do("clear", None, deadline, self.inner.clear_scope, scope)

    def _close(self) -> None:
        self.inner.close()

    def _do(
        self,
        operation: str,
        lost: Any,
        deadline: float | None,
        method: Callable[..., Any],
        *args: Any,
    ) -> Any:
        plan = self._plan(operation)
        if plan.delay:
            self._wait(plan.delay, deadline)
        if plan.error is not None and not plan.done:
            raise plan.error
        if plan.lost:
            return self._answer(plan, lost)
        more = {"deadline": deadline} if takes_deadline(method) else {}
        return self._answer(plan, method(*args, **more))

    def _wait(self, delay: float, deadline: float | None) -> None:
        """Take `delay` seconds, but no longer than till `deadline`, as a good backend does."""
        left = math.inf if deadline is None else deadline - time.monotonic()
        self._sleep(max(0.0, min(delay, left)))
        if delay > left:
            raise TimeoutError("injected fault: it took too long")


class AsyncFaultyBackend(_Faulty):
    """The async twin of `FaultyBackend`, around an async backend or a blocking one.

    A blocking inner backend is called in a thread, unless it says that it is not `blocking`.

    Args:
        inner, seed, raises, delays, loses, corrupts, delay, error: as `FaultyBackend` has them.
        sleep: a coroutine function that waits for so many seconds.
    """

    def __init__(
        self,
        inner: Any = None,
        *,
        seed: int = 0,
        raises: Chance = 0.0,
        delays: Chance = 0.0,
        loses: Chance = 0.0,
        corrupts: Chance = 0.0,
        delay: Duration = 1.0,
        error: Callable[[str], BaseException] = ConnectionError,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            inner,
            seed=seed,
            raises=raises,
            delays=delays,
            loses=loses,
            corrupts=corrupts,
            delay=delay,
            error=error,
        )
        self._awaits = is_async(self.inner)
        self._threads = not self._awaits and getattr(self.inner, "blocking", True)
        self._sleep = sleep

    async def read(self, key: Any, /) -> Entry | None:
        """The entry under `key`, or what became of it."""
        return await self._do("read", None, self.inner.read, key)  # type: ignore[no-any-return]

    async def write(self, key: Any, entry: Entry, /) -> int | None:
        """Store `entry` under `key`, or not."""
        return await self._do("write", 0, self.inner.write, key, entry)  # type: ignore[no-any-return]

    async def delete(self, key: Any, /) -> bool:
        """Drop what is under `key`, or not."""
        return await self._do("delete", _DONE, self.inner.delete, key)  # type: ignore[no-any-return]

    async def clear(self) -> None:
        """Drop everything, or not."""
        await self._do("clear", None, self.inner.clear)

    async def _evict(self, n: int = 1) -> int:
        return await self._do("evict", n, self.inner.evict, n)  # type: ignore[no-any-return]

    async def _clear_scope(self, scope: Any) -> None:
        await self._do("clear", None, self.inner.clear_scope, scope)

    async def _close(self) -> None:
        await self._call(self.inner.close)

    async def _do(self, operation: str, lost: Any, method: Callable[..., Any], *args: Any) -> Any:
        plan = self._plan(operation)
        if plan.delay:
            await self._sleep(plan.delay)
        if plan.error is not None and not plan.done:
            raise plan.error
        return self._answer(plan, lost if plan.lost else await self._call(method, *args))

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        if self._threads:
            return await asyncio.to_thread(method, *args)
        answer = method(*args)
        return await answer if self._awaits else answer


def _one_of(option: str, value: Any, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{option}={shown(value)}: takes one of {', '.join(allowed)}")
