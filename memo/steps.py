"""What a flow can want done, and the words it has for what came of it.

Steps are made for every miss, and plain classes are quicker to make, and to import, than
dataclasses.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol

from .entry import Entry
from .errors import CacheError

__all__ = [
    "ALONE",
    "FAILED",
    "HELD",
    "LATE",
    "Absorb",
    "Admit",
    "Clear",
    "Covered",
    "Delete",
    "Evict",
    "Followed",
    "Join",
    "Load",
    "LoadBehind",
    "Read",
    "Refresh",
    "Refusal",
    "Step",
    "Watch",
    "Write",
]


class _Plain:
    """Equal where type and fields are; printed as it is made."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"


class Step(_Plain):
    """What a flow wants done; `key` is the key concerned."""

    __slots__ = ("key",)
    _fields: ClassVar[tuple[str, ...]] = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


class _Elsewhere(Step):
    """A step for the cache's own backend (None), `HELD`, or a fallback."""

    __slots__ = ("backend",)
    _fields = ("key", "backend")

    def __init__(self, key: Any, backend: Any = None) -> None:
        self.key = key
        self.backend = backend


class Read(_Elsewhere):
    """Read the entry under `key`; answered with an `Entry` or None.

    `backend` is None for the cache's own, `HELD` for what was last seen of it, else a fallback.
    """

    __slots__ = ()


class Watch(Protocol):
    """What tells a load that its result has been overtaken by an invalidation or a newer value."""

    superseded: bool


class _Alone:
    __slots__ = ()
    superseded = False


#: The watch of a load that nobody waits for and nothing can overtake.
ALONE: Watch = _Alone()


class Write(Step):
    """Write `entry` under `key`, unless `watch` says that it has been overtaken."""

    __slots__ = ("backend", "entry", "watch")
    _fields = ("key", "entry", "backend")

    def __init__(self, key: Any, entry: Entry, backend: Any = None, watch: Watch = ALONE) -> None:
        self.key = key
        self.entry = entry
        self.backend = backend
        self.watch = watch


class Delete(_Elsewhere):
    """Drop what is under `key`; answered with whether there was anything."""

    __slots__ = ()


class Clear(_Elsewhere):
    """Drop everything of this cache's."""

    __slots__ = ()


class Evict(Step):
    """Make room for one entry; answered with how many were dropped."""

    __slots__ = ()


class Join(Step):
    """Become the one that loads `key`, or wait for the one that does, at most `within` seconds.

    Answered with a `Watch` for the one to load, with what the other's flow returned, wrapped in
    `Followed`, or with `LATE`. `unchanged` is set where it is known that no load of `key` has ended
    since the call began.
    """

    __slots__ = ("unchanged", "within")
    _fields = ("key", "within")

    def __init__(self, key: Any, within: float | None = None) -> None:
        self.key = key
        self.within = within
        self.unchanged = False


class Load(Step):
    """Call the function; answered with its value, or with `Raised(error)`.

    `took` is set by who knows better than the flow how many seconds that took: where one call of
    the function is for several keys, the share of this one.
    """

    __slots__ = ("took",)

    def __init__(self, key: Any) -> None:
        self.key = key
        self.took: float | None = None


class LoadBehind(Step):
    """See `flow` through, which loads, where its end need not be waited for; and wait for it.

    At most `within` seconds are waited, those included that a `Join` of the same call has waited.
    Answered with what `flow` returned, wrapped in `Followed`; with `LATE`, while it goes on; or
    with None where the caller has to load by itself.
    """

    __slots__ = ("flow", "within")
    _fields = ("key", "within")

    def __init__(self, key: Any, within: float, flow: Any = None) -> None:
        self.key = key
        self.within = within
        self.flow = flow


class Admit(Step):
    """Wait until a load may begin, where there is a limit to how many run at once."""

    __slots__ = ("most",)
    _fields = ("key", "most")

    def __init__(self, key: Any, most: int) -> None:
        self.key = key
        self.most = most


class Refresh(Step):
    """Start a `reload` of `key` in the background."""

    __slots__ = ()


class Absorb(Step):
    """Let `error` be heard: it is counted already and will not reach the caller by itself."""

    __slots__ = ("error",)
    _fields = ("key", "error")

    def __init__(self, key: Any, error: CacheError) -> None:
        self.key = key
        self.error = error


class Followed(_Plain):
    """The result of the flow of another caller."""

    __slots__ = ("result",)
    _fields = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result


class Covered(_Plain):
    """A stale value in the place of an exception; to all who share the load it is a value."""

    __slots__ = ("entry",)
    _fields = ("entry",)

    def __init__(self, entry: Entry) -> None:
        self.entry = entry


class Refusal(_Plain):
    """An error for the caller, instead of a value."""

    __slots__ = ("error",)
    _fields = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


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
#: Stands for the answer to a step that took longer than it was given.
LATE: Final[Any] = _Word("LATE")
