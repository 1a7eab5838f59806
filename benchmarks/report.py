"""The results as Markdown: what memo wants to hold, and a table for each kind of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import scale
from results import BARS, Results, growth, spread

__all__ = ["nanoseconds", "report"]

#: Chapters of the report, and what the groups in them begin with.
CHAPTERS = {
    "Sync hits": ("sync hit",),
    "Method hits": ("method hit",),
    "Async hits": ("async hit",),
    "Async method hits": ("async method hit",),
    "Misses": ("sync miss",),
    "Async misses": ("async miss",),
    "Stampedes of threads": ("stampede, 64",),
    "Stampedes of tasks": ("stampede, 1,000",),
    "Recursion": ("recursion, 100",),
    "Short-lived instances": ("short-lived",),
    "Redis, from plain functions": ("Redis hit, sync", "Redis miss, sync", "Redis hit, 8 threads"),
    "Redis, from coroutine functions": ("Redis hit, async", "Redis hit, 90", "Redis miss, async"),
    "SQLite": ("SQLite",),
    "memcached, from plain functions": (
        "memcached hit, sync",
        "memcached miss, sync",
        "memcached hit, 8 threads",
    ),
    "memcached, from coroutine functions": (
        "memcached hit, async",
        "memcached hit, 90",
        "memcached miss, async",
    ),
}


def report(results: Results, drawn: list[str]) -> str:
    """The whole, with the pictures that were drawn, by their paths without `.svg`."""
    about = results["machine"]
    measured = (
        f"Measured on {about['date']}: {about['cpu']}, {about['cores']} cores, {about['system']}, "
        f"{about['python']}, load {about['load']:.1f} at the start; {about['versions']}. "
        f"Turns: {results['turns']}; it took {about['minutes']:.0f} minutes."
    )
    lines = [measured, ""]
    lines += failed(results)
    lines += bars(results)
    for path in drawn:
        lines += [f"![{path.rpartition('/')[2]}]({path}.svg)"]
    lines += [""]
    for title, beginnings in CHAPTERS.items():
        lines += chapter(results, title, beginnings)
    lines += others(results)
    for part in (sizes, figures, imports, flat, scales, codecs, traces, lacking):
        lines += part(results)
    return "\n".join(lines).strip() + "\n"


# How figures are written.


def nanoseconds(value: float) -> str:
    """A time as one reads it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{three(value / size)} {unit}"
    return f"{value:.0f} ns"


def three(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float | None) -> str:
    """A ratio as one reads it."""
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def headed(title: str) -> list[str]:
    """The head of a part."""
    return [f"### {title}", ""]


def table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table; all columns but the first are figures."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


# The parts.


def failed(results: Results) -> Iterator[str]:
    """What could not be measured."""
    if results["failed"]:
        yield from headed("What failed")
        for one in results["failed"]:
            yield f"- {one['what']}: `{one['why'][:200]}`"
        yield ""


def bars(results: Results) -> Iterator[str]:
    """What memo wants to hold, and what it held."""
    rows = []
    for bar in BARS:
        at_most = f"{bar.at_most:g} {bar.unit}".strip()
        found = spread(bar.of(results))
        if found:
            _, low, middle, high, _ = found
            held = "yes" if middle <= bar.at_most else "no"
            measured = [f"{middle:.2f}", f"{low:.2f} to {high:.2f}" if low < high else "", held]
        elif results["whole"]:
            measured = ["not measured", "", "?"]
        else:
            continue
        rows.append([bar.work, bar.against, at_most, *measured])
    if rows:
        yield from headed("What memo wants to hold")
        head = ["work", "compared with", "at most", "measured", "middle half of the turns", "held"]
        yield from table(head, rows)


def chapter(results: Results, title: str, beginnings: tuple[str, ...]) -> Iterator[str]:
    """One table: work by row, peers by column."""
    times = results["times"]
    groups = [g for g in times if g.startswith(beginnings) and "entries" not in g]
    if not groups:
        return
    columns = list(dict.fromkeys(p for g in groups for p in times[g] if p != "memo"))
    rows = []
    for group in groups:
        found = times[group]
        row = [group, nanoseconds(found["memo"]["ns"]) if "memo" in found else "failed"]
        rows.append(row + [ratio(_median(found.get(peer))) for peer in columns])
    yield from headed(title)
    yield from table(["memo's time by the peer's", "memo", *columns], rows)
    for note, head in (("runs", "function runs per stampede"), ("alive", "alive after collection")):
        for group in groups:
            told = {p: about[note] for p, about in times[group].items() if note in about}
            if told:
                listed = "; ".join(f"{peer} {what}" for peer, what in told.items())
                yield f"{head.capitalize()}: {listed}."
                yield ""


def _median(found: dict[str, Any] | None) -> float | None:
    return found["memo_ratio"][2] if found and found["memo_ratio"] else None


