"""A SQLite file that is locked, full, read-only, gone, replaced, damaged or somebody else's."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from backends.sqlite_files import entry, problems, stored
from concurrency.watch import Crew, forked, until

from memo import Full, OperationFailed
from memo.backends import sqlite_file
from memo.backends.sqlite import Sqlite
from memo.backends.sqlite_place import Disk

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


@pytest.fixture
def backend(path):
    """One that is closed in the end."""
    backend = Sqlite(path)
    yield backend
    backend.close()


def write(backend, name="memo:s:1", data=b"data", deadline=None, **times):
    """Write bytes."""
    return backend.write_bytes(name, data, entry(**times), deadline)


def corrupt(path):
    """The files that were set aside."""
    return sorted(path.parent.glob("*.corrupt-*"))


# Locked.


@contextlib.contextmanager
def locked(path, *pragmas):
    """While another program holds the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        for pragma in pragmas:
            other.execute(pragma)
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_write_to_a_locked_file_times_out_at_its_deadline(backend, path):
    """What cannot be written until the deadline raises TimeoutError then, and reads go on."""
    write(backend)
    with locked(path):
        for operation in (
            lambda deadline: write(backend, deadline=deadline),
            lambda deadline: backend.delete_bytes("memo:s:1", deadline),
            lambda deadline: backend.clear_prefix("memo:s:", deadline),
            lambda deadline: backend.clear_prefix("memo:", deadline),
            lambda deadline: backend.evict(1, deadline=deadline),
            lambda deadline: backend.write_many_bytes({"n": (b"", entry())}, deadline),
        ):
            deadline = time.monotonic() + 0.05
            with pytest.raises(TimeoutError, match="locked"):
                operation(deadline)
            assert 0 <= time.monotonic() - deadline < 5
            assert backend.read_bytes("memo:s:1", None) == b"data"
    write(backend, data=b"new")
    assert backend.read_bytes("memo:s:1", None) == b"new"


def test_a_read_that_is_locked_out_times_out_at_its_deadline(backend, path):
    """A program that locks readers out, too, costs a read no more than its deadline."""
    write(backend)
    backend.close()
    with locked(path, "PRAGMA locking_mode = EXCLUSIVE"):
        for operation in (
            lambda deadline: backend.read_bytes("memo:s:1", deadline),
            lambda deadline: backend.read_many_bytes(["memo:s:1"], deadline),
        ):
            deadline = time.monotonic() + 0.05
            with pytest.raises(TimeoutError, match="locked"):
                operation(deadline)
            assert 0 <= time.monotonic() - deadline < 5
        assert backend.currsize is None
    assert backend.read_bytes("memo:s:1", None) == b"data"


def test_what_waits_for_a_locked_file_goes_on_when_it_is_free(backend, path):
    """A write that is waiting is done as soon as the other program lets go."""
    write(backend)
    with locked(path):
        crew = Crew([lambda: write(backend, data=b"new", deadline=time.monotonic() + 60)])
        until(backend._file._writing.locked)
    crew.join()
    assert backend.read_bytes("memo:s:1", None) == b"new"


def test_who_waits_for_long_waits_on(backend, monkeypatch):
    """However often a locked file was tried, there is another try until the deadline."""
    tried = []

    def locked_often(execute):
        tried.append(None)
        if len(tried) < 3000:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return "done"

    monkeypatch.setattr(sqlite_file, "_LONGEST_PAUSE", 0.0)
    assert backend._file.run(locked_often, time.monotonic() + 60) == "done"


def test_a_thread_in_line_behind_another_keeps_its_own_deadline(backend, path):
    """Who waits for another thread's write, which waits for a lock, times out by itself."""
    write(backend)
    with locked(path):
        crew = Crew([lambda: write(backend, data=b"new", deadline=time.monotonic() + 60)])
        until(backend._file._writing.locked)
        deadline = time.monotonic() + 0.05
        with pytest.raises(TimeoutError, match="other threads"):
            write(backend, deadline=deadline)
        assert 0 <= time.monotonic() - deadline < 5
    crew.join()


