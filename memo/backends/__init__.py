"""Where entries are kept.

Any object with `read(key) -> Entry | None`, `write(key, entry)`, `delete(key) -> bool` and
`clear()` is a backend; with the same names as coroutine functions it is an async one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .adapters import CachetoolsBackend, MappingBackend
from .base import AsyncBackend, Backend
from .memory import EVICTIONS, Memory
from .null import Null

if TYPE_CHECKING:
    from .encoded import AsyncBytesBackend, BytesBackend, lifetime
    from .memcached import Memcached
    from .memcached_async import AsyncMemcached
    from .objects import AsyncObjectBackend, DjangoBackend, ObjectBackend
    from .redis import Redis
    from .redis_async import AsyncRedis
    from .sqlite import Sqlite

__all__ = [
    "EVICTIONS",
    "AsyncBackend",
    "AsyncBytesBackend",
    "AsyncMemcached",
    "AsyncObjectBackend",
    "AsyncRedis",
    "Backend",
    "BytesBackend",
    "CachetoolsBackend",
    "DjangoBackend",
    "MappingBackend",
    "Memcached",
    "Memory",
    "Null",
    "ObjectBackend",
    "Redis",
    "Sqlite",
    "lifetime",
]

#: Where the rest is, which is imported when it is asked for, since it needs more than memo does.
_HOMES: Final = {
    "AsyncBytesBackend": "encoded",
    "AsyncMemcached": "memcached_async",
    "AsyncObjectBackend": "objects",
    "AsyncRedis": "redis_async",
    "BytesBackend": "encoded",
    "DjangoBackend": "objects",
    "Memcached": "memcached",
    "ObjectBackend": "objects",
    "Redis": "redis",
    "Sqlite": "sqlite",
    "lifetime": "encoded",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
