"""The four ways a cache can fail to answer, and their common base.

    CacheError
    ├── Miss(key)                nothing is stored under the key
    ├── Expired(key)             what is stored is past its lifetime
    ├── Full(key)                the store has no room for the entry
    └── OperationFailed(reason)  backend, codec or key failed, or ran out of time

Inside memo absence is a value; these are what a caller meets at the edge, and what a
`memo.Policy` is asked about. Each can be matched by position (`case Miss(key):`), pickled,
and read as one sentence. An error of a foreign library is kept as `__cause__`.
"""

from __future__ import annotations

import types
from reprlib import Repr
from typing import Any, Final

__all__ = ["CacheError", "Expired", "Full", "LoadTimeout", "Miss", "OperationFailed"]

_short = Repr()
_short.maxstring = _short.maxother = 120
_short.maxtuple = _short.maxlist = 12


def shown(thing: object) -> str:
    """A short `repr` that never raises, for use in messages."""
    try:
        return _short.repr(thing)
    except Exception:
        return f"<{type(thing).__name__} object>"


def text_of(error: BaseException) -> str:
    """The text of `error`, also where it fails to give one."""
    try:
        return str(error) or "no message"
    except Exception:
        return "no message to be had"


class CacheError(Exception):
    """Base of everything memo raises about the cache itself."""


class Miss(CacheError):
    """Nothing is stored under `key`: never stored, evicted or dropped.

    Recover by creating the value and storing it.
    """

    __match_args__ = ("key",)

    def __init__(self, key: Any) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"no entry for key {shown(self.key)}"


class Expired(CacheError):
    """The entry under `key` is past its lifetime.

    Recover by recomputing and replacing it.

    Attributes:
        key: the key that was asked for.
        value: the expired value, for those who would rather have it than nothing.
        age: seconds since the value was stored.
    """

    __match_args__ = ("key",)

    def __init__(self, key: Any, *, value: Any = None, age: float | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.value = value
        self.age = age

    def __str__(self) -> str:
        aged = "" if self.age is None else f", stored {self.age:.3g} s ago"
        return f"the entry for key {shown(self.key)} has expired{aged}"


class Full(CacheError):
    """The store cannot make room for `key`.

    Recover by evicting and trying again, by a larger store, or by going without.

    Attributes:
        key: the key that could not be stored.
        value: the function's result where it had been computed already, else None.
        too_large: the value alone is over the store's bound, so that no eviction could help.
    """

    __match_args__ = ("key",)

    def __init__(self, key: Any, *, value: Any = None, too_large: bool = False) -> None:
        super().__init__(key)
        self.key = key
        self.value = value
        self.too_large = too_large

    def __str__(self) -> str:
        why = "its value is larger than the whole store" if self.too_large else "the store is full"
        return f"cannot store key {shown(self.key)}: {why}"


class OperationFailed(CacheError):
    """A cache operation failed for a reason that is none of the other three.

    Recover by going without the cache; the foreign error is `__cause__`.

    Attributes:
        reason: what went wrong, in words.
        operation: "key", "read", "write", "delete" or "clear"; "call" or "report" where it was no
            backend but a hook of the user's or memo itself; None when unknown.
        key: the key concerned, if there was one.
        backend: the name of the backend concerned, if there was one.
        value: the function's result where it had been computed already, else None.
        codec: the store itself is well: what it holds, or was given, cannot be decoded or encoded.
    """

    __match_args__ = ("reason",)

    def __init__(
        self,
        reason: str,
        *,
        operation: str | None = None,
        key: Any = None,
        backend: str | None = None,
        value: Any = None,
        codec: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.operation = operation
        self.key = key
        self.backend = backend
        self.value = value
        self.codec = codec

    def __str__(self) -> str:
        what = f"cache {self.operation} failed" if self.operation else "cache operation failed"
        where = f" on {self.backend}" if self.backend else ""
        which = "" if self.key is None else f" for key {shown(self.key)}"
        return f"{what}{where}{which}: {self.reason}"


_VARIANTS: Final = (OperationFailed, Full, Expired, Miss)


def variant_of(error: CacheError) -> type[CacheError]:
    """Which of the four `error` is; its own type where it is none of them."""
    kind = type(error)
    if kind in _VARIANTS:
        return kind
    return next((variant for variant in _VARIANTS if isinstance(error, variant)), kind)


class NoValue(KeyError):
    """The function, asked for several keys at once, gave no value for this one.

    Not a `CacheError`: it is the function's answer. It is not remembered, nothing stale stands in
    for it, and what was stored under the key is dropped.
    """


class LoadTimeout(TimeoutError):
    """The function has given no value within `hard_timeout`; it goes on, and its value is stored.

    Not a `CacheError`, and no policy is asked about it: the limit is the caller's own wish.

    Attributes:
        key: the key that is being loaded; None where the call has none.
        seconds: how long was waited at most.
    """

    __match_args__ = ("key",)

    def __init__(self, key: Any, seconds: float | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.seconds = seconds

    def __str__(self) -> str:
        after = "in time" if self.seconds is None else f"within {self.seconds:.3g} s"
        which = "" if self.key is None else f" for key {shown(self.key)}"
        return f"the function has given no value{which} {after}; it goes on behind"


def twin(error: BaseException) -> BaseException:
    """An exception equal to `error` in type, arguments, state and cause, with no traceback.

    One exception object must not be raised to two callers: each raise would lengthen the same
    traceback, which keeps every frame it names, and everything in them, alive. The user's
    `__init__` is not run again. Where no faithful twin can be made, `error` itself is returned
    without its traceback.
    """
    kind = type(error)
    try:
        copy = kind.__new__(kind, *error.args)
        copy.args = error.args
        for base in kind.__mro__:
            if base is BaseException or base is BaseExceptionGroup:
                break  # what these keep is set above, below, or by __new__
            for member in vars(base).values():
                if isinstance(member, types.MemberDescriptorType):
                    _copy_member(member, error, copy)
        copy.__dict__.update(error.__dict__)
        if "__notes__" in error.__dict__:
            copy.__notes__ = list(error.__notes__)
    except Exception:
        return error.with_traceback(None)
    copy.__cause__ = error.__cause__
    copy.__context__ = error.__context__
    copy.__suppress_context__ = error.__suppress_context__
    return copy


def detached(error: BaseException, _known: dict[int, BaseException] | None = None) -> BaseException:
    """A `twin` to be kept: neither it nor what it came from leads to any frame.

    The members of an exception group stay what they are.
    """
    known = {} if _known is None else _known
    copy = known.get(id(error))
    if copy is not None:
        return copy
    copy = known[id(error)] = twin(error)
    suppressed = error.__suppress_context__
    copy.__cause__ = None if error.__cause__ is None else detached(error.__cause__, known)
    copy.__context__ = None if error.__context__ is None else detached(error.__context__, known)
    copy.__suppress_context__ = suppressed
    return copy


def _copy_member(member: types.MemberDescriptorType, source: object, target: object) -> None:
    try:
        value = member.__get__(source)
    except AttributeError:
        return  # a slot that was never filled
    try:
        if member.__get__(target) is value:
            return  # __new__ has set it; and an OSError prints a None that was set explicitly
    except AttributeError:
        pass
    member.__set__(target, value)