def test_an_operation_on_much_ends_at_its_deadline(backend):
    """What is done in portions stops between two of them when there is no time left."""
    backend.write_many_bytes({f"memo:s:{n}": (b"", entry()) for n in range(500)}, None)
    past = time.monotonic()
    for operation in (
        lambda: backend.clear_prefix("memo:s:", past),
        lambda: backend.read_many_bytes([f"memo:s:{n}" for n in range(500)], past),
        lambda: backend.write_many_bytes({f"n{n}": (b"", entry()) for n in range(500)}, past),
    ):
        with pytest.raises(TimeoutError):
            operation()
    assert 0 < backend.currsize < 1000


# No room on the disk.


def test_a_full_disk_is_full_and_reads_go_on(backend, path, monkeypatch):
    """Full is raised for a write that finds no room; entries that are there can be read."""
    monkeypatch.setattr(backend._file.pool, "_prepare", limited(backend._file.pool._prepare))
    number = 0
    with pytest.raises(Full) as caught:  # noqa: PT012 - which write it is does not matter
        while number < 10_000:
            write(backend, f"memo:s:{number}", bytes(1000))
            number += 1
    assert not caught.value.too_large
    assert number > 10
    assert backend.read_bytes("memo:s:3", None) == bytes(1000)
    assert backend.currsize == number
    assert backend.evict(5) == 5
    write(backend, "memo:s:more", bytes(1000))
    assert backend.read_bytes("memo:s:more", None) == bytes(1000)
    backend.close()
    assert problems(path) == []


def limited(prepare):
    """`prepare` for a file of at most 200 pages."""

    def prepare_small(connection):
        prepare(connection)
        connection.execute("PRAGMA max_page_count = 200")

    return prepare_small


SMALL_DISK = """
    import resource, sys
    sys.path.insert(0, {tests!r})
    from backends.sqlite_files import entry, problems
    from memo import Full, OperationFailed
    from memo.backends.sqlite import Sqlite
    limit = {limit}
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    path = {directory!r} + "/cache.db"
    backend = Sqlite(path)
    refused = 0
    for number in range(800):
        try:
            backend.write_bytes(f"memo:s:{{number}}", bytes(2000), entry(), None)
        except (Full, OperationFailed) as error:
            refused += 1
    found = [backend.read_bytes(f"memo:s:{{number}}", None) for number in range(800)]
    held = [data for data in found if data is not None]
    assert set(held) == {{bytes(2000)}}
    backend.close()
    assert problems(path) == [], problems(path)
    print(refused, len(held), found[-1] is not None)
"""
SIZE = 2**20


