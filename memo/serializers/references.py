"""Classes by reference: a module's name and a qualified name.

Looking one up runs no code: no import, no `__getattr__` of a module, no descriptor. What the data
names is looked for among the modules that the program has imported, and nowhere else.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .refusals import refused

__all__ = ["class_at", "reference_to"]


def class_at(module: str, qualname: str) -> type[Any]:
    """The class `qualname` of the imported `module`.

    Raises:
        OperationFailed: there is none, or `module` has not been imported by anybody.
    """
    place = sys.modules.get(module)
    if not issubclass(type(place), ModuleType):
        raise refused(f"module {module!r} is not imported")
    # The plain attribute: a module that is imported when it is touched stays as it is.
    names: Any = object.__getattribute__(place, "__dict__")
    found: Any = None
    for name in qualname.split("."):
        found = names.get(name)
        # `isinstance` would ask the thing itself for its `__class__`.
        if not issubclass(type(found), type):
            raise refused(f"module {module!r} has no class {qualname!r}")
        names = type.__getattribute__(found, "__dict__")
    kind: type[Any] = found
    return kind


def reference_to(kind: type[Any]) -> tuple[str, str]:
    """The module and qualified name under which `class_at` finds `kind`.

    Raises:
        OperationFailed: it would not be found, or something else would.
    """
    module, qualname = kind.__module__, kind.__qualname__
    try:
        found = class_at(module, qualname) if "<locals>" not in qualname else None
    except Exception:
        found = None
    if found is not kind:
        raise refused(f"class {module}.{qualname} cannot be found by its name")
    return module, qualname
