"""What a SQLite file of ours looks like, and bringing a file into that shape.

Each namespace has three tables:

- `data` has the entries in the order in which their names were first written. Its last row carries
  the totals of all: a new entry becomes the last row, so the page with them is written anyway.
- `names` leads from a name to its row there, and knows when it was last used.
- `expiries` says when to look whether a row has expired. It is brought up to date for many rows at
  once: those behind the one that is called `indexed` in the last row are not in it yet. An entry
  that is replaced, and expires later than before, stays where it is until its time is `due`.

So a new entry touches two pages, the end of `data` and one of `names`, and one that is replaced by
another of the same size touches one. Pages are most of what a write costs; figures are in
docs/sqlite.md.

A row of `data` without a name is no entry: it carries the totals where the last entry was dropped.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import Final

from ..errors import OperationFailed
from .sqlite_place import Disk

__all__ = ["damage", "prepare", "suffix"]

#: "memo" in ASCII, in the header of each file of ours (PRAGMA application_id).
_APPLICATION: Final = 0x6D656D6F

#: The version of the tables (PRAGMA user_version). A file of an older one is begun anew.
_VERSION: Final = 1

#: Bytes of a page. Small, since a write has each page that it touches written whole.
_PAGE: Final = 2048

#: Bytes of the write-ahead log from which on it is copied into the file.
_LOG: Final = 2**23

#: For each connection. A file that somebody cuts short must not kill the process, as it would where
#: the file is mapped into memory.
_SETTINGS: Final = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA mmap_size = 0",
    "PRAGMA trusted_schema = OFF",
)

_TABLES: Final = """
CREATE TABLE data_$ (
    id INTEGER PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL,
    indexed INTEGER NOT NULL, size INTEGER NOT NULL, until REAL, due REAL, name TEXT, data BLOB);
CREATE TABLE names_$ (
    name TEXT PRIMARY KEY, id INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE expiries_$ (due REAL, id INTEGER, PRIMARY KEY (due, id)) WITHOUT ROWID;
INSERT INTO data_$ VALUES (1, 0, 0, 0, 0, NULL, NULL, NULL, NULL)
"""


def suffix(namespace: str) -> str:
    """What the names of the namespace's tables end in."""
    return blake2b(namespace.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def damage(what: str) -> sqlite3.DatabaseError:
    """The error to raise where the tables contradict each other, as if SQLite had noticed it."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def prepare(connection: sqlite3.Connection, own: str, disk: Disk) -> None:
    """Set up a new connection, and make what its file lacks of the tables that end in `own`.

    On a small disk the write-ahead log is kept small as well.

    Raises:
        OperationFailed: the file is not one of ours, or of a later version of memo.
    """
    execute = connection.execute
    for setting in _SETTINGS:
        execute(setting)
    execute(f"PRAGMA wal_autocheckpoint = {max(min(_LOG, disk.reserve // 2) // _PAGE, 1)}")
    if not _is_prepared(connection, own):
        # Nothing is lost with a file that has nothing in it: it need not be waited for the disk.
        execute("PRAGMA synchronous = OFF")
        if not execute("PRAGMA page_count").fetchone()[0]:
            execute(f"PRAGMA page_size = {_PAGE}")
            execute("PRAGMA journal_mode = WAL")
        execute("BEGIN IMMEDIATE")
        if not _is_prepared(connection, own):  # nor has another thread done it meanwhile
            _make(connection, own)
        execute("COMMIT")
        execute("PRAGMA synchronous = NORMAL")


def _make(connection: sqlite3.Connection, own: str) -> None:
    execute = connection.execute
    if execute("PRAGMA user_version").fetchone()[0] < _VERSION:
        tables = execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            execute(f'DROP TABLE "{table}"')
    execute(f"PRAGMA application_id = {_APPLICATION}")
    execute(f"PRAGMA user_version = {_VERSION}")
    for statement in _TABLES.split(";"):
        execute(statement.replace("$", own))


def _is_prepared(connection: sqlite3.Connection, own: str) -> bool:
    application, version, tables, found = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master),"
        " (SELECT count(*) FROM sqlite_master WHERE name = ?)"
        " FROM pragma_application_id, pragma_user_version",
        (f"data_{own}",),
    ).fetchone()
    if application != _APPLICATION and (application or tables):
        raise OperationFailed("it is a SQLite database, but none of memo's; it is left as it is")
    if version > _VERSION:
        raise OperationFailed(
            f"a later version of memo has made it (its tables are of version {version}, here they "
            f"are of version {_VERSION}); it is left as it is"
        )
    return bool(version == _VERSION and found)
