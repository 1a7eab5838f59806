"""Memories that a URL names."""

from __future__ import annotations

from .memory import Memory

__all__ = ["from_url"]


def _bound(text: str) -> float | None:
    return None if text == "none" else int(text)


def from_url(url: str) -> Memory:
    """The memory that `memory://` names; options in the query: `maxsize`, `eviction`.

    Raises:
        ValueError: a part of the URL that cannot be.
    """
    if url == "memory://":
        return Memory()
    from .urls import parts

    found = parts(url, {"maxsize": _bound, "eviction": str})
    if found.hosts or found.path or found.username:
        raise ValueError(
            f"backend={found.hidden!r}: memory:// takes options only, as in ?maxsize=1000"
        )
    try:
        return Memory(**found.options)
    except ValueError as error:
        raise ValueError(f"backend={found.hidden!r}: {error}") from error
