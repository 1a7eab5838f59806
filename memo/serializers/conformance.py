"""Whether a value of builtins is what a return annotation says."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Collection, Mapping
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    is_typeddict,
)

__all__ = ["UNIONS", "Check", "check_for"]

UNIONS: Final = (Union, types.UnionType)

Check: TypeAlias = Callable[[Any], bool]

#: An int is a float to type checkers (PEP 484, "The numeric tower").
_ALSO: Final[dict[Any, tuple[type, ...]]] = {float: (int,), complex: (int, float)}


def check_for(annotation: Any) -> Check:
    """What tells whether a value made of exact builtins and enums is what `annotation` says.

    Where the annotation leaves something open, or is not understood, anything is.
    """
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        return _anything
    if annotation is None:
        return _nothing
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return check_for(args[0])
    if origin in UNIONS:
        return _any_of([check_for(member) for member in args])
    if origin is Literal:
        return _one_of(args)
    if origin is not None:
        return _generic(origin, args)
    if hasattr(annotation, "__supertype__"):  # a NewType
        return check_for(annotation.__supertype__)
    if type(annotation).__name__ == "TypeAliasType":  # `type X = ...`, which may name itself
        return functools.partial(_as_alias, annotation)
    return _instance(annotation)


@functools.lru_cache(maxsize=256)
def _alias(alias: Any) -> Check:
    return check_for(alias.__value__)


def _as_alias(alias: Any, value: Any) -> bool:
    return _alias(alias)(value)


def _anything(_value: Any) -> bool:
    return True


def _nothing(value: Any) -> bool:
    return value is None


def _any_of(checks: list[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _one_of(choices: tuple[Any, ...]) -> Check:
    return lambda value: any(type(value) is type(one) and value == one for one in choices)


def _instance(kind: Any) -> Check:
    if is_typeddict(kind):
        return lambda _value: False  # which keys it has is for the typed decoder to say
    kinds = (kind, *_ALSO.get(kind, ()))
    try:
        isinstance(None, kinds)
    except TypeError:
        return _anything  # a protocol that cannot be asked, or no type at all
    return lambda value: isinstance(value, kinds)


def _generic(origin: Any, args: tuple[Any, ...]) -> Check:
    is_one = _instance(origin)
    if origin is tuple and args[1:] != (...,):
        checks = [check_for(arg) for arg in args]
        return lambda value: (
            is_one(value)
            and len(value) == len(checks)
            and all(check(item) for check, item in zip(checks, value, strict=True))
        )
    items = [check_for(arg) for arg in args if arg is not ...]
    if all(check is _anything for check in items):
        return is_one
    return lambda value: is_one(value) and _items_pass(value, items)


def _items_pass(value: Any, checks: list[Check]) -> bool:
    if isinstance(value, Mapping) and checks[1:]:
        return all(map(checks[0], value)) and all(map(checks[1], value.values()))
    if isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray):
        return all(map(checks[0], value))
    return True
