"""From what a user hands in as `backend` to an object that is one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from ..errors import shown
from ..forking import ForkableLock
from ..guard import prepare
from .adapters import adapted
from .base import is_async

__all__ = ["adopt"]

#: The module that has `from_url` for each scheme of our own, and the extra that brings its client.
_SCHEMES: Final[dict[str, tuple[str, str | None]]] = {
    "memory": ("memory_url", None),
    "null": ("null", None),
    "sqlite": ("sqlite", "sqlite"),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
    "redis+unix": ("redis", "redis"),
    "redis+cluster": ("redis", "redis"),
    "redis+sentinel": ("redis", "redis"),
    "memcached": ("memcached", "memcached"),
}
#: The entry points by which other distributions bring schemes of theirs.
GROUP: Final = "memo.backends"

_at_urls: dict[str, Any] = {}
_lock = ForkableLock()


def adopt(backend: Any) -> Any:
    """The backend that `backend` is, names, or can be adapted to.

    A URL names one backend for the whole program, so that functions decorated with the same URL
    share its connections; `memory://` and `null://` name a new one each time.

    Raises:
        TypeError: it is nothing of the kind.
        ValueError: a URL that names no backend, or has parts that cannot be.
        ImportError: what the backend needs is not installed; the message says what to install.
    """
    if isinstance(backend, str):
        backend = _at_url(backend)
    elif isinstance(backend, MutableMapping):
        backend = adapted(backend)
    is_async(backend)  # raises where it is no backend
    prepare(backend)
    return backend


def _at_url(url: str) -> Any:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()  # RFC 3986, section 3.1
    url = f"{scheme}{separator}{rest}" if separator else url
    if not separator:
        raise ValueError(f"backend={_hidden(url)!r}: takes a URL such as 'redis://localhost:6379'")
    with _lock.lock:
        known = _at_urls.get(url)
    if known is not None:
        return known
    backend = _maker(scheme, url)(url)
    try:
        is_async(backend)
    except TypeError as error:
        raise TypeError(f"backend={_hidden(url)!r}: the plug-in for it gave no backend") from error
    if not getattr(backend, "blocking", True):
        return backend  # a store inside the process: one for each who asks
    with _lock.lock:
        return _at_urls.setdefault(url, backend)


def _maker(scheme: str, url: str) -> Callable[[str], Any]:
    """What makes backends of URLs that begin with `scheme`."""
    if scheme in _SCHEMES:
        module, extra = _SCHEMES[scheme]
        try:
            made: Callable[[str], Any] = importlib.import_module(f".{module}", __package__).from_url
        except ImportError as error:
            raise ImportError(
                f"backend={_hidden(url)!r}: {error.name or error} is not installed; "
                f"pip install 'memo-cache[{extra}]'"
            ) from error
        return made
    from importlib.metadata import entry_points

    found = entry_points(group=GROUP, name=scheme)
    for point in found:
        try:
            plugin: Callable[[str], Any] = point.load()
        except (ImportError, AttributeError) as error:
            raise ImportError(
                f"backend={_hidden(url)!r}: the plug-in for {scheme}:// cannot be imported: {error}"
            ) from error
        return plugin
    known = sorted({*_SCHEMES, *(point.name for point in entry_points(group=GROUP))})
    raise ValueError(
        f"backend={_hidden(url)!r}: nothing is known about {shown(scheme)}; "
        f"known are {', '.join(f'{name}://' for name in known)}"
    )


def _hidden(url: str) -> str:
    """`url` without the passwords in it."""
    from .urls import hidden

    return hidden(url)
