"""What came of a backend operation, in memo's words: a sound answer or a `CacheError`."""

from __future__ import annotations

import math
from typing import Any

from ..entry import Entry
from ..errors import CacheError, Full, OperationFailed, shown, text_of

__all__ = ["cause_of", "counted", "entry_of", "has_answered", "is_final", "translated"]


def translated(operation: str, key: Any, backend: str, error: Exception) -> CacheError:
    """What `error`, met in `operation`, is to memo; raise it `from cause_of(error)`."""
    if isinstance(error, OperationFailed):
        error.operation = error.operation or operation
        error.backend = error.backend or backend
        error.key = key if error.key is None else error.key
        return error
    if isinstance(error, Full) and operation == "write":
        return error
    return OperationFailed(
        f"{type(error).__name__}: {text_of(error)}", operation=operation, key=key, backend=backend
    )


def cause_of(error: BaseException) -> BaseException | None:
    """The cause of what is raised in the place of `error`."""
    return error.__cause__ if isinstance(error, OperationFailed | Full) else error


def is_final(error: CacheError) -> bool:
    """Whether trying again is no use: there is no room, or it is the key or the value itself."""
    if isinstance(error, OperationFailed):
        return error.codec or error.operation == "key"
    return isinstance(error, Full)


def has_answered(operation: str, error: CacheError) -> bool:
    """Whether `error` tells that the backend is well: it had no room, or gave what was stored."""
    if isinstance(error, OperationFailed):
        return error.codec and operation == "read"
    return isinstance(error, Full)


def entry_of(found: Any, key: Any, backend: str) -> Entry | None:
    """`found` if it is what a read may give; a corrupt answer must not get further than here.

    Raises:
        OperationFailed: it is no sound entry.
    """
    if found is None:
        return None
    if type(found) is Entry:
        _, created, expires, kept_until, _ = found
        if type(created) is type(expires) is type(kept_until) is float:
            # A NaN is not equal to itself, and nothing is left of what is finite.
            sound = created - created == 0 and expires == expires and kept_until == kept_until  # noqa: PLR0124
        else:
            times = (created, expires, kept_until)
            sound = all(type(time) in {float, int} and not math.isnan(time) for time in times)
            sound = sound and math.isfinite(created)
        if sound:
            return found
    raise OperationFailed(
        f"it gave {shown(found)}, which is no entry", operation="read", key=key, backend=backend
    )


def counted(evicted: Any) -> int:
    """How many entries a write says that it evicted; 0 where it says nothing that counts."""
    return evicted if type(evicted) is int else 0
