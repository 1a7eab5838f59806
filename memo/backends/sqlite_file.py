"""Operations on one SQLite file, which others may lock, fill the disk of, or damage meanwhile."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..errors import CacheError, OperationFailed
from ..forking import mend_after_fork
from .sqlite_place import PATIENCE, left
from .sqlite_pool import Connection, Damaged, Execute, Pool, code_of, is_damage

__all__ = ["File", "disk_is_full"]

_log = logging.getLogger("memo")

T = TypeVar("T")

#: Seconds between two tries of what is locked: at first, and at most.
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.01

#: How often an operation is tried again for other reasons.
_TRIES: Final = 8

#: What is wrong, by SQLite's result codes (sqlite.org/rescode.html): the primary ones of a file
#: that is locked, and the whole ones of a disk without room.
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


class File:
    """A SQLite file.

    Args:
        pool: the connections to it.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._path = pool.place.path
        #: Threads of this process write one after the other, instead of locking each other out.
        self._writing = threading.Lock()
        mend_after_fork(self)

    def read(self, sql: str, values: tuple[Any, ...], deadline: float | None) -> Any:
        """The first row that `sql` gives, or None; raises what `run` does."""
        pool = self.pool
        home = pool.home
        if home and time.monotonic() < pool.look_at:  # as `run`, in fewer steps
            connection = None
            try:
                connection = home.pop()
                row = connection.ask(sql, values).fetchone()
                home.append(connection)
                connection = None
            except (IndexError, sqlite3.Error):
                pass  # `run` does it once more, and tells what is wrong
            else:
                if home is not pool.home:
                    pool.discard_all(home)
                return row
            finally:
                if connection is not None:
                    pool.discard(connection)
        return self.run(_first, deadline, sql, values)

    def write(self, work: Callable[..., T], deadline: float | None, *args: Any) -> T:
        """As `run`, in a transaction, and after the writes of other threads."""
        writing = self._writing
        if not writing.acquire(blocking=False) and not writing.acquire(timeout=left(deadline)):
            raise TimeoutError(f"{self._path}: other threads were writing all the time")
        try:
            answer: T = self.run(_in_transaction, deadline, work, *args)
            return answer
        finally:
            writing.release()

    def run(self, work: Callable[..., T], deadline: float | None, *args: Any) -> T:
        """What `work(execute, *args)` gives; tried again while the file is locked.

        Raises:
            TimeoutError: it was locked until `deadline`, or for five seconds where that is None.
            OperationFailed: whatever else SQLite or the system says.
        """
        tries = 0
        while True:
            try:
                connection = self.pool.take(deadline)
                try:
                    answer = work(connection.ask, *args)
                except BaseException as error:
                    self._take_back(connection, error)
                    raise
            except sqlite3.Error as error:
                if deadline is None:
                    deadline = time.monotonic() + PATIENCE
                self._recover(error, tries, deadline)
                tries += 1
            except Damaged as damaged:
                self._set_aside(damaged, deadline)
            except TimeoutError:
                raise
            except OSError as error:
                raise OperationFailed(f"{self._path}: {error.strerror or error}") from error
            else:
                self.pool.give_back(connection)
                return answer

    def _take_back(self, connection: Connection, error: BaseException) -> None:
        """Undo what was begun on `connection` before `error` came up."""
        if isinstance(error, CacheError) or _is_locked(error) or disk_is_full(error):
            with suppress(sqlite3.Error):
                connection.rollback()
                self.pool.give_back(connection)
                return
        self.pool.discard(connection)
        if is_damage(error):
            raise Damaged(connection.identity) from error

    def _recover(self, error: sqlite3.Error, tries: int, deadline: float) -> None:
        """Make another try possible, or raise what `error` means."""
        if _is_locked(error):
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimeoutError(f"{self._path}: locked by another program") from error
            pause = min(_FIRST_PAUSE * 2 ** min(tries, _TRIES), _LONGEST_PAUSE)
            time.sleep(min(pause * random.uniform(0.5, 1), rest))
        elif tries < _TRIES and code_of(error) == sqlite3.SQLITE_READONLY_DBMOVED:
            self.pool.look_at = 0.0
        elif tries >= _TRIES or not disk_is_full(error) or not self._rewound_log():
            raise OperationFailed(f"{self._path}: {error}") from error

    def _rewound_log(self) -> bool:
        """Copy the write-ahead log into the file; then it is written from its beginning again.

        That needs no more room on the disk, unless the file itself has to grow.
        """
        try:
            connection = self.pool.take(0.0)
            try:
                busy = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
            finally:
                self.pool.give_back(connection)
        except (sqlite3.Error, OSError):
            return False
        return not busy

    def _set_aside(self, damaged: Damaged, deadline: float | None) -> None:
        """Set a damaged file aside, unless somebody has done so.

        Raises:
            OperationFailed: it is done, and this is for somebody to hear of it; or it cannot be.
        """
        pool, error = self.pool, damaged.__cause__
        with pool.alone(deadline):
            pool.leave(damaged.identity)
            try:
                with pool.place.locked(deadline):
                    aside = pool.place.set_aside(damaged.identity)
            except TimeoutError:
                raise
            except OSError as failure:
                raise OperationFailed(
                    f"{self._path}: {error}, and it cannot be renamed: "
                    f"{failure.strerror or failure}"
                ) from error
        if aside is not None:
            message = f"{self._path}: {error}. It is now {aside}, and a new file is begun"
            _log.error("%s", message)
            raise OperationFailed(message) from error

    def after_fork_in_child(self) -> None:
        """Have nobody wait for a thread that is not in this process."""
        self._writing = threading.Lock()


def disk_is_full(error: BaseException | None) -> bool:
    """Whether that is what `error`, one of SQLite's, means."""
    return isinstance(error, sqlite3.Error) and code_of(error) in _FULL


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and code_of(error) & 0xFF in _LOCKED


def _first(execute: Execute, sql: str, values: tuple[Any, ...]) -> Any:
    return execute(sql, values).fetchone()


def _in_transaction(execute: Execute, work: Callable[..., T], *args: Any) -> T:
    execute("BEGIN IMMEDIATE")
    answer = work(execute, *args)
    execute("COMMIT")
    return answer
