"""Serializers that are not ours: pickle, and any object with `dumps` and `loads`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Final

from .refusals import refused, type_name

__all__ = ["Foreign", "runs_what_it_reads"]

#: What reads with these runs code that the data names.
_DANGEROUS: Final = frozenset({"pickle", "_pickle", "marshal", "dill", "cloudpickle", "jsonpickle"})


def runs_what_it_reads(serializer: Any) -> bool:
    """Whether `serializer` is pickle or its like, as far as can be seen."""
    loads = getattr(serializer.loads, "func", serializer.loads)  # of a functools.partial
    owner = getattr(loads, "__module__", None) or ""
    names = (owner, getattr(serializer, "__name__", ""), type(serializer).__module__)
    return any(str(name).partition(".")[0] in _DANGEROUS for name in names)


class Foreign:
    """Writes and reads with somebody else's functions, and looks at what comes of it.

    Args:
        dumps: makes bytes of a value.
        loads: makes a value of bytes.
        compares: whether what is read must be equal to what was written, or only of its type.
    """

    def __init__(
        self, dumps: Callable[[Any], bytes], loads: Callable[[Any], Any], *, compares: bool
    ) -> None:
        self._dumps = dumps
        self._compares = compares
        self.load_builtins = loads
        self.loads = [loads]

    @classmethod
    def pickle(cls) -> Foreign:
        """Python's own; objects need not have an equality."""
        return cls(lambda value: pickle.dumps(value, 5), pickle.loads, compares=False)

    def dump(self, value: Any) -> tuple[int, bytes]:
        """The form, of which there is one, and the payload.

        Raises:
            OperationFailed: something else would be read.
        """
        data = self._dumps(value)
        if type(data) is not bytes:
            raise refused(f"dumps gave {type_name(data)}, not bytes")
        again = self.load_builtins(data)
        if type(again) is not type(value):
            raise refused(f"{type_name(value)} comes back as {type_name(again)}")
        if self._compares and not self._equal(value, again, data):
            raise refused(f"a {type_name(value)} does not come back equal")
        return 0, data

    def dump_builtins(self, value: Any) -> bytes:
        """As `dump`, without the form."""
        return self.dump(value)[1]

    def _equal(self, value: Any, again: Any, data: bytes) -> bool:
        equal = again == value
        try:
            return bool(equal)
        except (TypeError, ValueError):  # an array's is an array: is the same written once more?
            return self._dumps(again) == data
