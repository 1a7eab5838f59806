"""What was measured, in one mapping that JSON can hold; and what memo wants to hold.

`times` has, by group and peer, nanoseconds and their ratio to memo's; `figures` what is no time;
`flat`, `scale`, `codecs` and `traces` the rows of the scripts of these names.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BARS", "Bar", "Results", "Spread", "collected", "growth", "packages", "spread"]

Results = dict[str, Any]

#: The least, a quarter, the median, three quarters, and the most of what the turns gave.
Spread = tuple[float, float, float, float, float]


def spread(values: Sequence[float]) -> Spread | None:
    """How values lie; None where there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    if len(ordered) == 1:
        return (ordered[0],) * 5
    low, middle, high = statistics.quantiles(ordered, n=4, method="inclusive")
    return ordered[0], low, middle, high, ordered[-1]


def collected(benchmarks: list[dict[str, Any]]) -> Results:
    """What pytest-benchmark has measured, by group and peer."""
    times: dict[str, dict[str, dict[str, Any]]] = {}
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for one in benchmarks:
        about = dict(one["extra_info"])
        group, peer = one["group"], about.pop("peer")
        if "value" in about:
            figures.setdefault(group, {})[peer] = about
            continue
        nanoseconds = one["stats"]["median"] / about.pop("calls") * 1e9
        found = times.setdefault(group, {}).setdefault(peer, {"turns": {}})
        found["turns"][str(about.pop("turn"))] = nanoseconds
        found.update(about)
    for by_peer in times.values():
        ours = by_peer.get("memo", {"turns": {}})["turns"]
        for found in by_peer.values():
            found["ns"] = statistics.median(found["turns"].values())
            found["memo_ratio"] = spread(by(ours, found["turns"]))
    return {"times": times, "figures": figures}


def by(ours: dict[str, float], theirs: dict[str, float]) -> list[float]:
    """Ratios of what was measured in the same turn."""
    return [ours[turn] / theirs[turn] for turn in ours if turn in theirs]


def packages(results: Results) -> set[str]:
    """The distributions that something was measured of."""
    groups = [*results["times"].values(), *results["figures"].values()]
    found = {about.get("package") for group in groups for about in group.values()}
    return {name for name in found if name}


@dataclass(frozen=True)
class Bar:
    """Something that memo wants to hold.

    Attributes:
        work: what is done.
        against: what it is compared with.
        at_most: what it may be; a ratio, unless `unit` says otherwise.
        of: what was measured in each turn; nothing where it was not measured.
        unit: what is counted.
    """

    work: str
    against: str
    at_most: float
    of: Callable[[Results], Sequence[float]]
    unit: str = ""


def _turns(results: Results, group: str, peer: str) -> dict[str, float]:
    return results["times"].get(group, {}).get(peer, {}).get("turns", {})  # type: ignore[no-any-return]


def _ratio(group: str, peer: str) -> Callable[[Results], Sequence[float]]:
    """Time of memo by a peer's."""
    return lambda results: by(_turns(results, group, "memo"), _turns(results, group, peer))


def _keyword(results: Results) -> Sequence[float]:
    """Of all calls by keyword, the one that costs most, by the positional call of the same."""
    pairs = [
        ("sync hit, one by keyword", "sync hit, one int"),
        ("sync hit, two, the last by keyword", "sync hit, two ints"),
        ("sync hit, two by keyword", "sync hit, two ints"),
    ]
    found = [by(_turns(results, k, "memo"), _turns(results, p, "memo")) for k, p in pairs]
    return max((ratios for ratios in found if ratios), key=statistics.median, default=[])


def growth(results: Results, peer: str) -> dict[str, float]:
    """By turn, how much dearer a hit is among a million entries than among a thousand."""
    small = _turns(results, "sync hit, one str, 1,000 entries", peer)
    large = _turns(results, "sync hit, one str, 1,000,000 entries", peer)
    return {turn: large[turn] / small[turn] for turn in large if turn in small}


def _growth(results: Results) -> Sequence[float]:
    return by(growth(results, "memo"), growth(results, "a plain dict"))


def _bytes(results: Results) -> Sequence[float]:
    held = results["figures"].get("memory per entry", {})
    if "memo" not in held or "cachetools TTLCache, lock, info" not in held:
        return []
    return [held["memo"]["value"] / held["cachetools TTLCache, lock, info"]["value"]]


