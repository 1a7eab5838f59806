"""What is decided around an operation on a backend that can fail, slow down or hang.

Whether it may be tried, how long it may take, what its end says about the backend, and whether it
is tried once more: all of that is here. The two colours (`blocking`, `awaiting`) do the waiting.
"""

from __future__ import annotations

import inspect
import random as _random
import time
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ..breaker import Health, Status
from ..entry import ABSENT, Entry
from ..errors import CacheError, OperationFailed, text_of, twin
from ..policy import Policy
from ..recovery import Owed
from .answers import cause_of, entry_of, has_answered, is_final, translated
from .budget import Budget
from .circuit import REFUSED, Circuit
from .direct import Guarded
from .origins import origin_of
from .underway import GivenUp

__all__ = ["Bounded", "for_each", "takes_deadline", "waits"]

#: The longest that the first pause before a retry may be, in seconds, and that any may be.
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0


class Bounded(Guarded):
    """A guard of a backend that can fail, slow down or hang.

    Args:
        backend: an object with the methods of a backend.
        scope: what every key of this cache's begins with, where the backend is not its alone.
        policy: gives `timeout`, `retry` and `breaker`.
        timer: the clock of the entries.
        hear: called with failures that are not of an operation under way.
        random: numbers from 0 to 1, for the pauses before a retry.
    """

    in_loop: bool

    def __init__(
        self,
        backend: Any,
        scope: Any,
        *,
        policy: Policy,
        timer: Callable[[], float] = time.monotonic,
        hear: Callable[[CacheError], object] | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        super().__init__(backend, scope)
        self.origin = origin_of(backend)
        self.recovery = self.origin.recovery
        self.circuit: Circuit | None = None
        if policy.breaker is not None:
            self.circuit = self.origin.circuit(policy.breaker)
        self.timeout: Any = policy.timeout
        self.retry = policy.retry
        self.timer = timer
        self._hear = hear
        self.random = random
        self.reads_many = callable(getattr(backend, "read_many", None))
        self.writes_many = callable(getattr(backend, "write_many", None))
        self._clear = "clear_scope" if self.clears_scope else "clear"
        self._clear_args = (scope,) if self.clears_scope else ()

    @property
    def debtor(self) -> Any:
        """In whose name things are owed."""
        return self

    def health(self) -> Health:
        """How the backend is, as far as this process has seen."""
        if self.circuit is not None:
            return self.circuit.health()
        owed, dropped = self.recovery.counts()
        status: Status = "degraded" if owed else "up"
        return Health(backend=self.name, status=status, owed=owed, dropped=dropped)

    def heard(self, error: OperationFailed) -> None:
        """Make a failure heard that is not of the operation under way."""
        if self._hear is not None:
            self._hear(error)

    def away(self, key: Any) -> bool:
        """Whether a read of `key` is not answered by the backend itself."""
        if self.circuit is not None and self.circuit.shut:
            return True
        return self.recovery.active and self._answer("read", key) is not ABSENT

    def forget(self) -> None:
        """Let go of what is owed to the backend, which will not be used any more."""
        self.recovery.forget(self.debtor)

    def _own_budget(self) -> Budget | None:
        return None if self.timeout is None else Budget(self.timeout)

    # Around one attempt.

    def _admitted(self, operation: str, key: Any, budget: Budget | None) -> int:
        """Let an attempt begin: 0, or the number of the probe that it is.

        Raises:
            OperationFailed: no time is left for it, or the breaker is open.
        """
        if budget is not None and budget.left <= 0:
            raise OperationFailed(
                f"timed out: nothing is left of {_allowed(budget)}",
                operation=operation,
                key=key,
                backend=self.name,
            ) from TimeoutError("an earlier operation of the call has used it up")
        circuit = self.circuit
        if circuit is None or not circuit.shut:
            return 0
        probe = circuit.admit()
        if probe == REFUSED:
            raise circuit.refusal(operation, key)
        return probe

    def _succeeded(self, probe: int, took: float, budget: Budget | None) -> None:
        """An attempt has ended well, after `took` seconds."""
        late = None
        if budget is not None:
            # In a loop it would have been stopped: it is the loop that was late.
            if took > budget.left and not self.in_loop:
                late = _late(took, budget)
            budget.left -= took
        circuit = self.circuit
        if circuit is not None:
            if circuit.rated:
                circuit.calls += 1
            if late is not None:
                circuit.failed(late, probe)
            elif probe or circuit.failures:
                circuit.succeeded(probe)
        if self.recovery.active and late is None:
            self.origin.replays.wake(succeeded=True, at_once=probe > 0)

    def _failed(  # noqa: PLR0917 - what is known of an attempt
        self,
        error: BaseException,
        operation: str,
        key: Any,
        probe: int,
        took: float,
        budget: Budget | None,
    ) -> CacheError | None:
        """What an attempt's `error` is to memo; None where it is nobody's failure."""
        if budget is not None:
            budget.left -= took
        circuit = self.circuit
        if not isinstance(error, Exception):
            if circuit is not None:
                circuit.give_back(probe)
            return None
        if isinstance(error, GivenUp) and circuit is not None:
            circuit.give_back(probe)
            return circuit.refusal(operation, key, f"given up after {took:.3g} s: ")
        failure: CacheError
        if isinstance(error, TimeoutError) and budget is not None:
            failure = OperationFailed(
                f"timed out after {took:.3g} s ({_allowed(budget)}): {text_of(error)}",
                operation=operation,
                key=key,
                backend=self.name,
            )
        else:
            failure = translated(operation, key, self.name, error)
        failure.__cause__ = cause_of(error)
        if circuit is not None:
            if circuit.rated:
                circuit.calls += 1
            if has_answered(operation, failure):
                circuit.succeeded(probe)
            elif is_final(failure) or isinstance(error, RecursionError):
                circuit.give_back(probe)  # it has not been asked
            else:
                circuit.failed(failure, probe)
        return failure

    def _pause(self, failure: CacheError, tries: int, probe: int, budget: Budget | None) -> float:
        """Seconds until the next attempt; less than 0 where there is to be none.

        Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter").
        """
        if tries >= self.retry or probe or is_final(failure):
            return -1.0
        if self.circuit is not None and self.circuit.shut:
            return -1.0
        pause = self.random() * min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE)
        return pause if budget is None or pause < budget.left else -1.0

    # Around what is owed.

    def _answer(self, operation: str, key: Any) -> Any:
        """What is owed for `key`: an entry, None, or ABSENT where the backend is to say."""
        try:
            return self.recovery.answer(self.scope, key)
        except Exception as error:  # of the key's own code
            raise translated(operation, key, self.name, error) from error

    def _begin(self, operation: str, key: Any, entry: Entry | None) -> Owed | None:
        """What a write or drop owes from now on; None where nothing is owed for its key."""
        try:
            return self.recovery.begin(self.debtor, key, entry)
        except Exception as error:  # of the key's own code
            raise translated(operation, key, self.name, error) from error

    def _missed(
        self, owed: Owed | None, key: Any, entry: Entry | None, failure: CacheError
    ) -> None:
        """A write or drop has failed: it is owed, where trying again can be of use."""
        if not is_final(failure):
            try:
                self.recovery.missed(self.debtor, owed, key, entry)
            except Exception:  # of the key's own code: it cannot be kept by itself
                self.recovery.missed_clear(self.debtor, None)
        elif owed is not None:
            self.recovery.spoilt(owed)
        if self.recovery.active:
            self.origin.replays.wake()

    def _landed(self, owed: Owed | None) -> None:
        """A write or drop has reached the backend."""
        if owed is not None:
            self.recovery.landed(owed)
            if owed.again:
                self.origin.replays.wake(at_once=True)

    def _let_go(self, owed: Owed | None) -> None:
        """An operation was interrupted: nobody knows whether it was done, so it stays owed."""
        if owed is not None:
            self.recovery.left(owed)

    def _missed_clear(self, owed: Owed | None, failure: CacheError) -> None:
        if not is_final(failure):
            self.recovery.missed_clear(self.debtor, owed)
            self.origin.replays.wake()

    def _begin_many(self, entries: Mapping[Any, Entry]) -> tuple[dict[Any, Owed], dict[Any, Entry]]:
        """What writes of these owe from now on, and which of them are to be tried."""
        owed: dict[Any, Owed] = {}
        direct = dict(entries)
        if self.recovery.active:
            for key, entry in entries.items():
                one = self._begin("write", key, entry)
                if one is None:
                    continue
                if one.waits:
                    del direct[key]
                else:
                    owed[key] = one
        return owed, direct

    def _missed_many(
        self, owed: dict[Any, Owed], entries: Mapping[Any, Entry], failure: CacheError
    ) -> dict[Any, CacheError]:
        """Writes of these have failed all together; for each its error."""
        for key, entry in entries.items():
            self._missed(owed.get(key), key, entry, failure)
        return for_each(list(entries), failure)

    def _with_owed(self, keys: Iterable[Any], answers: dict[Any, Any]) -> list[Any]:
        """Put into `answers` what is owed for `keys`; returns the other ones."""
        if not self.recovery.active:
            return list(keys)
        others = []
        for key in keys:
            try:
                owed = self._answer("read", key)
            except CacheError as error:
                owed = error
            if owed is ABSENT:
                others.append(key)
            else:
                answers[key] = owed
        return others

    def _sorted_out(self, keys: list[Any], found: Any) -> dict[Any, Any]:
        """What a read of `keys` gave for each: an entry, None, or an error for what is neither."""
        answers: dict[Any, Any] = {}
        for key in keys:
            try:
                answers[key] = entry_of(found.get(key), key, self.name)
            except Exception as error:
                answers[key] = translated("read", key, self.name, error)
        return answers


