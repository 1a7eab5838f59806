"""Connections to a SQLite file, which others may remove or replace meanwhile.

A connection is taken, used for one operation and given back, so that there are as many of them as
threads that are at work at once. All are on one file, known by its device and inode: when the path
leads to another one, or to none, they are closed, and others are opened on what is there.

A process that forks closes its connections first. SQLite remembers which locks its process holds; a
child would believe that it holds those of its parent, and in the end the file would be damaged
("How To Corrupt An SQLite Database File", section 2.6, sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import quote

from ..errors import OperationFailed
from .sqlite_place import Identity, Place, left

__all__ = ["Connection", "Damaged", "Execute", "Pool", "code_of", "is_damage"]

#: Gives a cursor, which is at its first row; it is good until this is called again.
Execute = Callable[..., sqlite3.Cursor]

#: Seconds between two looks at whether the path still leads to the file that is open.
_LOOK: Final = 0.1

#: Seconds that a fork waits for operations that other threads are in the middle of, and seconds
#: between two looks at whether they are.
_FORK_PATIENCE: Final = 1.0
_FORK_PAUSE: Final = 0.0005

#: Seconds that connections which are to be closed wait for others that are opened or closed.
_POLITENESS: Final = 0.25

#: Connections that stay open while nobody uses them.
_IDLE: Final = 16

#: How often a file may be found replaced while it is being opened.
_TRIES: Final = 8

#: What means that the file is no good (sqlite.org/rescode.html).
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Connection(sqlite3.Connection):
    """A connection.

    Attributes:
        ask: `execute` of a cursor that is kept, since to make one takes a while.
        identity: the file it is on.
        home: the list of idle connections that it goes back to.
    """

    ask: Execute
    identity: Identity
    home: list[Connection]
    _cursor: sqlite3.Cursor | None = None

    def begin(self, identity: Identity, home: list[Connection]) -> None:
        """Be of use, now that the file is open and found to be well."""
        self._cursor = self.cursor()
        self.ask = self._cursor.execute
        self.identity, self.home = identity, home

    def close(self) -> None:
        """Close it, and the cursor first: SQLite keeps a file open as long as a statement is."""
        if self._cursor is not None:
            self._cursor.close()
        super().close()

    def __del__(self) -> None:
        # One that an interrupt took out of our hands is closed, without a ResourceWarning.
        with suppress(Exception):
            self.close()


class Damaged(Exception):
    """The file of this identity is no good; what SQLite says is the cause."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self.identity = identity


