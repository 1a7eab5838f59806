"""Entries in a file: the embedded store, which a restart does not empty and processes share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

from ..canonical import namespace_text
from ..entry import FOREVER, Entry
from ..errors import Full, OperationFailed, shown
from ..serializers import Codec
from .encoded import BytesBackend
from .sqlite_file import File, disk_is_full
from .sqlite_place import Place
from .sqlite_pool import Execute, Pool
from .sqlite_table import Item, Table
from .urls import parts

__all__ = ["Sqlite", "from_url"]

T = TypeVar("T")

#: Entries that one transaction writes or drops at most, and names that one statement looks for.
_WRITTEN: Final = 64
_READ: Final = 250

#: Seconds that a question about the size waits for a locked file.
_QUICK: Final = 0.25

#: Bytes of name and data that SQLite takes in one row: its limit, with some room for the rest.
_LARGEST: Final = 999_000_000


class Sqlite(BytesBackend):
    """Keeps entries in a SQLite file, for all processes that open it.

    What has expired stays until its room is needed, or for an hour. Where there is no room, expired
    entries go first, then those not used for longest, as far as a sample tells.

    The file is opened when it is first needed, and again after `close` or when it was removed or
    replaced. One that is damaged is renamed to `<name>.corrupt-<time>`, which an `OperationFailed`
    and the logger "memo" tell, and a new one is begun.

    Args:
        path: the file. It is made where there is none, readable for its owner alone; its directory
            is not.
        namespace: whose entries these are; others in the same file are not seen or touched.
        maxsize: the most entries of this namespace; None for no bound.
        max_bytes: the most bytes that names and encoded entries of this namespace take; None for no
            bound. The file is larger by a fifth to a half, and does not shrink.
        codec: how entries become bytes, where a cache does not say.

    Raises:
        TypeError, ValueError: an argument that cannot be; the message names it.
    """

    name = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        namespace: str = "memo",
        maxsize: int | None = 1_000_000,
        max_bytes: int | None = 2**30,
        codec: Codec | None = None,
    ) -> None:
        super().__init__(namespace=namespace, codec=codec)
        where = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(where, str):
            raise TypeError(f"path={shown(path)}: takes the path of a file, as a str or a Path")
        if where in {"", ":memory:"} or "\0" in where:
            raise ValueError(f"path={where!r}: takes the path of a file")
        for option, bound in (("maxsize", maxsize), ("max_bytes", max_bytes)):
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int)):
                raise TypeError(f"{option}={shown(bound)}: takes a whole number, or None")
            if bound is not None and bound < 1:
                raise ValueError(f"{option}={bound}: must be at least 1; None: no bound")
        self.maxsize = maxsize
        self.max_bytes = max_bytes
        self._largest = min(max_bytes or _LARGEST, _LARGEST)
        place = Place(where)
        self._table = Table(namespace, maxsize, max_bytes, place.disk)
        self._file = File(Pool(place, self._table.prepare))
        #: What a read needs.
        self._read, self._note = self._file.read, self._table.uses.note
        self._select = self._table.sql.read

    def read_bytes(self, name: str, deadline: float | None) -> bytes | None:
        """What is stored under `name`, or None."""
        row = self._read(self._select, (name,), deadline)
        if row is None:
            return None
        self._note(name)
        data: bytes = row[0]
        return data

    def write_bytes(self, name: str, data: bytes, entry: Entry, deadline: float | None) -> int:
        """Store `data` under `name`; returns how many entries were evicted for it.

        Raises:
            Full: it is larger than `max_bytes` by itself, or the disk is full.
        """
        if len(name) + len(data) > self._largest:
            self.delete_bytes(name, deadline)  # what it held is outdated
            raise Full(None, too_large=True)
        until = None if entry.kept_until == FOREVER else entry.kept_until
        return self._write(self._table.put, deadline, name, data, until, self.timer())

    def delete_bytes(self, name: str, deadline: float | None) -> bool:
        """Drop what is under `name`; whether there was anything."""
        self._file.pool.look_at = 0.0
        return self._file.write(self._table.drop, deadline, name)

    def clear_prefix(self, prefix: str, deadline: float | None) -> None:
        """Drop all that is stored under names beginning with `prefix`, some at a time."""
        self._file.pool.look_at = 0.0
        if prefix == namespace_text(self.namespace):
            self._file.write(self._table.clear, deadline)
            return
        after: str | None = prefix
        before = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        newest = self._file.run(self._table.newest, deadline)
        while after is not None:
            after = self._file.write(
                self._table.drop_some, deadline, after, before, newest, _WRITTEN
            )
            _check(deadline, after)

    def read_many_bytes(self, names: Iterable[str], deadline: float | None) -> dict[str, bytes]:
        """What is stored under each of `names`, where there is anything."""
        found: dict[str, bytes] = {}
        for some in _chunks(names, _READ):
            sql = self._table.sql.read_many.format(", ".join("?" * len(some)))
            found.update(self._file.run(_all, deadline, sql, some))
            _check(deadline, some)
        for name in found:
            self._table.uses.note(name)
        return found

    def write_many_bytes(
        self, items: Mapping[str, tuple[bytes, Entry]], deadline: float | None
    ) -> int:
        """Store each of `items`; returns how many entries were evicted for them.

        Raises:
            Full: one of them is larger than `max_bytes` by itself, and the others are stored; or
                the disk is full.
        """
        fitting: list[Item] = []
        for name, (data, entry) in items.items():
            if len(name) + len(data) <= self._largest:
                until = None if entry.kept_until == FOREVER else entry.kept_until
                fitting.append((name, data, until))
            else:
                self.delete_bytes(name, deadline)
        evicted = 0
        for some in _chunks(fitting, _WRITTEN):
            evicted += self._write(self._table.put_many, deadline, some, self.timer())
            _check(deadline, some)
        if len(fitting) < len(items):
            raise Full(None, too_large=True)
        return evicted

    def evict(self, n: int = 1, *, deadline: float | None = None) -> int:
        """Drop `n` entries, expired ones first; returns how many were dropped."""
        return self._file.write(self._table.evict, deadline, n, self.timer())

    @property
    def currsize(self) -> int | None:
        """How many entries there are, expired or not; None where the file cannot tell."""
        try:
            row = self._file.read(self._table.sql.count, (), time.monotonic() + _QUICK)
        except (OperationFailed, TimeoutError):
            return None
        return int(row[0])

    def close(self) -> None:
        """Close the file. Whoever uses this afterwards opens it again."""
        self._file.pool.close()

    def _write(self, put: Callable[..., int], deadline: float | None, *args: Any) -> int:
        try:
            return self._file.write(put, deadline, *args)
        except OperationFailed as error:
            if disk_is_full(error.__cause__):
                raise Full(None) from error.__cause__
            raise

    def __deepcopy__(self, memo: dict[int, Any]) -> Sqlite:
        return self

    def __repr__(self) -> str:
        return f"<Sqlite {self._file.pool.place.path!r}, namespace={self.namespace!r}>"


def from_url(url: str) -> Sqlite:
    """The file that `sqlite:///relative.db` or `sqlite:////absolute.db` names.

    Options in the query: `namespace`; `maxsize`, a number of entries, and `max_bytes`, or none.

    Raises:
        ValueError: a part of the URL that cannot be.
    """
    found = parts(url, {"namespace": str, "maxsize": _bound, "max_bytes": _bound})
    path = found.path[1:]
    if found.hosts or found.username or not path or path.endswith("/"):
        raise ValueError(
            f"backend={found.hidden!r}: takes a file, as in 'sqlite:///relative.db' or "
            "'sqlite:////absolute.db'"
        )
    if path == ":memory:":
        raise ValueError(f"backend={found.hidden!r}: takes a file; 'memory://' is in memory")
    try:
        return Sqlite(path, **found.options)
    except ValueError as error:
        raise ValueError(f"backend={found.hidden!r}: {error}") from error


def _bound(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdecimal():
        raise ValueError("takes a whole number, or none")
    return int(text)


def _chunks(things: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some


def _check(deadline: float | None, more: object) -> None:
    """Raise TimeoutError where there is more to do, and no time."""
    if more is not None and deadline is not None and time.monotonic() >= deadline:
        raise TimeoutError("there was no time for all of it")


def _all(execute: Execute, sql: str, values: list[str]) -> list[tuple[str, bytes]]:
    return execute(sql, values).fetchall()
