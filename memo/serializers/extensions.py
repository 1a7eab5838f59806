"""The types beyond what the formats have of their own, and how each is written in simpler ones.

An extension is written as a number in msgpack, and as a name in JSON. Numbers and names are part of
what is stored: they never change, and new ones are added at the end.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from .references import class_at, reference_to
from .refusals import refused, type_name

__all__ = [
    "BIG_INTEGER",
    "BYTES",
    "BY_CODE",
    "BY_TAG",
    "MAPPING",
    "SPECIAL_FLOAT",
    "SURROGATES",
    "Extension",
    "extension_for",
]


class Extension(NamedTuple):
    """How one type is written.

    Attributes:
        code: its number in msgpack.
        tag: its name in JSON.
        simpler: makes of a value something of simpler types, which may need extensions in turn.
        restored: makes the value again.
    """

    code: int
    tag: str
    simpler: Callable[[Any], Any]
    restored: Callable[[Any], Any]


# Times: ISO 8601, where that says all there is to say.


def _arguments(zone: Any) -> tuple[Any, ...]:
    """The offset of a `datetime.timezone`, and its name, if it was given one."""
    arguments: tuple[Any, ...] = zone.__getinitargs__()
    return arguments


def _zone_written(zone: tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is timezone:
        offset, *name = _arguments(zone)
        return [offset.days, offset.seconds, offset.microseconds, *name]
    # Not one that was read from a file under some name, nor one beside the one of its name: times
    # in different zone objects differ when a clock is set back, whatever they say.
    if type(zone) is ZoneInfo and ZoneInfo(zone.key) is zone:
        return zone.key
    raise refused(f"a tzinfo of type {type_name(zone)} cannot be given back as it was")


def _zone_restored(written: Any) -> tzinfo | None:
    if written is None:
        return None
    if isinstance(written, str):
        return ZoneInfo(written)
    days, seconds, microseconds, *name = written
    return timezone(timedelta(days, seconds, microseconds), *name)


def _moment_written(moment: datetime | time) -> Any:
    zone = moment.tzinfo
    if moment.fold or not (zone is None or (type(zone) is timezone and _is_in_iso(zone))):
        return [moment.replace(tzinfo=None).isoformat(), moment.fold, _zone_written(zone)]
    return moment.isoformat()


def _is_in_iso(zone: timezone) -> bool:
    """Whether `fromisoformat` reads this zone again: it forgets offsets below a second."""
    offset, *name = _arguments(zone)
    return not name and not offset.microseconds


def _datetime_restored(written: Any) -> datetime:
    if isinstance(written, str):
        return datetime.fromisoformat(written)
    text, fold, zone = written
    return datetime.fromisoformat(text).replace(fold=fold, tzinfo=_zone_restored(zone))


def _time_restored(written: Any) -> time:
    if isinstance(written, str):
        return time.fromisoformat(written)
    text, fold, zone = written
    return time.fromisoformat(text).replace(fold=fold, tzinfo=_zone_restored(zone))


# Enums: by reference; a flag by its value, since not every combination has a name.


def _member_written(member: enum.Enum) -> list[Any]:
    kind = type(member)
    module, qualname = reference_to(kind)
    name: Any = int(member.value) if isinstance(member, enum.Flag) else member.name
    if _member_of(kind, name) is not member:
        raise refused(f"{member!r} cannot be found by its name")
    return [module, qualname, name]


def _member_restored(written: Any) -> enum.Enum:
    module, qualname, name = written
    kind = class_at(module, qualname)
    if not issubclass(type(kind), enum.EnumMeta):
        raise refused(f"{module}.{qualname} is no Enum")
    return _member_of(kind, name)


def _member_of(kind: type[enum.Enum], name: Any) -> enum.Enum:
    if type(name) is str:
        return kind.__members__[name]
    if type(name) is not int or not issubclass(kind, enum.Flag):
        raise refused(f"{kind.__qualname__} has no member {name!r}")
    return kind(name)


# Numbers and texts that a format cannot hold.


def _integer_restored(written: str) -> int:
    return int(written, 16)  # no limit to the digits, and no quadratic time


def _text_written(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text_restored(written: bytes) -> str:
    return written.decode("utf-8", "surrogatepass")


def _bytes_restored(written: str) -> bytes:
    return base64.b64decode(written, validate=True)


def _bytearray_restored(written: bytes) -> bytearray:
    return bytearray(memoryview(written))  # of a number, `bytearray` would make as many zeros


_OF_TYPES: Final[dict[type[Any], Extension]] = {
    tuple: Extension(1, "$tuple", list, tuple),
    set: Extension(2, "$set", list, set),
    frozenset: Extension(3, "$frozenset", list, frozenset),
    complex: Extension(4, "$complex", lambda z: [z.real, z.imag], lambda pair: complex(*pair)),
    datetime: Extension(5, "$datetime", _moment_written, _datetime_restored),
    date: Extension(6, "$date", date.isoformat, date.fromisoformat),
    time: Extension(7, "$time", _moment_written, _time_restored),
    timedelta: Extension(
        8,
        "$timedelta",
        lambda span: [span.days, span.seconds, span.microseconds],
        lambda parts: timedelta(*parts),
    ),
    Decimal: Extension(9, "$decimal", str, Decimal),
    UUID: Extension(10, "$uuid", str, UUID),
    bytearray: Extension(11, "$bytearray", bytes, _bytearray_restored),
}
_MEMBER: Final = Extension(12, "$enum", _member_written, _member_restored)

#: A dict with keys that the format cannot hold: its pairs.
MAPPING: Final = Extension(13, "$dict", lambda pairs: pairs, dict)
BIG_INTEGER: Final = Extension(14, "$int", hex, _integer_restored)
#: A str with surrogates, which is no Unicode text.
SURROGATES: Final = Extension(15, "$str", _text_written, _text_restored)
#: JSON has neither bytes, nor infinities, nor NaN.
BYTES: Final = Extension(
    16, "$bytes", lambda data: base64.b64encode(data).decode(), _bytes_restored
)
SPECIAL_FLOAT: Final = Extension(17, "$float", str, float)

_ALL: Final = (*_OF_TYPES.values(), _MEMBER, MAPPING, BIG_INTEGER, SURROGATES, BYTES, SPECIAL_FLOAT)
BY_CODE: Final = {extension.code: extension.restored for extension in _ALL}
BY_TAG: Final = {extension.tag: extension.restored for extension in _ALL}


def extension_for(kind: type[Any]) -> Extension | None:
    """How values of exactly this type are written; None if they cannot be."""
    found = _OF_TYPES.get(kind)
    if found is None and issubclass(type(kind), enum.EnumMeta):
        return _MEMBER
    return found