def others(results: Results) -> Iterator[str]:
    """Groups that no chapter above is for."""
    known = tuple(beginning for beginnings in CHAPTERS.values() for beginning in beginnings)
    for group in results["times"]:
        if not group.startswith((*known, "import")):
            yield from chapter(results, group[:1].upper() + group[1:], (group,))


def sizes(results: Results) -> Iterator[str]:
    """Hits by size of the store."""
    times = results["times"]
    groups = [g for g in times if g.endswith("entries")]
    if not groups:
        return
    peers = list(times[groups[0]])
    rows = []
    for group in groups:
        cells = [nanoseconds(times[group][p]["ns"]) if p in times[group] else "" for p in peers]
        rows.append([group.split(", ", 2)[2], *cells])
    grown = {peer: spread(list(growth(results, peer).values())) for peer in peers}
    if any(grown.values()):
        medians = (grown[peer] for peer in peers)
        rows.append(["1M by 1k", *(ratio(found and found[2]) for found in medians)])
    yield from headed("Size of the store")
    yield from table(["sync hit, one str, among", *peers], rows)


def figures(results: Results) -> Iterator[str]:
    """What is not measured in time."""
    for group, found in results["figures"].items():
        yield from headed(group.capitalize())
        resident = any("resident" in about for about in found.values())
        unit = next(iter(found.values()))["unit"]
        ours = found.get("memo", {}).get("value")
        rows = []
        for peer, about in found.items():
            value = about["value"]
            row = [peer, f"{value:.0f}"] + ([f"{about['resident']:.0f}"] if resident else [])
            rows.append([*row, ratio(ours / value) if ours and value >= 1 else ""])
        head = ["", unit, *(["resident set, bytes"] if resident else []), "memo's by the peer's"]
        yield from table(head, rows)


def imports(results: Results) -> Iterator[str]:
    """Times of imports."""
    found = results["times"].get("import")
    if found:
        yield from headed("Import")
        rows = [[p, nanoseconds(f["ns"]), ratio(_median(f))] for p, f in found.items()]
        yield from table(["", "time", "memo's by the peer's"], rows)


def flat(results: Results) -> Iterator[str]:
    """How memory went over a long run."""
    for name, rows in results.get("flat", {}).items():
        yield from headed(
            f"{rows[-1]['keys']:,} distinct keys through maxsize={rows[-1]['held']:,}"
        )
        shown = rows[:: max(1, len(rows) // 5)]
        if rows[-1] is not shown[-1]:
            shown.append(rows[-1])
        what = "traced" if name == "traced" else "resident"
        cells = [
            [*(f"{row[n]:,}" for n in ("keys", "held", "blocks")), f"{row[what] / 2**20:.2f}"]
            for row in shown
        ]
        yield from table(["keys", "held", "blocks", f"{what}, MiB"], cells)


def scales(results: Results) -> Iterator[str]:
    """What `scale.py` found."""
    for part, rows in results.get("scale", {}).items():
        yield from headed(scale.TITLES[part])
        head = list(rows[0])
        yield from table(head, [[scale.shown(row[name]) for name in head] for row in rows])


def codecs(results: Results) -> Iterator[str]:
    """What `codecs.py` found: times by that of msgspec with a hash."""
    rows = results.get("codecs")
    if not rows:
        return
    yield from headed("Codecs")
    yield "Times by those of msgspec and a hash of the same bytes (decode · encode, in µs, for it)."
    yield ""
    names = list(dict.fromkeys(row["codec"] for row in rows))
    by_value: dict[str, dict[str, Any]] = {}
    for row in rows:
        by_value.setdefault(row["value"], {})[row["codec"]] = row
    lines = []
    for value, found in by_value.items():
        line = [value]
        for name in names:
            row = found.get(name)
            if row is None:
                line.append("")
            elif name == "msgspec and a hash":
                line.append(f"{three(row['decode'])} · {three(row['encode'])}")
            else:
                line.append(f"{ratio(row['decode ratio'])} · {ratio(row['encode ratio'])}")
        lines.append(line)
    yield from table(["decode · encode", *names], lines)


def traces(results: Results) -> Iterator[str]:
    """Hit ratios on recorded traces."""
    rows = results.get("traces")
    if rows:
        yield from headed("Hit ratios on traces")
        names = [name for name in rows[0] if name not in {"trace", "size"}]
        cells = [
            [f"{row['trace']}, {row['size']}", *(f"{row[n]:.2f}" for n in names)] for row in rows
        ]
        yield from table(["percent; trace, size", *names], cells)


def lacking(results: Results) -> Iterator[str]:
    """What each peer does not do."""
    told: dict[str, str] = {}
    for group in (*results["times"].values(), *results["figures"].values()):
        told |= {peer: about["lacks"] for peer, about in group.items() if about.get("lacks")}
    if told:
        yield from headed("What the peers do not do")
        yield "| peer | of what memo does, it lacks |"
        yield "|---|---|"
        for name, lacks in told.items():
            yield f"| {name} | {lacks} |"
        yield ""
