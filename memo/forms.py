"""Values as bytes: each with its kind and where it ends, so that no two have the same.

Values that are equal in a dict have one form: 1, 1.0, True and Decimal("1.0"), a named tuple and
the tuple, times that are the same instant. Types that bring an equality of their own are refused,
unless they say what they are by `__cache_key__()`.

A form begins with a letter of its own and says where it ends, so that it is plain where one in a
chain of them ends and which they are.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import os
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, Final

from . import keys
from .errors import OperationFailed, text_of
from .places import place_of, without_form

__all__ = ["FORMS", "base_of", "form", "plain_tuple"]

#: Writes a value that has `depth` containers around it.
_Form = Callable[[Any, int], bytes]

#: More containers in each other than a sensible key has.
_DEEPEST: Final = 100


def form(value: Any, depth: int) -> bytes:
    """`value`, with `depth` containers around it, as bytes.

    Raises:
        OperationFailed: operation "key"; it has no stable form.
        Exception: something the value itself ran.
    """
    return FORMS[type(value)](value, depth)


def _int(value: int, _depth: int = 0) -> bytes:
    return b"i%x;" % value


def _ratio(value: Any, _depth: int = 0) -> bytes:
    numerator, denominator = value.as_integer_ratio()
    return b"i%x;" % numerator if denominator == 1 else b"r%x/%x;" % (numerator, denominator)


def _float(value: float, _depth: int = 0) -> bytes:
    try:
        numerator, denominator = float.as_integer_ratio(value)
    except (OverflowError, ValueError):  # no finite number
        return b"fnan;" if math.isnan(value) else b"f+;" if value > 0 else b"f-;"
    return b"i%x;" % numerator if denominator == 1 else b"r%x/%x;" % (numerator, denominator)


def _complex(value: complex, _depth: int) -> bytes:
    real, imag = value.real, value.imag
    if imag == 0 and not math.isnan(real):
        return _float(real)
    return b"j%b%b" % (_float(real), _float(imag))


#: A Decimal with more digits is not written out as the integer, or the fraction, that it is.
_MOST_DIGITS: Final = 10_000


def _decimal(value: decimal.Decimal, _depth: int) -> bytes:
    if value.is_nan():
        return b"q"
    if value.is_infinite():
        return _float(float(value))
    exponent = value.as_tuple().exponent
    if value and (value.adjusted() > _MOST_DIGITS or int(exponent) < -_MOST_DIGITS):
        raise without_form(value, f": it has more than {_MOST_DIGITS} digits")
    return _ratio(value)


def _str(value: str, _depth: int = 0) -> bytes:
    raw = str.encode(value, "utf-8", "surrogatepass")
    return b"s%d:%b" % (len(raw), raw)


def _bytes(value: bytes, _depth: int) -> bytes:
    return b"b%d:%b" % (len(value), bytes.__getitem__(value, slice(None)))


def _tuple(value: Iterable[Any], depth: int) -> bytes:
    if depth > _DEEPEST:
        raise RecursionError(f"more than {_DEEPEST} containers in each other")
    forms, depth = FORMS, depth + 1
    return b"(%b)" % b"".join([forms[type(part)](part, depth) for part in value])


def plain_tuple(value: Any) -> tuple[Any, ...] | None:
    """The tuple that `value` is equal to, if it is a named tuple or the like."""
    is_one = isinstance(value, tuple) and base_of(type(value)) is tuple
    return tuple(tuple.__iter__(value)) if is_one else None


def _frozenset(value: frozenset[Any], depth: int) -> bytes:
    if depth > _DEEPEST:
        raise RecursionError(f"more than {_DEEPEST} containers in each other")
    return b"{%b}" % b"".join(sorted(form(part, depth + 1) for part in value))


def _container(value: Any, depth: int) -> bytes:
    return _tuple(keys.freeze(value), depth)


def _range(value: range, depth: int) -> bytes:
    if not value:
        return b"g()"
    step = None if value[0] == value[-1] else value.step
    return b"g%b" % _tuple((value[0], value[-1], step), depth)


def _slice(value: slice, depth: int) -> bytes:
    return b"l%b" % _tuple((value.start, value.stop, value.step), depth)


def _uuid(value: uuid.UUID, _depth: int) -> bytes:
    return b"u%x;" % value.int


def _path(value: pathlib.PurePath, _depth: int) -> bytes:
    text = str(value)
    posix = isinstance(value, pathlib.PurePosixPath) or (
        os.name != "nt" and not isinstance(value, pathlib.PureWindowsPath)
    )
    return b"p" + _str(text) if posix else b"P" + _str(text.lower())


def _address(value: Any, _depth: int) -> bytes:
    return b"a%b%b" % (_str(type(value).__name__), _str(str(value)))


# --- dates and times ------------------------------------------------------------------------------


def _micros(value: dt.timedelta) -> int:
    return (value.days * 86400 + value.seconds) * 1_000_000 + value.microseconds


def _seconds_of_day(value: dt.datetime | dt.time) -> int:
    return (value.hour * 60 + value.minute) * 60 + value.second


def _datetime(value: dt.datetime, depth: int) -> bytes:
    moment = (value.toordinal() * 86400 + _seconds_of_day(value)) * 1_000_000 + value.microsecond
    zone, offset = value.tzinfo, value.replace(fold=0).utcoffset()
    if offset is None:
        return b"d%x;" % moment
    if offset != value.replace(fold=1).utcoffset():
        # Twice on that day, or never: no instant, and equal to none elsewhere (PEP 495).
        return b"D%x;%b" % (moment, form(zone, depth))
    return b"t%x;" % (moment - _micros(offset))


def _time(value: dt.time, _depth: int) -> bytes:
    offset = value.utcoffset()
    if offset is None:
        return b"h%x.%x;" % (_seconds_of_day(value), value.microsecond)
    seconds = _seconds_of_day(value) - (offset.days * 86400 + offset.seconds)
    return b"H%x.%x;" % (seconds, value.microsecond)


def _timezone(value: dt.timezone, _depth: int) -> bytes:
    return b"z%x;" % _micros(value.utcoffset(None))


def _zoneinfo(value: zoneinfo.ZoneInfo, _depth: int) -> bytes:
    if value.key is None:
        raise without_form(value)
    return b"Z" + _str(value.key)


# --- classes --------------------------------------------------------------------------------------


def _named(thing: Any, _depth: int = 0) -> bytes:
    module, name = place_of(thing)
    return b"c%b%b" % (_str(module), _str(name))


def _method(value: types.MethodType, depth: int) -> bytes:
    receiver, name = value.__self__, value.__name__
    if getattr(receiver, name, None) != value:
        raise without_form(value)
    return b"w%b%b" % (form(receiver, depth), _str(name))


def _keyed(value: Any, depth: int) -> bytes:
    kind = type(value)
    try:
        own = kind.__cache_key__(value)
    except Exception as error:
        name = f"{kind.__qualname__}.__cache_key__()"
        reason = f"key cannot be made: {name} raised {type(error).__name__}: {text_of(error)}"
        raise OperationFailed(reason, operation="key") from error
    return b"k%b%b" % (_named(kind), _tuple((own,), depth))


def _member(value: enum.Enum, _depth: int) -> bytes:
    names: list[str | None] = [value._name_]
    rest = 0
    if isinstance(value, enum.Flag):
        bits: list[enum.Flag | None] = list(value)  # None: one without a name
        parts = [bit for bit in bits if bit is not None]
        names = [part._name_ for part in parts]
        rest = value._value_ - sum(part._value_ for part in parts)
    return b"e%b%b%b" % (_named(type(value)), _tuple(names, 0), _int(rest))


def _dataclass(value: Any, depth: int) -> bytes:
    owner = _owner(type(value), "__eq__")
    compared = [f.name for f in vars(owner)["__dataclass_fields__"].values() if f.compare or f.hash]
    return _fields(value, compared, depth)


def _struct(value: Any, depth: int) -> bytes:
    return _fields(value, type(value).__struct_fields__, depth)


def _fields(value: Any, names: Iterable[str], depth: int) -> bytes:
    pairs = [part for name in names for part in (name, getattr(value, name))]
    return b"o%b%b" % (_named(type(value)), _tuple(pairs, depth))


def _owner(kind: type, name: str) -> type:
    return next(base for base in kind.__mro__ if name in vars(base))


def _written_by(library: str, kind: type) -> bool:
    """Whether equality and hash of the fields come from `library`, and not from the user."""
    owner = _owner(kind, "__eq__")
    if owner is not _owner(kind, "__hash__"):
        return False
    if library != "dataclasses":
        return owner.__module__.partition(".")[0] == library
    return "__dataclass_fields__" in vars(owner) and all(
        isinstance(method, types.FunctionType) and method.__code__.co_filename == "<string>"
        for method in (vars(owner)["__eq__"], vars(owner)["__hash__"])
    )


# --- which form a type has ------------------------------------------------------------------------


class _Forms(dict[type, _Form]):
    """The form of each type; those of the user's are found each time, and not kept alive here."""

    def __missing__(self, kind: type) -> _Form:
        if getattr(kind, "__cache_key__", None) is not None:
            return _keyed
        base = base_of(kind)
        if base is tuple:
            return lambda value, depth: _tuple(tuple.__iter__(value), depth)
        if base is frozenset:
            return lambda value, depth: _frozenset(frozenset.copy(value), depth)
        if base is not None:
            return self[base]
        if isinstance(kind, enum.EnumMeta) and not (
            {_owner(kind, "__eq__"), _owner(kind, "__hash__")} - {object, enum.Enum, enum.Flag}
        ):
            return _member
        if hasattr(kind, "__dataclass_fields__") and _written_by("dataclasses", kind):
            return _dataclass
        config = getattr(kind, "__struct_config__", None)
        if config is not None and config.frozen and config.eq and _written_by("msgspec", kind):
            return _struct
        return _refused