def small_disk(limit, directory, *prefix):
    """What is refused and held of 1.6 MB that are written, and whether the last of it is held."""
    tests = str(Path(__file__).parents[1])
    code = SMALL_DISK.format(limit=limit, directory=str(directory), tests=tests)
    python = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(
        [*prefix, *python], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    refused, held, last = done.stdout.split()
    return int(refused), int(held), last == "True"


def test_a_file_that_must_not_grow_refuses_writes(tmp_path):
    """Where the system lets no file grow beyond 1 MB, writes fail clean and the rest is held."""
    refused, held, last = small_disk(SIZE, tmp_path)
    assert refused > 0
    assert held == 800 - refused
    assert not last


def test_on_a_small_disk_entries_make_room_for_others(tmp_path):
    """A disk of 1 MB is not filled up: old entries go before it is full, and all writes are done.

    Where nothing can be mounted, that is left to the next test, which only says so to the backend.
    """
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    tmpfs = f'mount -t tmpfs -o size={SIZE} tmpfs "{tmp_path}"; exec "$@"'
    command = [*mount, tmpfs, "sh"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
        refused, held, last = small_disk(0, tmp_path, *command)
        assert refused == 0
        assert last
        assert 200 < held < 500


@pytest.mark.parametrize("free", [0, 2**17])
def test_a_low_disk_is_a_bound(backend, path, monkeypatch, free):
    """While little room is left on the disk, a new entry takes the place of others, or is Full."""
    disk = Disk(2**30, 2**18)
    monkeypatch.setattr(backend._table, "_disk", lambda: disk)
    for number in range(100):
        write(backend, f"memo:s:{number}", bytes(1000))
    assert backend.currsize == 100
    disk = Disk(free, 2**18)
    for number in range(100, 300):
        write(backend, f"memo:s:{number}", bytes(1000))
    assert 100 <= backend.currsize < 200
    assert backend.read_bytes("memo:s:299", None) == bytes(1000)
    held = backend.currsize
    backend.clear_prefix("memo:", None)
    for number in range(100):
        with contextlib.suppress(Full):
            write(backend, f"memo:s:{number}", bytes(1000))
    assert 50 < backend.currsize <= held
    with pytest.raises(Full):
        write(backend, "memo:s:1000", bytes(500_000))
    assert backend.currsize > 0
    disk = Disk(2**30, 2**18)
    for number in range(300):
        write(backend, f"memo:s:{number}", bytes(1000))
    assert backend.currsize > 200
    assert problems(path) == []


# Read-only.


def as_nobody(child):
    """What `child` returns in a process that is not allowed what root is."""

    def demoted():
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        return child()

    return forked(demoted)


@pytest.mark.parametrize("directory", [0o777, 0o555])
def test_a_read_only_file_can_be_read(tmp_path, directory):
    """Reads of a file that may not be written work where SQLite can; writes are OperationFailed."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    place = tmp_path / "place"
    place.mkdir()
    backend = Sqlite(place / "cache.db")
    write(backend)
    backend.close()
    (place / "cache.db").chmod(0o444)
    place.chmod(directory)

    def child():
        other = Sqlite(place / "cache.db")
        with pytest.raises(OperationFailed):
            write(other, data=b"new")
        with pytest.raises(OperationFailed):
            other.delete_bytes("memo:s:1", None)
        try:
            return other.read_bytes("memo:s:1", None)
        except OperationFailed:
            # Without a -shm file, and where none can be made, SQLite does not read either.
            return b"data" if directory == 0o555 else None

    try:
        assert as_nobody(child) == repr(b"data")
    finally:
        place.chmod(0o777)
    assert stored(place / "cache.db") == {"memo:s:1": b"data"}


# Gone, or another.


@pytest.mark.parametrize("names", [["cache.db"], ["cache.db", "cache.db-wal", "cache.db-shm"]])
def test_a_file_that_is_removed_is_begun_anew(backend, path, names):
    """Within moments reads are misses, and writes go to a new file; no restart is needed."""
    write(backend)
    for name in names:
        (path.parent / name).unlink()
    until(lambda: backend.read_bytes("memo:s:1", None) is None)
    write(backend, "memo:s:2")
    assert stored(path) == {"memo:s:2": b"data"}
    assert problems(path) == []


def test_a_drop_notices_at_once_that_the_file_was_removed(backend, path):
    """After a delete or clear nobody finds what it dropped, in whichever file."""
    for drop in (
        lambda: backend.delete_bytes("memo:s:1", None),
        lambda: backend.clear_prefix("memo:", None),
        lambda: backend.clear_prefix("memo:s:", None),
    ):
        write(backend)
        path.unlink()
        with contextlib.closing(Sqlite(path)) as other:
            write(other)
        drop()
        assert stored(path) == {}


def test_several_programs_notice_that_the_file_was_removed(backend, path):
    """All come together again on one new file, which is sound."""
    others = [Sqlite(path) for _ in range(3)]
    for turn in range(5):
        for number, one in enumerate([backend, *others]):
            write(one, f"memo:s:{number}", b"%d" % turn)
        path.unlink()
        for one in others:
            until(lambda one=one: one.read_bytes("memo:s:0", None) is None)
            write(one, "memo:s:mine", b"%d" % turn)
        until(lambda turn=turn: backend.read_bytes("memo:s:mine", None) == b"%d" % turn)
        assert problems(path) == []
    for one in others:
        one.close()


def test_a_file_that_is_replaced_is_read_as_it_is(backend, path, tmp_path):
    """Another file in its place is used, and the log of the old one is not replayed into it."""
    with contextlib.closing(Sqlite(tmp_path / "other.db")) as other:
        write(other, "memo:s:other")
    for number in range(100):
        write(backend, f"memo:s:{number}")
    (tmp_path / "other.db").replace(path)
    until(lambda: backend.read_bytes("memo:s:1", None) is None)
    assert backend.read_bytes("memo:s:other", None) == b"data"
    write(backend, "memo:s:new")
    assert stored(path) == {"memo:s:other": b"data", "memo:s:new": b"data"}
    assert problems(path) == []


def test_a_missing_directory_is_an_error_until_it_is_there(tmp_path):
    """The directory is not made; once it is there, or there again, everything works."""
    backend = Sqlite(tmp_path / "place" / "cache.db")
    for _ in range(2):
        with pytest.raises(OperationFailed, match="No such file or directory"):
            write(backend)
        with pytest.raises(OperationFailed, match="No such file or directory"):
            backend.read_bytes("memo:s:1", None)
        (tmp_path / "place").mkdir()
        write(backend)
        assert backend.read_bytes("memo:s:1", None) == b"data"
        shutil.rmtree(tmp_path / "place")
        backend.close()


def test_a_directory_in_its_place_is_an_error(tmp_path):
    """A path that is no file is OperationFailed."""
    with pytest.raises(OperationFailed, match="unable to open"):
        write(Sqlite(tmp_path))


# Damaged.


def garbage(path):
    """What is there never was a database."""
    path.write_bytes(b"this is no database, " * 1000)


def cut_short(path):
    """The second half is missing."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def overwritten(path):
    """All but the first page is noise."""
    with path.open("r+b") as file:
        file.seek(2048)
        file.write(os.urandom(path.stat().st_size - 2048))


DAMAGES = [garbage, cut_short, overwritten]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_damaged_file_is_set_aside_and_reported(backend, path, damage, is_open, caplog):
    """It is renamed, which an OperationFailed and the log tell; then all goes on in a new one."""
    for number in range(1000):
        write(backend, f"memo:s:{number}", bytes(500))
    backend.close()
    if is_open:
        assert backend.read_bytes("memo:s:1", None) == bytes(500)
    damage(path)
    failures = []
    with caplog.at_level(logging.WARNING, "memo"):
        for number in range(1000):
            try:
                found = backend.read_bytes(f"memo:s:{number}", None)
                assert found in {None, bytes(500)}
                write(backend, f"memo:t:{number}")
            except OperationFailed as failure:
                failures.append(failure)
    (aside,) = corrupt(path)
    (failure,) = failures
    assert str(aside) in str(failure)
    assert isinstance(failure.__cause__, sqlite3.DatabaseError)
    assert [record.getMessage() for record in caplog.records] == [failure.reason]
    write(backend)
    assert backend.read_bytes("memo:s:1", None) == b"data"
    backend.close()
    assert problems(path) == []


def test_tables_that_contradict_each_other_are_damage(backend, path):
    """What can no longer be put right is set aside as well, instead of failing for ever."""
    write(backend, "memo:s:1")
    write(backend, "memo:s:2")
    own = backend._table._own
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f"DELETE FROM data_{own} WHERE name = 'memo:s:1'")
    assert backend.read_bytes("memo:s:1", None) is None
    with pytest.raises(OperationFailed, match="an entry is missing"):
        backend.delete_bytes("memo:s:1", None)
    write(backend)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f"DELETE FROM data_{own}")
    with pytest.raises(OperationFailed, match="the row with the totals is missing"):
        write(backend)
    write(backend)
    assert backend.read_bytes("memo:s:1", None) == b"data"
    assert len(corrupt(path)) == 2


