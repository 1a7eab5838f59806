"""What callers of a cached function have met: calls, errors that were heard of, and phases."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from memo import CacheError, OperationFailed

if TYPE_CHECKING:
    from faults.callers import Callers

__all__ = ["Call", "Heard", "Phase", "Records", "descriptors", "refusal"]

_R = TypeVar("_R")


class Records(Sequence[_R], Generic[_R]):
    """Many records of one kind, which cost the garbage collector no time while they are kept.

    A full collection looks at each object that may be part of a cycle: where a hundred thousand of
    them are kept, all threads stand still for a quarter of a second, and it is the tests that have
    made calls late. Tuples of numbers and texts are not looked at again.

    Args:
        kind: makes a record of what it consists of: numbers, texts, booleans and None.
    """

    def __init__(self, kind: Callable[..., _R]) -> None:
        self._kind = kind
        self._rows: list[tuple[Any, ...]] = []

    def add(self, *row: float | str | bool | None) -> None:
        """Keep one more."""
        self._rows.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> _R: ...
    @overload
    def __getitem__(self, index: slice) -> list[_R]: ...
    def __getitem__(self, index: int | slice) -> _R | list[_R]:
        if isinstance(index, slice):
            return [self._kind(*row) for row in self._rows[index]]
        return self._kind(*self._rows[index])

    def __iter__(self) -> Iterator[_R]:
        return iter(self[:])


class Call(NamedTuple):
    """One call: when it began, how long it took (seconds), and what came of it."""

    at: float
    took: float
    key: int
    loaded: bool
    right: bool
    #: What it raised, in words; see `refusal`.
    error: str | None

    @property
    def hit(self) -> bool:
        """Whether the cache gave the answer."""
        return self.error is None and not self.loaded


class Heard(NamedTuple):
    """One error that `on_error` has heard of."""

    at: float
    #: The name of its type.
    kind: str
    operation: str | None
    #: Whether the operation was not tried: the breaker was open, or no time was left.
    refused: bool


#: What a call raised that was refused as a strict policy says.
_WELL = "refused"


def refusal(error: BaseException) -> str:
    """What is kept of an error that a call raised: whether it is as a strict policy says.

    That is an `OperationFailed` with a foreign error as its cause; what cannot be decoded is our
    own finding, and has none.
    """
    if type(error) is OperationFailed:
        cause = error.__cause__
        if error.codec or (isinstance(cause, Exception) and not isinstance(cause, CacheError)):
            return _WELL
    return f"{error!r} from {error.__cause__!r}"


class Phase:
    """The calls that ended, and the errors that were heard of, between two moments."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._calls = len(callers.calls)
        self._heard = len(callers.heard)
        self._loads = len(callers.loads)
        self._probes = callers.probes
        self._begun = 0.0
        self._end: tuple[int, int, int, int] | None = None

    def begin(self) -> None:
        """What makes it a phase has happened, some of it perhaps a moment ago."""
        self._begun = time.perf_counter()

    def end(self) -> None:
        """What comes from now on is not part of it."""
        callers = self._callers
        self._end = len(callers.calls), len(callers.heard), len(callers.loads), callers.probes

    @property
    def calls(self) -> list[Call]:
        """The calls that ended."""
        return self._callers.calls[self._calls : self._end and self._end[0]]

    @property
    def heard(self) -> list[Heard]:
        """The errors that were heard of."""
        return self._callers.heard[self._heard : self._end and self._end[1]]

    @property
    def loads(self) -> int:
        """How often the function was called."""
        return len(self._callers.loads[self._loads : self._end and self._end[2]])

    @property
    def probes(self) -> int:
        """How many probes were let through to the backend."""
        return (self._end[3] if self._end else self._callers.probes) - self._probes

    @property
    def tried(self) -> list[Heard]:
        """The errors of operations that did get to the backend: those that took time."""
        return [heard for heard in self.heard if not heard.refused]

    @property
    def overtaken(self) -> int:
        """How many operations the backend had answered when the phase began, and who did not know.

        Each is a success after what has failed meanwhile, and a breaker counts failures in a row.
        """
        return sum(call.hit and call.at < self._begun for call in self.calls)

    @property
    def errors(self) -> list[str]:
        """What calls raised, in words."""
        return [call.error for call in self.calls if call.error is not None]

    @property
    def wrong(self) -> list[Call]:
        """The calls that were given something else than the right answer."""
        return [call for call in self.calls if call.error is None and not call.right]

    @property
    def hit_ratio(self) -> float:
        """The share of the calls that the cache has answered."""
        calls = self.calls
        return sum(call.hit for call in calls) / len(calls)

    def sound(self) -> None:
        """Fail unless each call was answered rightly or, where the policy is strict, refused well.

        See `refusal` for what that is.
        """
        assert self.calls
        assert not self.wrong, self.wrong[:3]
        well = _WELL if self._callers.strict else None
        assert not [error for error in self.errors if error != well][:3]

    def bounded(self) -> None:
        """Fail if more operations were held up by the backend than must be.

        A breaker that opens after five failures lets five through, and one for each caller that is
        under way by then; afterwards only its probes.
        """
        assert self.tried, "nothing happened"
        in_a_row = self._callers.failures * (1 + self.overtaken)
        assert len(self.tried) <= in_a_row + self._callers.count + self.probes


def descriptors() -> int:
    """How many file descriptors are open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
