"""The conformance suite: what every backend must do, as tests.

    class TestMyBackend(BackendSuite):
        def make_backend(self):
            return MyBackend()

It tests the contract in `memo.backends.base`, in either colour: an async backend is recognised and
awaited.
"""
# ruff: noqa: S101, PLR2004 - these are tests

from __future__ import annotations

import asyncio
import inspect
import math
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

import pytest

from ..backends.base import is_async
from ..decorator import cached
from ..entry import FOREVER, Entry
from ..errors import Full, shown
from ..policy import Policy

__all__ = ["BackendSuite"]


class _Scope:
    """What the keys of one cached function begin with, as memo's own scopes: an object."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __cache_key__(self) -> str:
        return self._name


_LONG: Final = "x" * 2_000_000

#: Keys that break what is not careful: each is to be told from all others.
_KEYS: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        "empty": "",
        "plain": "k",
        "capital": "K",
        "space": " ",
        "space-before": " k",
        "space-behind": "k ",
        "crlf": "k\r\nset k2 0 0 1\r\n",
        "newline": "k\n",
        "nul": "k\x00",
        "nul-inside": "k\x00more",
        "quote": "k'; drop table k; --",
        "percent": "100%25",
        "wildcard": "k*",
        "path": "../../k",
        "colon": "k:1",
        "e-acute": "\u00e9",
        "e-and-acute": "e\u0301",
        "emoji": "\N{SNOWMAN}\N{CAT FACE WITH TEARS OF JOY}",
        "lone-surrogate": "\ud800",
        "digits": "1",
        "long": _LONG,
        "long-other-end": _LONG + "y",
        "long-other-start": "y" + _LONG,
        "int": 1,
        "big-int": 10**50,
        "negative": -1,
        "float": 1.5,
        "none": None,
        "none-text": "None",
        "bytes": b"k",
        "bytes-text": "b'k'",
        "empty-tuple": (),
        "tuple": ("a", "b"),
        "tuple-joined": ("a,b",),
        "tuple-text": "('a', 'b')",
        "nested": (("a",), "b"),
        "nested-otherwise": ("a", ("b",)),
        "tuple-of-int": (1,),
        "tuple-of-digit": ("1",),
        "frozenset": frozenset({1, 2}),
        "long-tuple": (_LONG, 1),
        "long-tuple-other": (_LONG, 2),
        "scoped": (_Scope("one"), ("a", "b")),
        "scoped-otherwise": (_Scope("another"), ("a", "b")),
        "scoped-by-text": ("one", ("a", "b")),
    }
)

_VALUES: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        "none": None,
        "true": True,
        "false": False,
        "zero": 0,
        "negative": -1,
        "big-int": 2**200,
        "float": 1.1,
        "infinity": math.inf,
        "complex": 1 + 2j,
        "empty-text": "",
        "text": "with \u00e9, \N{SNOWMAN}, \x00, \r\n and ' in it",
        "empty-bytes": b"",
        "bytes": bytes(range(256)),
        "tuple": (1, "a", None),
        "list": [1, [2, (3,)], {}],
        "dict": {"a": 1, 2: "b", (3, 4): [5]},
        "set": {1, 2, 3},
        "frozenset": frozenset({"a"}),
        "mixed-numbers": [1, 1.0, True],
        "big": b"\x00\xff" * 2_000_000,
    }
)


class BackendSuite:
    """Subclass it, give it a backend, and pytest runs the contract over that.

    There are two ways to give it one: a method `make_backend`, or, where it needs fixtures of its
    own, a fixture `backend`. Either may give a backend of either colour; `make_backend` may be a
    coroutine function. Every test begins with `clear()`. No test sleeps.

    Attributes:
        string_keys: True for a backend that takes no keys but text.
        keys: the keys to try, by name; those that are no text are left out under `string_keys`.
        values: the values that the backend claims to give back equal and of the same type, by name.
            Where one is too large for it, it may refuse it with `Full`.
        room: how many small entries it holds at least before it drops one; 0 for a backend that
            keeps nothing. A backend whose `maxsize` is smaller is taken at its word.
        workers: threads, or tasks of an async backend, in the tests of concurrent use.
    """

    string_keys: ClassVar[bool] = False
    keys: ClassVar[Mapping[str, Any]] = _KEYS
    values: ClassVar[Mapping[str, Any]] = _VALUES
    room: ClassVar[int] = 5_000
    workers: ClassVar[int] = 8

    def make_backend(self) -> Any:
        """A new backend to test."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method make_backend that returns a backend, or a "
            "fixture called backend"
        )

    @pytest.fixture
    def backend(self) -> Any:
        """The backend to test."""
        return self.make_backend()

    @pytest.fixture
    def store(self, backend: Any) -> Iterator[_Store]:
        """The backend behind plain calls, whatever its colour, and empty."""
        with asyncio.Runner() as runner:
            if inspect.iscoroutine(backend):
                backend = runner.run(backend)
            store = _Store(backend, runner.get_loop().run_until_complete)
            store.clear()
            yield store
            store.close()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that takes a `key` or a `value` for each of those of the class."""
        cls: Any = metafunc.cls
        for name, things in (("key", cls._usable_keys()), ("value", cls.values)):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, things.values(), ids=things.keys())

    # One entry.

    def test_nothing_is_there_to_begin_with(self, store: _Store) -> None:
        """A key that was never written is a miss: None."""
        found = store.read("k")
        assert found is None, f"read of a key that was never written gave {shown(found)}, not None"

    def test_gives_back_what_was_written(self, store: _Store) -> None:
        """A read gives the entry that was written, each of its fields the same."""
        entry = store.entry("value")
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    def test_write_says_how_many_it_evicted_or_nothing(self, store: _Store) -> None:
        """A write returns None, or the number of entries that were evicted for it."""
        try:
            answer = store.settle(store.backend.write("k", store.entry("value")))
        except Full:
            answer = None
        assert answer is None or (type(answer) is int and answer >= 0), (
            f"write returned {shown(answer)}; it may return None or a count of evicted entries"
        )

    def test_the_last_write_wins(self, store: _Store) -> None:
        """A second write to a key replaces value and times."""
        store.write("k", store.entry("old", ttl=1000, window=1000, tags=("old",)))
        newer = store.entry("new", ttl=50)
        store.write("k", newer)
        self._must_hold(store, "k", newer)

    def test_an_entry_may_be_kept_for_ever(self, store: _Store) -> None:
        """An entry that never expires comes back as one."""
        entry = Entry("value", store.now())
        assert entry.expires == FOREVER
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    def test_stale_windows_are_kept(self, store: _Store) -> None:
        """`kept_until` comes back beside `expires`, not instead of it."""
        entry = store.entry("value", ttl=60, window=3600)
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    def test_an_entry_may_expire_and_be_kept_for_ever(self, store: _Store) -> None:
        """An entry with an expiry and an endless stale window comes back with both."""
        entry = store.entry("value", ttl=60, window=FOREVER)
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    def test_tags_are_kept(self, store: _Store) -> None:
        """The tags of an entry come back as they were."""
        entry = store.entry("value", tags=("user:1", "\N{SNOWMAN}", ""))
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    def test_values_come_back_equal_and_of_the_same_type(self, store: _Store, value: Any) -> None:
        """A hit is what the miss was, in value and type; what is too large is refused with Full."""
        entry = store.entry(value)
        if store.write("k", entry):
            self._must_hold(store, "k", entry)
        else:
            found = store.read("k")
            assert found is None, f"a write refused with Full left {shown(found)} behind"

    # Expired entries.

    def test_what_has_expired_is_never_fresh(self, store: _Store) -> None:
        """An expired entry is given back as it was, or not at all."""
        entry = store.entry("value", ttl=10, age=30)
        store.write("k", entry)
        self._may_hold(store, "k", entry)

    def test_what_is_in_its_stale_window_is_never_fresh(self, store: _Store) -> None:
        """An expired entry within its stale window is given back as it was, or not at all."""
        entry = store.entry("value", ttl=10, age=30, window=3600)
        store.write("k", entry)
        self._may_hold(store, "k", entry)

    def test_what_has_expired_can_be_replaced(self, store: _Store) -> None:
        """A write over an expired entry is an entry like any other."""
        store.write("k", store.entry("old", ttl=10, age=30))
        entry = store.entry("new")
        store.write("k", entry)
        self._must_hold(store, "k", entry)

    # Dropping.

    def test_delete_drops_and_says_whether_there_was_anything(self, store: _Store) -> None:
        """`delete` is True for what was there and False for what was not."""
        assert store.delete("k") is False, "delete of a key that was never written must be False"
        store.write("k", store.entry("value"))
        held = self._room(store) > 0
        answer = store.delete("k")
        assert answer is held, f"delete gave {shown(answer)}; there was {held or 'no'} entry"
        found = store.read("k")
        assert found is None, f"read after delete gave {shown(found)}, not None"
        assert store.delete("k") is False, "a second delete of the same key must be False"

    def test_delete_leaves_the_others(self, store: _Store) -> None:
        """A delete concerns its own key alone."""
        entry = store.entry("value")
        if self._room(store) == 1:
            pytest.skip("it holds one entry only")
        store.write("k", entry)
        store.write("k2", entry)
        store.delete("k2")
        self._must_hold(store, "k", entry)

    def test_clear_drops_everything(self, store: _Store) -> None:
        """After `clear` every read is a miss, and what is written afterwards is kept."""
        names = [f"key {number}" for number in range(20)]
        for name in names:
            store.write(name, store.entry(name))
        store.clear()
        left = [name for name in names if store.read(name) is not None]
        assert not left, f"clear left {left}"
        entry = store.entry("after")
        store.write(names[0], entry)
        self._must_hold(store, names[0], entry)

    def test_clear_of_nothing_is_no_error(self, store: _Store) -> None:
        """An empty backend can be cleared, again and again."""
        store.clear()
        store.clear()
        assert store.read("k") is None

    # Keys.

    def test_every_key_is_taken(self, store: _Store, key: Any) -> None:
        """Whatever the key, what is written can be read, replaced and deleted."""
        for value in ("first", "second"):
            entry = store.entry(value)
            store.write(key, entry)
            self._must_hold(store, key, entry)
        assert store.delete(key) is (self._room(store) > 0)
        assert store.read(key) is None

    def test_keys_are_told_apart(self, store: _Store) -> None:
        """Keys that differ, if only in case, type, trailing bytes or far behind, are different."""
        keys = self._usable_keys()
        entries = {name: store.entry(name) for name in keys}
        taken = [name for name, key in keys.items() if store.write(key, entries[name])]
        for name in taken:
            if self._room(store) >= len(keys):
                self._must_hold(store, keys[name], entries[name])
            else:
                self._may_hold(store, keys[name], entries[name])

    def test_equal_keys_are_one_key(self, store: _Store) -> None:
        """1, 1.0 and True are one key, as they are in a dict: f(1) is answered for f(1.0)."""
        if self.string_keys:
            pytest.skip("it takes text keys only")
        for first, second in ((1, 1.0), (1, True), ((0,), (False,)), ((2, "k"), (2.0, "k"))):
            entry = store.entry(repr(second))
            store.write(first, store.entry("outdated"))
            store.write(second, entry)
            self._must_hold(store, first, entry)
            store.delete(second)
            found = store.read(first)
            assert found is None, f"{first!r} is still there after {second!r} was deleted"

    def test_many_keys_do_not_collide(self, store: _Store) -> None:
        """Each of thousands of keys has its own entry."""
        number = self._room(store)
        keys = [f"key {n}" if self.string_keys else ("key", n) for n in range(number)]
        for n, key in enumerate(keys):
            store.write(key, store.entry(n))
        for n, key in enumerate(keys):
            found = store.read(key)
            assert found is not None, f"{key!r} is gone; there must be room for {number} entries"
            assert found.value == n, f"{key!r} holds {shown(found.value)}, written was {n}"

    def test_there_is_no_end_to_writing(self, store: _Store) -> None:
        """More entries than there is room for are dropped or refused with Full, never mixed up."""
        number = min(2 * self._room(store) + 10, 20_000)
        written = {}
        for n in range(number):
            entry = store.entry(n)
            if store.write(f"key {n}", entry):
                written[f"key {n}"] = entry
        for key, entry in written.items():
            self._may_hold(store, key, entry)

    # What is optional.

    def test_evict_says_how_many_it_dropped(self, store: _Store) -> None:
        """`evict(n)` drops at most `n` entries and returns how many."""
        store.needs("evict")
        assert store.evict(3) == 0, "evict of an empty backend must be 0"
        names = [f"key {number}" for number in range(min(10, self._room(store)))]
        for name in names:
            store.write(name, store.entry(name))
        answer = store.evict(3)
        left = [name for name in names if store.read(name) is not None]
        assert answer == len(names) - len(left) <= 3, (
            f"evict(3) returned {answer}; of {len(names)} entries {len(left)} are left"
        )

    def test_evict_drops_what_has_expired_first(self, store: _Store) -> None:
        """While there are expired entries, `evict` drops no others."""
        store.needs("evict")
        if self._room(store) < 8:
            pytest.skip("it holds fewer than eight entries")
        fresh = {f"fresh {number}": store.entry(number) for number in range(4)}
        dead = {f"dead {number}": store.entry(number, ttl=10, age=30) for number in range(4)}
        for number in range(4):
            store.write(f"fresh {number}", fresh[f"fresh {number}"])
            store.write(f"dead {number}", dead[f"dead {number}"])
        held = sum(store.read(key) is not None for key in dead)
        store.evict(held)
        for key, entry in fresh.items():
            self._must_hold(store, key, entry)

    def test_clear_scope_drops_one_scope_only(self, store: _Store) -> None:
        """`clear_scope(scope)` drops the keys that are tuples beginning with it, and no others."""
        store.needs("clear_scope")
        if self.string_keys:
            pytest.skip("it takes text keys only")
        # Where other processes see the entries, functions are told apart by texts.
        other, *scopes = ("f", "g", "name") if store.shared else (_Scope(), _Scope(), "name")
        for scope in scopes:
            inside: list[Any] = [(scope, ()), (scope, (1,)), (scope, ("a", "b"))]
            outside: list[Any] = [(other, ()), (other, (scope,)), ((scope,), 1), (), "k", "name"]
            entries = [(key, store.entry(number)) for number, key in enumerate(outside)]
            for key in inside:
                store.write(key, store.entry("inside"))
            for key, entry in entries:
                store.write(key, entry)
            store.clear_scope(scope)
            for key in inside:
                found = store.read(key)
                assert found is None, f"clear_scope left {shown(key)}"
            if self._room(store) >= len(inside) + len(outside):
                for key, entry in entries:
                    self._must_hold(store, key, entry)

    def test_many_are_read_as_each_would_be(self, store: _Store) -> None:
        """`read_many` gives what `read` gives for each key, and leaves out what there is not."""
        store.needs("read_many")
        names = [f"key {number}" for number in range(min(30, self._room(store)))]
        entries = {name: store.entry(name) for name in names}
        for name, entry in entries.items():
            store.write(name, entry)
        found = store.settle(store.backend.read_many([*names, "never written"]))
        assert sorted(found) == sorted(names), f"read_many of {names} gave {sorted(found)}"
        for name, entry in entries.items():
            _must_equal(name, found[name], entry)
        assert store.settle(store.backend.read_many([])) == {}

    def test_many_are_written_as_each_would_be(self, store: _Store) -> None:
        """What `write_many` wrote is what `write` would have written, over what was there."""
        store.needs("write_many")
        names = [f"key {number}" for number in range(min(30, self._room(store)))]
        for name in names[::2]:
            store.write(name, store.entry("outdated"))
        entries = {name: store.entry(name) for name in names}
        store.settle(store.backend.write_many(entries))
        for name, entry in entries.items():
            self._must_hold(store, name, entry)

    def test_another_codec_is_a_view_of_the_same_entries(self, store: _Store) -> None:
        """`using(codec)` is the same backend: what one of the two drops, the other has no more."""
        store.needs("using")
        view = store.backend.using(store.backend.codec)
        assert type(view) is type(store.backend)
        assert view.origin is store.backend.origin, "a view says what it is a view of"
        entry = store.entry("value")
        store.settle(view.write("k", entry))
        self._must_hold(store, "k", entry)
        assert store.delete("k")
        assert store.settle(view.read("k")) is None

    def test_close_may_come_twice(self, store: _Store) -> None:
        """`close` is no error, nor is a second one."""
        store.needs("close")
        store.write("k", store.entry("value"))
        store.close()
        store.close()

    def test_currsize_stays_within_maxsize(self, store: _Store) -> None:
        """`maxsize` and `currsize` are numbers or None, and the one bounds the other."""
        maxsize, currsize = store.number("maxsize"), store.number("currsize")
        assert not currsize, f"currsize is {currsize} while the backend is empty"
        if currsize is None:
            pytest.skip("it does not tell its currsize")
        most = math.inf if maxsize is None else maxsize
        for number in range(int(min(most, 500)) + 10):
            store.write(f"key {number}", store.entry(number))
            held = store.number("currsize")
            assert held is not None, "currsize was a number and is None now"
            assert held <= most, f"currsize is {held}, over maxsize {maxsize}"
        assert store.number("currsize") or self._room(store) == 0, "currsize is 0 after writes"
        store.clear()
        held = store.number("currsize")
        assert held == 0, f"currsize is {held} after clear"

    # At once.

    def test_concurrent_use_mixes_nothing_up(self, store: _Store) -> None:
        """Whatever threads or tasks do at once, no key ever gives another key's entry."""
        keys = [f"key {number}" for number in range(5)]

        def turns(worker: int) -> Iterator[tuple[str, tuple[Any, ...], str]]:
            for turn in range(100):
                key = keys[(worker + turn) % len(keys)]
                what = (turn * 7 + worker * 3) % 10
                if what < 6:
                    yield "read", (key,), key
                elif what < 9:
                    yield "write", (key, store.entry(key, ttl=60 + turn)), key
                else:
                    yield "delete", (key,), key

        for problem in store.at_once(turns, self.workers):
            raise AssertionError(problem)

    def test_works_in_one_event_loop_after_the_other(self, store: _Store) -> None:
        """An async backend goes on when its event loop was closed and there is a new one."""
        if not store.is_async:
            pytest.skip("it is not async")
        entry = store.entry("value")
        store.write("k", entry)
        for _ in range(2):
            with asyncio.Runner() as runner:
                other = _Store(store.backend, runner.get_loop().run_until_complete)
                self._must_hold(other, "k", entry)
                other.write("k", entry)
        self._must_hold(store, "k", entry)

    # In use.

    def test_serves_a_cached_function(self, store: _Store) -> None:
        """A function cached on the backend is run once, until its result is invalidated."""
        if self.string_keys:
            pytest.skip("it takes text keys only")
        calls = []

        def double(number: int) -> int:
            calls.append(number)
            return 2 * number

        async def double_async(number: int) -> int:
            return double(number)

        patient = Policy(timeout=60)  # how quick it is, is another matter
        decorate: Any = cached(ttl=60, backend=store.backend, policy=patient, name="double")
        function = decorate(double_async if store.is_async else double)
        keeps = self._room(store) > 0
        for _ in range(3):
            assert store.settle(function(21)) == 42
        assert len(calls) == (1 if keeps else 3), (
            f"3 equal calls ran the function {len(calls)} times"
        )
        assert store.settle(function.invalidate(21)) is keeps
        assert store.settle(function(21)) == 42
        assert len(calls) == (2 if keeps else 4)
        store.settle(function.cache_clear())
        assert store.settle(function(21)) == 42
        assert len(calls) == (3 if keeps else 5)
        failures = function.cache_info().failures
        assert failures == 0 or not keeps, f"{failures} operations failed; on_error tells which"

    # How the tests speak.

    @classmethod
    def _usable_keys(cls) -> Mapping[str, Any]:
        if not cls.string_keys:
            return cls.keys
        return {name: key for name, key in cls.keys.items() if isinstance(key, str)}

    def _room(self, store: _Store) -> int:
        maxsize = store.number("maxsize")
        return self.room if maxsize is None else int(min(self.room, maxsize))

    def _must_hold(self, store: _Store, key: Any, entry: Entry) -> None:
        """There is `entry` under `key`, or nothing in a backend that keeps nothing."""
        found = store.read(key)
        if self._room(store) == 0:
            assert found is None, f"it keeps nothing, but read gave {shown(found)}"
            return
        refused = "" if store.refusal is None else f"; a write was refused: {store.refusal!r}"
        assert found is not None, f"{shown(key)} was written, and read gave None{refused}"
        _must_equal(key, found, entry)

    def _may_hold(self, store: _Store, key: Any, entry: Entry) -> None:
        """There is `entry` under `key`, or nothing."""
        found = store.read(key)
        if found is not None:
            _must_equal(key, found, entry)


