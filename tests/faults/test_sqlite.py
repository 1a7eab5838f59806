"""A SQLite file that is locked, removed, damaged or read-only, in the middle of what callers do."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from faults.phases import descriptors

from memo.backends import Sqlite


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


@pytest.fixture
def store(path):
    """The file as a backend."""
    backend = Sqlite(path)
    yield backend
    backend.close()


@contextlib.contextmanager
def locked(path):
    """Another program that writes, and does not end."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_file_that_is_locked(store, path, callers, policy):
    """Hits go on: reading needs no lock."""
    with callers(store, policy=policy) as crowd:
        crowd.warm_up()
        with crowd.during() as phase:
            with locked(path):
                crowd.more(5)
            crowd.recover()
    phase.sound()


def test_a_file_that_is_locked_before_anything_is_stored(store, path, callers, policy):
    """Writes wait for their time at most, and hits come when the file is free."""
    store.clear()  # which makes the file
    with callers(store, policy=policy) as crowd:
        with crowd.during() as phase, locked(path):
            crowd.more(2)
        crowd.recover()
    phase.sound()
    assert any(heard.operation == "write" for heard in phase.tried)


@pytest.mark.parametrize("harm", ["unlink", "garbage", "truncate"])
def test_a_file_that_is_removed_or_damaged(store, path, callers, harm):
    """No wrong value and no error; a new file is begun, and hits come back."""
    with callers(store) as crowd:
        crowd.warm_up()
        before = descriptors()
        with crowd.during() as phase:
            if harm == "unlink":
                path.unlink()
            elif harm == "garbage":
                path.write_bytes(b"this is no database, but was one" * 2000)
            else:
                path.write_bytes(b"")
            crowd.more(10)
            crowd.recover()
        assert descriptors() <= before + 2 * crowd.count
    phase.sound()
