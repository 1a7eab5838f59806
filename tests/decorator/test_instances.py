"""Instances of every make: slots, dataclasses, copies, pickles, other processes."""

import copy
import dataclasses
import enum
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import typing
import weakref
from pathlib import Path

import pytest

from memo import cached

MORE_THAN_ENOUGH = 60  # seconds


class Plain:
    """An ordinary class."""

    def __init__(self, n):
        self.n = n

    @cached
    def m(self):
        return [self.n]


class Slotted:
    """Slots, and neither `__dict__` nor `__weakref__`."""

    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n

    @cached
    def m(self):
        return [self.n]

    @cached(key=lambda self: self.n)
    def keyed(self):
        return [self.n]


class SlottedWeak(Slotted):
    """Slots with `__weakref__`, and no `__dict__`."""

    __slots__ = ("__weakref__",)

    @cached
    def m(self):
        return [self.n]


class SlottedDict:
    """Slots with `__dict__` and without `__weakref__`."""

    __slots__ = ("__dict__", "n")

    def __init__(self, n):
        self.n = n

    @cached
    def m(self):
        return [self.n]


class Number(int):
    """A built-in's subclass, which has a `__dict__` and cannot be referenced weakly."""

    @property
    def n(self):
        return int(self)

    @cached
    def m(self):
        return [self.n]


class Pair(typing.NamedTuple):
    """A tuple: neither `__dict__` nor `__weakref__`."""

    n: int

    @cached
    def m(self):
        return [self.n]


@dataclasses.dataclass
class Data:
    """A dataclass, which is equal by value and cannot be hashed."""

    n: int

    @cached
    def m(self):
        return [self.n]


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A frozen dataclass, equal and hashed by value."""

    n: int

    @cached
    def m(self):
        return [self.n]


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True)
class FrozenSlots:
    """A frozen dataclass with slots: its class is made twice."""

    n: int

    @cached
    def m(self):
        return [self.n]


@dataclasses.dataclass(slots=True)
class Slots:
    """A dataclass with slots and without `__weakref__`."""

    n: int

    @cached
    def m(self):
        return [self.n]


class Restricted:
    """An instance that refuses new attributes."""

    def __init__(self, n):
        object.__setattr__(self, "n", n)

    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __getattr__(self, name):
        raise AttributeError(name)

    @cached
    def m(self):
        return [self.n]


class Colours(enum.Enum):
    """An enum, whose members are instances."""

    RED = 1
    GREEN = 2

    @cached
    def m(self):
        return [self.value]


KEEPING = [Plain, SlottedWeak, SlottedDict, Number, Data, Frozen, FrozenSlots, Restricted]
REFUSED = [Slotted, Pair, Slots]

each_keeping = pytest.mark.parametrize("cls", KEEPING)


@each_keeping
def test_each_instance_has_its_own(cls) -> None:
    """Whatever the class is like, instances have caches of their own, equal ones too."""
    one, equal, other = cls(1), cls(1), cls(2)
    assert one.m() is one.m()
    assert one.m() == equal.m()
    assert one.m() is not equal.m()
    assert (one.m(), other.m()) == ([1], [2])
    assert one.m.cache_info() == (4, 1, 1024, 1)
    assert one.m.invalidate() is True
    assert equal.m.lookup().status == "fresh"


@each_keeping
def test_the_class_knows_all_its_instances(cls) -> None:
    """`cache_info` in sum and `cache_clear` of all reach every instance, however it is kept."""
    cls.m.cache_clear()
    one, other = cls(1), cls(2)
    one.m(), one.m(), other.m()
    assert cls.m.cache_info() == (1, 2, 1024, 2)
    del other
    gc.collect()
    assert cls.m.cache_info() == (1, 2, 1024, 1)
    cls.m.cache_clear()
    assert cls.m.cache_info() == one.m.cache_info() == (0, 0, 1024, 0)
    assert one.m.lookup().status == "miss"


@each_keeping
def test_what_was_cached_goes_with_its_instance(cls) -> None:
    """The values of an instance are let go of when it dies."""

    class Big:
        pass

    instance = cls(1)
    big = Big()
    instance.m.set(big)
    assert instance.m() is big
    ref = weakref.ref(big)
    del big
    gc.collect()
    assert ref() is not None
    del instance
    gc.collect()
    cls(2).m()  # what is gone may be noticed at the next new instance
    assert ref() is None


@pytest.mark.parametrize("cls", REFUSED)
def test_an_instance_that_can_keep_nothing_is_a_type_error(cls) -> None:
    """Without `__weakref__` and `__dict__` the call is a TypeError that says what to do."""
    instance = cls(1)
    for call in (instance.m, lambda: cls.m(instance), instance.m.lookup, instance.m.invalidate):
        with pytest.raises(TypeError, match="key=") as caught:
            call()
        assert "__weakref__" in str(caught.value)
        assert "m" in str(caught.value)


def test_with_a_key_slots_are_no_obstacle() -> None:
    """The advice helps: with `key=` such instances are cached by what the key says."""
    assert Slotted(1).keyed() is Slotted(1).keyed()
    assert Slotted(2).keyed() == [2]


def test_an_inherited_method_on_a_subclass_that_can_be_referenced() -> None:
    """A subclass without slots makes the inherited method work."""

    class Sub(Slotted):
        pass

    sub = Sub(1)
    assert sub.m() is sub.m()
    assert sub.m() == [1]


def test_members_of_an_enum() -> None:
    """Members have caches of their own."""
    assert Colours.RED.m() is Colours.RED.m()
    assert (Colours.RED.m(), Colours.GREEN.m()) == ([1], [2])


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("cls", [Plain, SlottedWeak, SlottedDict, Number, Data, Frozen])
def test_a_copy_neither_shares_nor_carries_the_cache(cls, again) -> None:
    """A copied or unpickled instance is a new one: equal values, computed anew."""
    instance = cls(1)
    first = instance.m()
    twin = again(instance)
    assert twin.n == 1
    assert twin.m.lookup().status == "miss"
    assert twin.m() == [1]
    assert twin.m() is not first
    twin.m.set("twin's")
    assert instance.m() is first
    assert twin.m() == "twin's"
    again(twin)
    assert twin.m() == "twin's"


def test_a_state_of_the_users_own_is_left_alone() -> None:
    """`vars`, `==` and `__getstate__` of an instance show nothing of ours."""
    for cls in (Plain, Data, Frozen):
        instance = cls(1)
        instance.m()
        assert vars(instance) == {"n": 1}
    assert Data(1) == Data(1)
    used = Data(1)
    used.m()
    assert used == Data(1)
    assert dataclasses.asdict(used) == {"n": 1}
    assert dataclasses.replace(used, n=2).m() == [2]


def test_an_instance_with_its_caches_in_its_dict_equals_another() -> None:
    """Where the caches must be in `__dict__`, they are equal to any other's."""
    used, new = SlottedDict(1), SlottedDict(1)
    used.m(), new.m()
    assert vars(used) == vars(new)


