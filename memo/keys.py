"""From the arguments of a call to the key of its result.

Calls that mean the same have one key: `f(1)`, `f(a=1)` and `f(1, b=<default>)`. The key of a call
with positional arguments alone is the tuple of them as it stands, so that such a call costs
nothing here; every other call is brought to that form, with these additions:

- trailing parameters that have their default are left out;
- keyword-only arguments, and the entries of `**kwargs` in the order of the call, follow a marker;
- with `typed`, the types of all arguments follow another;
- lists, sets, dicts and the like, which cannot be hashed, are frozen and carry their type.
"""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final

from .errors import shown

__all__ = ["Keys", "NotAccepted", "check_keys", "freeze"]


class _Mark:
    """A part of a key that no argument can be equal to."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


#: Under another name, so that even `len` itself can be cached.
_len: Final = len

_KEYWORDS: Final = _Mark("keywords")
_TYPES: Final = _Mark("types")
_FROZEN: Final = _Mark("frozen")
_OMITTED: Final = _Mark("omitted")


def _in_order(items: Iterable[Any]) -> Hashable:
    return tuple(map(freeze, items))


def _unordered(items: Iterable[Any]) -> Hashable:
    return frozenset(items)


def _items(mapping: dict[Any, Any]) -> Hashable:
    return frozenset((key, freeze(value)) for key, value in mapping.items())


def _ordered_items(mapping: dict[Any, Any]) -> Hashable:
    return tuple((key, freeze(value)) for key, value in mapping.items())


#: How the contents of each unhashable built-in container become hashable, equal where it is equal.
_CONTENTS: Final[dict[type, Callable[[Any], Hashable]]] = {
    list: _in_order,
    collections.deque: _in_order,
    set: _unordered,
    dict: _items,
    collections.defaultdict: _items,
    collections.Counter: _items,
    collections.OrderedDict: _ordered_items,
    bytearray: bytes,
}


def freeze(value: Any) -> Any:
    """`value` itself, or where it is an unhashable built-in container, a hashable stand-in.

    The stand-in carries the container's type, so that `[1]`, `(1,)` and `{1}` differ; two of them
    are equal where the containers are. Subclasses are left alone: what makes two of those equal is
    theirs to say.
    """
    kind = type(value)
    if kind is tuple:
        return tuple(map(freeze, value))
    contents = _CONTENTS.get(kind)
    return value if contents is None else (_FROZEN, kind, contents(value))


#: Types whose `==` runs no code of the user's, so that it may be asked whether a value is the
#: parameter's default.
_PLAIN: Final = frozenset({bool, int, float, complex, str, bytes, type(None)})


#: The `==` of those types and of their subclasses that do not bring one, such as a StrEnum.
_PLAIN_EQ: Final = frozenset(kind.__eq__ for kind in _PLAIN)


def _is_default(value: Any, default: Any, *, typed: bool) -> bool:
    """Whether a key may leave `value` out: equal to the default as a dict's key would be.

    A value and a default that are equal must never have two keys, since the tuple of arguments,
    looked up as it stands, would find either.
    """
    if value is default:
        return True
    if typed and type(value) is not type(default):
        return False
    if type(default) in _PLAIN and type(value).__eq__ in _PLAIN_EQ:
        return bool(value == default)
    if default is _OMITTED:
        return False
    try:
        ours, theirs = freeze(value), freeze(default)
        return hash(ours) == hash(theirs) and bool(ours == theirs)
    except Exception:
        return False  # what cannot be compared, or hashed, is looked up in no dict either


#: More parameters than a signature that is worth a table has.
_LONG: Final = 16


class Keys:
    """Makes the keys of one function.

    Attributes:
        direct: whether the tuple of the arguments of a purely positional call can be looked up as
            it stands. It is the key, unless a trailing argument is given its default explicitly
            or is an unhashable container; then nothing is found under it, and `make` has the key.
    """

    def __init__(
        self,
        signature: inspect.Signature | None,
        *,
        typed: bool = False,
        ignore: str | Iterable[str] = (),
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        """Make keys for calls that fit `signature` (None: unknown, arguments are taken as given).

        Raises:
            TypeError, ValueError: an option that cannot be; the message names it.
        """
        parameters = list(signature.parameters.values()) if signature else []
        check_keys(typed=typed, ignore=ignore, key=key)
        #: Names of parameters that do not count.
        self.ignored = _known(ignore, signature)
        self.typed = typed
        self._own = key
        self._known = signature is not None
        self.direct = key is None and not typed and not self.ignored
        kinds = inspect.Parameter
        self._positional = [
            (
                p.name,
                _OMITTED if p.default is p.empty else p.default,
                p.kind is kinds.POSITIONAL_OR_KEYWORD,
            )
            for p in parameters
            if p.kind in {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}
        ]
        self._ignored_places = [
            place for place, part in enumerate(self._positional) if part[0] in self.ignored
        ]
        self._keyword_only = [
            (p.name, _OMITTED if p.default is p.empty else p.default)
            for p in parameters
            if p.kind is kinds.KEYWORD_ONLY
        ]
        self._rest = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
        self._others = next((p.name for p in parameters if p.kind is kinds.VAR_KEYWORD), None)
        #: Names to ignore among the entries of `**kwargs`.
        self._ignored_others = self.ignored.difference(p.name for p in parameters)
        required = [p for p in parameters if p.default is p.empty and p.name != self._others]
        #: How many arguments a call has whose tuple is its key for certain; -1: there is none.
        self._exactly = -1
        if self.direct and all(
            p.kind in {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD} for p in required
        ):
            self._exactly = len(required)

        self._gapless = self._without_gaps()

    def of(self, args: tuple[Any, ...]) -> Any:
        """The key of a positional call, which may turn out to have no hash; else as `make`."""
        return args if _len(args) == self._exactly else self.make(args, {})

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The key of the call `f(*args, **kwargs)`.

        Raises:
            NotAccepted: the call does not fit the signature.
            Exception: what the user's `key` raised, or the hash of an argument.
        """
        if _len(args) == self._exactly and not kwargs:
            try:
                hash(args)
            except TypeError:
                pass  # a container that `freeze` may know
            else:
                return args
        key = self._made(args, kwargs)
        hash(key)
        return key

    def finder(self, seek: Callable[[Any], Any]) -> Callable[[tuple[Any, ...], Any], Any]:
        """`find(args, kwargs)` is `seek(make(args, kwargs))`, made for calls by keyword.

        Most calls leave no gap: the keywords are the parameters that come next, and the signature
        leads straight to the key. `find` may raise `TypeError` where `make` would freeze a part.
        """
        make, gapless = self.make, self._gapless

        def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            key = args
            try:
                names, default = gapless[_len(args)][_len(kwargs)]
                for name in names:
                    key += (kwargs[name],)
            except LookupError:
                return seek(make(args, kwargs))
            if default is not _OMITTED and _is_default(key[-1], default, typed=False):
                return seek(make(args, kwargs))
            return seek(key)

        return find

    def _without_gaps(self) -> list[list[tuple[list[Any], Any]]]:
        """By the number of positional arguments, then of keywords: which keywords leave no gap.

        Of each, the names in order, and the default of the last; a name that cannot be, where so
        many keywords do not make a call.
        """
        required = [name for name, default in self._keyword_only if default is _OMITTED]
        if required or not self.direct or _len(self._positional) > _LONG:
            return []
        enough = sum(default is _OMITTED for _, default, _ in self._positional)
        table: list[list[tuple[list[Any], Any]]] = []
        for count in range(_len(self._positional)):
            names: list[Any] = [name if named else None for name, _, named in self._positional]
            table.append([([None], _OMITTED)] * max(1, enough - count))
            for end in range(max(count + 1, enough), _len(names) + 1):
                table[-1].append((names[count:end], self._positional[end - 1][1]))
        return table

    def _made(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._own is not None:
            return freeze(self._own(*args, **kwargs))
        if not self._known:
            return self._key(list(args), list(kwargs.items()))
        given = dict(kwargs)
        positional = self._by_position(args, given)
        named = []
        for name, default in self._keyword_only:
            value = given.pop(name, default)
            if value is _OMITTED:
                raise NotAccepted(name)
            left_out = name in self.ignored or _is_default(value, default, typed=self.typed)
            if not left_out:
                named.append((name, value))
        if given:
            if self._others is None:
                raise NotAccepted(next(iter(given)))
            if self._others not in self.ignored:
                named += [item for item in given.items() if item[0] not in self._ignored_others]
        return self._key(positional, named)

    def _by_position(self, args: tuple[Any, ...], given: dict[str, Any]) -> list[Any]:
        """All that has a position; what is used of `given` is taken out of it."""
        positional = list(args[: _len(self._positional)])
        rest = args[_len(self._positional) :]
        if rest and self._rest is None:
            raise NotAccepted(self._positional[-1][0] if self._positional else "*args")
        for name, _, named in self._positional[: _len(positional)]:
            if named and name in given:
                raise NotAccepted(name)  # given twice
        for name, default, named in self._positional[_len(positional) :]:
            value = given.pop(name, default) if named else default
            if value is _OMITTED:
                raise NotAccepted(name)
            positional.append(value)
        for place in self._ignored_places:
            positional[place] = None
        if rest and self._rest not in self.ignored:
            return positional + list(rest)
        return self._without_defaults(positional)

    def _without_defaults(self, positional: list[Any]) -> list[Any]:
        """`positional` without the defaults, and the ignored, at its end."""
        while positional:
            place = _len(positional) - 1
            default = self._positional[place][1]
            if place not in self._ignored_places and not _is_default(
                positional[-1], default, typed=self.typed
            ):
                break
            positional.pop()
        return positional

    def _key(self, positional: list[Any], named: list[tuple[str, Any]]) -> Any:
        parts = [freeze(value) for value in positional]
        if named:
            parts.append(_KEYWORDS)
            for name, value in named:
                parts += (name, freeze(value))
        if self.typed:
            parts.append(_TYPES)
            parts += (type(value) for value in positional)
            parts += (type(value) for _, value in named)
        return tuple(parts)


class NotAccepted(TypeError):
    """The function does not accept these arguments; calling it says so best."""


def check_keys(*, typed: object, ignore: Any, key: object) -> None:
    """Check what can be checked of these options without a function."""
    if key is not None and not callable(key):
        raise TypeError(f"key={shown(key)}: takes a callable of the function's arguments")
    if not isinstance(typed, bool):
        raise TypeError(f"typed={shown(typed)}: takes True or False")
    if not isinstance(ignore, str):
        names = list(ignore) if isinstance(ignore, Iterable) else [ignore]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"ignore={shown(ignore)}: takes names of parameters")
    if key is not None and (ignore or typed):
        option = "ignore" if ignore else "typed"
        raise ValueError(f"{option} has no effect beside key: let key say what counts")


def _known(ignore: str | Iterable[str], signature: inspect.Signature | None) -> frozenset[str]:
    """The names to ignore, each of which the function must know."""
    wanted = frozenset((ignore,) if isinstance(ignore, str) else ignore)
    known = () if signature is None else tuple(signature.parameters)
    open_ended = signature is not None and any(
        p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values()
    )
    for name in wanted:
        if name not in known and not open_ended:
            raise ValueError(
                f"ignore={shown(ignore)}: the function has no parameter {name!r}; "
                f"it has {', '.join(known) or 'none that can be named'}"
            )
    return wanted
