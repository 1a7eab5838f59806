"""Whether a value is what another was: equal, and of the same types, inside as well.

`==` is not asked of the user's classes: it may leave fields out, and `1 == 1.0 == True`.
"""

from __future__ import annotations

import functools
import math
import operator
import types
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from ..entry import ABSENT
from .extensions import extension_for
from .refusals import type_name

__all__ = ["difference"]

_HEAP: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was not written in C as a static type
_STATELESS: Final = frozenset(msgspec.Struct.__mro__)
_NOTHING: Final[dict[str, Any]] = {}
#: No format mistakes 0.0 for -0.0; and NaN is not equal.
_SAME_WHEN_EQUAL: Final = frozenset({type(None), bool, int, float, str, bytes})

_Comparison: TypeAlias = Callable[[Any, Any], str | None]


def difference(before: Any, after: Any) -> str | None:
    """Where `after` first differs from `before`, and how; None where it does not.

    A type that it does not know counts as different.
    """
    if before is after:
        return None
    kind = type(before)
    if kind is not type(after):
        return f": {type_name(before)} comes back as {type_name(after)}"
    found: str | None = _comparison(kind)(before, after)  # type: ignore[arg-type] # it is hashable
    return found


@functools.lru_cache(maxsize=1024)
def _comparison(kind: type[Any]) -> _Comparison:
    """What compares two values of exactly this type."""
    known = _COMPARISONS.get(kind)
    if known is not None:
        return known
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        state = _state_of(kind)
        return lambda before, after: _sequence(before, after) or state(before, after)
    return _state_of(kind) if _has_known_state(kind) else _unknown


def _unknown(before: Any, _after: Any) -> str:
    return f": a {type_name(before)} cannot be compared with what comes back"


def _equal(before: Any, after: Any) -> str | None:
    return None if before == after else ": another value comes back"


def _has_known_state(kind: type[Any]) -> bool:
    """Whether all that an instance is stands in its slots and its `__dict__`."""
    names = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__")
    return any(hasattr(kind, name) for name in names) and all(
        base in _STATELESS or base.__flags__ & _HEAP for base in kind.__mro__
    )


def _are_alike(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether these are the same at first sight; if not, they may be all the same."""
    kinds = list(map(type, before))
    return (
        _SAME_WHEN_EQUAL.issuperset(kinds)
        and kinds == list(map(type, after))
        and all(map(operator.eq, before, after))
    )


def _sequence(before: Any, after: Any) -> str | None:
    if len(before) != len(after):
        return f": {len(before)} items come back as {len(after)}"
    if _are_alike(before, after):
        return None
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        found = difference(one, other)
        if found is not None:
            return f"[{place}]{found}"
    return None


def _mapping(before: dict[Any, Any], after: dict[Any, Any]) -> str | None:
    if len(before) != len(after):
        return f": {len(before)} keys come back as {len(after)}"
    for (key, one), (other_key, other) in zip(before.items(), after.items(), strict=True):
        found = difference(key, other_key)
        if found is not None:
            return f" in the key {key!r:.40}{found}"
        found = difference(one, other)
        if found is not None:
            return f"[{key!r:.40}]{found}"
    return None


def _set(before: Any, after: Any) -> str | None:
    if len(before) != len(after):
        return f": {len(before)} members come back as {len(after)}"
    members = {member: member for member in after}
    for member in before:
        found = difference(member, members.get(member, ABSENT))
        if found is not None:
            return f" in a member of a set{found}"
    return None


def _state_of(kind: type[Any]) -> _Comparison:
    """What compares the slots and attributes of two instances."""
    members = [item for base in kind.__mro__ for item in vars(base).items()]
    slots = [slot for _, slot in members if isinstance(slot, types.MemberDescriptorType)]
    computed = {n for n, member in members if isinstance(member, functools.cached_property)}

    def state(before: Any, after: Any) -> str | None:
        for slot in slots:
            found = _attribute(_in_slot(slot, before), _in_slot(slot, after))
            if found is not None:
                return f".{slot.__name__}{found}"
        ones: dict[str, Any] = getattr(before, "__dict__", _NOTHING)
        others: dict[str, Any] = getattr(after, "__dict__", _NOTHING)
        for name in ones if len(ones) == len(others) else ones.keys() | others.keys():
            one, other = ones.get(name, ABSENT), others.get(name, ABSENT)
            if type(one) in _SAME_WHEN_EQUAL and type(one) is type(other) and one == other:
                continue
            found = _attribute(one, other)
            if found is not None and not (name in computed and (one is ABSENT or other is ABSENT)):
                return f".{name}{found}"
        return None

    return state


def _attribute(before: Any, after: Any) -> str | None:
    if before is ABSENT or after is ABSENT:
        return None if before is after else ": an attribute is not there before and after"
    return difference(before, after)


def _in_slot(slot: types.MemberDescriptorType, thing: Any) -> Any:
    try:
        return slot.__get__(thing)
    except AttributeError:
        return ABSENT  # never filled


def _float(before: float, after: float) -> str | None:
    if before == after and math.copysign(1, before) == math.copysign(1, after):
        return None
    return None if math.isnan(before) and math.isnan(after) else ": another number comes back"


def _complex(before: complex, after: complex) -> str | None:
    return _float(before.real, after.real) or _float(before.imag, after.imag)


def _decimal(before: Decimal, after: Decimal) -> str | None:
    return None if before.as_tuple() == after.as_tuple() else ": another number comes back"


def _moment(before: datetime | time, after: datetime | time) -> str | None:
    extension = extension_for(type(before))
    same = extension is not None and extension.simpler(before) == extension.simpler(after)
    return None if same else f": {before} comes back as {after}"


_COMPARISONS: Final[dict[type[Any], _Comparison]] = {
    **dict.fromkeys((type(None), bool, int, str, bytes, bytearray, date, timedelta, UUID), _equal),
    list: _sequence,
    tuple: _sequence,
    dict: _mapping,
    set: _set,
    frozenset: _set,
    float: _float,
    complex: _complex,
    Decimal: _decimal,
    datetime: _moment,
    time: _moment,
}
