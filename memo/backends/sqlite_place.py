"""Where a SQLite file is: noticing that it is gone or another, making it, setting it aside.

SQLite finds the write-ahead log by the name of the file. A connection opened or closed while the
file is renamed could take the log of the next one for its own, and remove it. So a process opens,
closes and renames files under a lock on the directory (flock).
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

if sys.platform != "win32":  # where nobody can remove or rename a file that is in use
    import fcntl

__all__ = ["PATIENCE", "Disk", "Identity", "Place", "left"]

#: Seconds that is waited, without a deadline, for what others lock.
PATIENCE: Final = 5.0

#: Bytes of the disk that are left to others, but an eighth of it at most.
_RESERVE: Final = 2**25

#: Seconds between two tries to lock the directory.
_PAUSE: Final = 0.001


def left(deadline: float | None) -> float:
    """Seconds until `deadline`."""
    return PATIENCE if deadline is None else max(deadline - time.monotonic(), 0.0)


class Identity(NamedTuple):
    """What a file is known by, wherever it is moved, as long as somebody has it open."""

    device: int
    inode: int


class Disk(NamedTuple):
    """Bytes that are free, and that should be."""

    free: float
    reserve: int

    @property
    def is_low(self) -> bool:
        """Whether the file had better not grow."""
        return self.free < self.reserve


class Place:
    """The path of a SQLite file.

    Attributes:
        path: absolute, without symbolic links, which SQLite does not leave in the names of its
            other files either.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._file = Path(self.path)
        self._log = self._beside("-wal")

    def file(self) -> Identity | None:
        """What is at the path."""
        return _identity(self._file)

    def log(self) -> Identity | None:
        """The write-ahead log beside it."""
        return _identity(self._log)

    def disk(self) -> Disk:
        """The disk that the file is on."""
        try:
            total, _, free = shutil.disk_usage(self._file.parent)
        except OSError:
            return Disk(math.inf, _RESERVE)
        return Disk(free, min(_RESERVE, total // 8))

    # These are for who has the lock.

    def create(self) -> None:
        """Make an empty file that is its owner's alone."""
        # These are of a file that is gone, and would be taken for the new one's.
        self._remove_log()
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def drop_log(self, log: Identity, file: Identity | None) -> None:
        """Remove `log`, the log of `file`, where another file has taken the place of that.

        SQLite would replay it into the other one.
        """
        if self.log() == log and self.file() not in {None, file}:
            self._remove_log()

    def set_aside(self, damaged: Identity) -> str | None:
        """Rename the damaged file and its log; gives the new name.

        None: it is not at the path any more. Another process has done it.
        """
        if self.file() != damaged:
            return None
        stamp = time.strftime("%Y%m%dT%H%M%S")
        aside, number = self._beside(f".corrupt-{stamp}"), 1
        while aside.exists():
            number += 1
            aside = self._beside(f".corrupt-{stamp}-{number}")
        self._file.rename(aside)
        if self._log.exists():
            self._log.rename(f"{aside}-wal")
        self._remove_log()
        return str(aside)

    def _beside(self, ending: str) -> Path:
        return self._file.with_name(self._file.name + ending)

    def _remove_log(self) -> None:
        self._log.unlink(missing_ok=True)
        self._beside("-shm").unlink(missing_ok=True)

    @contextmanager
    def locked(self, deadline: float | None) -> Iterator[None]:
        """While no other process opens, closes, makes or renames the file.

        Raises:
            TimeoutError: there was one until `deadline`.
        """
        directory = _opened(self._file.parent)
        try:
            limit = time.monotonic() + left(deadline)
            while directory is not None and not _is_locked(directory):
                if time.monotonic() >= limit:
                    raise TimeoutError(f"{self.path}: another process was opening it all the time")
                time.sleep(_PAUSE)
            yield
        finally:
            if directory is not None:
                _unlock(directory)


def _opened(directory: Path) -> int | None:
    """A descriptor to lock, where there are locks."""
    if sys.platform == "win32":
        return None
    try:
        return os.open(directory, os.O_RDONLY)
    except PermissionError:  # it may be searched, but not listed
        return None


def _is_locked(directory: int) -> bool:
    """Whether it is now; also where that cannot be, as on some network file systems."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _unlock(directory: int) -> None:
    """Let go of it, also where a fork meanwhile has made a second descriptor for the lock."""
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(directory, fcntl.LOCK_UN)
    finally:
        os.close(directory)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Identity(found.st_dev, found.st_ino)
