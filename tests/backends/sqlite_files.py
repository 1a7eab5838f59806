"""What the tests of SQLite files share: looking into a file, and processes that are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import struct
import time
from pathlib import Path

from memo.backends.sqlite import Sqlite
from memo.entry import FOREVER, Entry

__all__ = ["entry", "kill_writers", "problems", "stored"]


def entry(ttl: float | None = 60.0, now: float | None = None, window: float = 0.0) -> Entry:
    """An entry with these times; its value is not looked at where bytes are written."""
    created = time.time() if now is None else now
    expires = FOREVER if ttl is None else created + ttl
    return Entry(None, created, expires, expires + window)


def stored(path: Path | str) -> dict[str, bytes]:
    """All that is in the file, by name, as another program sees it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = {}
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE 'data_%'"
        ).fetchall():
            rows = f"SELECT name, data FROM {table} WHERE name IS NOT NULL"
            found.update(connection.execute(rows).fetchall())
        return found


def problems(path: Path | str) -> list[str]:
    """What does not fit in the file: SQLite's own check, the totals, and the three tables."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = [text for (text,) in connection.execute("PRAGMA quick_check") if text != "ok"]
        tables = connection.execute(
            "SELECT substr(name, 6) FROM sqlite_master WHERE name LIKE 'data_%'"
        ).fetchall()
        for (own,) in tables:
            found += _contradictions(connection, own)
        return found


def _contradictions(connection: sqlite3.Connection, own: str) -> list[str]:
    def all_of(sql: str) -> list[tuple]:
        return connection.execute(sql.replace("$", own)).fetchall()

    rows = all_of(
        "SELECT id, entries, bytes, indexed, size, until, due, name, length(data) FROM data_$"
        " ORDER BY id"
    )
    _, entries, total, indexed, *_ = rows[-1]
    named = [row for row in rows if row[7] is not None]
    names = dict(all_of("SELECT name, id FROM names_$"))
    expiries = set(all_of("SELECT due, id FROM expiries_$"))
    checks = {
        "a row before the last has no name": all(row[7] is not None for row in rows[:-1]),
        "names and rows differ": names == {row[7]: row[0] for row in named},
        "the number of entries is wrong": entries == len(named),
        "the number of bytes is wrong": total == sum(row[4] for row in named),
        "a size is wrong": all(row[4] == len(row[7]) + row[8] for row in named),
        "a row would be looked at too late": all(
            row[6] is not None and row[6] <= row[5] for row in named if row[5] is not None
        ),
        "expiries and rows differ": expiries
        == {(row[6], row[0]) for row in named if row[6] is not None and row[0] <= indexed},
    }
    return [what for what, holds in checks.items() if not holds]


# Processes that write until they are killed.

_ACK = struct.Struct("<iiq")
_KEYS = 50
#: Keys from this one on are dropped now and then.
_DROPPED = 40


def _write(path: str, worker: int, acknowledged: int) -> None:
    """Write and drop keys of this worker's own for ever, and acknowledge what was done."""
    backend = Sqlite(path, max_bytes=None, maxsize=None)
    chance = random.Random(f"{worker} {time.time_ns()}")
    number = time.time_ns()
    while True:
        number += 1
        key = chance.randrange(_KEYS)
        name = f"memo:w{worker}:{key}"
        if key >= _DROPPED and chance.random() < 0.5:
            backend.delete_bytes(name, None)
            os.write(acknowledged, _ACK.pack(worker, key, -number))
        else:
            data = b"%d " % number + bytes(chance.randrange(3000))
            backend.write_bytes(name, data, entry(chance.choice([None, 0.01, 60, 3600])), None)
            os.write(acknowledged, _ACK.pack(worker, key, number))


def _forked(path: str, worker: int) -> tuple[int, int]:
    """The id of a process that writes, and where its acknowledgements come from."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - in a process that ends by SIGKILL
        try:
            os.close(reading)
            _write(path, worker, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return pid, reading


def kill_writers(path: str, rounds: int, workers: int = 4) -> list[str]:
    """Let processes write, kill all of them in the middle of it, and look; what was found wrong.

    Args:
        path: the file.
        rounds: how often.
        workers: how many processes.
    """
    chance = random.Random()
    done: dict[str, int] = {}
    wrong: list[str] = []
    total = 0
    for turn in range(rounds):
        running = [_forked(path, worker) for worker in range(workers)]
        enough = chance.randrange(1, 200)
        pieces = [os.read(reading, enough * _ACK.size) for _, reading in running]
        for pid, _ in running:
            os.kill(pid, signal.SIGKILL)
        for (pid, reading), piece in zip(running, pieces, strict=True):
            _, status = os.waitpid(pid, 0)
            if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                wrong.append(f"round {turn}: a writer ended by itself")
            with os.fdopen(reading, "rb") as rest:
                acknowledgements = piece + rest.read()
            for worker, key, number in _ACK.iter_unpack(acknowledgements):
                done[f"memo:w{worker}:{key}"] = number
                total += 1
        found = stored(path)
        wrong += [f"round {turn}: {problem}" for problem in problems(path)]
        wrong += [f"round {turn}: {loss}" for loss in _losses(done, found)]
    if total < rounds * workers:
        wrong.append(f"only {total} writes were acknowledged")
    return wrong


def _losses(done: dict[str, int], found: dict[str, bytes]) -> list[str]:
    """What was acknowledged and is not there. What was done last need not be acknowledged."""
    losses = []
    for name, number in done.items():
        held = int(found[name].split(b" ")[0]) if name in found else None
        if held is None:
            lost = number > 0 and int(name.rpartition(":")[2]) < _DROPPED
        else:
            lost = held < abs(number)
        if lost:
            losses.append(f"{name}: {number} was acknowledged, {held} is there")
    return losses