def _refused(value: Any, _depth: int) -> bytes:
    raise without_form(value)


def base_of(kind: type) -> type | None:
    """The known type that `kind` is derived from, if it left that type's equality as it was."""
    if getattr(kind, "__cache_key__", None) is not None:
        return None
    for base in kind.__mro__:
        if base in FORMS and base.__hash__ is not None:
            same = kind.__eq__ is base.__eq__ and kind.__hash__ is base.__hash__
            return base if same else None
    return None


def _constant(form: bytes) -> _Form:
    return lambda _value, _depth: form


FORMS: Final = _Forms(
    {
        type(None): _constant(b"N"),
        type(Ellipsis): _constant(b"E"),
        type(NotImplemented): _constant(b"X"),
        bool: _int,
        int: _int,
        float: _float,
        complex: _complex,
        decimal.Decimal: _decimal,
        fractions.Fraction: _ratio,
        str: _str,
        bytes: _bytes,
        tuple: _tuple,
        frozenset: _frozenset,
        range: _range,
        slice: _slice,
        dt.datetime: _datetime,
        dt.date: lambda value, _depth: b"y%x;" % value.toordinal(),
        dt.time: _time,
        dt.timedelta: lambda value, _depth: b"m%x;" % _micros(value),
        dt.timezone: _timezone,
        zoneinfo.ZoneInfo: _zoneinfo,
        uuid.UUID: _uuid,
        pathlib.PurePath: _path,
        ipaddress.IPv4Address: _address,
        ipaddress.IPv6Address: _address,
        ipaddress.IPv4Interface: _address,
        ipaddress.IPv6Interface: _address,
        ipaddress.IPv4Network: _address,
        ipaddress.IPv6Network: _address,
        type: _named,
        types.FunctionType: _named,
        types.BuiltinFunctionType: _named,
        types.MethodType: _method,
        type(keys._FROZEN): lambda mark, _depth: b"!" + _str(mark.name),  # noqa: SLF001
        **dict.fromkeys(keys._CONTENTS, _container),  # noqa: SLF001
    }
)
