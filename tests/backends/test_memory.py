"""Memory: bounded, reclaiming what has expired, read without a lock."""

import copy
import math
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memo import Entry, Full
from memo.backends import Memory
from memo.backends.memory import EVICTIONS
from memo.entry import FOREVER, Raised
from memo.testing import FakeTimer

ORDERED = [name for name in EVICTIONS if name != "none"]


@pytest.fixture
def timer():
    """The clock of the memory under test."""
    return FakeTimer(100)


def entry(timer, value="value", ttl=FOREVER, window=0.0):
    """An entry made now."""
    now = timer()
    return Entry(value, now, now + ttl, now + ttl + window)


# Readers without a lock.


def test_a_peek_takes_no_lock(timer):
    """A reader sees the value and its deadline while a writer holds the lock."""
    memory = Memory(timer=timer)
    memory.write("k", entry(timer, "v", ttl=10))
    seen = []

    def read():
        node = memory.peek("k")
        seen.append((node.value, node.answers_until))

    with memory._lock:
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)
    assert seen == [("v", 110.0)]


def test_a_peek_answers_until_the_entry_expires(timer):
    """Unless told otherwise, a value may be handed out until its expiry, an exception never."""
    memory = Memory(timer=timer)
    memory.write("a", entry(timer, ttl=10, window=60))
    memory.write("b", entry(timer))
    memory.write("c", entry(timer, Raised(ValueError())))
    memory.write("d", entry(timer, ttl=10), answers_until=105.0)
    assert [memory.peek(key).answers_until for key in "abcd"] == [110.0, FOREVER, -math.inf, 105.0]


def test_a_peek_finds_nothing_where_there_is_nothing(timer):
    """What was never written, was deleted or was evicted has no node."""
    memory = Memory(1, timer=timer)
    assert memory.peek("k") is None
    memory.write("k", entry(timer))
    memory.write("other", entry(timer))
    assert memory.peek("k") is None
    memory.delete("other")
    assert memory.peek("other") is None


def test_a_reader_never_hands_out_what_wants_a_closer_look(timer):
    """A reader between two looks at a node does not find a value in it that it must not give."""
    memory = Memory(timer=timer)
    memory.write("k", entry(timer, "plain", ttl=10))
    node = memory.peek("k")
    until = node.answers_until
    memory.write("k", entry(timer, Raised(ValueError())))
    assert (until, node.value) == (110.0, "plain")
    assert memory.read("k").value != "plain"


