"""What is done about each cache error: raised, or absorbed and how.

A `Policy` answers one question, "this error has come up; what now?", and decides nothing else.
It holds one action for each of the four errors; `Policy.action` gives it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from .breaker import Breaker
from .errors import CacheError, Expired, Full, Miss, OperationFailed, shown, variant_of
from .freshness import Duration, seconds
from .records import record

__all__ = [
    "CALL",
    "EVICT",
    "OPERATIONS",
    "RAISE",
    "SKIP",
    "STALE",
    "Action",
    "Fallback",
    "Policy",
    "RaiseAs",
    "fallback",
    "raise_as",
]


class Action(enum.Enum):
    """The actions that need no more than their name."""

    CALL = "call"
    RAISE = "raise"
    STALE = "stale"
    EVICT = "evict"
    SKIP = "skip"

    def __repr__(self) -> str:
        return self.name


CALL: Final = Action.CALL
"""Go without the cache: call the function."""
RAISE: Final = Action.RAISE
"""Raise the error to the caller."""
STALE: Final = Action.STALE
"""Serve what is held although it is stale; with nothing held, the same as `CALL`."""
EVICT: Final = Action.EVICT
"""Have the backend evict, expired entries first, and try the write once more; then skip it."""
SKIP: Final = Action.SKIP
"""Go on without storing."""


@record(frozen=True)
class RaiseAs:
    """Raise an exception of the program's own in place of the cache error."""

    exception: type[BaseException]

    def __repr__(self) -> str:
        return f"raise_as({self.exception.__name__})"

    def made_from(self, error: CacheError) -> BaseException:
        """The exception to raise for `error`, which becomes its cause."""
        made = self.exception(str(error))
        made.__cause__ = error
        return made


@record(frozen=True, eq=False)
class Fallback:
    """Use another backend while the cache's own one fails."""

    backend: Any

    def __repr__(self) -> str:
        return f"fallback({shown(self.backend)})"


def raise_as(exception: type[BaseException]) -> RaiseAs:
    """An action that raises `exception(str(error)) from error`.

    Raises:
        TypeError: `exception` is not an exception class.
    """
    if not _is_exception_class(exception):
        raise TypeError(f"raise_as: takes an exception class, not {shown(exception)}")
    return RaiseAs(exception=exception)


def _is_exception_class(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseException)


def fallback(backend: Any) -> Fallback:
    """An action for `failed`: read and write `backend` while the cache's own backend fails.

    Deletes go to both. What `backend` holds is dropped once the cache's own one is back.
    """
    if backend is None:
        raise TypeError("fallback: takes a backend, not None")
    return Fallback(backend=backend)


Decision = Action | RaiseAs | Fallback
_DECISIONS: Final = (Action, RaiseAs, Fallback)
Choice = Decision | Callable[[Any], Decision]

OPERATIONS: Final = ("key", "read", "write", "delete", "clear")

_ALLOWED: Final[dict[str, tuple[Action, ...]]] = {
    "miss": (CALL, RAISE),
    "expired": (CALL, STALE, RAISE),
    "full": (EVICT, SKIP, RAISE),
    "failed": (CALL, STALE, RAISE),
}
_FIELD_OF: Final[dict[type[CacheError], str]] = {
    Miss: "miss",
    Expired: "expired",
    Full: "full",
    OperationFailed: "failed",
}


