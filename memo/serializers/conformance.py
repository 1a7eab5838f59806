"""Whether a value of builtins is what a return annotation says."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

__all__ = ["UNIONS", "conforms"]

UNIONS: Final = (Union, types.UnionType)

#: An int is a float to type checkers (PEP 484, "The numeric tower").
_ALSO: Final[dict[Any, tuple[type, ...]]] = {float: (int,), complex: (int, float)}


def conforms(value: Any, annotation: Any) -> bool:
    """Whether a value made of exact builtins and enums is what `annotation` says.

    Where the annotation leaves something open, or is not understood, anything is.
    """
    annotation = _unwrapped(annotation)
    if annotation is Any or isinstance(annotation, TypeVar):
        return True
    if annotation is None:
        return value is None
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _is_a(value, annotation)
    if origin in UNIONS:
        return any(conforms(value, member) for member in args)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if not _is_a(value, origin):
        return False
    if origin is tuple and args[1:] != (...,):
        return len(value) == len(args) and all(map(conforms, value, args))
    return _items_conform(value, args)


def _unwrapped(annotation: Any) -> Any:
    """What stands behind `Annotated`, `NewType` and `type X = ...`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _is_a(value: Any, kind: Any) -> bool:
    if is_typeddict(kind):
        return False  # which keys it has is for the typed decoder to say
    try:
        return isinstance(value, (kind, *_ALSO.get(kind, ())))
    except TypeError:
        return True  # a protocol that cannot be asked


def _items_conform(value: Any, args: tuple[Any, ...]) -> bool:
    if isinstance(value, Mapping) and args[1:]:
        return all(conforms(k, args[0]) and conforms(v, args[1]) for k, v in value.items())
    if isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray):
        return all(conforms(item, args[0]) for item in value)
    return True