class _Store:
    """A backend of either colour, called plainly."""

    def __init__(self, backend: Any, run: Callable[..., Any]) -> None:
        self.backend = backend
        self.is_async = is_async(backend)
        #: Whether other processes see the entries.
        self.shared = bool(getattr(backend, "shared", False))
        #: What the last write that was refused was refused with.
        self.refusal: Full | None = None
        self._run = run
        self._timer = getattr(backend, "timer", None) or time.monotonic

    def read(self, key: Any) -> Any:
        found = self.settle(self.backend.read(key))
        assert found is None or type(found) is Entry, (
            f"read({shown(key)}) gave a {type(found).__name__}, neither an Entry nor None"
        )
        return found

    def write(self, key: Any, entry: Entry) -> bool:
        """Whether it was taken, and not refused with Full."""
        try:
            self.settle(self.backend.write(key, entry))
        except Full as error:
            self.refusal = error
            return False
        return True

    def delete(self, key: Any) -> Any:
        return self.settle(self.backend.delete(key))

    def clear(self) -> None:
        self.settle(self.backend.clear())

    def evict(self, n: int) -> Any:
        return self.settle(self.backend.evict(n))

    def clear_scope(self, scope: Any) -> None:
        self.settle(self.backend.clear_scope(scope))

    def close(self) -> None:
        close = getattr(self.backend, "close", None)
        if callable(close):
            self.settle(close())

    def settle(self, answer: Any) -> Any:
        """`answer`, awaited if need be."""
        return self._run(answer) if inspect.iscoroutine(answer) else answer

    def now(self) -> float:
        """Seconds on the clock of the backend's entries."""
        return float(self._timer())

    def entry(
        self,
        value: Any,
        *,
        ttl: float = 60.0,
        window: float = 0.0,
        age: float = 0.0,
        tags: tuple[str, ...] = (),
    ) -> Entry:
        """An entry that was made `age` seconds ago."""
        created = self.now() - age
        return Entry(value, created, created + ttl, created + ttl + window, tags)

    def needs(self, name: str) -> None:
        """Skip the test where the backend does not have the optional method `name`."""
        if not callable(getattr(self.backend, name, None)):
            pytest.skip(f"it has no {name}")

    def number(self, name: str) -> float | None:
        """The optional attribute `name`, which must be a number or None."""
        value = getattr(self.backend, name, None)
        assert value is None or (isinstance(value, int | float) and value >= 0), (
            f"{name} is {shown(value)}, which is neither a number nor None"
        )
        return value

    def at_once(
        self, turns: Callable[[int], Iterator[tuple[str, tuple[Any, ...], str]]], workers: int
    ) -> list[str]:
        """Let many do their `turns` at once; returns what went wrong, in a sentence each."""
        problems: list[str] = []

        async def work(worker: int) -> None:
            for operation, args, key in turns(worker):
                problem = await self._attempt(operation, args, key)
                if problem is not None:
                    problems.append(problem)
                    return

        async def tasks() -> None:
            await asyncio.gather(*(work(number) for number in range(workers)))

        if self.is_async:
            self._run(tasks())
            return problems
        threads = [
            threading.Thread(target=lambda number=number: asyncio.run(work(number)))
            for number in range(workers)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return problems

    async def _attempt(self, operation: str, args: tuple[Any, ...], key: str) -> str | None:
        """Do one operation; returns what is wrong with it."""
        try:
            answer = getattr(self.backend, operation)(*args)
            if self.is_async:
                answer = await answer
                await asyncio.sleep(0)
        except Full:
            return None
        except Exception as error:
            return f"a concurrent {operation} raised {error!r}"
        if operation != "read" or answer is None:
            return None
        if type(answer) is not Entry or answer.value != key:
            return f"a concurrent read of {key!r} gave {shown(answer)}"
        return None


def _must_equal(key: Any, found: Entry, entry: Entry) -> None:
    assert _same(found.value, entry.value), (
        f"{shown(key)} holds {shown(found.value)} ({type(found.value).__name__}); "
        f"written was {shown(entry.value)} ({type(entry.value).__name__})"
    )
    for name in ("created", "expires", "kept_until"):
        got, wrote = getattr(found, name), getattr(entry, name)
        assert type(got) in {int, float}, f"{name} came back as {shown(got)}, which is no number"
        assert got == wrote or abs(got - wrote) < 0.001, (
            f"{name} came back as {got!r}; written was {wrote!r} (a millisecond may be lost)"
        )
    assert found.tags == entry.tags, f"tags came back as {found.tags!r}; written: {entry.tags!r}"


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types, inside as well."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            _same(a, b) for a, b in zip(_ordered(one), _ordered(other), strict=True)
        )
    return bool(one == other)


def _ordered(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted(mapping.items(), key=repr)
