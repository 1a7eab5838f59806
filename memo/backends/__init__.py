"""Where entries are kept.

Any object with `read(key) -> Entry | None`, `write(key, entry)`, `delete(key) -> bool` and
`clear()` is a backend; with the same names as coroutine functions it is an async one.
"""

from .adapters import CachetoolsBackend, MappingBackend
from .base import AsyncBackend, Backend
from .memory import EVICTIONS, Memory
from .null import Null

__all__ = [
    "EVICTIONS",
    "AsyncBackend",
    "Backend",
    "CachetoolsBackend",
    "MappingBackend",
    "Memory",
    "Null",
]
