"""Run all benchmarks; write the figures as JSON and Markdown, and draw them.

    python benchmarks/run.py                      # into build/benchmarks/
    python benchmarks/run.py --publish            # and into docs/benchmarks.md
    python benchmarks/run.py --only hits,misses   # of bench_hits.py and bench_misses.py alone

Peers take turns, and a ratio is the median over the turns of the ratio in one (see conftest.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import peers
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PICTURES = PAGE.parent / "benchmarks"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

#: Chapters of the report, and what the groups in them begin with.
CHAPTERS = {
    "Sync hits": ("sync hit, one int", "sync hit, one", "sync hit, two", "sync hit, five"),
    "Method hits": ("method hit",),
    "Async hits": ("async hit",),
    "Misses": ("sync miss",),
    "Async misses": ("async miss",),
    "Stampedes of threads": ("stampede, 64",),
    "Stampedes of tasks": ("stampede, 1,000",),
    "Recursion": ("recursion, 100",),
    "Short-lived instances": ("short-lived",),
}

#: What memo wants to hold: (work, group, compared with, at most).
BARS = [
    ("sync hit", "sync hit, one int", "cachebox TTLCache", 0.55),
    ("sync hit", "sync hit, one int", "cachetools TTLCache, lock, info", 0.25),
    ("sync hit", "sync hit, one int", "functools.lru_cache", 4.5),
    ("async hit", "async hit, one int", "cachebox TTLCache", 0.5),
    ("async hit", "async hit, one int", "async-lru", 0.4),
    ("method hit", "method hit, one int", "wrapt.lru_cache", 0.45),
    ("method hit", "method hit, one int", "cachetools.cachedmethod, lock", 0.7),
    ("miss with eviction", "sync miss, full store", "cachetools TTLCache, lock", 0.7),
]

Results = dict[str, Any]


def run_benchmarks(modules: list[str], turns: int) -> list[dict[str, Any]]:
    """The results of pytest-benchmark for these modules, each in a process of its own."""
    done: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="memo-benchmarks-") as scratch:
        for module in modules:
            print(f"bench_{module}.py ...", file=sys.stderr, flush=True)
            report = Path(scratch) / f"{module}.json"
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            command += [f"--benchmark-json={report}", f"--turns={turns}"]
            command += [str(HERE / f"bench_{module}.py")]
            subprocess.run(command, check=True, cwd=HERE.parent, stdout=subprocess.DEVNULL)
            done += json.loads(report.read_text())["benchmarks"]
    return done


def collected(benchmarks: list[dict[str, Any]]) -> Results:
    """Times in nanoseconds by group and peer, with ratios to memo; and other figures."""
    turns: dict[str, dict[str, dict[int, float]]] = {}
    notes: dict[str, dict[str, dict[str, Any]]] = {}
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for one in benchmarks:
        about = dict(one["extra_info"])
        group, peer = one["group"], about.pop("peer")
        if "value" in about:
            figures.setdefault(group, {})[peer] = about
            continue
        nanoseconds = one["stats"]["median"] / about.pop("calls") * 1e9
        turns.setdefault(group, {}).setdefault(peer, {})[about.pop("turn")] = nanoseconds
        notes.setdefault(group, {})[peer] = about
    times: dict[str, dict[str, dict[str, Any]]] = {}
    for group, by_peer in turns.items():
        memo = by_peer.get("memo", {})
        for peer, by_turn in by_peer.items():
            ratios = sorted(memo[turn] / by_turn[turn] for turn in by_turn if turn in memo)
            times.setdefault(group, {})[peer] = {
                "ns": statistics.median(by_turn.values()),
                "memo_ratio": statistics.median(ratios) if ratios else None,
                "memo_ratio_range": [ratios[0], ratios[-1]] if ratios else None,
                **notes[group][peer],
            }
    return {"times": times, "figures": figures}


def machine() -> dict[str, str]:
    """What the figures were measured on, and with."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
        model = next(
            (value.strip() for name, _, value in lines if name.strip() == "model name"), ""
        )
    packages = {peer.package for peer in [*peers.SYNC, *peers.ASYNC, *peers.METHODS]}
    found = {name: importlib.metadata.version(name) for name in packages if name}
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": model,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": ", ".join(f"{name} {found[name]}" for name in sorted(found)),
    }


def flat_memory(count: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of `flat_memory.py`: one long run, and a shorter one that counts bytes."""
    rows = {}
    with tempfile.TemporaryDirectory(prefix="memo-benchmarks-") as scratch:
        for name, options in {
            "long": [f"--count={count}"],
            "traced": [f"--count={count // 20}", "--tracemalloc"],
        }.items():
            report = Path(scratch) / f"{name}.json"
            command = [sys.executable, str(HERE / "flat_memory.py"), *options, f"--json={report}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            rows[name] = json.loads(report.read_text())
    return rows


# The report.


def nanoseconds(value: float) -> str:
    """A time as one reads it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} ns"