def code_of(error: sqlite3.Error) -> int:
    """The extended result code, or -1 where the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", -1)


def is_damage(error: BaseException) -> bool:
    """Whether `error` means that the file is no good."""
    return isinstance(error, sqlite3.Error) and code_of(error) & 0xFF in _DAMAGED


class Pool:
    """This process's connections to a SQLite file.

    Args:
        place: where the file is. It is made when a connection is first taken, its directory is not.
        prepare: brings the file behind a new connection into shape; raises `OperationFailed` where
            it must not be used.
    """

    def __init__(self, place: Place, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self.place = place
        #: The connections that nobody uses, and when to look whether they are on the right file.
        self.home: list[Connection] = []
        self.look_at = 0.0
        self._prepare = prepare
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        #: What the connections are on, and its write-ahead log.
        self._identity: Identity | None = None
        self._wal: Identity | None = None
        self._opening = threading.RLock()
        #: Forked in the middle of an operation: SQLite cannot be relied on in this process.
        self._torn = False
        _pools.add(self)

    def take(self, deadline: float | None) -> Connection:
        """A connection that is nobody else's until it is given back or discarded.

        Raises:
            TimeoutError: there was none until `deadline`.
            OperationFailed, sqlite3.Error, OSError: the file cannot be opened.
            Damaged: because it is damaged.
        """
        now = time.monotonic()
        if now >= self.look_at:
            self.look_at = now + _LOOK
            if self._identity is not None and self.place.file() != self._identity:
                self._renew(deadline)
        try:
            return self.home.pop()
        except IndexError:
            with self.alone(deadline):
                return self._opened(deadline)

    def give_back(self, connection: Connection) -> None:
        """Have others use `connection`."""
        home = connection.home
        if home is not self.home or len(home) >= _IDLE:
            self.discard(connection)
            return
        home.append(connection)
        if home is not self.home:  # since a moment ago
            self.discard_all(home)

    def discard(self, connection: Connection) -> None:
        """Close a connection that nobody uses any more."""
        self.discard_all([connection])

    def discard_all(self, home: list[Connection]) -> None:
        """Close the connections in `home`."""
        if not home:
            return
        try:
            with suppress(TimeoutError), self.place.locked(time.monotonic() + _POLITENESS):
                self._close(home)
        except OSError:
            pass  # the directory is gone
        finally:
            self._close(home)

    def close(self) -> None:
        """Close all connections; whoever needs one afterwards opens it."""
        with self._opening:
            home, self.home = self.home, []
            self._identity = self._wal = None
        self.discard_all(home)

    def leave(self, identity: Identity) -> None:
        """Close the connections to this file, if that is what they are on."""
        if self._identity == identity:
            self.close()

    @contextmanager
    def alone(self, deadline: float | None) -> Iterator[None]:
        """While no other thread opens a connection, and no fork happens.

        Raises:
            TimeoutError: another one did so until `deadline`.
        """
        if not self._opening.acquire(timeout=left(deadline)):
            raise TimeoutError(f"{self.place.path}: another thread was opening it all the time")
        try:
            yield
        finally:
            self._opening.release()

    def _close(self, home: list[Connection]) -> None:
        with suppress(IndexError):
            while True:
                connection = home.pop()
                with suppress(sqlite3.Error):
                    connection.close()
                self._open.discard(connection)

    def _opened(self, deadline: float | None) -> Connection:
        path = self.place.path
        if self._torn:
            raise OperationFailed(f"{path}: this process was forked while a thread was using it")
        for _ in range(_TRIES):
            if self._identity not in {None, self.place.file()}:
                self._renew(deadline)
            with self.place.locked(deadline):
                if self.place.file() is None:
                    self.place.create()
                connection = self._connected()
            if connection is not None:
                self._open.add(connection)
                return connection
        raise OperationFailed(f"{path}: it was replaced again and again while it was opened")

    def _connected(self) -> Connection | None:
        """A new connection; None where somebody, without the lock, removed or replaced the file."""
        found = self.place.file()
        if found is None or self._identity not in {None, found}:
            return None
        self._identity = found
        connection = None
        try:
            connection = _connect(self.place.path)
            self._prepare(connection)
            if self.place.file() == found:
                self._wal = self._wal or self.place.log()
                connection.begin(found, self.home)
                return connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error) and self.place.file() != found:
                return None
            if is_damage(error):
                raise Damaged(found) from error
            raise
        connection.close()
        return None

    def _renew(self, deadline: float | None) -> None:
        """Leave the file that the connections are on, since the path leads elsewhere."""
        with self.alone(deadline):
            file, wal = self._identity, self._wal
            self.close()
            if wal is not None:
                with self.place.locked(deadline):
                    self.place.drop_log(wal, file)

    # Forks.

    def before_fork(self) -> None:
        """Close all connections, those in use as soon as they are not, and let none open."""
        self._opening.acquire(timeout=_FORK_PATIENCE)
        self.close()
        limit = time.monotonic() + _FORK_PATIENCE
        while self._open and time.monotonic() < limit:
            time.sleep(_FORK_PAUSE)

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        with suppress(RuntimeError):  # where another thread had it all the time
            self._opening.release()

    def after_fork_in_child(self) -> None:
        """Begin without connections; what could not be closed is the parent's."""
        _inherited.extend(self._open)
        self._torn = self._torn or bool(self._open)
        self.home, self._open = [], weakref.WeakSet()
        self._opening = threading.RLock()


def _connect(path: str) -> Connection:
    connection: Connection = sqlite3.connect(
        f"file:{quote(path)}?mode=rw",  # SQLite itself makes no file
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    return connection


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()

#: Connections of the parent process, kept so that this one never closes them.
_inherited: list[Connection] = []


def _before_fork() -> None:
    for pool in list(_pools):
        pool.before_fork()


def _in_parent() -> None:
    for pool in list(_pools):
        pool.after_fork_in_parent()


def _in_child() -> None:
    for pool in list(_pools):
        pool.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
