"""Records: what a frozen dataclass is, whether or not anybody has asked `dataclasses` about it."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

from memo.records import record, replaced


@record(frozen=True, kw_only=True)
class Brew:
    """A record."""

    name: str
    minutes: float = 3
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The dataclass that it is to be like."""

    name: str
    minutes: float = 3
    notes: tuple[str, ...] = ()


Model.__qualname__ = "Brew"
Model.__init__.__qualname__ = "Brew.__init__"


@record(frozen=True)
class Pair:
    """A record that is made by position."""

    left: Any
    right: Any = None


@record(frozen=True, kw_only=True)
class Checked:
    """A record that looks at what it is made of."""

    size: Any

    def __post_init__(self):
        if self.size < 0:
            raise ValueError("size")
        object.__setattr__(self, "size", float(self.size))


@record(frozen=True, eq=False)
class Mark:
    """A record that is equal to itself alone."""

    name: str


ACTS = {
    "shown": lambda kind: repr(kind(name="tea")),
    "shown in the order of the fields": lambda kind: repr(kind(notes=("hot",), name="tea")),
    "signature": lambda kind: str(inspect.signature(kind)),
    "signature of init": lambda kind: str(inspect.signature(kind.__init__)),
    "patterns": lambda kind: kind.__match_args__,
    "hash": lambda kind: hash(kind(name="tea", minutes=2)),
    "equal": lambda kind: kind(name="tea") == kind(name="tea", minutes=3.0),
    "unequal": lambda kind: kind(name="tea") == kind(name="tea", minutes=4),
    "equal to a tuple": lambda kind: kind(name="tea") == ("tea", 3, ()),
    "compared with another type": lambda kind: kind(name="tea").__eq__(3),
    "defaults": lambda kind: (kind.minutes, kind.notes),
    "fields in the instance": lambda kind: vars(kind(name="tea", minutes=2)),
    "is a dataclass": dataclasses.is_dataclass,
    "as a dict": lambda kind: dataclasses.asdict(kind(name="tea")),
    "as a tuple": lambda kind: dataclasses.astuple(kind(name="tea")),
    "fields": lambda kind: [(one.name, one.default, one.type) for one in dataclasses.fields(kind)],
    "replaced": lambda kind: repr(dataclasses.replace(kind(name="tea"), minutes=5)),
    "made by position": lambda kind: kind("tea"),
    "made of nothing": lambda kind: kind(),
    "made of too much": lambda kind: kind(name="tea", sugar=1),
    "made of the wrong": lambda kind: kind(minutes=1, sugar=1),
    "set": lambda kind: setattr(kind(name="tea"), "name", "coffee"),
    "set anew": lambda kind: setattr(kind(name="tea"), "sugar", 1),
    "deleted": lambda kind: delattr(kind(name="tea"), "name"),
    "deleted, not there": lambda kind: delattr(kind(name="tea"), "sugar"),
    "hash of what has none": lambda kind: hash(kind(name=[])),
}


def seen(kind: Any, act: Any) -> Any:
    """What comes of `act`, or the words of the error that it raises."""
    try:
        return act(kind)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_a_record_is_like_a_dataclass(act):
    """It is made, shown, compared, hashed, looked into and refused as a frozen dataclass is."""
    assert seen(Brew, act) == seen(Model, act)


def test_a_record_is_copied_and_pickled():
    """Copies of all kinds are equal to it, and those with changes differ in these."""
    brew = Brew(name="tea", notes=("hot",))
    assert copy.copy(brew) == copy.deepcopy(brew) == pickle.loads(pickle.dumps(brew)) == brew
    assert replaced(brew, minutes=1) == Brew(name="tea", notes=("hot",), minutes=1)
    assert brew.__replace__(minutes=1) == replaced(brew, minutes=1)
    with pytest.raises(TypeError, match="sugar"):
        replaced(brew, sugar=1)


def test_a_record_can_be_made_by_position():
    """Positions, names and patterns go together as they do in a dataclass."""
    assert Pair(1) == Pair(1, None) == Pair(left=1) != Pair(1, 2)
    match Pair(1, 2):
        case Pair(left, right):
            assert (left, right) == (1, 2)
    with pytest.raises(TypeError, match=r"Pair.__init__\(\) got multiple values .* 'left'"):
        Pair(1, left=1)


def test_a_record_checks_what_it_is_made_of():
    """`__post_init__` is called however the record is made."""
    assert Checked(size=1) == Checked(size=1.0) == dataclasses.replace(Checked(size=2), size=1)
    assert type(Checked(size=1).size) is float
    for make in (Checked, lambda size: dataclasses.replace(Checked(size=1), size=size)):
        with pytest.raises(ValueError, match="size"):
            make(size=-1)


def test_a_record_may_be_equal_to_itself_alone():
    """With `eq=False` two records differ whatever their fields are."""
    mark = Mark("a")
    assert mark == mark  # noqa: PLR0124 - by its own equality
    assert Mark("a") != Mark("a")
    assert len({Mark("a"), Mark("a"), mark, mark}) == 3


def test_a_record_can_be_derived_from():
    """Dataclasses, and classes with attributes of their own, can have a record as their base."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Strong(Brew):
        grams: int = 5

    class Noted(Brew):
        def __init__(self, **fields):
            super().__init__(**fields)
            self.mine = 1

    strong = Strong(name="tea")
    assert dataclasses.astuple(strong) == ("tea", 3, (), 5)
    assert strong != Brew(name="tea")
    with pytest.raises(dataclasses.FrozenInstanceError):
        strong.grams = 1
    noted = Noted(name="tea")
    assert noted.mine == 1
    del noted.mine
    for change in (lambda: setattr(noted, "name", 1), lambda: delattr(noted, "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert str(inspect.signature(Noted)) == "(**fields)"


def test_what_is_used_without_dataclasses_does_not_import_them():
    """Records are made, shown and compared without `dataclasses`, which is imported when asked."""
    program = """
import sys
from memo.policy import Policy, raise_as

assert "dataclasses" not in sys.modules
assert Policy(failed=raise_as(OSError)) == Policy(failed=raise_as(OSError)) != Policy()
assert hash(Policy()) and repr(Policy())
assert "dataclasses" not in sys.modules
from dataclasses import FrozenInstanceError, asdict

try:
    Policy().miss = 1
except FrozenInstanceError:
    print(asdict(Policy())["retry"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "0\n"
