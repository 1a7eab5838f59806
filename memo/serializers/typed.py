"""Values of annotated types, through msgspec.

What was encoded is decoded again before it is stored, and compared with the value: what the
annotation does not say, what msgspec turns into something like it, and what a class does in its
constructor all show there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from ..entry import ABSENT
from ..errors import OperationFailed
from . import plain
from .conformance import check_for
from .fingerprints import union_members
from .refusals import explained, refused, type_name
from .sameness import difference

__all__ = ["PLAIN", "Schema", "schema_of"]

#: The form of a payload that was written without looking at the annotation.
PLAIN: Final = 0

#: Members of a union that are tried one by one; the number of a form is one byte.
_MOST_MEMBERS: Final = 100

#: msgspec leaves these as they are on the way to builtins and back.
_UNTOUCHED: Final = (bytes, bytearray, date, datetime, Decimal, time, timedelta, UUID)


class Wire(NamedTuple):
    """A format: how it writes builtins, and values of annotated types.

    Attributes:
        dump: writes builtins.
        load: reads them.
        encode: writes a value as msgspec has it.
        decoder: makes what reads a value of a given type.
    """

    dump: Callable[[Any], bytes]
    load: Callable[[Any], Any]
    encode: Callable[[Any], bytes]
    decoder: Callable[[Any], Callable[[Any], Any]]


_WIRES: Final = {
    "msgpack": Wire(
        plain.dump_msgpack,
        plain.load_msgpack,
        msgspec.msgpack.Encoder(enc_hook=plain.packed).encode,
        lambda kind: msgspec.msgpack.Decoder(kind, ext_hook=plain.msgpack_extension).decode,
    ),
    "json": Wire(
        plain.dump_json,
        plain.load_json,
        msgspec.json.Encoder().encode,
        lambda kind: msgspec.json.Decoder(kind).decode,
    ),
}


class Schema:
    """How the values of one annotation are written and read in one format.

    Attributes:
        loads: for each form, what reads it.
        dump_builtins, load_builtins: write and read builtins, whatever the annotation says.
    """

    def __init__(self, serializer: str, annotation: Any) -> None:
        self._wire = _WIRES[serializer]
        self._annotation = annotation
        self.dump_builtins = self._wire.dump
        self.load_builtins = self._wire.load
        self.loads: list[Callable[[Any], Any]] = [self._load_plain]
        self._conforms = check_for(Any)
        self._typed: list[tuple[int, Callable[[Any], bytes], Callable[[Any], Any]]] = []
        if annotation in (ABSENT, None, Any, object):
            self.loads = [self._wire.load]
            return
        self._conforms = check_for(annotation)
        for kind in self._understood():
            self._add(self._wire.encode, self._wire.decoder(kind))
            self._add(self._dump_converted, functools.partial(self._load_converted, kind))

    def _understood(self) -> list[Any]:
        """The annotation, or else those members of a union that msgspec takes."""
        if _is_understood(self._annotation):
            return [self._annotation]
        members = union_members(self._annotation)[:_MOST_MEMBERS]
        return [kind for kind in members if _is_understood(kind)]

    def _add(self, dump: Callable[[Any], bytes], load: Callable[[Any], Any]) -> None:
        self._typed.append((len(self.loads), dump, load))
        self.loads.append(load)

    # Writing.

    def dump(self, value: Any) -> tuple[int, bytes]:
        """The number of the first form that gives `value` back as it was, and the payload.

        Raises:
            OperationFailed: no form does, or the value is not what the annotation says.
        """
        why = f": {type_name(value)} is something else"
        for form, dump, load in self._typed:
            try:
                data = dump(value)
                wrong = difference(value, load(data))
                if wrong is None:
                    return form, data
                why = wrong
            except Exception as error:
                why = f": {explained(error)}"
        if self._conforms(value):
            try:
                return PLAIN, self._wire.dump(value)
            except OperationFailed:
                if not self._typed:
                    raise
        raise refused(f"result{why} (annotated as {_shown(self._annotation)})")

    def _dump_converted(self, value: Any) -> bytes:
        return self._wire.dump(msgspec.to_builtins(value, builtin_types=(*_UNTOUCHED, complex)))

    # Reading.

    def _load_plain(self, data: Any) -> Any:
        value = self._wire.load(data)
        if not self._conforms(value):
            raise refused(f"what is stored is not what {_shown(self._annotation)} says")
        return value

    def _load_converted(self, kind: Any, data: Any) -> Any:
        return msgspec.convert(self._wire.load(data), kind, builtin_types=_UNTOUCHED)


def _is_understood(kind: Any) -> bool:
    try:
        msgspec.msgpack.Decoder(kind)
    except Exception:
        return False
    return True


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)[:200]


@functools.lru_cache(maxsize=1024, typed=True)
def _shared(serializer: str, annotation: Any) -> Schema:
    return Schema(serializer, annotation)


def schema_of(serializer: str, annotation: Any) -> Schema:
    """The schema of `annotation`; one for all codecs that have it."""
    try:
        return _shared(serializer, annotation)
    except TypeError:  # what is in an `Annotated` need not be hashable
        return Schema(serializer, annotation)