def ratio(value: float | None) -> str:
    """A ratio as one reads it."""
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Lines of a Markdown table; all columns but the first are figures."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def bars(results: Results) -> Iterator[str]:
    """What memo wants to hold, and what it held."""
    rows = []
    for work, group, peer, bound in BARS:
        found = results["times"].get(group, {}).get(peer)
        if found:
            low, high = found["memo_ratio_range"]
            rows.append(
                [work, peer, f"{bound}", ratio(found["memo_ratio"]), f"{low:.2f} to {high:.2f}"]
            )
    keyword = keyword_ratio(results)
    if keyword is not None:
        rows.append(["keyword call hit", "memo's own positional hit", "3", ratio(keyword), ""])
    held = results["figures"].get("memory per entry", {})
    if held:
        ours, theirs = held["memo"]["value"], held["cachetools TTLCache, lock, info"]["value"]
        rows.append(["bytes per entry", "cachetools TTLCache", "1", ratio(ours / theirs), ""])
    imports = results["times"].get("import", {})
    if imports:
        beyond = imports["memo beyond its dependencies"]["ns"]
        rows.append(["`import memo` beyond its dependencies", "", "15 ms", nanoseconds(beyond), ""])
    scale = growth(results)
    if scale:
        rows.append(
            [
                "hit at 1M entries by hit at 1k",
                "a plain dict's own",
                "1.1",
                ratio(scale["memo"] / scale["a plain dict"]),
                "",
            ]
        )
    if rows:
        yield "### What memo wants to hold"
        yield ""
        yield from table(["work", "compared with", "at most", "measured", "turns"], rows)


def keyword_ratio(results: Results) -> float | None:
    """A hit with a keyword by one without."""
    times = results["times"]
    positional = times.get("sync hit, two ints", {}).get("memo")
    keyword = times.get("sync hit, two by keyword", {}).get("memo")
    return keyword["ns"] / positional["ns"] if positional and keyword else None


def growth(results: Results) -> dict[str, float]:
    """How much dearer a hit is among a million entries than among a thousand, by peer."""
    small = results["times"].get("sync hit, one str, 1,000 entries", {})
    large = results["times"].get("sync hit, one str, 1,000,000 entries", {})
    return {peer: large[peer]["ns"] / small[peer]["ns"] for peer in large if peer in small}


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
        row = [group, nanoseconds(found["memo"]["ns"])]
        rows.append(row + [ratio(found[p]["memo_ratio"]) if p in found else "" for p in columns])
    yield f"### {title}"
    yield ""
    yield from table(["memo's time by the peer's", "memo", *columns], rows)
    for note, head in (("runs", "function runs per stampede"), ("alive", "alive after collection")):
        noted = [g for g in groups if any(note in found for found in times[g].values())]
        for group in noted:
            told = (f"{p} {found[note]}" for p, found in times[group].items() if note in found)
            yield f"{head.capitalize()}: {'; '.join(told)}."
            yield ""


def scale(results: Results) -> Iterator[str]:
    """Hits by size of the store."""
    groups = [g for g in results["times"] if g.endswith("entries")]
    if not groups:
        return
    names = list(results["times"][groups[0]])
    rows = [
        [group.split(", ", 2)[2], *(nanoseconds(results["times"][group][p]["ns"]) for p in names)]
        for group in groups
    ]
    rows.append(["1M by 1k", *(ratio(growth(results).get(name)) for name in names)])
    yield "### Size of the store"
    yield ""
    yield from table(["sync hit, one str, among", *names], rows)


def figures(results: Results) -> Iterator[str]:
    """What is not measured in time."""
    for group, found in results["figures"].items():
        yield f"### {group.capitalize()}"
        yield ""
        resident = any("resident" in about for about in found.values())
        unit = next(iter(found.values()))["unit"]
        head = ["", unit] + (["resident set, bytes"] if resident else [])
        rows = [
            [peer, f"{about['value']:.0f}"] + ([f"{about['resident']:.0f}"] if resident else [])
            for peer, about in found.items()
        ]
        yield from table(head, rows)


def imports(results: Results) -> Iterator[str]:
    """Times of imports."""
    found = results["times"].get("import")
    if found:
        yield "### Import"
        yield ""
        yield from table(["", "time"], [[p, nanoseconds(f["ns"])] for p, f in found.items()])


