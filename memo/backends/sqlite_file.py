"""Connections to one SQLite file, which others may lock, remove, replace or damage meanwhile.

A connection is taken, used for one operation and given back, so that there are as many of them as
threads that are at work at once. All are on one file, known by its device and inode: when the path
leads to another one, or to none, they are closed, and others are opened on what is there.

A process that forks closes its connections first. SQLite remembers which locks its process holds; a
child would believe that it holds those of its parent, and in the end the file would be damaged
("How To Corrupt An SQLite Database File", section 2.6, sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ..errors import CacheError, OperationFailed
from .sqlite_place import PATIENCE, Identity, Place, left

__all__ = ["Connection", "File", "disk_is_full"]

_log = logging.getLogger("memo")

T = TypeVar("T")

#: Seconds between two looks at whether the path still leads to the file that is open.
_LOOK: Final = 0.1

#: Seconds between two tries of what is locked: at first, and at most.
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.01

#: Seconds that a fork waits for operations that other threads are in the middle of.
_FORK_PATIENCE: Final = 1.0

#: Seconds that a connection which is to be closed waits for those that are being opened.
_POLITENESS: Final = 0.25

#: Connections that stay open while nobody uses them.
_IDLE: Final = 16

#: How often a file may be found replaced while it is being opened.
_TRIES: Final = 8

#: What is wrong, by the primary part of SQLite's result codes (sqlite.org/rescode.html).
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

#: These two mean that there is no room on the disk.
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


class Connection(sqlite3.Connection):
    """A connection: the file it is on, and the list of idle ones that it goes back to."""

    identity: Identity
    home: list[Connection]

    def __del__(self) -> None:
        # One that an interrupt took out of our hands is closed, without a ResourceWarning.
        with suppress(Exception):
            self.close()


class _Damaged(Exception):
    """The file of this identity is no good; what SQLite says is the cause."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self.identity = identity