ROUNDS_OF_DAMAGE = 5


def test_a_damaged_file_is_set_aside_once_by_several_processes(path):
    """Of processes that find the damage at once, one sets it aside; the new file is left alone."""

    def child(number):
        backend = Sqlite(path)
        failures = 0
        for turn in range(5):
            try:
                write(backend, f"memo:s:{number}", b"%d" % turn)
            except OperationFailed:
                failures += 1
        assert backend.read_bytes(f"memo:s:{number}", None) == b"4"
        return failures

    for turn in range(ROUNDS_OF_DAMAGE):
        garbage(path)
        for log in (f"{path}-wal", f"{path}-shm"):
            Path(log).unlink(missing_ok=True)
        crew = Crew([lambda number=number: forked(lambda: child(number)) for number in range(4)])
        assert sorted(crew.join()) == ["0", "0", "0", "1"]
        assert len(corrupt(path)) == turn + 1
        assert stored(path) == {f"memo:s:{number}": b"4" for number in range(4)}
        assert problems(path) == []


def test_a_damaged_file_that_cannot_be_renamed_is_an_error(path, monkeypatch):
    """Where it cannot be set aside, each operation says so, and the file is left as it is."""
    garbage(path)
    before = path.read_bytes()
    backend = Sqlite(path)

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "rename", refused)
    for _ in range(2):
        with pytest.raises(OperationFailed, match="cannot be renamed: Permission denied"):
            write(backend)
    assert path.read_bytes() == before