@record(frozen=True, kw_only=True)
class Policy:
    """For each of the four errors, what a program wants done about it.

    Attributes:
        miss: nothing stored: `CALL` (default), `RAISE`.
        expired: past its lifetime: `CALL` (default), `STALE`, `RAISE`.
        full: no room: `EVICT` (default), `SKIP`, `RAISE`.
        failed: backend, codec or key failed: `CALL` (default), `STALE`, `RAISE`,
            `fallback(backend)`, or a mapping from operation ("key", "read", "write", "delete",
            "clear") to one of these; an operation missing from the mapping uses `CALL`.
        on_error: called with each `Full` and `OperationFailed`, absorbed or raised.
        timeout: seconds (or a timedelta, or text such as "250ms") that all backend work of one call
            may take together, the function's own time not counted; None: no bound.
        retry: how often an operation that failed is tried again, within `timeout`, after pauses
            that grow and are drawn at random.
        breaker: when a backend that keeps failing is not asked for a while; None: always ask.
        max_loads_while_open: the most loads that run at once, over all caches on one backend,
            while its breaker is open; who comes beyond waits. None: no limit.

    Each of the first four also takes `raise_as(exception)` and a callable that is given the error
    and returns one of the actions.

    Raises:
        TypeError, ValueError: when built with something else; the message names the field.
    """

    miss: Choice = CALL
    expired: Choice = CALL
    full: Choice = EVICT
    failed: Choice | Mapping[str, Choice] = CALL
    on_error: Callable[[CacheError], object] | None = None
    timeout: Duration | None = 0.25
    retry: int = 0
    breaker: Breaker | None = Breaker()
    max_loads_while_open: int | None = None

    def __post_init__(self) -> None:
        for name in ("miss", "expired", "full"):
            _check(name, name, getattr(self, name))
        if isinstance(self.failed, Mapping):
            for operation, choice in self.failed.items():
                if operation not in OPERATIONS:
                    raise ValueError(
                        f"Policy(failed={{...}}): {shown(operation)} is no operation; "
                        f"allowed are {', '.join(OPERATIONS)}"
                    )
                _check("failed", f"failed[{operation!r}]", choice)
            object.__setattr__(self, "failed", MappingProxyType(dict(self.failed)))
        else:
            _check("failed", "failed", self.failed)
        if self.on_error is not None and not callable(self.on_error):
            raise TypeError(
                f"Policy(on_error={shown(self.on_error)}): takes a callable of one error, or None"
            )
        if self.timeout is not None:
            instead = "None for no bound"
            timeout = seconds("Policy.timeout", self.timeout, zero=False, instead=instead)
            object.__setattr__(self, "timeout", None if timeout == math.inf else timeout)
        _check_count("retry", self.retry, 0)
        if self.breaker is not None and not isinstance(self.breaker, Breaker):
            raise TypeError(f"Policy(breaker={shown(self.breaker)}): takes a memo.Breaker, or None")
        if self.max_loads_while_open is not None:
            _check_count("max_loads_while_open", self.max_loads_while_open, 1)

    @classmethod
    def absorb(cls, **changes: Any) -> Policy:
        """The default: no cache error reaches the caller."""
        return cls(**changes)

    @classmethod
    def strict(cls, **changes: Any) -> Policy:
        """What went wrong in the cache is raised: `full=RAISE, failed=RAISE`."""
        fields: dict[str, Any] = {"full": RAISE, "failed": RAISE}
        return cls(**(fields | changes))

    @classmethod
    def cache_only(cls, **changes: Any) -> Policy:
        """The function is never called for want of an entry: `miss=RAISE, expired=RAISE`."""
        fields: dict[str, Any] = {"miss": RAISE, "expired": RAISE}
        return cls(**(fields | changes))

    def action(self, error: CacheError) -> Decision:
        """What to do about `error`.

        Raises:
            Exception: what a callable of the user's raised.
            ValueError: a callable of the user's returned no action that fits the error.
        """
        name = _FIELD_OF[variant_of(error)]
        choice = getattr(self, name)
        if isinstance(choice, MappingProxyType):
            choice = choice.get(getattr(error, "operation", None), CALL)
        if isinstance(choice, _DECISIONS):
            return choice
        chosen: Decision = choice(error)
        _check(name, name, chosen, callables=False)
        return chosen

    def default_action(self, error: CacheError) -> Action:
        """What absorbs `error` when the policy's own choice cannot be had."""
        return EVICT if isinstance(error, Full) else CALL

    def fallbacks(self) -> list[Fallback]:
        """The fallbacks that it names, as far as they are known before run time."""
        failed = self.failed
        choices = failed.values() if isinstance(failed, Mapping) else (failed,)
        return [choice for choice in choices if isinstance(choice, Fallback)]

    def may_serve_stale(self, name: str) -> bool:
        """Whether `STALE` can come out of the field `name`, at the latest at run time."""
        choice = getattr(self, name)
        choices = choice.values() if isinstance(choice, Mapping) else (choice,)
        return any(
            choice is STALE or not isinstance(choice, Action | RaiseAs | Fallback)
            for choice in choices
        )

    def __hash__(self) -> int:
        # Without `failed`, which may be a mapping.
        actions = (self.miss, self.expired, self.full, self.on_error)
        return hash((actions, self.timeout, self.retry, self.breaker, self.max_loads_while_open))

    def __repr__(self) -> str:
        said = {name: getattr(self, name) for name in _ALWAYS_SHOWN}
        if isinstance(self.failed, Mapping):
            said["failed"] = dict(self.failed)
        for name, value in vars(self).items():
            if name not in said and value != getattr(Policy, name):
                said[name] = value
        return f"Policy({', '.join(f'{name}={value!r}' for name, value in said.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        said = dict(vars(self))
        if isinstance(self.failed, Mapping):
            said["failed"] = dict(self.failed)
        return _rebuild, (said,)


_ALWAYS_SHOWN: Final = ("miss", "expired", "full", "failed", "on_error")


def _rebuild(said: dict[str, Any]) -> Policy:
    return Policy(**said)


def _check_count(name: str, value: Any, least: int) -> None:
    takes = f"takes a whole number of at least {least}" + (", or None" if least else "")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Policy({name}={shown(value)}): {takes}")
    if value < least:
        raise ValueError(f"Policy({name}={value!r}): {takes}")


def _check(name: str, place: str, choice: object, *, callables: bool = True) -> None:
    allowed = _ALLOWED[name]
    if isinstance(choice, RaiseAs) or (isinstance(choice, Action) and choice in allowed):
        return
    if isinstance(choice, Fallback) and name == "failed":
        return
    if callables and callable(choice) and not isinstance(choice, type):
        return
    names = ", ".join(action.name for action in allowed)
    more = ", fallback(backend)" if name == "failed" else ""
    hint = (
        f" (for an exception class, write raise_as({choice.__name__}))"
        if isinstance(choice, type) and issubclass(choice, BaseException)
        else ""
    )
    raise ValueError(
        f"Policy({place}={shown(choice)}): allowed are {names}, raise_as(exception){more}"
        f"{' or a callable of the error' if callables else ''}{hint}"
    )
