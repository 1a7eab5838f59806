"""The codec: an entry to bytes and back, whole and unchanged, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

from ..entry import ABSENT, Entry, Raised
from ..errors import OperationFailed, shown
from .envelope import BinaryEnvelope, Loads, times_are_sound
from .refusals import explained, refused
from .seals import Checksum, Seal

__all__ = ["MAX_INFLATED", "Codec", "codec_of"]

#: Bytes that a compressed payload may come to, unless another bound is given.
MAX_INFLATED: Final = 64 * 2**20

# Numbers in the envelope: they are part of what is stored.
_NUMBERS: Final = {"msgpack": 1, "json": 2, "pickle": 3}
_OTHER: Final = 4
#: The form of a payload that describes an exception.
_RAISED: Final = 255


class _Payloads(Protocol):
    """What writes and reads the values themselves."""

    loads: list[Callable[[Any], Any]]

    def dump(self, value: Any, /) -> tuple[int, bytes]: ...
    def dump_builtins(self, value: Any, /) -> bytes: ...
    def load_builtins(self, payload: Any, /) -> Any: ...


class _Envelope(Protocol):
    def sealed(self, name: str, entry: Entry, form: int, payload: bytes, /) -> bytes: ...
    def opened(self, name: str, data: Any, loads: Loads, /) -> Entry: ...


class _Forms(dict[int, Callable[[Any], Any]]):
    """What makes a value of a payload, for each form; compressed ones are added as they come."""

    def __init__(self, plain: list[Callable[[Any], Any]], max_inflated: int) -> None:
        super().__init__(enumerate(plain))
        self._max_inflated = max_inflated

    def __missing__(self, form: int) -> Callable[[Any], Any]:
        from .compression import is_compressed

        if not is_compressed(form):
            raise refused(f"its payload has a form that is not known ({form})")
        return partial(self._inflated, form)

    def _inflated(self, form: int, payload: bytes) -> Any:
        from .compression import inflated

        form, payload = inflated(form, payload, self._max_inflated)
        return self[form](payload)


@dataclass(frozen=True)
class Codec:
    """Encodes entries for stores that hold bytes, and decodes them.

    What `decode` gives is equal to what `encode` was given, and of the same type, inside as well.
    What could not be given back like that is refused when it is written; what is not as it was
    written is refused when it is read. Codecs are compared by their settings, may be used by many
    threads at once, and show no secret when they are printed.

    Args:
        serializer: "msgpack"; "json", for those who read their cache; "pickle", which must be
            signed; or an object with `dumps(value) -> bytes` and `loads(bytes) -> value`, where
            `loads(dumps(value)) == value` and its type are looked at when a value is written, and
            nothing further inside.
        annotation: what the function says it returns, resolved; without one, only builtins and
            enums can be stored. Where it names types, the value must be of them.
        compress: payloads of this many bytes or more are compressed; None for never. Zstandard
            where Python has it (3.14, or `backports.zstd`), else zlib.
        secrets: a str or bytes, or a sequence of them, each of 16 bytes or more: entries are
            signed with the first, and accepted if signed with any. Without, entries have a
            checksum, which finds accidents and keeps nobody out. "pickle" takes them from the
            environment variable `MEMO_SECRET`, divided by commas, if none are given.
        max_inflated: bytes that a compressed payload may come to when it is read.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it, its value, and what
            is allowed. "pickle" without a secret is one.
        ImportError: "msgpack" and "json" need `msgspec`.
    """

    serializer: Any = "msgpack"
    annotation: Any = field(default=ABSENT, kw_only=True, hash=False)
    compress: int | None = field(default=None, kw_only=True)
    secrets: str | bytes | Sequence[str | bytes] | None = field(default=None, kw_only=True)
    max_inflated: int = field(default=MAX_INFLATED, kw_only=True)

    _payloads: _Payloads = field(init=False, repr=False, compare=False)
    _envelope: _Envelope = field(init=False, repr=False, compare=False)
    _loads: _Forms = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dangerous = _check_serializer(self.serializer)
        _check_bounds(self.compress, self.max_inflated)
        seal: Seal = Checksum()
        if dangerous or self.secrets is not None:
            from .signing import Signature, secrets_of, secrets_of_environment

            if self.secrets is None:
                secrets = secrets_of_environment(shown(self.serializer))
            else:
                secrets = secrets_of(self.secrets)
            self._set("secrets", secrets)
            seal = Signature(secrets)
        self._set("_payloads", _payloads_of(self.serializer, self.annotation))
        forms = len(self._payloads.loads)
        self._set("_envelope", _envelope_of(self.serializer, self.annotation, forms, seal))
        loads = _Forms(self._payloads.loads, self.max_inflated)
        loads[_RAISED] = self._load_raised
        self._set("_loads", loads)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def encode(self, name: str, entry: Entry) -> bytes:
        """The bytes to store for `entry` under `name`.

        Raises:
            OperationFailed: it could not be given back as it is; `codec` is True.
        """
        try:
            return self._encoded(name, entry)
        except Exception as error:
            raise _translated(error, "it cannot be stored") from _cause(error)

    def decode(self, name: str, data: bytes) -> Entry:
        """The entry that was stored under `name`.

        Raises:
            OperationFailed: `data` is not what this codec stored under this name; `codec` is True.
        """
        try:
            return self._envelope.opened(name, data, self._loads)
        except Exception as error:
            raise _translated(error, "what is stored cannot be read") from _cause(error)

    def _encoded(self, name: str, entry: Entry) -> bytes:
        if not times_are_sound(entry.created, entry.expires, entry.kept_until):
            raise refused(f"its times cannot be: {entry[1:4]}")
        if not all(type(tag) is str for tag in entry.tags):
            raise refused(f"its tags are not text: {shown(entry.tags)}")
        value = entry.value
        if type(value) is Raised:
            from .raised import described

            form, payload = _RAISED, self._payloads.dump_builtins(described(value.error))
        else:
            form, payload = self._payloads.dump(value)
        if self.compress is not None and self.compress <= len(payload) <= self.max_inflated:
            from .compression import compressed

            form, payload = compressed(form, payload)
        return self._envelope.sealed(name, entry, form, payload)

    def _load_raised(self, payload: Any) -> Raised:
        from .raised import rebuilt

        return Raised(rebuilt(self._payloads.load_builtins(payload)))


def codec_of(serializer: Any, annotation: Any = ABSENT) -> Codec:
    """The codec for what a user gave as `serializer`, and for what a function returns.

    Args:
        serializer: whatever `Codec` takes, or a `Codec`; the annotation is that of the `Codec`, if
            it has one. None for the default.
        annotation: the function's return annotation, resolved, or ABSENT.

    Raises:
        TypeError, ValueError, ImportError: as `Codec`.
    """
    if not isinstance(serializer, Codec):
        return Codec("msgpack" if serializer is None else serializer, annotation=annotation)
    if annotation is ABSENT or serializer.annotation is not ABSENT:
        return serializer
    return replace(serializer, annotation=annotation)


def _check_serializer(serializer: Any) -> bool:
    """Whether `serializer` runs what it reads, if it is one."""
    allowed = 'takes "msgpack", "json", "pickle", or an object with dumps and loads'
    if isinstance(serializer, str):
        if serializer not in _NUMBERS:
            raise ValueError(f"serializer={serializer!r}: {allowed}")
        return serializer == "pickle"
    methods = (getattr(serializer, "dumps", None), getattr(serializer, "loads", None))
    if isinstance(serializer, type) or not all(map(callable, methods)):
        raise TypeError(f"serializer={shown(serializer)}: {allowed}")
    from .foreign import runs_what_it_reads

    return runs_what_it_reads(serializer)


def _check_bounds(compress: Any, max_inflated: Any) -> None:
    if compress is not None and (type(compress) is not int or compress < 0):
        raise ValueError(
            f"compress={shown(compress)}: takes the bytes from which payloads are compressed, or "
            "None for never"
        )
    if type(max_inflated) is not int or max_inflated < 1:
        raise ValueError(f"max_inflated={shown(max_inflated)}: takes bytes, 1 or more")


def _payloads_of(serializer: Any, annotation: Any) -> _Payloads:
    if not isinstance(serializer, str) or serializer == "pickle":
        from .foreign import Foreign

        if isinstance(serializer, str):
            return Foreign.pickle()
        return Foreign(serializer.dumps, serializer.loads, compares=True)
    _need_msgspec(serializer)
    from .typed import schema_of

    return schema_of(serializer, annotation)


def _envelope_of(serializer: Any, annotation: Any, forms: int, seal: Seal) -> _Envelope:
    from .fingerprints import fingerprint

    if isinstance(serializer, str):
        whose, number = serializer, _NUMBERS[serializer]
    else:
        named = serializer if hasattr(serializer, "__name__") else type(serializer)
        whose, number = f"{getattr(named, '__module__', '')}.{named.__name__}", _OTHER
    # Another msgspec may understand other types, and so have other forms.
    schema = fingerprint(annotation, f"{whose} {forms}")
    if number == _NUMBERS["json"]:
        from .json_envelope import JsonEnvelope

        return JsonEnvelope(schema, seal)
    return BinaryEnvelope(number, schema, seal)


def _need_msgspec(serializer: str) -> None:
    try:
        import msgspec  # noqa: F401 # looked for here, so that the message can say what to install
    except ImportError as error:
        raise ImportError(
            f"serializer={serializer!r} needs msgspec: pip install msgspec (the extras sqlite, "
            "redis and memcached of memo-cache bring it)"
        ) from error


def _translated(error: Exception, what: str) -> OperationFailed:
    return refused(f"{what}: {explained(error)}")


def _cause(error: Exception) -> BaseException | None:
    """The foreign error behind `error`."""
    return error.__cause__ if isinstance(error, OperationFailed) else error