# Somebody else's.


def test_a_file_of_a_later_version_is_left_alone(backend, path):
    """What a later memo wrote is neither read nor changed."""
    write(backend)
    backend.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for operation in (lambda: write(backend), lambda: backend.read_bytes("memo:s:1", None)):
        with pytest.raises(OperationFailed, match="a later version of memo"):
            operation()
    assert path.read_bytes() == before
    assert corrupt(path) == []


def test_a_file_of_an_earlier_version_is_begun_anew(backend, path):
    """What an earlier memo wrote is dropped, as a cache may be, and the file is used."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA application_id = {0x6D656D6F}")
        other.execute("CREATE TABLE data_old (id INTEGER PRIMARY KEY)")
        other.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    write(backend)
    assert stored(path) == {"memo:s:1": b"data"}
    assert problems(path) == []


def test_a_database_of_another_program_is_left_alone(backend, path):
    """A SQLite file that has tables, and is none of ours, is not touched."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    before = path.read_bytes()
    for operation in (lambda: write(backend), lambda: backend.read_bytes("memo:s:1", None)):
        with pytest.raises(OperationFailed, match="none of memo's"):
            operation()
    assert path.read_bytes() == before


def test_an_empty_file_is_taken(backend, path):
    """A file without anything in it is as good as none."""
    path.touch()
    write(backend)
    assert stored(path) == {"memo:s:1": b"data"}


def test_the_file_is_its_owners_alone(backend, path):
    """Neither the file nor what SQLite puts beside it can be read by others."""
    before = os.umask(0)
    try:
        write(backend)
    finally:
        os.umask(before)
    found = sorted(path.parent.glob("cache.db*"))
    assert [one.name for one in found] == ["cache.db", "cache.db-shm", "cache.db-wal"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in found} == {0o600}


# Closed.


def test_a_closed_file_is_opened_again(backend, path):
    """`close` lets go of the file, also while others are at it; it is no end."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            write(backend)
            assert backend.read_bytes("memo:s:1", None) == b"data"

    crew = Crew([work] * 3)
    for _ in range(20):
        until(lambda: backend._file.pool._open)
        backend.close()
    stop.set()
    crew.join()
    backend.close()
    assert not backend._file.pool._open
    assert [one.name for one in path.parent.iterdir()] == ["cache.db"]
    write(backend)
