"""What the two colours of a turn have in common."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from ..entry import ABSENT, USED_UP, Raised
from ..errors import OperationFailed
from ..flights import ANEW
from ..flights.bulkhead import Bulkhead, Place, bulkheads
from ..flow import Flow
from ..guard import Budget
from ..steps import Covered

__all__ = ["BaseTurn", "bulkhead_of", "landings_of", "own"]


class BaseTurn:
    """What the two colours of a turn have in common."""

    __slots__ = (
        "answer",
        "answered",
        "args",
        "budget",
        "core",
        "flight",
        "flow",
        "found",
        "function",
        "key",
        "kwargs",
        "landings",
        "place",
        "raised",
        "result",
        "since",
        "stale",
    )

    def __init__(  # noqa: PLR0917 - what a call is made of
        self,
        core: Any,
        key: Any,
        flow: Flow,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.core = core
        self.key = key
        #: What is left of the time for backend work; None: no bound.
        self.budget = None if core.timeout is None else Budget(core.timeout)
        #: None once our own part has failed, and calling the function is all that is left.
        self.flow: Any = flow
        self.function = function
        self.args = args
        self.kwargs = kwargs
        #: The flight that this turn leads, until it lands.
        self.flight: Any = None
        #: What a look at the store has found before the turn began (see `memo.turns.looks`), or
        #: the exception that it met; ABSENT where there was none.
        self.found: Any = ABSENT
        #: How many loads had landed before the first look; None where another look is cheap.
        self.landings: int | None = None
        #: When the caller began to wait for a load, where it does not wait for ever.
        self.since: float | None = None
        #: What came of this turn's own load, where another one waits for that.
        self.result: Any = ABSENT
        #: The exception that the function raised, to be handed out as it is.
        self.raised: Raised | None = None
        #: The right to load, where there is a limit to how many do.
        self.place: Place | None = None
        #: Whether the answer is to be refreshed in the background.
        self.stale = False
        #: Whether the caller's answer is there; if not, the function is to be called.
        self.answered = False
        #: The answer: a value, or a `Raised` with the exception for this caller.
        self.answer: Any = None

    def _hand_out(self, value: Any) -> bool:
        """Make `value` the answer; False where it cannot be handed out because `copy` failed."""
        try:
            self.answer = self.core.handed_out(value)
        except OperationFailed:
            return False
        self.answered = True
        return True

    def _give_up(self, fault: Exception) -> None:
        """Our own part has failed: what is left is to call the function."""
        self.flow = None
        self._land(ANEW)
        self.core.fault("memo itself", fault)

    def _land(self, result: Any) -> None:
        flight = self.flight
        if flight is not None:
            if type(result) in USED_UP:
                result = ANEW
            elif type(result) is Covered:
                result = result.entry.value
            try:
                self.core.flights.land(flight, result)
            except Exception as fault:
                self.core.fault("looking a key up", fault)
            self.flight = None

    def _note_landings(self) -> None:
        if self.found is ABSENT and self.core.memory is None:
            self.landings = landings_of(self.core, self.key)

    def _unchanged(self) -> bool:
        """Whether no load of the key has landed since."""
        landings = self.landings
        return landings is not None and landings == self.core.flights.landings(self.key)

    def go_on_from(self, found: Any, landings: int | None, budget: Budget | None) -> None:
        """Begin where a look at the store has ended, with what it has `found` or met."""
        self.found = found
        self.landings = landings
        self.budget = budget

    def _found(self) -> Any:
        """The answer to the flow's first step, a `Read`, which has been performed already."""
        found, self.found = self.found, ABSENT
        if isinstance(found, Exception):
            # Its traceback leads to this frame. Were it to lead back, each call of an outage would
            # leave a cycle behind, and all that it was called with, until the collector comes.
            try:
                raise found
            finally:
                del found
        return found

    def _leave_place(self) -> None:
        """The function has ended: another load may begin."""
        place, self.place = self.place, None
        if place is not None:
            place.leave()

    def _until(self, within: float | None) -> float | None:
        """The moment of `time.monotonic()` up to which the caller waits."""
        if within is None:
            return None
        if self.since is None:
            self.since = monotonic()
        return self.since + within

    def _outlived(self, error: BaseException) -> None:
        """A load that nobody waits for any more has raised `error`."""
        self.core.fault("a load that its callers had left", error)


def bulkhead_of(core: Any) -> Bulkhead:
    """What counts the loads over the backend of `core`."""
    return bulkheads.of(getattr(core.store, "origin", None) or core.store)


def landings_of(core: Any, key: Any) -> int | None:
    """How many loads of `key` have landed; None where that cannot be told."""
    try:
        landings: int = core.flights.landings(key)
    except Exception:
        return None  # a key's own code; the flow meets it again
    return landings


def own(error: BaseException) -> bool:
    """Whether `error` is the leader's alone: a full stack, an interrupt or an exit."""
    return isinstance(error, RecursionError) or not isinstance(error, Exception)
