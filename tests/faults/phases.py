"""What callers of a cached function have met: calls, errors that were heard of, and phases."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from memo import CacheError, OperationFailed

if TYPE_CHECKING:
    from faults.callers import Callers

__all__ = ["Call", "Heard", "Phase", "descriptors"]


class Call(NamedTuple):
    """One call: when it began, how long it took (seconds), and what came of it."""

    at: float
    took: float
    key: int
    loaded: bool
    right: bool
    error: BaseException | None

    @property
    def hit(self) -> bool:
        """Whether the cache gave the answer."""
        return self.error is None and not self.loaded


class Heard(NamedTuple):
    """One error that `on_error` has heard of."""

    at: float
    kind: type[CacheError]
    operation: str | None
    cause: type[BaseException] | None
    #: Whether the operation was not tried, as the breaker was open.
    refused: bool


class Phase:
    """The calls that ended, and the errors that were heard of, between two moments."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._calls = len(callers.calls)
        self._heard = len(callers.heard)
        self._loads = len(callers.loads)
        self._probes = callers.probes
        self._end: tuple[int, int, int, int] | None = None

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
    def errors(self) -> list[BaseException]:
        """What calls raised."""
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

        A refusal is well made if it is an `OperationFailed` with a foreign error as its cause; what
        cannot be decoded is our own finding, and has none.
        """
        assert self.calls
        assert not self.wrong, self.wrong[:3]
        if self._callers.strict:
            for error in self.errors:
                assert type(error) is OperationFailed, repr(error)
                if error.codec:
                    continue
                assert isinstance(error.__cause__, Exception), repr(error)
                assert not isinstance(error.__cause__, CacheError), repr(error.__cause__)
        else:
            assert not self.errors, self.errors[:3]

    def bounded(self) -> None:
        """Fail if more operations were held up by the backend than must be.

        A breaker that opens after five failures lets five through, and one for each caller that is
        under way by then; afterwards only its probes.
        """
        assert self.tried, "nothing happened"
        assert len(self.tried) <= self._callers.failures + self._callers.count + self.probes


def descriptors() -> int:
    """How many file descriptors are open."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
