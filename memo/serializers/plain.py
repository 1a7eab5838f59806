"""Builtins without an annotation: a strict walk that knows exactly the types it takes.

What it takes is given back equal, and of the same type, inside as well; all else is refused. There
is nothing to compare afterwards.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from .extensions import (
    BIG_INTEGER,
    BY_CODE,
    BY_TAG,
    BYTES,
    MAPPING,
    SPECIAL_FLOAT,
    SURROGATES,
    Extension,
    extension_for,
)
from .refusals import refused, type_name

__all__ = ["dump_json", "dump_msgpack", "load_json", "load_msgpack", "msgpack_extension", "packed"]

_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


class _Packer(ABC):
    """Rewrites a value in what a format holds.

    `safe` are the types whose values are written as they stand, wherever they stand. A first packer
    takes it that all text is Unicode and all integers are small; where that proves wrong, a second
    one looks at each.
    """

    def __init__(self, safe: frozenset[type[Any]], keys: frozenset[type[Any]]) -> None:
        self._safe = safe
        self._keys = keys

    @abstractmethod
    def _wrapped(self, extension: Extension, simpler: Any) -> Any:
        """An extension's value, as the format has it."""

    @abstractmethod
    def _is_key(self, key: Any) -> bool:
        """Whether the format holds this dictionary key as it stands."""

    def pack(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._safe:
            return value
        if kind is list:
            if self._safe.issuperset(map(type, value)):
                return value
            return [self.pack(item) for item in value]
        if kind is dict:
            return self._mapping(value)
        extension = extension_for(kind) or self._looked_at(value)
        if extension is None:
            return value
        return self._wrapped(extension, self.pack(extension.simpler(value)))

    def _mapping(self, value: dict[Any, Any]) -> Any:
        if not self._keys.issuperset(map(type, value)) and not all(map(self._is_key, value)):
            pairs = [[self.pack(key), self.pack(item)] for key, item in value.items()]
            return self._wrapped(MAPPING, pairs)
        if self._safe.issuperset(map(type, value.values())):
            return value
        return {key: self.pack(item) for key, item in value.items()}

    def _looked_at(self, value: Any) -> Extension | None:
        """The extension that this value of a simple type needs, if any."""
        kind = type(value)
        if kind is str:
            return None if is_unicode(value) else SURROGATES
        if kind is int:
            return None if _SMALLEST <= value <= _LARGEST else BIG_INTEGER
        if kind is float:
            return None if math.isfinite(value) else SPECIAL_FLOAT
        if kind is bytes:
            return BYTES
        raise refused(
            f"{type_name(value)} is no type that can be given back as it was; annotate what the "
            "function returns, or use a serializer that knows it"
        )


def is_unicode(text: str) -> bool:
    """Whether `text` has no surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _MsgpackPacker(_Packer):
    def _wrapped(self, extension: Extension, simpler: Any) -> Any:
        return msgspec.msgpack.Ext(extension.code, _encode_msgpack(simpler))

    def _is_key(self, key: Any) -> bool:
        kind = type(key)
        if kind is str:
            return is_unicode(key)
        return kind in self._safe or (kind is int and _SMALLEST <= key <= _LARGEST)


class _JsonPacker(_Packer):
    def _wrapped(self, extension: Extension, simpler: Any) -> Any:
        return {extension.tag: simpler}

    def _is_key(self, key: Any) -> bool:
        return type(key) is str and is_unicode(key)

    def _mapping(self, value: dict[Any, Any]) -> Any:
        if len(value) == 1:
            (key,) = value
            if type(key) is str and key.startswith("$"):  # it would be taken for an extension
                return self._wrapped(MAPPING, [[self.pack(key), self.pack(value[key])]])
        return super()._mapping(value)


_encode_msgpack: Final = msgspec.msgpack.Encoder().encode
_encode_json: Final = msgspec.json.Encoder().encode
_decode_json: Final = msgspec.json.Decoder().decode

_CERTAIN: Final = frozenset({type(None), bool})
_BINARY: Final = _CERTAIN | {float, bytes}
_msgpack = _MsgpackPacker(_BINARY | {int, str}, _BINARY | {int, str})
_msgpack_looking = _MsgpackPacker(_BINARY, _BINARY)
_json = _JsonPacker(_CERTAIN | {int, str}, frozenset({str}))
_json_looking = _JsonPacker(_CERTAIN, frozenset())


def packed(value: Any) -> Any:
    """What msgpack holds in the place of a value of exactly a supported type."""
    return _msgpack.pack(value)


def dump_msgpack(value: Any) -> bytes:
    """`value` in msgpack.

    Raises:
        OperationFailed: something in it is of no supported type.
    """
    try:
        return _encode_msgpack(_msgpack.pack(value))
    except (OverflowError, ValueError):
        return _encode_msgpack(_msgpack_looking.pack(value))


def msgpack_extension(code: int, data: memoryview) -> Any:
    """The value of an extension; the hook of every msgpack decoder."""
    return BY_CODE[code](load_msgpack(data))


#: The value that `dump_msgpack` was given.
load_msgpack: Final = msgspec.msgpack.Decoder(ext_hook=msgpack_extension).decode


def dump_json(value: Any) -> bytes:
    """`value` in JSON, with `{"$name": ...}` for what JSON has no word for.

    Raises:
        OperationFailed: something in it is of no supported type.
    """
    try:
        return _encode_json(_json.pack(value))
    except (OverflowError, ValueError):
        return _encode_json(_json_looking.pack(value))


def load_json(data: bytes | msgspec.Raw) -> Any:
    """The value that `dump_json` was given."""
    value = _decode_json(data)
    # msgspec writes no spaces, so an extension cannot hide from this.
    return _restored(value) if b'{"$' in bytes(data) else value


def _restored(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_restored(item) for item in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        ((key, item),) = value.items()
        if key.startswith("$"):
            return BY_TAG[key](_restored(item))
    return {key: _restored(item) for key, item in value.items()}
