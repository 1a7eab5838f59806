"""How a codec says no."""

from __future__ import annotations

from typing import Any

from ..errors import OperationFailed, text_of

__all__ = ["explained", "refused", "type_name"]


def refused(reason: str) -> OperationFailed:
    """The error for what a codec cannot encode or decode; the store itself is well."""
    return OperationFailed(reason, codec=True)


def explained(error: BaseException) -> str:
    """`error` in one line."""
    if isinstance(error, OperationFailed):
        return error.reason
    return f"{type(error).__name__}: {text_of(error)}"[:500]


def type_name(thing: Any) -> str:
    """What the type of `thing` is called in messages."""
    kind = type(thing)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