def _import(results: Results) -> Sequence[float]:
    return [ns / 1e6 for ns in _turns(results, "import", "memo beyond its dependencies").values()]


def _stall(results: Results) -> Sequence[float]:
    rows = results.get("scale", {}).get("expiry", [])
    of_memo = [row for row in rows if row["store"].startswith("memo")]
    return [max(row["longest call after that, ms"] for row in of_memo)] if of_memo else []


def _behind(recorded: tuple[str, ...], *others: str) -> Callable[[Results], Sequence[float]]:
    """By how many points of hit ratio the best of `others` is better, at worst, on such traces."""

    def of(results: Results) -> Sequence[float]:
        rows = [row for row in results.get("traces", ()) if row["trace"].startswith(recorded)]
        rows = [row for row in rows if all(other in row for other in others)]
        behind = [max(row[other] for other in others) - row["memo"] for row in rows]
        return [max(behind)] if behind else []

    return of


_SITE = ("web07", "orm-night")
_LIRS = ("multi", "sprite", "gli", "loop", "2_pools")
_POLICIES = ("LRU", "SIEVE", "S3-FIFO", "LFU", "theine")

BARS = [
    Bar("sync hit", "cachebox TTLCache", 0.55, _ratio("sync hit, one int", "cachebox TTLCache")),
    Bar(
        "sync hit",
        "cachetools TTLCache, lock, info",
        0.25,
        _ratio("sync hit, one int", "cachetools TTLCache, lock, info"),
    ),
    Bar("sync hit", "functools.lru_cache", 4.5, _ratio("sync hit, one int", "functools.lru_cache")),
    Bar("async hit", "cachebox TTLCache", 0.5, _ratio("async hit, one int", "cachebox TTLCache")),
    Bar("async hit", "async-lru", 0.4, _ratio("async hit, one int", "async-lru")),
    Bar("method hit", "wrapt.lru_cache", 0.45, _ratio("method hit, one int", "wrapt.lru_cache")),
    Bar(
        "method hit",
        "cachetools.cachedmethod, lock",
        0.7,
        _ratio("method hit, one int", "cachetools.cachedmethod, lock"),
    ),
    Bar("keyword call hit", "memo's own positional hit", 3, _keyword),
    Bar(
        "miss with eviction, full store",
        "cachetools TTLCache, lock",
        0.7,
        _ratio("sync miss, full store", "cachetools TTLCache, lock"),
    ),
    Bar("hit among 1M entries by hit among 1k", "a plain dict's own", 1.1, _growth),
    Bar("bytes per entry beyond key and value", "cachetools TTLCache", 1, _bytes),
    Bar("`import memo` beyond its dependencies", "", 15, _import, "ms"),
    Bar("longest call after a million entries expired", "", 1, _stall, "ms"),
    Bar("hit ratio, web07 and orm-night", "best policy", 2, _behind(_SITE, *_POLICIES), "points"),
    Bar("hit ratio, the LIRS traces", "theine", 3, _behind(_LIRS, "theine"), "points"),
    Bar("hit ratio, all traces", "LRU", 1.2, _behind(("",), "LRU"), "points"),
    Bar(
        "Redis hit, sync",
        "the client's `GET`, decoded",
        1.2,
        _ratio("Redis hit, sync", "redis-py, msgspec"),
    ),
    Bar(
        "Redis hit, async",
        "the client's `GET`, decoded",
        1.2,
        _ratio("Redis hit, async", "redis-py, msgspec"),
    ),
    Bar(
        "Redis hit, sync",
        "dogpile.cache (redis)",
        1,
        _ratio("Redis hit, sync", "dogpile.cache (redis)"),
    ),
    Bar("Redis hit, async", "aiocache (redis)", 1, _ratio("Redis hit, async", "aiocache (redis)")),
    Bar("Redis hit, async", "cashews (redis)", 1, _ratio("Redis hit, async", "cashews (redis)")),
    Bar(
        "Redis hit, 90 at once",
        "aiocache (redis)",
        0.2,
        _ratio("Redis hit, 90 at once", "aiocache (redis)"),
    ),
    Bar("SQLite hit", "diskcache memoize", 0.6, _ratio("SQLite hit, sync", "diskcache")),
    Bar("SQLite write", "diskcache memoize", 0.4, _ratio("SQLite write, sync", "diskcache")),
]