def test_a_read_is_of_one_entry(timer):
    """Value and times of what is read belong together, whatever is written meanwhile."""
    memory = Memory(timer=timer)
    stop = threading.Event()
    torn = []

    def write(offset):
        number = offset
        while not stop.is_set():
            number += 2
            memory.write("k", Entry(number, number, number + 1.0, number + 2.0, (str(number),)))

    def read():
        while not stop.is_set():
            found = memory.read("k")
            if found is not None:
                value = found.value
                if found != Entry(value, value, value + 1.0, value + 2.0, (str(value),)):
                    torn.append(found)

    threads = [threading.Thread(target=write, args=(n,)) for n in (0, 1)]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    stop.wait(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert torn == []


# Bounds.


@pytest.mark.parametrize("eviction", ORDERED)
def test_evictions_are_counted(eviction, timer):
    """What the writes say they evicted is what is missing."""
    memory = Memory(10, eviction=eviction, timer=timer)
    evicted = 0
    for number in range(100):
        evicted += memory.write(number, entry(timer))
        memory.read(number // 2)
    assert len(memory) == memory.currsize == 10
    assert evicted == 90


@pytest.mark.parametrize("eviction", ORDERED)
def test_what_has_expired_goes_first(eviction, timer):
    """A full store makes room from what is of no use to anyone, and that is no eviction."""
    memory = Memory(4, eviction=eviction, timer=timer)
    memory.write("fresh 1", entry(timer))
    memory.write("dead 1", entry(timer, ttl=10))
    memory.write("fresh 2", entry(timer, ttl=100))
    memory.write("dead 2", entry(timer, ttl=5))
    timer.advance(20)
    assert memory.write("new 1", entry(timer)) == 0
    assert memory.write("new 2", entry(timer)) == 0
    for key in ("fresh 1", "fresh 2", "new 1", "new 2"):
        assert memory.read(key) is not None
    assert memory.write("new 3", entry(timer)) == 1


def test_what_may_still_be_served_stale_is_evicted_in_turn(timer):
    """An expired entry within its stale window is no sooner dropped than any other."""
    memory = Memory(2, eviction="fifo", timer=timer)
    memory.write("fresh", entry(timer))
    memory.write("stale", entry(timer, ttl=10, window=60))
    timer.advance(20)
    assert memory.write("new", entry(timer)) == 1
    assert memory.read("stale") is not None
    assert memory.read("fresh") is None


def test_without_a_bound_what_is_dead_is_reclaimed(timer):
    """An unbounded memory under a steady stream holds what lives, and little more."""
    memory = Memory(None, timer=timer)
    for number in range(2_000):
        timer.advance(1)
        memory.write(number, entry(timer, ttl=10 if number % 2 else 20, window=5))
    assert memory.currsize <= 30
    assert memory.read(1_999) is not None


def test_without_a_bound_what_is_dead_is_reclaimed_behind_what_stays(timer):
    """Entries that are kept for ever after expiry do not keep others of their lifetime alive."""
    memory = Memory(None, timer=timer)
    for number in range(100):
        memory.write(("kept", number), entry(timer, ttl=10, window=FOREVER))
    for number in range(1_000):
        timer.advance(1)
        memory.write(number, entry(timer, ttl=10))
    assert memory.currsize <= 100 + 20


def test_a_memory_of_nothing_refuses(timer):
    """With maxsize=0 nothing is ever stored, and a write says so."""
    memory = Memory(0, timer=timer)
    with pytest.raises(Full):
        memory.write("k", entry(timer))
    assert memory.read("k") is None
    assert memory.evict(1) == 0


# eviction="none".


def test_none_refuses_while_nothing_has_expired(timer):
    """A full store without an eviction raises Full, and what it holds stays."""
    memory = Memory(2, eviction="none", timer=timer)
    memory.write("a", entry(timer, ttl=10))
    memory.write("b", entry(timer))
    with pytest.raises(Full) as caught:
        memory.write("c", entry(timer))
    assert caught.value.key == "c"
    assert not caught.value.too_large
    assert memory.read("a") is not None
    assert memory.read("b") is not None
    memory.write("b", entry(timer, "newer"))
    assert memory.read("b").value == "newer"


def test_none_makes_room_from_what_has_expired(timer):
    """Once something has expired, a write finds room, stale window or not."""
    memory = Memory(2, eviction="none", timer=timer)
    memory.write("a", entry(timer, ttl=10, window=1000))
    memory.write("b", entry(timer))
    timer.advance(10)
    memory.write("c", entry(timer))
    assert memory.read("a") is None
    assert memory.read("c") is not None
    with pytest.raises(Full):
        memory.write("d", entry(timer))


def test_none_evicts_only_what_has_expired(timer):
    """Asked to make room, it drops what has expired and says how much that was."""
    memory = Memory(4, eviction="none", timer=timer)
    for key, ttl in (("a", 5), ("b", 50), ("c", 5), ("d", FOREVER)):
        memory.write(key, entry(timer, ttl=ttl))
    timer.advance(10)
    assert memory.evict(10) == 2
    assert memory.evict(10) == 0
    assert memory.read("b") is not None
    assert memory.read("d") is not None


def test_none_drops_others_for_an_expired_entry_that_grows(timer):
    """An expired entry can be replaced by a larger one if other expired ones give way."""
    memory = Memory(4, eviction="none", getsizeof=len, timer=timer)
    memory.write("a", entry(timer, "x", ttl=5))
    memory.write("b", entry(timer, "xxx", ttl=5))
    timer.advance(10)
    memory.write("a", entry(timer, "xxx"))
    assert memory.read("a").value == "xxx"
    assert memory.read("b") is None
    assert memory.currsize == 3


# Sizes.


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_a_value_over_the_bound_is_refused(eviction, timer):
    """It raises Full at once, evicts nothing, and drops what the key held: that is outdated."""
    memory = Memory(10, eviction=eviction, getsizeof=len, timer=timer)
    memory.write("other", entry(timer, "x" * 5))
    memory.write("k", entry(timer, "x" * 5))
    with pytest.raises(Full) as caught:
        memory.write("k", entry(timer, "x" * 11))
    assert caught.value.too_large
    assert memory.read("k") is None
    assert memory.read("other") is not None
    assert memory.currsize == 5


@pytest.mark.parametrize("eviction", ORDERED)
def test_an_entry_that_grows_pushes_others_out(eviction, timer):
    """Replacing a value by a larger one evicts others, never the entry itself."""
    memory = Memory(10, eviction=eviction, getsizeof=len, timer=timer)
    for key in "abcde":
        memory.write(key, entry(timer, "xx"))
    assert memory.write("c", entry(timer, "x" * 7)) == 3
    assert memory.read("c").value == "x" * 7
    assert memory.currsize == sum(
        len(found.value) for key in "abcde" if (found := memory.read(key)) is not None
    )
    assert memory.currsize <= 10


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_an_entry_that_shrinks_makes_room(eviction, timer):
    """Replacing a value by a smaller one frees the difference."""
    memory = Memory(10, eviction=eviction, getsizeof=len, timer=timer)
    memory.write("a", entry(timer, "x" * 8))
    memory.write("a", entry(timer, "x" * 2))
    assert memory.currsize == 2
    assert memory.write("b", entry(timer, "x" * 8)) == 0
    assert memory.read("a") is not None


@pytest.mark.parametrize("size", [-1, math.nan, "big", None, True])
def test_a_size_that_is_none_is_an_error(size, timer):
    """A getsizeof that gives no size fails the write, and the store is as it was."""
    memory = Memory(10, getsizeof=lambda value: 1 if value == "value" else size, timer=timer)
    memory.write("k", entry(timer))
    with pytest.raises(ValueError, match="getsizeof gave"):
        memory.write("k", entry(timer, "other"))
    assert memory.read("k").value == "value"
    assert memory.currsize == 1


def test_sizes_may_be_nothing(timer):
    """Values of size 0 fit into a full store, and are reclaimed like others."""
    memory = Memory(2, getsizeof=len, timer=timer)
    memory.write("a", entry(timer, "xx"))
    for number in range(5):
        memory.write(number, entry(timer, "", ttl=1))
    assert memory.currsize == 2
    assert len(memory) == 6


# What keys may do.


class Key:
    """A key that fails when it is told to."""

    def __init__(self):
        self.broken = None

    def __hash__(self):
        return 7

    def __eq__(self, other):
        if self.broken is not None:
            raise self.broken
        return self is other


@pytest.mark.parametrize("eviction", EVICTIONS)
def test_a_key_that_fails_leaves_a_usable_store(eviction, timer):
    """When a key's own __eq__ gives up in the middle of a write, the store goes on."""
    memory = Memory(3, eviction=eviction, timer=timer)
    bad, good = Key(), Key()
    memory.write(bad, entry(timer))
    bad.broken = RuntimeError("no comparing me")
    with pytest.raises(RuntimeError):
        memory.write(good, entry(timer))
    bad.broken = None
    for number in range(3):
        if eviction == "none":
            memory.clear()
        memory.write(number, entry(timer, number))
        assert memory.read(number).value == number
    assert memory.currsize == len(memory) <= 3


def test_a_key_may_use_the_store_while_it_is_compared(timer):
    """A key whose __eq__ reads and writes the same store deadlocks nothing."""
    memory = Memory(timer=timer)

    class Busy(Key):
        __hash__ = Key.__hash__

        def __eq__(self, other):
            memory.write("from within", entry(timer))
            memory.read("from within")
            return self is other

    first, second = Busy(), Busy()
    done = []

    def use():
        memory.write(first, entry(timer, 1))
        memory.write(second, entry(timer, 2))
        done.append([memory.read(first).value, memory.read(second).value])

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(20)
    assert done == [[1, 2]]


# The rest.


@pytest.mark.parametrize(
    ("options", "error", "names"),
    [
        ({"maxsize": -1}, ValueError, "maxsize=-1"),
        ({"maxsize": math.nan}, ValueError, "maxsize=nan"),
        ({"maxsize": "many"}, TypeError, "maxsize='many'"),
        ({"maxsize": True}, TypeError, "maxsize=True"),
        ({"eviction": "psychic"}, ValueError, "eviction='psychic'"),
        ({"eviction": None}, ValueError, "eviction=None"),
        ({"getsizeof": 3}, TypeError, "getsizeof=3"),
    ],
)
def test_options_are_checked(options, error, names):
    """An option that cannot be is refused, and the error names it."""
    with pytest.raises(error, match=names):
        Memory(**options)


def test_clear_scope_runs_no_code_of_the_users(timer):
    """A key's __eq__ and __hash__ are not asked when a scope is cleared."""
    memory = Memory(timer=timer)
    scope, other = object(), Key()
    memory.write((scope, 1), entry(timer))
    memory.write((other, 1), entry(timer))
    memory.write(other, entry(timer))
    other.broken = RuntimeError("no comparing me")
    memory.clear_scope(scope)
    assert len(memory) == 2


def test_a_copy_of_what_holds_a_memory_shares_it(timer):
    """Deep copies of an object with a memory in it use the same memory."""
    memory = Memory(timer=timer)
    memory.write("k", entry(timer))
    assert copy.deepcopy([memory])[0] is memory


def test_says_what_it_holds(timer):
    """The repr tells how many entries there are, and the bound."""
    memory = Memory(5, timer=timer)
    memory.write("k", entry(timer))
    assert repr(memory) == "<Memory 1 entries, maxsize=5>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_forked_under_load_can_use_it(timer):
    """Whatever the threads of the parent were doing, the child reads and writes."""
    memory = Memory(50, timer=timer)
    stop = threading.Event()

    def load(offset):
        number = offset
        while not stop.is_set():
            number += 1
            memory.write(number % 200, entry(timer, ttl=number % 7 + 1))
            memory.read(number % 150)

    threads = [threading.Thread(target=load, args=(n * 31,)) for n in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    try:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                code = 1
                try:
                    for number in range(300):
                        memory.write(("child", number), entry(timer, number))
                    held = memory.read(("child", 299))
                    code = 0 if held.value == 299 and memory.currsize <= 50 else 2
                finally:
                    os._exit(code)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 20


# Against a model: what was written last, and when it is of no use any more.

KEYS = st.integers(0, 7)
TTLS = st.sampled_from([0.5, 1.0, 1.01, 1.5, 7.0, 64.0, 65.0, FOREVER])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), KEYS, TTLS, st.sampled_from([0.0, 3.0, FOREVER])),
        st.tuples(st.just("read"), KEYS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("advance"), st.sampled_from([0.25, 1.0, 10.0, 100.0])),
        st.tuples(st.just("evict"), st.integers(0, 4)),
        st.tuples(st.just("clear")),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([None, 1, 3, 5]), st.sampled_from(ORDERED))
