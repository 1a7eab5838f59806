"""The envelope of those who read their cache: one JSON object, with the value in it.

    {"memo":1,"seal":"<hex>","key":"...","created":1e9,...,"schema":"<hex>","form":0,"value":...}

The seal is of all that follows it, so that an edit by hand is noticed as well.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import unhexlify
from typing import Any, Final

import msgspec

from ..entry import FOREVER, Entry
from .compression import is_compressed
from .envelope import VERSION, Loads, as_bytes, times_are_sound
from .refusals import refused
from .seals import Seal

__all__ = ["JsonEnvelope"]


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    key: str
    created: float
    schema: str
    value: msgspec.Raw
    expires: float | None = None  # for ever
    kept_until: float | None = None
    tags: tuple[str, ...] = ()
    form: int = 0


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Frame).decode


class JsonEnvelope:
    """Wraps and unwraps the payloads of one codec.

    Args:
        schema: the fingerprint of its schema.
        seal: the mark that it sets, and asks for.
    """

    def __init__(self, schema: bytes, seal: Seal) -> None:
        self._schema = schema.hex()
        self._seal = seal
        self._lead = b'{"memo":%d,"seal":"' % VERSION
        self._begin = len(self._lead) + 2 * seal.size + 2

    def sealed(self, name: str, entry: Entry, form: int, payload: bytes) -> bytes:
        """The bytes to store under `name`: `payload`, in the place of the entry's value."""
        _, created, expires, kept_until, tags = entry
        frame = _Frame(
            key=name,
            created=created,
            expires=None if expires == FOREVER else expires,
            kept_until=None if kept_until == FOREVER else kept_until,
            tags=tags,
            schema=self._schema,
            form=form,
            value=msgspec.Raw(b'"%b"' % b64encode(payload) if is_compressed(form) else payload),
        )
        rest = _encode(frame)[1:]
        return b'%b%b",%b' % (self._lead, self._seal.mark(rest).hex().encode(), rest)

    def opened(self, name: str, data: Any, loads: Loads) -> Entry:
        """The entry that was stored under `name`.

        Raises:
            OperationFailed: it is not as this codec wrote it, or was written under another name.
        """
        data = as_bytes(data)
        begin = self._begin
        rest = data[begin:]
        if data[: len(self._lead)] != self._lead or data[begin - 2 : begin] != b'",':
            raise refused("it was not written by this version of memo, or signed otherwise")
        mark = data[len(self._lead) : begin - 2]
        if mark != mark.lower() or not self._seal.holds(rest, unhexlify(mark)):
            raise refused("it is cut or changed, or signed with another secret")
        frame = _decode(b"{" + rest)
        if frame.schema != self._schema:
            raise refused("the function's return annotation has changed since")
        if frame.key != name:
            raise refused("it was written under another key")
        expires = FOREVER if frame.expires is None else frame.expires
        kept_until = FOREVER if frame.kept_until is None else frame.kept_until
        if not times_are_sound(frame.created, expires, kept_until):
            raise refused("its times cannot be")
        payload = bytes(frame.value)
        if is_compressed(frame.form):
            payload = b64decode(payload[1:-1], validate=True)
        value = loads[frame.form](payload)
        return Entry(value, frame.created, expires, kept_until, frame.tags)
