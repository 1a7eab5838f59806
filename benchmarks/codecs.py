"""What codecs cost, beside the bare libraries: `python benchmarks/codecs.py [--json FILE]`.

An entry is written and read by each codec, and the same value by msgspec, json and pickle alone,
which check nothing. They take turns, many times over, and the best round of each is shown: in
microseconds, in bytes, and as a ratio to bare msgspec with a hash of the same bytes. That is the
least that something must do which notices damage.
"""

from __future__ import annotations

import argparse
import json
import pickle
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from memo.entry import Entry
from memo.serializers import Codec

ROUNDS = 40
SECONDS = 0.001
NAME = "memo:shop.price:0123456789abcdefghijkl"
SECRET = "a secret for benchmarks, long enough"


@dataclass
class Article:
    """A row of some table."""

    number: int
    name: str
    price: float
    tags: list[str]


SMALL = {"id": 17, "name": "tea", "price": 9.99, "tags": ["a", "b"], "ok": True}
ARTICLES = [Article(number, f"article {number}", number / 7, ["a", "b"]) for number in range(100)]
ROWS = [(number, f"row {number}", number / 7) for number in range(100)]
RICH = {"at": datetime(2024, 5, 1, tzinfo=UTC), "sum": Decimal("9.99"), "seen": {1, 2, 3}}

VALUES: list[tuple[str, Any, Any]] = [
    ("a dict of five", SMALL, dict[str, Any]),
    ("a dataclass", ARTICLES[1], Article),
    ("100 dataclasses", ARTICLES, list[Article]),
    ("100 tuples", ROWS, list[tuple[int, str, float]]),
    ("1,000 integers", list(range(1000)), list[int]),
    ("a datetime, a Decimal and a set", RICH, dict[str, Any]),
]

Work = tuple[Callable[[], Any], Callable[[], Any], int]


def bare(dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any], value: Any) -> Work | None:
    """A library alone, where it takes the value at all."""
    try:
        data = dumps(value)
        loads(data)
    except (TypeError, ValueError):
        return None
    return lambda: dumps(value), lambda: loads(data), len(data)


def ours(value: Any, **options: Any) -> Work | None:
    """A codec, where it takes the value."""
    codec = Codec(**options)
    entry = Entry(value, 1_700_000_000.0, 1_700_000_300.0, 1_700_000_300.0)
    try:
        data = codec.encode(NAME, entry)
    except Exception:
        return None
    return lambda: codec.encode(NAME, entry), lambda: codec.decode(NAME, data), len(data)


def ways(value: Any, annotation: Any) -> dict[str, Work]:
    """All that can write and read `value`."""
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(annotation).decode
    size = len(Codec(annotation=annotation).encode(NAME, Entry(value, 1.0)))
    noise = bytes(size)  # what a codec's hash goes over

    def hashed_dumps(thing: Any) -> bytes:
        sha256(noise).digest()
        return encode(thing)

    def hashed_loads(data: bytes) -> Any:
        sha256(noise).digest()
        return decode(data)

    found = {
        "msgspec and a hash": bare(hashed_dumps, hashed_loads, value),
        "msgspec": bare(encode, decode, value),
        "json": bare(lambda thing: json.dumps(thing).encode(), json.loads, value),
        "pickle": bare(lambda thing: pickle.dumps(thing, 5), pickle.loads, value),
        "Codec('msgpack'), annotated": ours(value, annotation=annotation),
        "Codec('msgpack')": ours(value),
        "Codec('msgpack'), signed": ours(value, annotation=annotation, secrets=SECRET),
        "Codec('json'), annotated": ours(value, serializer="json", annotation=annotation),
        "Codec('pickle')": ours(value, serializer="pickle", secrets=SECRET),
    }
    return {name: work for name, work in found.items() if work is not None}


def best_of(statements: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds that each takes: the best of many short rounds, in turns."""
    timers = {name: timeit.Timer(statement) for name, statement in statements.items()}
    numbers = {}
    for name, timer in timers.items():
        once = min(timer.repeat(3, 10)) / 10
        numbers[name] = max(1, int(SECONDS / once))
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            best[name] = min(best[name], timer.timeit(numbers[name]) / numbers[name])
    return best


def measured() -> list[dict[str, Any]]:
    """A row for each value and each way, with times in microseconds; printed while measuring."""
    rows = []
    for title, value, annotation in VALUES:
        found = ways(value, annotation)
        writing = best_of({name: work[0] for name, work in found.items()})
        reading = best_of({name: work[1] for name, work in found.items()})
        print(f"\n{title:<36}{'decode':>10}{'ratio':>8}{'encode':>10}{'ratio':>8}{'bytes':>8}")
        for name, work in found.items():
            row: dict[str, Any] = {"value": title, "codec": name, "bytes": work[2]}
            for what, times in (("decode", reading), ("encode", writing)):
                row[what] = times[name] * 1e6
                row[f"{what} ratio"] = times[name] / times["msgspec and a hash"]
            rows.append(row)
            print(
                f"  {name:<34}{row['decode']:9.2f} {row['decode ratio']:7.2f} "
                f"{row['encode']:9.2f} {row['encode ratio']:7.2f} {work[2]:7d}"
            )
    return rows


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition(":")[0])
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows = measured()
    if options.json:
        options.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