def test_gives_the_last_entry_or_none(steps, maxsize, eviction):
    """A read gives what was written last or nothing; nothing only where something made room."""
    timer = FakeTimer(100)
    memory = Memory(maxsize, eviction=eviction, timer=timer)
    model = {}
    for number, (step, *args) in enumerate(steps):
        dead = sum(timer() >= one.kept_until for one in model.values())
        if step == "write":
            key, ttl, window = args
            written = entry(timer, number, ttl, window)
            evicted = memory.write(key, written)
            model[key] = written
            live = sum(timer() < one.kept_until for one in model.values())
            assert evicted <= 1
            if maxsize is None:
                assert evicted == 0
                assert len(memory) >= live
            elif evicted:
                assert dead == 0 or live > maxsize
            assert memory.read(key) == written
        elif step == "read":
            found = memory.read(args[0])
            assert found is None or found == model[args[0]]
        elif step == "delete":
            held = memory.read(args[0]) is not None
            assert memory.delete(args[0]) is held
            model.pop(args[0], None)
        elif step == "advance":
            timer.advance(args[0])
        elif step == "evict":
            before = {key for key in model if memory.read(key) is not None}
            expired = {key for key in before if timer() >= model[key].expires}
            dropped = memory.evict(args[0])
            after = {key for key in model if memory.read(key) is not None}
            assert dropped == len(before) - len(after) == min(args[0], len(before))
            assert (before - after) <= expired or expired <= (before - after)
        else:
            memory.clear()
            model.clear()
        model = {key: one for key, one in model.items() if memory.read(key) is not None}
        assert len(memory) == memory.currsize == len(model)
        assert maxsize is None or len(memory) <= maxsize


