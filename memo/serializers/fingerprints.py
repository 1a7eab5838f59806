"""What a return annotation comes to, in eight bytes.

They change when a field of a type comes, goes, is renamed or changes its type, and are the same in
every process: nothing in them depends on an address, on a hash, or on the order of an import.
"""

from __future__ import annotations

import dataclasses
import enum
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from ..entry import ABSENT
from .conformance import UNIONS

__all__ = ["SIZE", "description", "fingerprint", "union_members"]

#: Bytes of a fingerprint.
SIZE: Final = 8

_WITH_A_REPR: Final = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})

_WITH_REPRS: Final = frozenset({"datetime", "decimal", "uuid"})


def fingerprint(annotation: Any, more: str = "") -> bytes:
    """The fingerprint of `annotation`; of no annotation where it is ABSENT."""
    words = "" if annotation is ABSENT else description(annotation)
    return blake2b(f"{words}\n{more}".encode("utf-8", "replace"), digest_size=SIZE).digest()


def union_members(annotation: Any) -> tuple[Any, ...]:
    """What a union is a union of, in an order of its own; anything else alone."""
    if get_origin(annotation) not in UNIONS:
        return (annotation,)
    return tuple(sorted(get_args(annotation), key=description))


def description(annotation: Any) -> str:
    """`annotation` in words, with the fields of every type in it."""
    return _described(annotation, set())


def _described(annotation: Any, seen: set[Any]) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if type(annotation) in _WITH_A_REPR:
        return repr(annotation)
    if get_origin(annotation) is not None:
        return _generic(get_origin(annotation), get_args(annotation), seen)
    if isinstance(annotation, type):
        return _class(annotation, seen)
    if hasattr(annotation, "__supertype__"):  # a NewType
        return _described(annotation.__supertype__, seen)
    if hasattr(annotation, "__value__") and annotation not in seen:  # `type X = ...`
        seen.add(annotation)  # it may name itself
        return _described(annotation.__value__, seen)
    named = getattr(annotation, "__forward_arg__", None) or getattr(annotation, "__name__", None)
    return f"~{named or type(annotation).__name__}"


def _generic(origin: Any, args: tuple[Any, ...], seen: set[Any]) -> str:
    if origin is Annotated:
        return _described(args[0], seen)
    if origin in UNIONS:
        # Each with what was seen before the union alone, or the order as written would tell.
        return "(" + " | ".join(sorted(_described(arg, set(seen)) for arg in args)) + ")"
    if origin is Literal:
        return f"Literal[{', '.join(map(_constant, args))}]"
    return f"{_described(origin, seen)}[{', '.join(_described(arg, seen) for arg in args)}]"


def _class(kind: Any, seen: set[Any]) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind in seen:
        return name
    seen.add(kind)
    if issubclass(kind, enum.Enum):
        members = (f"{key}={_constant(item.value)}" for key, item in kind.__members__.items())
        return f"{name}({', '.join(members)})"
    found = _fields(kind)
    if found is None:
        return name
    sort, fields = found
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:  # a name that cannot be resolved: then as it is written
        hints = getattr(kind, "__annotations__", {})
    types = (f"{key}: {_described(hints.get(key, Any), seen)}" for key in fields)
    return f"{sort} {name}({', '.join((*types, *_layout(kind)))})"


def _fields(kind: Any) -> tuple[str, list[str]] | None:
    """The sort of a type that has fields, and their names."""
    if hasattr(kind, "__struct_fields__"):
        return "struct", list(kind.__struct_fields__)
    if dataclasses.is_dataclass(kind):
        return "dataclass", [field.name for field in dataclasses.fields(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return "attrs", [attribute.name for attribute in kind.__attrs_attrs__]
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return "tuple", list(getattr(kind, "_fields", ()))
    if issubclass(kind, dict) and hasattr(kind, "__required_keys__"):
        return "dict", sorted(kind.__annotations__)
    return None


def _layout(kind: Any) -> list[str]:
    """What else decides how a type is written."""
    if hasattr(kind, "__required_keys__"):
        return [f"required {sorted(kind.__required_keys__)}"]
    if not hasattr(kind, "__struct_fields__"):
        return []
    config = kind.__struct_config__
    return [
        f"written {kind.__struct_encode_fields__}",
        f"tagged {config.tag_field!r} {config.tag!r}",
        f"array {config.array_like}",
        # Fields that have their default may be left out of what is written.
        *map(_constant, kind.__struct_defaults__ if config.omit_defaults else ()),
    ]


def _constant(value: Any) -> str:
    """A value in words: itself, if it is of a type whose `repr` says all."""
    if type(value) in _WITH_A_REPR:
        return repr(value)
    if isinstance(value, enum.Enum):
        return f"{type(value).__module__}.{type(value).__qualname__}.{value.name}"
    if type(value).__module__ in _WITH_REPRS:
        return repr(value)
    if type(value) in {tuple, list}:
        return f"({', '.join(map(_constant, value))})"
    if type(value) in {set, frozenset}:
        return f"{{{', '.join(sorted(map(_constant, value)))}}}"
    found = _fields(type(value))
    if found is not None:
        of_fields = (_constant(getattr(value, name, None)) for name in found[1])
        return f"{type(value).__qualname__}({', '.join(of_fields)})"
    named = value if callable(value) else getattr(value, "factory", type(value))
    return f"{type(value).__qualname__} {getattr(named, '__qualname__', '')}"
