"""From what a user hands in as `backend` to an object that is one."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from .adapters import adapted
from .base import is_async
from .memory import Memory
from .null import Null

__all__ = ["adopt"]

_URLS = {"memory://": Memory, "null://": Null}


def adopt(backend: Any) -> Any:
    """The backend that `backend` is, names, or can be adapted to.

    Raises:
        TypeError: it is nothing of the kind.
        ValueError: a URL that names no backend.
    """
    if isinstance(backend, str):
        if backend not in _URLS:
            raise ValueError(f"backend={backend!r}: known URLs are {', '.join(_URLS)}")
        return _URLS[backend]()
    if isinstance(backend, MutableMapping):
        return adapted(backend)
    is_async(backend)  # raises where it is no backend
    return backend