MOMENTS = st.floats(-1e10, 1e10)


@given(st.lists(st.tuples(KEYS, MOMENTS, MOMENTS, MOMENTS, st.sampled_from([(), ("tag",)]))))
def test_an_entry_has_the_times_it_was_written_with(entries):
    """Though entries of one lifetime share it: `created` is as exact as the expiry at least."""
    memory = Memory(None)
    for key, created, expires, kept_until, tags in entries:
        for written in (
            Entry("value", created, expires, kept_until, tags),
            Entry("value", created, expires, expires, tags),
            Entry("value", created, created + 60.0, created + 60.0, tags),
            Entry("value", created, created + 0.1, created + 0.1, tags),
            Entry("value", created),
        ):
            memory.write(key, written)
            found = memory.read(key)
            assert found == written._replace(created=found.created)
            rounded = 0 if written.expires == FOREVER else math.ulp(written.expires)
            assert abs(found.created - written.created) <= rounded


def test_entries_of_one_lifetime_share_what_is_the_same_of_them():
    """They keep one moment each, and how long they live together."""
    times = iter([100.0, 200.1, 250.7])
    memory = Memory()
    for key in "abc":
        memory.write(key, entry(lambda: next(times), ttl=60.0))
    first, *others = (memory.peek(key) for key in "abc")
    assert all(other.span is first.span for other in others)
    assert [first.created, first.expires, first.kept_until] == [100.0, 160.0, 160.0]


