"""What a flow can want done, and the words it has for what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .entry import Entry
from .errors import CacheError

__all__ = [
    "ALONE",
    "FAILED",
    "HELD",
    "Absorb",
    "Clear",
    "Delete",
    "Evict",
    "Followed",
    "Join",
    "Load",
    "Read",
    "Refresh",
    "Refusal",
    "Step",
    "Watch",
    "Write",
]


@dataclass(slots=True)
class Step:
    """What a flow wants done; `key` is the key concerned."""

    key: Any


@dataclass(slots=True)
class Read(Step):
    """Read the entry under `key`; answered with an `Entry` or None.

    `backend` is None for the cache's own, `HELD` for what was last seen of it, else a fallback.
    """

    backend: Any = None


class Watch(Protocol):
    """What tells a load that its result has been overtaken by an invalidation or a newer value."""

    superseded: bool


class _Alone:
    __slots__ = ()
    superseded = False


#: The watch of a load that nobody waits for and nothing can overtake.
ALONE: Watch = _Alone()


@dataclass(slots=True)
class Write(Step):
    """Write `entry` under `key`, unless `watch` says that it has been overtaken."""

    entry: Entry
    backend: Any = None
    watch: Watch = field(default=ALONE, compare=False)


@dataclass(slots=True)
class Delete(Step):
    """Drop what is under `key`; answered with whether there was anything."""

    backend: Any = None


@dataclass(slots=True)
class Clear(Step):
    """Drop everything of this cache's."""

    backend: Any = None


@dataclass(slots=True)
class Evict(Step):
    """Make room for one entry; answered with how many were dropped."""


@dataclass(slots=True)
class Join(Step):
    """Become the one that loads `key`, or wait for the one that does.

    Answered with a `Watch` for the one to load, or with what the other's flow returned, wrapped in
    `Followed`.
    """


@dataclass(slots=True)
class Load(Step):
    """Call the function; answered with its value, or with `Raised(error)`."""


@dataclass(slots=True)
class Refresh(Step):
    """Start a `reload` of `key` in the background."""


@dataclass(slots=True)
class Absorb(Step):
    """Let `error` be heard: it is counted already and will not reach the caller by itself."""

    error: CacheError


@dataclass(frozen=True, slots=True)
class Followed:
    """The result of the flow of another caller."""

    result: Any


class _Word:
    """A word that flows and those who run them have between them."""

    __slots__ = ("word",)

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


#: Stands for the backend that keeps what was last seen of the cache's own one.
HELD: Final[Any] = _Word("HELD")
#: Stands for the answer to a step that failed.
FAILED: Final[Any] = _Word("FAILED")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error for the caller, instead of a value."""

    error: BaseException
