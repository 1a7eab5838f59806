"""Frozen dataclasses that cost an import next to nothing.

`dataclasses.dataclass` writes and compiles the methods of each class in every process anew: for the
few classes of `import memo` that took a third of its time. The methods of a *record* are compiled
with this module. To type checkers it is a dataclass, and so it is to all who ask `dataclasses`
about it (`fields`, `replace`, `asdict`), for whom a true one is made at that moment.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

__all__ = ["record", "replaced"]

T = TypeVar("T")

#: What `dataclasses` keeps in a class.
_KEPT: Final = ("__dataclass_fields__", "__dataclass_params__")


def replaced(record: T, **changes: Any) -> T:
    """`record` with other values in the fields that `changes` names."""
    return type(record)(**(vars(record) | changes))


def _record(
    *, frozen: Literal[True], kw_only: bool = False, eq: bool = True
) -> Callable[[type[T]], type[T]]:
    """What `dataclasses.dataclass` does with these options, for fields that are no `field(...)`."""

    def decorate(kind: Any) -> Any:
        true = functools.cache(
            lambda: _dataclass_like(kind, {"frozen": frozen, "kw_only": kw_only, "eq": eq})
        )
        methods = _methods(kind, true)
        methods["__init__"].__signature__ = _signature(kind, kw_only=kw_only)
        for name, method in methods.items():
            if name not in vars(kind) and (eq or name not in {"__eq__", "__hash__"}):
                method.__qualname__ = f"{kind.__qualname__}.{name}"
                setattr(kind, name, method)
        positional = () if kw_only else tuple(kind.__annotations__)
        kept = {name: _Asked(name, kind, true) for name in _KEPT}
        for name, value in {"__match_args__": positional, **kept}.items():
            setattr(kind, name, value)
        return kind

    return decorate


if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    record = _record


def _methods(  # noqa: C901 - each of them is simple
    kind: Any, true: Callable[[], Any]
) -> dict[str, Any]:
    """The methods of a record; `true()` is the dataclass that it is like."""
    names = kind.__annotations__.keys()
    defaults = _defaults(kind)
    fields_of = operator.attrgetter(*names)
    is_checked = hasattr(kind, "__post_init__")

    class Methods:
        def __init__(self: Any, *args: Any, **given: Any) -> None:
            fields = defaults | given
            if args or fields.keys() != names:
                true().__init__(self, *args, **given)  # or its error, in Python's own words
            else:
                self.__dict__.update(fields)
            if is_checked:
                self.__post_init__()

        def __repr__(self) -> str:
            shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{type(self).__qualname__}({shown})"

        def __eq__(self, other: object) -> bool:
            if type(other) is not type(self):
                return NotImplemented
            return bool(fields_of(self) == fields_of(other))

        def __hash__(self) -> int:
            return hash(fields_of(self))

        def __setattr__(self, name: str, value: Any) -> None:
            if type(self) is kind or name in names:
                raise _frozen(f"cannot assign to field {name!r}")
            super(kind, self).__setattr__(name, value)

        def __delattr__(self, name: str) -> None:
            if type(self) is kind or name in names:
                raise _frozen(f"cannot delete field {name!r}")
            super(kind, self).__delattr__(name)

        def __replace__(self, /, **changes: Any) -> Any:
            return type(self)(**({name: getattr(self, name) for name in names} | changes))

    return {name: method for name, method in vars(Methods).items() if callable(method)}


def _defaults(kind: Any) -> dict[str, Any]:
    return {name: vars(kind)[name] for name in kind.__annotations__ if name in vars(kind)}


def _signature(kind: Any, *, kw_only: bool) -> Signature:
    """The signature of `__init__`."""
    defaults = _defaults(kind)
    how = Parameter.KEYWORD_ONLY if kw_only else Parameter.POSITIONAL_OR_KEYWORD
    fields = [
        Parameter(name, how, default=defaults.get(name, Parameter.empty), annotation=annotation)
        for name, annotation in kind.__annotations__.items()
    ]
    own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([own, *fields], return_annotation=None)


def _dataclass_like(kind: Any, options: dict[str, bool]) -> Any:
    """A dataclass with the name and the fields of `kind`."""
    from dataclasses import dataclass

    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__annotations__": kind.__annotations__,
        **_defaults(kind),
    }
    return dataclass(**options)(type(kind.__name__, (), body))


def _frozen(message: str) -> AttributeError:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


class _Asked:
    """Stands in a class for what `dataclasses` keeps there, until somebody asks for it."""

    def __init__(self, name: str, kind: Any, true: Callable[[], Any]) -> None:
        self._name = name
        self._kind = kind
        self._true = true

    def __get__(self, instance: object, owner: object = None) -> Any:
        value = getattr(self._true(), self._name)
        setattr(self._kind, self._name, value)
        return value
