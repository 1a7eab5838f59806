"""Exceptions, described in builtins: by reference to the class, with arguments and attributes.

Making one again runs neither its `__init__` nor any other code of the user's. Tracebacks stay
behind, and with them the implicit context; an explicit cause is kept.
"""

from __future__ import annotations

import types
from typing import Any, Final

from ..errors import text_of
from .references import class_at, reference_to
from .refusals import refused, type_name

__all__ = ["described", "rebuilt"]

_HEAP: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE

#: Builtin exceptions that look at what stands in their slots before they use it.
_TOLERANT: Final = frozenset({AttributeError, ImportError, NameError, OSError, StopIteration})


def described(error: BaseException) -> list[Any]:
    """`error` as a list, which `rebuilt` takes; its arguments and attributes as they are.

    Raises:
        OperationFailed: it could not be made again as it is.
    """
    kind = type(error)
    bare = _made(kind, error.args)
    members: dict[str, Any] = {}
    for name, member in _members(kind).items():
        value = _in_member(member, error)
        if value is not _in_member(member, bare):
            if not _may_be_set(member):
                raise refused(f"{name} of a {type_name(error)} is not for others to set")
            members[name] = value
    cause = error.__cause__
    description = [
        *reference_to(kind),
        list(error.args),
        dict(error.__dict__),
        members,
        error.__suppress_context__,
        None if cause is None else described(cause),
    ]
    again = rebuilt(description)
    same = len(again.args) == len(error.args) and all(map(_is, again.args, error.args))
    if not same or text_of(again) != text_of(error):
        raise refused(f"a {type_name(error)} cannot be made again as it was")
    return description


def rebuilt(description: Any) -> BaseException:
    """The exception of a description.

    Raises:
        OperationFailed: its class is not imported, or is no exception that can be made like this.
    """
    module, qualname, args, attributes, members, suppressed, cause = description
    error = _made(class_at(module, qualname), tuple(args))
    slots = {name: slot for name, slot in _members(type(error)).items() if _may_be_set(slot)}
    for name, value in members.items():
        slots[name].__set__(error, value)
    _own("__dict__").__get__(error).update(attributes)
    _own("__cause__").__set__(error, None if cause is None else rebuilt(cause))
    _own("__suppress_context__").__set__(error, bool(suppressed))
    return error


def _own(name: str) -> Any:
    """The plain attribute of every exception, past what a class may have put in its place."""
    return vars(BaseException)[name]


def _made(kind: type[Any], args: tuple[Any, ...]) -> BaseException:
    if not issubclass(kind, Exception):
        raise refused(f"{kind.__qualname__} is no exception")
    maker = next(base for base in kind.__mro__ if "__new__" in vars(base))
    if maker.__flags__ & _HEAP:
        raise refused(f"{kind.__qualname__} has a __new__ of its own")
    error: BaseException = maker.__new__(kind, *args)
    if type(error) is not kind:
        raise refused(f"{kind.__qualname__} makes a {type(error).__qualname__}")
    _own("args").__set__(error, args)
    return error


def _members(kind: type[BaseException]) -> dict[str, types.MemberDescriptorType]:
    """The slots of `kind`, those of builtin exceptions included."""
    found: dict[str, types.MemberDescriptorType] = {}
    for base in kind.__mro__:
        if base in {BaseException, BaseExceptionGroup}:
            break  # what these keep is set otherwise
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType):
                found.setdefault(name, member)
    return found


def _may_be_set(member: types.MemberDescriptorType) -> bool:
    """Whether any value may be put here: what is written in C may rely on types that it set itself.

    `UnicodeDecodeError`, say, reads memory where its `object` is of another type.
    """
    base = member.__objclass__
    return base in _TOLERANT or "__slots__" in vars(base)


def _in_member(member: types.MemberDescriptorType, error: BaseException) -> Any:
    try:
        return member.__get__(error)
    except AttributeError:
        return _in_member  # never filled


def _is(one: Any, other: Any) -> bool:
    return one is other
