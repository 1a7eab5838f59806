"""Which function a key belongs to, where the keys of several are beside each other.

In a store inside the process that is told by the function itself, on a shared one by a text.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import Any

from .errors import shown

__all__ = ["Scope", "name_of_function", "scope_of", "shared_scope"]


class Scope:
    """Tells the entries of one receiver from those of others in a store they share."""

    __slots__ = ("__weakref__", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class _VersionScope(Scope):
    __slots__ = ("function",)

    def __init__(self, name: str, function: Any) -> None:
        super().__init__(name)
        self.function = function


#: One scope for each function and version, so that decorating a function twice is one cache.
_scopes: weakref.WeakValueDictionary[tuple[int, str], _VersionScope] = weakref.WeakValueDictionary()


def scope_of(function: Any, name: str, version: Any) -> Scope:
    """What the keys of `function` begin with in a store of this process that others use too."""
    if version is not None:
        name = f"{name} version {version!r}"
    mark = (id(function), repr(version))
    scope = _scopes.get(mark)
    if scope is None or scope.function is not function:
        scope = _scopes[mark] = _VersionScope(name, function)
    return scope


def shared_scope(function: Any, name: str | None, version: Any) -> str:
    """What the keys of `function` begin with on a store that other processes use too.

    It is the function's module (for a script its path), its qualified name or `name`, and
    `version`.

    Raises:
        ValueError: nothing but a `name` could tell it from others in every process: it is a
            lambda, local to a function, a `partial` or the like.
        TypeError: `version` is neither text nor a whole number.
    """
    from .canonical import module_identity

    if version is not None and (not isinstance(version, str | int) or isinstance(version, bool)):
        raise TypeError(f"version={shown(version)}: on a shared backend takes a str or an int")
    own = name or _lasting_name(function)
    if own is None:
        raise ValueError(
            f"name: {name_of_function(function)} needs one on a shared backend, since others may "
            "be called the same: write cached(name='...'), different for each such function"
        )
    module = module_identity(getattr(function, "__module__", None) or "")
    if module is None and name is None:
        raise ValueError(
            f"name: {own} needs one on a shared backend, as it is typed or piped in, and is found "
            "in no module: write cached(name='...')"
        )
    # No two functions may meet: what parts the parts is in none of them.
    text = f"{(module or '').replace('|', '||')}|{own.replace('@', '@@')}"
    return text if version is None else f"{text}@{version}"


def _lasting_name(function: Any) -> str | None:
    """The qualified name of `function`, if it is one for all processes and for it alone."""
    plain = inspect.isfunction(function) or (
        inspect.isbuiltin(function) and inspect.ismodule(function.__self__)
    )
    name = getattr(function, "__qualname__", None)
    return name if plain and isinstance(name, str) and "<" not in name else None


def name_of_function(function: Any) -> str:
    """What messages call `function`."""
    for attribute in ("__qualname__", "__name__"):
        name = getattr(function, attribute, None)
        if isinstance(name, str):
            return name
    if isinstance(function, functools.partial):
        return f"partial({name_of_function(function.func)})"
    return type(function).__qualname__
