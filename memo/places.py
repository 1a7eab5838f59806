"""Who a module, a class or a function is, in every process: where it is found."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, Final

from .errors import OperationFailed, shown

__all__ = ["module_identity", "place_of", "without_form"]


def without_form(value: Any, why: str = "") -> OperationFailed:
    """The error for a part of a key that other processes could not write the same way."""
    reason = why or "; give its class __cache_key__(), or use key="
    return OperationFailed(
        f"key cannot be made: {shown(value)} has no stable form on a shared backend{reason}",
        operation="key",
    )


def module_identity(name: str) -> str | None:
    """What the module is called in every process.

    That is its name; of the script that was started, which is `__main__` in one process and
    `__mp_main__` in its children, the resolved path. None: it has no lasting identity, being typed
    in or piped in.
    """
    if name not in {"__main__", "__mp_main__"}:
        return name
    file = getattr(sys.modules.get(name), "__file__", None)
    return _resolved(file) if isinstance(file, str) else None


_resolved: Final = functools.lru_cache(16)(os.path.realpath)


def place_of(thing: Any) -> tuple[str, str]:
    """The module and the qualified name under which a class or a function is found.

    Raises:
        OperationFailed: operation "key"; it is found under none, or another is.
    """
    module, name = thing.__module__, thing.__qualname__
    if not isinstance(module, str):
        raise without_form(thing, ": it belongs to no module")
    if "<" in name:
        raise without_form(thing, ": it has no name outside the function that made it")
    identity = module_identity(module)
    if identity is None:
        raise without_form(thing, ": it was not read from a file")
    if module != "builtins":  # where not every type that says so is found
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not thing:
            raise without_form(thing, f": {module}.{name} is not the same")
    return identity, name
