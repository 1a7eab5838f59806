"""The parts of one cache, whatever its colour."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

from ..alerts import Alerts
from ..backends.base import is_async
from ..backends.memory import Memory
from ..backends.resolve import adopt
from ..breaker import Health
from ..entry import FOREVER, Entry, Outcome, Raised
from ..errors import CacheError, OperationFailed, shown, text_of
from ..flow import Rules
from ..guard import Budget, answers_at_once
from ..keys import Keys
from ..policy import Action, RaiseAs
from ..records import replaced
from ..stats import Stats
from ..steps import Refusal

__all__ = ["Core", "Other", "settled"]


class Core:
    """The parts of one cache, whatever its colour.

    Args:
        name: what messages call it.
        store: its backend.
        scope: what its keys begin with where the store is not its alone, else None.
        rules: what its flows go by.
        held: a memory of what was last seen of the store, where the policy may want it.
        copy: applied to every value handed out.
        single_flight: whether callers wait for a running load of their key.
        identity: gives the text that keys begin with on a fallback that other processes use too;
            None: they begin with `scope`, or are used as they are.
        codec: gives the codec of values on such a fallback, given that; None: its own.
    """

    guard: Any

    def __init__(
        self,
        *,
        name: str,
        store: Any,
        scope: Any,
        rules: Rules,
        held: Memory | None = None,
        copy: Callable[[Any], Any] | None = None,
        single_flight: bool = True,
        identity: Callable[[], str] | None = None,
        codec: Callable[[Any], Any] | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.scope = scope
        self.rules = rules
        self.held = held
        self.copy = copy
        self.single_flight = single_flight
        self.stats = Stats()
        self.alerts = Alerts(name, rules.policy.on_error, self.stats.errors)
        #: Seconds that one call may spend on its backends; None: no bound.
        self.timeout: Any = rules.policy.timeout
        if answers_at_once(store) and not _may_fall_back(rules.policy.failed):
            self.timeout = None
        #: The store where it is our own memory, which takes a second deadline with an entry.
        self.memory: Memory | None = store if type(store) is Memory else None
        rules.exact = getattr(store, "exact", False)
        #: `peek(args)` is the node a positional call is answered from, `find(args, kwargs)` that of
        #: any call; None where there is none, or no way to look without waiting.
        self.peek: Callable[[Any], Any] = _nothing
        self.find: Callable[[Any, Any], Any] = _nothing
        #: Whether calls that find nothing are made by `PlainTurn`.
        self.plain = False
        #: The clock of what `peek` finds; next to free where nothing ever expires.
        self.clock: Callable[[], float] = rules.timer
        if rules.freshness.ttl is FOREVER:
            self.clock = itertools.repeat(0.0).__next__
        self._identity = identity
        self._codec = codec
        self._others: dict[int, Other] = {}
        #: How often something was dropped, so that what was seen before is not remembered after.
        self._drops = 0

    def look_up(self, keys: Keys) -> None:
        """Have `peek` and `find` look up calls by the keys that `keys` makes."""
        if self.memory is None:
            return
        make, scope, peek = keys.make, self.scope, self.memory.peek
        seek = peek if scope is None else lambda key: peek((scope, key))
        self.find = keys.finder(seek)
        self.peek = seek if keys.direct else lambda args: seek(make(args, {}))

    def answers_until(self, entry: Entry) -> float:
        """Until when a hit on `entry` is no more than handing out its value."""
        if self.copy is not None or type(entry.value) is Raised:
            return -math.inf
        freshness = self.rules.freshness
        return entry.expires if freshness.refresh_after is None else freshness.refresh_at(entry)

    # What is heard, and how things are.

    def hear(self, error: CacheError) -> None:
        """Make an error heard that has been counted."""
        if not self.alerts.hear(error):
            self.stats.failures += 1

    def fault(self, what: str, fault: BaseException) -> OperationFailed:
        """Count and make heard a failure that is no backend's; returns it as an error."""
        self.stats.failures += 1
        if isinstance(fault, RecursionError):  # there is no room on the stack to say so
            error = OperationFailed(what, operation="call")
            self.alerts.count(error)
            return error
        error = OperationFailed(f"{what} raised {shown(fault)}", operation="call")
        error.__cause__ = fault
        self.hear(error)
        return error

    def health(self) -> Health:
        """How the backend is, as far as this process has seen."""
        health: Health = self.guard.health()
        return health

    def breaker_is_open(self) -> bool:
        """Whether the backend is given up at present."""
        circuit = self.guard.circuit
        return circuit is not None and circuit.shut

    def handed_out(self, value: Any) -> Any:
        """What a caller gets for `value`.

        Raises:
            OperationFailed: the user's `copy` raised.
        """
        if self.copy is None:
            return value
        try:
            return self.copy(value)
        except Exception as fault:
            raise self.fault("copy", fault) from fault

    def shown_outcome(self, outcome: Outcome) -> Outcome:
        """`outcome`, with the value as a caller gets it."""
        if self.copy is None or outcome.value is None:
            return outcome
        try:
            return replaced(outcome, value=self.handed_out(outcome.value))
        except OperationFailed as error:
            return Outcome(status="failed", error=error)

    # What others do for a flow.

    def _performer(self, budget: Budget | None) -> Callable[[Any], Any]:
        """`perform` for all the steps of one flow; with a time of their own if need be."""
        if budget is None:
            if self.timeout is None:
                return self.perform
            budget = Budget(self.timeout)
        return functools.partial(self.perform, budget=budget)

    def perform(self, step: Any, budget: Budget | None = None) -> Any:
        """Do what `step` says, for steps that concern the store."""
        raise NotImplementedError

    def _guarded(self, backend: Any, scope: Any, guard_of: Callable[..., Any]) -> Any:
        rules = self.rules
        # Nothing that refers to the core: it goes as soon as nobody uses it.
        hear = functools.partial(_heard_behind, self.stats, self.alerts)
        return guard_of(backend, scope, policy=rules.policy, timer=rules.timer, hear=hear)

    def _guard_store(self, guard_of: Callable[..., Any]) -> None:
        """Have a guard of the store."""
        self.guard = self._guarded(self.store, self.scope, guard_of)
        self.rules.away = self.guard.away

    def _other(self, backend: Any, guard_of: Callable[..., Any], *, in_loop: bool) -> Other:
        """A fallback backend.

        Raises:
            OperationFailed: other processes use it too, and the function has no name for them.
        """
        known = self._others.get(id(backend))
        if known is None or known.given is not backend:
            adopted: Any = adopt(backend)
            if in_loop and not is_async(adopted):
                adopted = getattr(adopted, "twin", adopted)
            scope: Any = self  # others may use it too
            if getattr(adopted, "shared", False):
                scope = self._shared_scope()
                if self._codec is not None and hasattr(adopted, "using"):
                    adopted = adopted.using(self._codec(adopted), self.rules.timer)
            guard = self._guarded(adopted, scope, guard_of)
            known = self._others[id(backend)] = Other(backend, guard, scope, self.scope)
        return known

    def _shared_scope(self) -> Any:
        """What keys begin with where other processes use them too."""
        if isinstance(self.scope, str) or self._identity is None:
            return self.scope
        try:
            return self._identity()
        except Exception as error:
            raise OperationFailed(
                f"key cannot be made: {text_of(error)}", operation="key"
            ) from error

    def _seen(self) -> Any:
        """To be asked for before a look at the store whose result `_remember` is given."""
        return _Since(self)

    def _remember(self, key: Any, entry: Entry | None, since: Any) -> None:
        """Keep what was seen of the store, where the policy may want it, and it is not outdated."""
        if self.held is not None and entry is not None:
            try:
                self.held.write(key, entry, unless=since)
            except Exception as fault:
                self.fault("remembering an entry", fault)

    def _written(self, steps: list[Any], answers: dict[Any, Any]) -> list[Any]:
        """What came of writes that were made in one; for each None or a `CacheError`."""
        evicted = sum(answer for answer in answers.values() if type(answer) is int)
        self.stats.evictions += evicted
        answered = (answers[step.key] for step in steps)
        return [answer if isinstance(answer, CacheError) else None for answer in answered]

    def _forget(self, key: Any) -> None:
        """What was seen under `key` is outdated."""
        self._drops += 1
        if self.held is not None:
            self.held.delete(key)

    def _forget_all(self) -> None:
        self._drops += 1
        if self.held is not None:
            self.held.clear()

    def abandon(self) -> None:
        """Drop what is stored, as nobody will ask for it any more; where that is quick."""
        places = [(self.store, self.scope)]
        places += [(other.guard.backend, other.scope) for other in self._others.values()]
        for store, scope in places:
            clear_scope = getattr(store, "clear_scope", None)
            if scope is None or clear_scope is None or getattr(store, "blocking", True):
                continue
            try:
                clear_scope(scope)
            except Exception as fault:
                self.fault("dropping the entries of a receiver that is gone", fault)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Other:
    """A fallback backend, as one cache uses it.

    Args:
        given: what the policy names.
        guard: that of the backend.
        scope: what this cache's keys begin with there.
        own: what they begin with on the cache's own store.
    """

    __slots__ = ("_own", "given", "guard", "scope")

    def __init__(self, given: Any, guard: Any, scope: Any, own: Any) -> None:
        self.given = given
        self.guard = guard
        self.scope = scope
        self._own = own

    def key(self, key: Any) -> Any:
        """The key there of what is under `key` in the cache's own store."""
        if self.scope is self._own:
            return key
        return (self.scope, key if self._own is None else key[1])


class _Since:
    """Tells whether anything was dropped since it was made."""

    __slots__ = ("_core", "_drops")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._drops = core._drops  # noqa: SLF001 - one class in two halves

    @property
    def superseded(self) -> bool:
        """Whether what was seen then may be outdated."""
        return self._drops != self._core._drops  # noqa: SLF001


def _may_fall_back(choice: Any) -> bool:
    """Whether a fallback can come out of `choice`, at the latest at run time."""
    choices = choice.values() if hasattr(choice, "values") else (choice,)
    return any(not isinstance(one, Action | RaiseAs) for one in choices)


def _heard_behind(stats: Stats, alerts: Alerts, error: CacheError) -> None:
    """Count and make heard a failure of no operation that anybody waits for."""
    stats.failures += 1 if alerts.hear(error) else 2


def _nothing(*call: Any) -> None:
    del call


def settled(result: Any) -> Any:
    """The result of a flow, at the edge: a value is returned, all else is raised."""
    if type(result) is Refusal:
        try:
            raise result.error.with_traceback(None)  # how it came about here is nobody's concern
        finally:
            del result  # it would lead back to this frame
    if type(result) is Raised:
        raise result.again()
    return result