@given(STEPS)
def test_none_is_full_exactly_when_nothing_has_expired(steps):
    """Without an eviction a write is refused if and only if it needs room and nothing expired."""
    timer = FakeTimer(100)
    memory = Memory(3, eviction="none", timer=timer)
    model = {}
    for number, (step, *args) in enumerate(steps):
        if step == "write":
            key, ttl, window = args
            written = entry(timer, number, ttl, window)
            full = (
                key not in model
                and len(model) == 3
                and all(timer() < one.expires for one in model.values())
            )
            if full:
                with pytest.raises(Full):
                    memory.write(key, written)
            else:
                assert memory.write(key, written) == 0
                model[key] = written
        elif step == "read":
            assert memory.read(args[0]) == model.get(args[0])
        elif step == "delete":
            assert memory.delete(args[0]) is (model.pop(args[0], None) is not None)
        elif step == "advance":
            timer.advance(args[0])
        elif step == "evict":
            expired = sum(timer() >= one.expires for one in model.values())
            assert memory.evict(args[0]) == min(args[0], expired)
        else:
            memory.clear()
            model.clear()
        gone = [key for key in model if memory.read(key) is None]
        assert all(timer() >= model[key].expires for key in gone)
        for key in gone:
            del model[key]
        assert len(memory) == len(model)
