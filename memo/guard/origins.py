"""What is known of each backend that can fail, by all that use it in this process.

Views of a backend (`using`) and its async twin are one with it: they stand before the same server,
and name the backend they come from as their `origin`.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from ..backends.base import name_of
from ..breaker import Breaker
from ..forking import ForkableLock
from ..recovery import Recovery
from .circuit import Circuit
from .replays import Replays
from .underway import Underway
from .workers import Workers

__all__ = ["Origin", "origin_of"]


class Origin:
    """One backend: its breakers, what it is owed, and what is under way in loops, or for them."""

    def __init__(self, backend: Any) -> None:
        #: Kept, so that nothing else gets its `id` meanwhile.
        self.backend = backend
        self.name = name_of(backend)
        self.recovery = Recovery(self.name)
        self.replays = Replays(self.recovery)
        self.underway = Underway()
        self.workers = Workers()
        self._circuits: weakref.WeakValueDictionary[Breaker, Circuit]
        self._circuits = weakref.WeakValueDictionary()

    def circuit(self, options: Breaker) -> Circuit:
        """The breaker with these options, which all that have the same share."""
        with _lock.lock:
            circuit = self._circuits.get(options)
            if circuit is None:
                circuit = self._circuits[options] = Circuit(options, self.name)
                circuit.owing = self.recovery
                circuit.underway = self.underway
            return circuit


#: By the `id` of their backend, as long as a guard uses them.
_origins: Final[weakref.WeakValueDictionary[int, Origin]] = weakref.WeakValueDictionary()
_lock: Final = ForkableLock()


def origin_of(backend: Any) -> Origin:
    """What is known of the backend that `backend` is, or is a view or a twin of."""
    source = getattr(backend, "origin", None)
    if source is None:
        source = backend
    with _lock.lock:
        origin = _origins.get(id(source))
        if origin is None:
            origin = _origins[id(source)] = Origin(source)
        return origin
