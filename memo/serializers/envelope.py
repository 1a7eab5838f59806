"""What stands around a payload: whose it is, how it was written, and how long it is good.

lead          15 bytes  "memo", version, serializer, kind of seal, fingerprint of the schema
method, form   2 bytes  how the payload is compressed, and which of its forms it has
times         24 bytes  created, expires, kept until: Unix seconds, doubles, big-endian
lengths       10 bytes  of what follows
name                    the full name of the key, so that an entry answers for no other
tags                    each with its length before it
payload
mark        8 or 32     checksum or signature of everything before it
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ..entry import FOREVER, Entry
from .refusals import refused, type_name
from .seals import Seal

__all__ = ["VERSION", "BinaryEnvelope", "Loads", "as_bytes", "times_are_sound"]

VERSION: Final = 1

#: What makes a value of the payload, for each form.
Loads: TypeAlias = Mapping[int, Callable[[Any], Any]]

_MAGIC: Final = b"memo"
_HEADER: Final = struct.Struct(">15sH3dHII")
_LENGTH: Final = struct.Struct(">H")
_SIZE: Final = _HEADER.size
_unpack: Final = _HEADER.unpack_from
_new: Final = tuple.__new__

# Places in the lead.
_AT_VERSION, _AT_SERIALIZER, _AT_SEAL, _AT_SCHEMA = 4, 5, 6, 7


def times_are_sound(created: float, expires: float, kept_until: float) -> bool:
    """Whether these can be the times of an entry; NaN never is."""
    return math.isfinite(created) and expires > -FOREVER and kept_until > -FOREVER


def as_bytes(data: Any) -> bytes:
    """`data` as bytes, if that is what it is."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise refused(f"what is stored is of type {type_name(data)}, not bytes")


class BinaryEnvelope:
    """Wraps and unwraps the payloads of one codec.

    Args:
        serializer: its number.
        schema: the fingerprint of its schema.
        seal: the mark that it sets, and asks for.
    """

    def __init__(self, serializer: int, schema: bytes, seal: Seal) -> None:
        self._lead = _MAGIC + bytes([VERSION, serializer, seal.size]) + schema
        self._mark_size = seal.size
        self._mark = seal.mark
        self._holds = seal.holds

    def sealed(self, name: str, entry: Entry, form: int, payload: bytes) -> bytes:
        """The bytes to store under `name`: `payload`, in the place of the entry's value."""
        _, created, expires, kept_until, tags = entry
        key = name.encode()
        labels = b"".join(map(_tag, tags))
        lengths = (len(key), len(labels), len(payload))
        header = _HEADER.pack(self._lead, form, created, expires, kept_until, *lengths)
        data = b"".join((header, key, labels, payload))
        return data + self._mark(data)

    def opened(self, name: str, data: Any, loads: Loads) -> Entry:
        """The entry that was stored under `name`.

        Raises:
            OperationFailed: it is not as this codec wrote it, or was written under another name.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        size = len(data)
        if size < _SIZE:
            raise refused(self._why(name, data))
        lead, form, created, expires, kept_until, n, t, p = _unpack(data)
        key = name.encode()
        end = _SIZE + n + t + p
        if (
            lead == self._lead
            and end + self._mark_size == size
            and self._holds(data[:end], data[end:])
            and n == len(key)
            and data.startswith(key, _SIZE)
            and created < FOREVER
            and (latest := created + expires + kept_until) > -FOREVER  # not if one is NaN
        ):
            tags = _tags(data[end - p - t : end - p]) if t else ()
            if latest == FOREVER:
                expires = FOREVER if expires == FOREVER else expires  # the one object
                kept_until = FOREVER if kept_until == FOREVER else kept_until
            value = loads[form](data[end - p : end])
            # As `Entry(...)`, without the Python function in between: every hit passes here.
            return _new(Entry, (value, created, expires, kept_until, tags))
        raise refused(self._why(name, data))

    def _why(self, name: str, data: bytes) -> str:
        """Why `data` does not fit, in words."""
        lead, ours = data[:15], self._lead
        if lead[:_AT_VERSION] != _MAGIC:
            return "what is stored was not written by memo"
        if lead[_AT_VERSION:_AT_SERIALIZER] != ours[_AT_VERSION:_AT_SERIALIZER]:
            return "it was written by another version of memo"
        if lead[_AT_SERIALIZER:_AT_SEAL] != ours[_AT_SERIALIZER:_AT_SEAL]:
            return "it was written by another serializer"
        if lead[_AT_SEAL:_AT_SCHEMA] != ours[_AT_SEAL:_AT_SCHEMA]:
            wanted = "is not" if self._mark_size > len(lead) else "is"
            return f"it {wanted} signed, which this codec does not take"
        end = len(data) - self._mark_size
        if end < _SIZE or not self._holds(data[:end], data[end:]):
            return "it is cut or changed, or signed with another secret"
        if lead != ours:
            return "the function's return annotation has changed since"
        length = int.from_bytes(data[_SIZE - 10 : _SIZE - 8], "big")
        if data[_SIZE : _SIZE + length] != name.encode():
            return "it was written under another key"
        return "its lengths or times cannot be"


def _tag(tag: str) -> bytes:
    text = tag.encode()
    return _LENGTH.pack(len(text)) + text


def _tags(data: bytes) -> tuple[str, ...]:
    found = []
    place = 0
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size + length
        if place > len(data):
            raise refused("its tags are cut")
        found.append(data[place - length : place].decode())
    return tuple(found)