def test_pickled_instances_come_without_values() -> None:
    """What is cached is not in the pickle, so that it need not be picklable."""
    for cls in (Plain, SlottedDict, Number):
        instance = cls(1)
        instance.m.set(lambda: 1)
        assert pickle.loads(pickle.dumps(instance)).m() == [1]


PROGRAM = textwrap.dedent(
    """
    import multiprocessing
    from memo import cached

    @cached
    def square(n):
        return n * n

    class Scaled:
        def __init__(self, factor):
            self.factor = factor
        @cached
        def times(self, n):
            return self.factor * n
        @classmethod
        @cached
        def name(cls, n):
            return cls.__name__ * n

    class Number(int):
        @cached
        def plus(self, n):
            return self + n

    def both(scaled, n):
        return scaled.times(n), scaled.times(n), scaled.times.cache_info().hits

    if __name__ == "__main__":
        context = multiprocessing.get_context("spawn")
        scaled, number = Scaled(3), Number(5)
        assert square(3) == 9 and scaled.times(3) == 9 and number.plus(1) == 6
        with context.Pool(2) as pool:
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
            assert pool.map(scaled.times, range(5)) == [0, 3, 6, 9, 12]
            assert pool.map(Scaled.name, range(3)) == ["", "Scaled", "ScaledScaled"]
            assert pool.map(number.plus, range(3)) == [5, 6, 7]
            assert pool.apply(both, (scaled, 4)) == (12, 12, 1)
        assert square.cache_info()[:2] == (0, 1)
        print("all of it")
    """
)


def test_functions_and_instances_travel_to_spawned_processes(tmp_path) -> None:
    """With spawn, functions go by name, and instances with cached methods as they are."""
    script = Path(tmp_path, "program.py")
    script.write_text(PROGRAM, "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=MORE_THAN_ENOUGH,
    )
    assert done.stdout == "all of it\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_goes_on_with_what_is_cached() -> None:
    """After a fork both processes answer from what there was, and then go their own ways."""
    plain = Plain(1)
    plain.m()
    reader, writer = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            before = plain.m.cache_info()
            plain.m.set("the child's")
            writer.send((tuple(before), plain.m()))
        finally:
            os._exit(0)
    assert reader.poll(MORE_THAN_ENOUGH)
    assert reader.recv() == ((0, 1, 1024, 1), "the child's")
    os.waitpid(pid, 0)
    assert plain.m() == [1]
