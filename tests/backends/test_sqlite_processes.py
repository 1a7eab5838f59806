"""One SQLite file in many threads, in processes that are killed, and across forks."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
import time
import warnings
from pathlib import Path

import pytest
from backends.sqlite_files import entry, kill_writers, problems, stored
from concurrency.watch import Crew, forked, until

from memo import cached
from memo.backends import sqlite_pool
from memo.backends.sqlite import Sqlite

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # From 3.12 on Python warns of forks in programs with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

#: What benchmarks/soak_sqlite.py does more of.
KILLS = 3
FORKS = 20


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


@pytest.fixture
def backend(path):
    """One that is closed in the end."""
    with contextlib.closing(Sqlite(path)) as backend:
        yield backend


def work(backend, who, turns):
    """Write, read, drop and clear keys of one's own and shared ones; gives what was wrong."""
    chance = random.Random(who)
    own = {}
    for turn in range(turns):
        name = f"memo:w{who}:{chance.randrange(20)}"
        shared = f"memo:shared:{chance.randrange(20)}"
        what = chance.randrange(10)
        if what < 4:
            own[name] = b"%d %d" % (who, turn)
            backend.write_bytes(name, own[name], entry(chance.choice([None, 1, 60])), None)
        elif what == 4:
            assert backend.delete_bytes(name, None) == (own.pop(name, None) is not None)
        elif what == 5:
            items = {f"{shared}{n}": (f"{shared}{n}".encode(), entry()) for n in range(5)}
            backend.write_many_bytes(items, None)
        elif what == 6 and turn % 20 == 0:
            backend.clear_prefix(f"memo:w{who}:", None)
            own.clear()
        else:
            assert backend.read_bytes(name, None) == own.get(name)
            names = [f"{shared}{n}" for n in range(5)]
            for one, data in backend.read_many_bytes(names, None).items():
                assert data == one.encode()
    return own


def test_many_threads_use_one_backend(backend, path):
    """Threads neither see each other's bytes nor lose their own, and connections are bounded."""
    crew = Crew([lambda who=who: work(backend, who, 150) for who in range(24)])
    expected = {}
    for own in crew.join(60):
        expected.update(own)
    there = stored(path)
    assert {name: data for name, data in there.items() if ":shared:" not in name} == expected
    assert len(backend._file.pool._open) <= sqlite_pool._IDLE
    assert problems(path) == []


def test_many_processes_use_one_file(path):
    """The same for processes, each with two threads."""

    def child(who):
        backend = Sqlite(path)
        crew = Crew([lambda w=w: work(backend, w, 100) for w in (who, who + 100)])
        found = crew.join(60)
        backend.close()
        return len(found)

    crew = Crew([lambda who=who: forked(lambda: child(who), 60) for who in range(4)])
    assert crew.join(60) == ["2"] * 4
    assert problems(path) == []


def test_bounds_hold_while_processes_write(path):
    """However many write at once, none ever finds more entries than there may be."""

    def child(who):
        backend = Sqlite(path, maxsize=50, max_bytes=10_000)
        sizes = set()
        for turn in range(150):
            name = f"memo:w{who}:{turn}"
            backend.write_bytes(name, bytes(turn), entry(turn % 3 or None), None)
            sizes.add(backend.currsize)
        return max(sizes)

    crew = Crew([lambda who=who: forked(lambda: child(who), 60) for who in range(4)])
    assert all(30 < int(most) <= 50 for most in crew.join(60))
    assert sum(len(name) + len(data) for name, data in stored(path).items()) <= 10_000
    assert problems(path) == []


def test_no_acknowledged_write_is_lost_when_writers_are_killed(path):
    """SIGKILL in the middle of four writing processes loses no write that had returned."""
    assert kill_writers(str(path), KILLS) == []


# Forks.


def test_a_child_has_no_connection_of_its_parents(backend, path):
    """A fork closes what is open; parent and child open the file anew, and share nothing."""
    backend.write_bytes("memo:s:parent", b"parent", entry(), None)

    def child():
        before = len(backend._file.pool._open)
        found = backend.read_bytes("memo:s:parent", None)
        backend.write_bytes("memo:s:child", b"child", entry(), None)
        return before, found

    assert forked(child) == repr((0, b"parent"))
    assert backend.read_bytes("memo:s:child", None) == b"child"
    assert backend.read_bytes("memo:s:parent", None) == b"parent"