class File:
    """A SQLite file, and this process's connections to it.

    Args:
        place: where it is; it is made when it is first used, its directory is not.
        prepare: brings the file behind a new connection into shape; raises `OperationFailed` where
            it must not be used.
    """

    def __init__(self, place: Place, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self.place = place
        self._prepare = prepare
        self._home: list[Connection] = []
        self._open: set[Connection] = set()
        #: What the connections are on, and its write-ahead log.
        self._identity: Identity | None = None
        self._wal: Identity | None = None
        self._look_at = 0.0
        self._opening = threading.RLock()
        self._writing = threading.Lock()
        #: Forked in the middle of an operation: SQLite cannot be relied on in this process.
        self._torn = False
        _files.add(self)

    def read(self, sql: str, values: tuple[Any, ...], deadline: float | None) -> Any:
        """The first row that `sql` gives, or None; raises what `run` does."""
        home = self._home
        if home and time.monotonic() < self._look_at:  # as `run`, in fewer steps
            connection = None
            try:
                connection = home.pop()
                row = connection.execute(sql, values).fetchone()
                home.append(connection)
                connection = None
            except (IndexError, sqlite3.Error):
                pass  # `run` does it once more, and tells what is wrong
            else:
                if home is not self._home:
                    self._close_all(home)
                return row
            finally:
                if connection is not None:
                    self._close(connection)
        return self.run(_first, deadline, sql, values)

    def write(self, work: Callable[..., T], deadline: float | None, *args: Any) -> T:
        """As `run`, in a transaction, and after the writes of other threads."""
        writing = self._writing
        if not writing.acquire(blocking=False) and not writing.acquire(timeout=left(deadline)):
            raise TimeoutError(f"{self.place.path}: other threads were writing all the time")
        try:
            answer: T = self.run(_in_transaction, deadline, work, *args)
            return answer
        finally:
            writing.release()

    def run(self, work: Callable[..., T], deadline: float | None, *args: Any) -> T:
        """What `work(connection, *args)` gives; tried again while the file is locked.

        Raises:
            TimeoutError: it was locked until `deadline`, or for five seconds where that is None.
            OperationFailed: whatever else SQLite or the system says.
        """
        tries = 0
        while True:
            try:
                connection = self._taken(deadline)
                try:
                    answer = work(connection, *args)
                except BaseException as error:
                    self._after(connection, error)
                    raise
            except sqlite3.Error as error:
                if deadline is None:
                    deadline = time.monotonic() + PATIENCE
                self._recover(error, tries, deadline)
                tries += 1
            except _Damaged as damaged:
                self._set_aside(damaged, deadline)
            except TimeoutError:
                raise
            except OSError as error:
                raise OperationFailed(f"{self.place.path}: {error.strerror or error}") from error
            else:
                self._give_back(connection)
                return answer

    def look(self) -> None:
        """Have the next operation look whether the path still leads to the same file."""
        self._look_at = 0.0

    def close(self) -> None:
        """Close the connections; whoever needs one afterwards opens it."""
        with self._opening:
            home, self._home = self._home, []
            self._identity = self._wal = None
        self._close_all(home)

    # Connections.

    def _taken(self, deadline: float | None) -> Connection:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK
            if self._identity is not None and self.place.file() != self._identity:
                self._renew(deadline)
        try:
            return self._home.pop()
        except IndexError:
            with self._alone(deadline):
                return self._opened(deadline)

    def _give_back(self, connection: Connection) -> None:
        home = connection.home
        if home is not self._home or len(home) >= _IDLE:
            self._close(connection)
            return
        home.append(connection)
        if home is not self._home:  # since a moment ago
            self._close_all(home)

    def _after(self, connection: Connection, error: BaseException) -> None:
        """Take back a connection on which `error` came up."""
        if isinstance(error, CacheError) or (
            isinstance(error, sqlite3.Error) and (_code(error) in _LOCKED or disk_is_full(error))
        ):
            with suppress(sqlite3.Error):
                connection.rollback()
                self._give_back(connection)
                return
        self._close(connection)
        if isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED:
            raise _Damaged(connection.identity) from error

    def _close(self, connection: Connection) -> None:
        try:
            with suppress(OSError), self.place.locked(time.monotonic() + _POLITENESS):
                connection.close()
        except sqlite3.Error:
            pass
        finally:
            connection.close()
            self._open.discard(connection)

    def _close_all(self, home: list[Connection]) -> None:
        with suppress(IndexError):
            while True:
                self._close(home.pop())

    @contextmanager
    def _alone(self, deadline: float | None) -> Iterator[None]:
        """While no other thread opens, and no fork happens."""
        if not self._opening.acquire(timeout=left(deadline)):
            raise TimeoutError(f"{self.place.path}: another thread was opening it all the time")
        try:
            yield
        finally:
            self._opening.release()

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
            connection = _connected(self.place.path)
            self._prepare(connection)
            if self.place.file() == found:
                self._wal = self._wal or self.place.log()
                connection.identity, connection.home = found, self._home
                return connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error) and self.place.file() != found:
                return None
            if isinstance(error, sqlite3.Error) and _code(error) in _DAMAGED:
                raise _Damaged(found) from error
            raise
        connection.close()
        return None

    def _renew(self, deadline: float | None) -> None:
        """Leave the file that the connections are on, since the path leads elsewhere."""
        with self._alone(deadline):
            file, wal = self._identity, self._wal
            self.close()
            if wal is not None:
                with self.place.locked(deadline):
                    self.place.drop_log(wal, file)

    # What goes wrong.

    def _recover(self, error: sqlite3.Error, tries: int, deadline: float) -> None:
        """Make another try possible, or raise what `error` means."""
        code = _code(error)
        if code in _LOCKED:
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimeoutError(f"{self.place.path}: locked by another program") from error
            pause = min(_FIRST_PAUSE * 2**tries, _LONGEST_PAUSE) * random.uniform(0.5, 1)
            time.sleep(min(pause, rest))
        elif tries == 0 and _whole_code(error) == sqlite3.SQLITE_READONLY_DBMOVED:
            self.look()
        elif tries or not (disk_is_full(error) and self._rewound_log()):
            raise OperationFailed(f"{self.place.path}: {error}") from error

    def _rewound_log(self) -> bool:
        """Copy the write-ahead log into the file; then it is written from its beginning again.

        That needs no more room on the disk, unless the file itself has to grow.
        """
        try:
            connection = self._taken(0.0)
            try:
                busy = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
            finally:
                self._give_back(connection)
        except (sqlite3.Error, OSError):
            return False
        return not busy

    def _set_aside(self, damaged: _Damaged, deadline: float | None) -> None:
        """Set a damaged file aside, unless somebody has done so.

        Raises:
            OperationFailed: it is done, and this is for somebody to hear of it; or it cannot be.
        """
        path, error = self.place.path, damaged.__cause__
        with self._alone(deadline):
            if self._identity == damaged.identity:
                self.close()
            try:
                with self.place.locked(deadline):
                    aside = self.place.set_aside(damaged.identity)
            except TimeoutError:
                raise
            except OSError as failure:
                raise OperationFailed(
                    f"{path}: {error}, and it cannot be renamed: {failure.strerror or failure}"
                ) from error
        if aside is not None:
            message = f"{path}: {error}. It is now {aside}, and a new file is begun"
            _log.error("%s", message)
            raise OperationFailed(message) from error

    # Forks.

    def before_fork(self) -> None:
        """Close all connections, those in use as soon as they are not, and let none open."""
        self._opening.acquire(timeout=_FORK_PATIENCE)
        self.close()
        limit = time.monotonic() + _FORK_PATIENCE
        while self._open and time.monotonic() < limit:
            time.sleep(_FIRST_PAUSE)

    def after_fork_in_parent(self) -> None:
        """Let connections be opened again."""
        with suppress(RuntimeError):  # where another thread had it all the time
            self._opening.release()

    def after_fork_in_child(self) -> None:
        """Begin without connections; what could not be closed is the parent's."""
        _inherited.extend(self._open)
        self._torn = bool(self._open)
        self._home, self._open = [], set()
        self._opening, self._writing = threading.RLock(), threading.Lock()


def disk_is_full(error: BaseException | None) -> bool:
    """Whether that is what `error`, one of SQLite's, means."""
    return isinstance(error, sqlite3.Error) and _whole_code(error) in _FULL


def _connected(path: str) -> Connection:
    connection: Connection = sqlite3.connect(
        f"file:{quote(path)}?mode=rw",  # SQLite itself makes no file
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    return connection


def _whole_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", -1)


def _code(error: sqlite3.Error) -> int:
    return _whole_code(error) & 0xFF


def _first(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> Any:
    return connection.execute(sql, values).fetchone()


def _in_transaction(connection: sqlite3.Connection, work: Callable[..., T], *args: Any) -> T:
    connection.execute("BEGIN IMMEDIATE")
    answer = work(connection, *args)
    connection.execute("COMMIT")
    return answer


_files: weakref.WeakSet[File] = weakref.WeakSet()

#: Connections of the parent process, kept so that this one never closes them.
_inherited: list[Connection] = []


def _before_fork() -> None:
    for file in list(_files):
        file.before_fork()


def _in_parent() -> None:
    for file in list(_files):
        file.after_fork_in_parent()


def _in_child() -> None:
    for file in list(_files):
        file.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
