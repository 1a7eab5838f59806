"""A backend that keeps nothing."""

from __future__ import annotations

from typing import Any

from ..entry import Entry

__all__ = ["Null", "from_url"]


class Null:
    """Keeps nothing: every read is a miss and every write succeeds."""

    name = "null"
    blocking = False
    maxsize = 0
    currsize = 0

    def read(self, key: Any, /) -> Entry | None:
        """Always None."""
        del key
        return None

    def write(self, key: Any, entry: Entry, /) -> None:
        """Does nothing."""

    def delete(self, key: Any, /) -> bool:
        """Always False."""
        del key
        return False

    def clear(self) -> None:
        """Does nothing."""

    def __repr__(self) -> str:
        return "<Null>"


def from_url(url: str) -> Null:
    """The backend that `null://` names.

    Raises:
        ValueError: there is more to the URL.
    """
    if url != "null://":
        from .urls import hidden

        raise ValueError(f"backend={hidden(url)!r}: null:// takes nothing more")
    return Null()