def test_forks_under_load_lose_nothing(backend, path):
    """While threads are at work, children write and read, and all that was written is there."""
    stop = threading.Event()
    done = [0] * 3

    def load(who):
        while not stop.is_set():
            done[who] += 1
            name = f"memo:parent:{who}"
            backend.write_bytes(name, b"%d" % done[who], entry(), None)
            assert backend.read_bytes(name, None) == b"%d" % done[who]

    def child(number):
        name = f"memo:child:{number}"
        for turn in range(5):
            backend.write_bytes(name, b"%d" % turn, entry(), None)
        return backend.read_bytes(name, None)

    crew = Crew([lambda who=who: load(who) for who in range(3)])
    for number in range(FORKS):
        assert forked(lambda number=number: child(number)) == repr(b"4")
    stop.set()
    crew.join()
    there = stored(path)
    assert {there[f"memo:child:{number}"] for number in range(FORKS)} == {b"4"}
    assert [int(there[f"memo:parent:{who}"]) for who in range(3)] == done
    assert problems(path) == []


def test_a_fork_waits_for_what_is_in_the_middle(backend, path):
    """A connection that another thread is using is closed before the fork, once it is free."""
    backend.write_bytes("memo:s:1", b"data", entry(), None)
    inside, go_on = threading.Event(), threading.Event()

    def slow(execute):
        inside.set()
        assert go_on.wait(60)
        return execute("SELECT 1").fetchone()

    crew = Crew([lambda: backend._file.run(slow, None)])
    assert inside.wait(60)
    crew.add(lambda: (until(lambda: backend._file.pool.home == []), go_on.set()))
    assert forked(lambda: backend.read_bytes("memo:s:1", None)) == repr(b"data")
    crew.join()
    assert problems(path) == []


def test_a_child_that_inherits_a_connection_all_the_same_leaves_it_alone(
    backend, monkeypatch, path
):
    """Where a fork cannot wait any longer, the child says so, and the parent is not harmed."""
    monkeypatch.setattr(sqlite_pool, "_FORK_PATIENCE", 0.01)
    backend.write_bytes("memo:s:1", b"data", entry(), None)
    inside, go_on = threading.Event(), threading.Event()

    def slow(execute):
        inside.set()
        assert go_on.wait(60)

    crew = Crew([lambda: backend._file.run(slow, None)])
    assert inside.wait(60)
    said = forked(lambda: backend.read_bytes("memo:s:1", None))
    assert "this process was forked while a thread was using it" in said
    go_on.set()
    crew.join()
    backend.write_bytes("memo:s:2", b"data", entry(), None)
    assert backend.read_bytes("memo:s:1", None) == b"data"
    assert problems(path) == []


def test_a_decorated_function_works_in_a_child(backend):
    """A function that was used before the fork is answered from the file in the child, too."""

    @cached(ttl=60, backend=backend, name="pid")
    def pid(key: int) -> int:
        return os.getpid()

    mine = pid(1)
    assert forked(lambda: (pid(1), pid(2) == os.getpid())) == repr((mine, True))
    assert pid(2) != mine


# Nothing is left behind.


linux = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="what is open cannot be listed"
)


def open_files():
    """What this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


@linux
def test_a_closed_backend_has_nothing_open(backend, path):
    """`close` lets go of the file at once, whatever was read and written last."""
    for operation in (
        lambda: backend.write_bytes("memo:s:1", b"data", entry(), None),
        lambda: backend.read_bytes("memo:s:1", None),
        lambda: backend.read_bytes("memo:s:2", None),
        lambda: backend.read_many_bytes(["memo:s:1"], None),
        lambda: backend.evict(1),
    ):
        operation()
        assert str(path) in open_files()
        backend.close()
        assert [name for name in open_files() if name.startswith(str(path))] == []


@linux
def test_connections_that_are_forgotten_are_closed_in_silence(path):
    """A backend that is dropped without `close` leaves no open file and no warning."""

    def use():
        backend = Sqlite(path)
        Crew([lambda who=who: work(backend, who, 20) for who in range(4)]).join()
        return str(path) in open_files()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert use()
        gc.collect()
    assert [name for name in open_files() if name.startswith(str(path))] == []


def test_an_interrupt_leaves_the_backend_as_good_as_before(backend, path):
    """KeyboardInterrupt in the middle of a write undoes it, and the next one works."""
    backend.write_bytes("memo:s:1", b"data", entry(), None)

    def interrupted(execute):
        backend._table.put(execute, "memo:s:2", b"half", None, time.time())
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            backend._file.write(interrupted, None)
    assert backend.read_bytes("memo:s:2", None) is None
    backend.write_bytes("memo:s:2", b"whole", entry(), None)
    assert stored(path) == {"memo:s:1": b"data", "memo:s:2": b"whole"}
    assert problems(path) == []