def waits(owed: Owed | None) -> bool:
    """Whether an operation must wait for a clear that is owed."""
    return owed is not None and owed.waits


def for_each(keys: list[Any], error: CacheError) -> dict[Any, CacheError]:
    """`error`, of an operation on all of `keys`, as one of each: no two share an exception."""
    errors: dict[Any, CacheError] = {}
    for key in keys:
        one: Any = twin(error) if errors else error
        if isinstance(one, OperationFailed):
            one.key = key
        errors[key] = one
    return errors


def _allowed(budget: Budget) -> str:
    return f"timeout={budget.seconds:g} s for all backend work of one call"


def _late(took: float, budget: Budget) -> OperationFailed:
    error = OperationFailed(f"answered after {took:.3g} s ({_allowed(budget)})")
    error.__cause__ = TimeoutError("the answer came too late")
    return error


#: Whether a method takes a deadline: it is looked for once.
_known: Final[weakref.WeakKeyDictionary[Any, bool]] = weakref.WeakKeyDictionary()


def takes_deadline(method: Any) -> bool:
    """Whether a backend's `method` has a keyword parameter `deadline`."""
    function = getattr(method, "__func__", method)
    if not isinstance(function, types.FunctionType):
        return _has_deadline(method)
    known = _known.get(function)
    if known is None:
        known = _known[function] = _has_deadline(function)
    return known


def _has_deadline(function: Any) -> bool:
    try:
        parameter = inspect.signature(function).parameters.get("deadline")
    except (TypeError, ValueError):
        return False  # some built-ins have none
    return parameter is not None and parameter.kind in {
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    }
