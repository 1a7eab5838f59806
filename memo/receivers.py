"""Who a cached method is called on, and the cache that each receiver has of its own.

A receiver is an instance, or for a classmethod a class. It is recognised as a first argument, since
under `@property`, under other decorators and (from Python 3.13) under `@classmethod` that is all a
cached function gets to see. Receivers are told apart by identity, never by the user's `__eq__` or
`__hash__`, and are held weakly: a cache goes when its receiver goes.
"""

from __future__ import annotations

import collections
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .core import Core
from .errors import shown
from .forking import ForkableLock
from .stats import Stats

__all__ = ["Receivers"]

C = TypeVar("C", bound=Core)

#: Where an instance that cannot be referenced weakly keeps its caches, in its own `__dict__`.
_ATTRIBUTE = "__memo_caches__"


class Receivers(Generic[C]):
    """The receivers of one cached function.

    Args:
        name, module: of the function: what makes a class recognisable as the one it is defined in.
        make: makes the cache of one receiver.
    """

    def __init__(self, name: str, module: str, make: Callable[[], C]) -> None:
        self._owner, _, self._attribute = name.rpartition(".")
        self._module = module
        self._make = make
        self._owners: weakref.WeakSet[type] = weakref.WeakSet()
        self._refs: dict[int, weakref.ref[Any]] = {}
        self._lock = ForkableLock()
        #: The cache of each receiver that is held weakly, by `id`. An id is not given to another
        #: object before the callback of the weak reference has taken it out of here.
        self.caches: dict[int, C] = {}
        #: The same for the fast path; empty while callers are to ask whether caching is on, so
        #: that bound methods that somebody holds ask, too.
        self.quick: dict[int, C] = {}
        self._is_quick = False
        #: The caches that receivers keep themselves.
        self._kept: dict[int, weakref.ref[C]] = {}
        #: Counts of receivers that are gone.
        self.past = Stats()
        self._gone: collections.deque[C] = collections.deque()

    @property
    def defined_in_class(self) -> bool:
        """Whether the function is defined in the body of a class, as far as its name tells."""
        # A name ends in "<locals>", "<listcomp>" and the like where that is no class.
        return bool(self._owner) and not self._owner.endswith(">")

    def add_owner(self, owner: type) -> None:
        """`owner` has the function as an attribute."""
        self._owners.add(owner)

    def __contains__(self, thing: Any) -> bool:
        """Whether the function is a method of `thing`: an instance, or a class itself.

        No code of the user's is run.
        """
        kind = type(thing)
        lines = [type.__dict__["__mro__"].__get__(kind)]
        if issubclass(kind, type):
            lines.append(type.__dict__["__mro__"].__get__(thing))
        return any(self._is_owner(cls) for line in lines for cls in line)

    def _is_owner(self, cls: type) -> bool:
        names = type.__dict__["__dict__"].__get__(cls)
        if cls in self._owners:
            pass
        elif not (
            self._owner
            and type.__dict__["__qualname__"].__get__(cls) == self._owner
            and names.get("__module__") == self._module
        ):
            return False
        return not isinstance(names.get(self._attribute), staticmethod)

    def cache_of(self, receiver: Any) -> C:
        """The cache of `receiver`, made if need be.

        Raises:
            TypeError: it can be neither referenced weakly nor given an attribute.
        """
        cache = self.caches.get(id(receiver))
        if cache is not None:
            return cache
        self._bury()
        with self._lock.lock:
            cache = self.caches.get(id(receiver))
            if cache is not None:
                return cache
            try:
                ref = weakref.ref(receiver, self._departure(id(receiver)))
            except TypeError:
                return self._kept_by(receiver)
            cache = self._make()
            self._refs[id(receiver)] = ref
            self.caches[id(receiver)] = cache
            if self._is_quick:
                self.quick[id(receiver)] = cache
            return cache

    def set_quick(self, quick: bool) -> None:  # noqa: FBT001 - it is what the name says
        """Let the fast path find the caches, or hide them from it."""
        with self._lock.lock:
            self._is_quick = quick
            self.quick.clear()
            for number in list(self._refs) if quick else ():
                ref = self._refs.get(number)
                receiver = None if ref is None else ref()
                if receiver is not None:  # and stays alive until its cache is where it belongs
                    self.quick[number] = self.caches[number]

    def live(self) -> list[C]:
        """The caches of all receivers that are alive."""
        self._bury()
        with self._lock.lock:
            kept = [ref() for ref in list(self._kept.values())]
            return [*self.caches.values(), *(cache for cache in kept if cache is not None)]

    def _departure(self, number: int) -> Callable[[Any], None]:
        # The callback may run at any point of any thread, also within the lock.
        caches, quick, refs, gone = self.caches, self.quick, self._refs, self._gone

        def departed(ref: Any) -> None:
            if refs.get(number) is ref:
                del refs[number]
                quick.pop(number, None)
                gone.append(caches.pop(number))

        return departed

    def _bury(self) -> None:
        """Keep the counts of caches whose receivers are gone, and drop what they stored."""
        while self._gone:
            try:
                cache = self._gone.popleft()
            except IndexError:
                return
            with self._lock.lock:
                self.past.add(cache.stats)
            cache.abandon()

    def _kept_by(self, receiver: Any) -> C:
        """The cache of a receiver that cannot be referenced weakly: it keeps it itself."""
        try:
            names = object.__getattribute__(receiver, "__dict__")
        except AttributeError:
            raise TypeError(
                f"{self._attribute}: {shown(receiver)} can neither be referenced weakly nor given "
                "attributes; say what tells calls apart with key=, or give its class a "
                "__weakref__ slot"
            ) from None
        kept = names.get(_ATTRIBUTE)
        if type(kept) is not _Kept or kept.home is not names:
            kept = names[_ATTRIBUTE] = _Kept(names)
        cache = kept.caches.get(self)
        if cache is None:
            cache = kept.caches[self] = self._make()
            self._kept[id(cache)] = weakref.ref(cache, self._loss(id(cache), cache.stats))
        return cache

    def _loss(self, number: int, stats: Stats) -> Callable[[Any], None]:
        kept, past = self._kept, self.past

        def lost(ref: Any) -> None:
            del ref, kept[number]
            past.add(stats)

        return lost


class _Kept:
    """The caches of one instance, in its `__dict__`; a copy of the instance starts with none.

    `home` is that `__dict__`, by which a copy that was given the very same object is known: as this
    keeps it alive, no other one can have its identity.
    """

    __slots__ = ("caches", "home")

    def __init__(self, home: dict[str, Any] | None = None) -> None:
        self.home = home
        self.caches: dict[Receivers[Any], Any] = {}

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept)

    def __hash__(self) -> int:
        return 0
