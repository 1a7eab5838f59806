"""Four processes write to one SQLite file until all are killed, fifty times; nothing is lost.

    python benchmarks/soak_sqlite.py [rounds] [--keys COUNT] [--forks COUNT] [--directory PATH]

No write that had returned may be lost, SQLite's `quick_check` must be content, and the totals must
be those of the rows. The test suite does three rounds of the same
(`tests/backends/test_sqlite_processes.py`). `--keys` then writes so many distinct keys and reads
them all, as none of them may collide; `--forks` forks so often while threads read and write.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from backends.sqlite_files import entry, kill_writers, problems, stored
from concurrency.watch import Crew, forked

from memo.backends import Sqlite
from memo.canonical import key_text
from memo.entry import Entry

#: Entries that are written or read at once.
BATCH = 1000


def kills(path: str, rounds: int) -> list[str]:
    """Rounds of SIGKILL."""
    started = time.perf_counter()
    wrong = kill_writers(path, rounds)
    took = time.perf_counter() - started
    print(f"{rounds} rounds of SIGKILL in {took:.1f} s; {len(stored(path))} entries are there")
    return wrong


def keys(path: str, count: int) -> list[str]:
    """So many distinct keys, each with its own value."""
    backend = Sqlite(path, maxsize=None, max_bytes=None)
    some = [range(n, min(n + BATCH, count)) for n in range(0, count, BATCH)]
    started = time.perf_counter()
    for numbers in some:
        backend.write_many({("scope", (n,)): Entry(n, time.time()) for n in numbers})
    written = time.perf_counter()
    wrong = []
    for numbers in some:
        found = backend.read_many([("scope", (n,)) for n in numbers])
        wrong += [f"{n} is wrong" for n in numbers if found[("scope", (n,))].value != n]
    read = time.perf_counter()
    name, size = key_text("memo", ("scope", (count // 2,))), backend.currsize
    single = time.perf_counter()
    backend.write_bytes(name, bytes(100), entry(), None)
    replaced = time.perf_counter()
    backend.clear()
    cleared = time.perf_counter()
    print(
        f"{count:,} keys: {(written - started) / count * 1e6:.1f} us to write each, "
        f"{(read - written) / count * 1e6:.1f} us to read; "
        f"{(replaced - single) * 1e3:.2f} ms to replace one, {cleared - replaced:.2f} s to clear; "
        f"{Path(path).stat().st_size / 2**20:.0f} MiB"
    )
    backend.close()
    return wrong if size == count else [*wrong, f"{size} of {count} are counted"]


def forks(path: str, count: int) -> list[str]:
    """Forks while threads are at work; each child writes and reads."""
    backend = Sqlite(path)
    stop = threading.Event()
    done = [0] * 3

    def load(who: int) -> None:
        while not stop.is_set():
            done[who] += 1
            backend.write_bytes(f"memo:parent:{who}", b"%d" % done[who], entry(), None)
            assert backend.read_bytes(f"memo:parent:{who}", None) == b"%d" % done[who]

    def child(number: int) -> bytes | None:
        for turn in range(5):
            backend.write_bytes(f"memo:child:{number}", b"%d" % turn, entry(), None)
        return backend.read_bytes(f"memo:child:{number}", None)

    crew = Crew([lambda who=who: load(who) for who in range(len(done))])
    started = time.perf_counter()
    said = [forked(lambda number=number: child(number)) for number in range(count)]
    took = time.perf_counter() - started
    stop.set()
    crew.join()
    print(f"{count} forks in {took:.1f} s, while {sum(done)} writes were done in the parent")
    wrong = [f"child {number}: {one}" for number, one in enumerate(said) if one != repr(b"4")]
    there = stored(path)
    wrong += [f"child {n} is lost" for n in range(count) if there[f"memo:child:{n}"] != b"4"]
    wrong += [f"parent {n} is lost" for n in range(3) if int(there[f"memo:parent:{n}"]) != done[n]]
    return wrong


def main() -> int:
    """Do what is asked for; how much went wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("rounds", type=int, nargs="?", default=50)
    parser.add_argument("--keys", type=int, default=0)
    parser.add_argument("--forks", type=int, default=0)
    parser.add_argument("--directory", type=Path, help="where to write; default: a temporary one")
    options = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="memo-soak-", dir=options.directory) as directory:
        for part, count in ((kills, options.rounds), (keys, options.keys), (forks, options.forks)):
            if count:
                path = f"{directory}/{part.__name__}.db"
                wrong += part(path, count)
                wrong += problems(path)
    for one in wrong:
        print(one)
    print("all is well" if not wrong else f"{len(wrong)} things went wrong")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
