"""What a store keeps, and what a look at it tells."""

from __future__ import annotations

import math
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any, Final, Literal, NamedTuple

from .errors import twin
from .records import record

__all__ = ["ABSENT", "FOREVER", "USED_UP", "Entry", "Outcome", "Raised", "Status"]

#: Results that can be used once: neither stored nor shared.
USED_UP: Final = frozenset({CoroutineType, GeneratorType, AsyncGeneratorType})

#: The expiry of an entry that never expires, in seconds. One object, so that `is` finds it.
FOREVER: Final = math.inf

Status = Literal["fresh", "stale", "expired", "miss", "failed"]


class _Absent:
    """The type of `ABSENT`, which stands for "no value" where None is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


#: Typed as anything, since it stands in the place of any value.
ABSENT: Final[Any] = _Absent()


class Entry(NamedTuple):
    """A stored value and its times.

    All times are seconds of one clock: monotonic time in memory, Unix time on shared backends.

    Attributes:
        value: what the function returned, or a `Raised` for a cached exception.
        created: when it was stored.
        expires: it is fresh before this moment, expired from it on (`now >= expires`).
        kept_until: `expires` plus the longest window in which it may still be served stale; from
            here on it is of no use to anyone.
        tags: names it can be invalidated by.
    """

    value: Any
    created: float
    expires: float = FOREVER
    kept_until: float = FOREVER
    tags: tuple[str, ...] = ()


class Raised:
    """An exception in the place of a value: one that the function raised.

    `traceback` has the function's own frames, for others who are handed the exception while the
    call that met it is still on its way out; it is not stored.
    """

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException, traceback: TracebackType | None = None) -> None:
        self.error = error
        self.traceback = traceback

    def __repr__(self) -> str:
        return f"Raised({self.error!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and other.error is self.error

    def __hash__(self) -> int:
        return hash(id(self.error))

    def __reduce__(self) -> tuple[type[Raised], tuple[BaseException]]:
        return Raised, (self.error,)

    def again(self) -> BaseException:
        """The exception for one more caller: a twin with a traceback of its own."""
        return twin(self.error).with_traceback(self.traceback)


@record(frozen=True, kw_only=True)
class Outcome:
    """What a look into the cache found, without calling, raising or counting.

    Attributes:
        status: "fresh"; "stale" (past its lifetime, and would be served by the policy or by
            `stale_while_revalidate`); "expired" (past its lifetime, and would not, as far as is
            known without calling the function); "miss"; "failed".
        value: the value where there is one, whether or not it would be served; else None.
        age: seconds since the value was stored; None where there is none.
        tier: which store answered: "fallback", or "held" (what was last seen of a backend that
            fails); None for the cache's own.
        error: the `CacheError` that stood in the way, or the cached exception of the function.
    """

    status: Status
    value: Any = None
    age: float | None = None
    tier: str | None = None
    error: BaseException | None = None

    @property
    def hit(self) -> bool:
        """Whether a call would be answered from the cache."""
        return self.status in {"fresh", "stale"}