def flat(results: Results) -> Iterator[str]:
    """How memory went over a long run."""
    if "flat" not in results:
        return
    for name, rows in results["flat"].items():
        count = rows[-1]["keys"]
        yield f"### {count:,} distinct keys through maxsize={rows[-1]['held']:,}"
        yield ""
        shown = rows[:: max(1, len(rows) // 5)]
        if rows[-1] is not shown[-1]:
            shown.append(rows[-1])
        what = "traced" if name == "traced" else "resident"
        yield from table(
            ["keys", "held", f"{what}, MiB", "blocks"],
            [
                [
                    f"{row['keys']:,}",
                    f"{row['held']:,}",
                    f"{row[what] / 2**20:.2f}",
                    f"{row['blocks']:,}",
                ]
                for row in shown
            ],
        )


def about_peers() -> Iterator[str]:
    """What each peer does not do."""
    yield "### What the peers do not do"
    yield ""
    yield "| peer | of what memo does, it lacks |"
    yield "|---|---|"
    told = {p.name: p.lacks for p in [*peers.SYNC, *peers.ASYNC, *peers.METHODS] if p.lacks}
    for name, lacks in told.items():
        yield f"| {name} | {lacks} |"
    yield ""


def report(results: Results, pictures: str) -> str:
    """The results as Markdown."""
    about = results["machine"]
    measured_on = (
        f"Measured on {about['date']}: {about['cpu']}, {about['cores']} cores, {about['system']}, "
        f"{about['python']}; {about['versions']}. {results['turns']} turns."
    )
    lines = [measured_on, ""]
    lines += bars(results)
    lines += [f"![{name}]({pictures}{name}.svg)" for name in results["pictures"]] + [""]
    for title, beginnings in CHAPTERS.items():
        lines += chapter(results, title, beginnings)
    for part in (scale, figures, imports, flat):
        lines += part(results)
    lines += about_peers()
    return "\n".join(lines).strip() + "\n"


# Pictures.


def bar_chart(results: Results, group: str, path: Path) -> None:
    """Times of one group."""
    found = sorted(results["times"][group].items(), key=lambda item: item[1]["ns"], reverse=True)
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(found) + 1))
    colours = ["tab:orange" if name == "memo" else "tab:blue" for name, _ in found]
    drawn = axes.barh([name for name, _ in found], [f["ns"] for _, f in found], color=colours)
    axes.bar_label(drawn, [nanoseconds(f["ns"]) for _, f in found], padding=3)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_title(group)
    axes.set_xlabel("ns per call")
    save(figure, path)


def scale_chart(results: Results, path: Path) -> None:
    """Hits by size of the store."""
    groups = [g for g in results["times"] if g.endswith("entries")]
    sizes = [int(g.split(", ", 2)[2].split()[0].replace(",", "")) for g in groups]
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in results["times"][groups[0]]:
        times = [results["times"][group][name]["ns"] for group in groups]
        axes.plot(sizes, times, marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="entries", ylabel="ns per hit")
    axes.set_title("sync hit by size of the store")
    axes.legend()
    save(figure, path)


def flat_chart(results: Results, path: Path) -> None:
    """Memory over a long run."""
    rows = results["flat"]["long"]
    figure, axes = plt.subplots(figsize=(7, 3.5))
    axes.plot([r["keys"] / 1e6 for r in rows], [r["resident"] / 2**20 for r in rows], marker=".")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="million distinct keys", ylabel="resident, MiB")
    axes.set_title(f"maxsize={rows[-1]['held']:,}")
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write the picture, the same bytes for the same figures."""
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw(results: Results, directory: Path) -> list[str]:
    """Draw all there is to draw; the names of the pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "memo"
    drawn = []
    charts = {
        "sync-hit": "sync hit, one int",
        "async-hit": "async hit, one int",
        "method-hit": "method hit, one int",
        "miss": "sync miss, full store",
    }
    for name, group in charts.items():
        if group in results["times"]:
            bar_chart(results, group, directory / f"{name}.svg")
            drawn.append(name)
    if any(group.endswith("entries") for group in results["times"]):
        scale_chart(results, directory / "size.svg")
        drawn.append("size")
    if "flat" in results:
        flat_chart(results, directory / "flat-memory.svg")
        drawn.append("flat-memory")
    return drawn


def publish(results: Results) -> None:
    """Put the results into the page of the documentation."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    results["pictures"] = draw(results, PICTURES)
    text = report(results, "benchmarks/")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> None:
    """Run, write, draw."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "--only", default=",".join(known), help="which benchmarks; all if not given"
    )
    parser.add_argument("--turns", type=int, default=9, help="how often the peers take turns")
    parser.add_argument(
        "--keys", type=int, default=1_000_000, help="distinct keys for flat_memory.py"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "build" / "benchmarks", help="where to write"
    )
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md, too")
    parser.add_argument("--from", dest="given", type=Path, help="report this JSON, and run nothing")
    options = parser.parse_args()
    if options.given:
        results = json.loads(options.given.read_text())
    else:
        results = collected(run_benchmarks(options.only.split(","), options.turns))
        results |= {"machine": machine(), "turns": options.turns}
        if options.only == ",".join(known):
            results["flat"] = flat_memory(options.keys)
    options.out.mkdir(parents=True, exist_ok=True)
    results["pictures"] = draw(results, options.out)
    (options.out / "results.json").write_text(json.dumps(results, indent=1))
    (options.out / "results.md").write_text(report(results, ""))
    if options.publish:
        publish(results)
    print(report(results, ""))


if __name__ == "__main__":
    main()
