"""A store that has no room, in the middle of what its callers do."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3

import pytest
from servers.valkey import Valkey

from memo import Full, Policy, cached
from memo.backends import Sqlite

#: Bytes of one value, and how many are more than there is room for.
SIZE = 20_000
MANY = 400

MS_REMOUNT = 32


@contextlib.contextmanager
def full_valkey(directory, monkeypatch):
    """A server that has 4 MB and drops nothing by itself, and how to give it more."""
    with Valkey(maxmemory="4mb", maxmemory_policy="noeviction") as server:
        yield server.url, lambda: server.ask("CONFIG", "SET", "maxmemory", "100mb")


@contextlib.contextmanager
def full_disk(directory, monkeypatch):
    """A disk of 2 MB; where this process may not have one, SQLite is told that it has no more."""
    disk = directory / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, b"size=2m") == 0
    if not mounted:
        _small_files(monkeypatch)
    store = Sqlite(disk / "cache.db")

    def room():
        if mounted:
            again = libc.mount(
                b"tmpfs", os.fsencode(disk), b"tmpfs", 32, b"size=100m"
            )  # MS_REMOUNT
            assert again == 0, os.strerror(ctypes.get_errno())
        else:
            monkeypatch.undo()
            store.close()

    try:
        yield store, room
    finally:
        store.close()
        if mounted:
            assert libc.umount(os.fsencode(disk)) == 0


@contextlib.contextmanager
def full_file(directory, monkeypatch):
    """A SQLite file that SQLite itself lets have no more than 2 MB."""
    _small_files(monkeypatch)
    store = Sqlite(directory / "cache.db")

    def room():
        monkeypatch.undo()
        store.close()

    yield store, room
    store.close()


def _small_files(monkeypatch):
    """Have each connection refuse to let its file grow beyond 2 MB, as if the disk were full."""
    connect = sqlite3.connect

    def small(*args, **options):
        connection = connect(*args, **options)
        connection.execute("PRAGMA max_page_count=512")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)


each_store = pytest.mark.parametrize(
    "full", [full_valkey, full_disk, full_file], ids=["valkey", "disk", "file"]
)


def big(x: int) -> str:
    """A value that takes some room."""
    return chr(65 + x % 26) * SIZE


@each_store
def test_callers_survive_a_full_store(full, tmp_path, monkeypatch):
    """Each call is answered rightly, what fitted is still found, and it goes on with more room."""
    heard = []
    with full(tmp_path, monkeypatch) as (backend, room):
        policy = Policy(timeout=30, on_error=heard.append)
        f = cached(ttl=300, backend=backend, policy=policy, name="f")(big)
        assert all(f(x) == big(x) for x in range(MANY))
        info = f.cache_info()
        assert info.misses == MANY
        assert info.failures == len(heard)
        # A file that cannot grow by a page may not be able to drop anything either.
        assert all("full" in str(error) for error in heard)
        assert heard or info.evictions  # it was full, one way or the other
        assert f.cache_health().breaker == "closed"  # a full store is well
        held = [x for x in range(MANY) if f.lookup(x).status == "fresh"]
        assert 0 < len(held) < MANY
        room()
        assert f.set("new", -1) is True
        assert f(-1) == "new"


def test_a_strict_policy_tells_of_a_full_store(tmp_path, monkeypatch):
    """`Full` is raised with what the function gave, and what the server said as its cause."""
    with full_valkey(tmp_path, monkeypatch) as (backend, _):
        policy = Policy.strict(timeout=30)
        f = cached(ttl=300, backend=backend, policy=policy, name="f")(big)
        raised = {}
        for x in range(MANY):
            try:
                assert f(x) == big(x)
            except Full as full:
                raised[x] = full
        assert 0 < len(raised) < MANY
        assert all(full.value == big(x) for x, full in raised.items())
        assert all(isinstance(full.__cause__, Exception) for full in raised.values())
