"""The results as pictures (SVG)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from report import nanoseconds
from results import Results

__all__ = ["draw"]

#: Names of bar charts, and the groups in them.
CHARTS = {
    "sync-hit": "sync hit, one int",
    "async-hit": "async hit, one int",
    "method-hit": "method hit, one int",
    "miss": "sync miss, full store",
    "redis-hit": "Redis hit, sync",
    "redis-concurrent-hits": "Redis hit, 90 at once",
    "sqlite-hit": "SQLite hit, sync",
    "memcached-hit": "memcached hit, sync",
}


def draw(results: Results, directory: Path) -> list[str]:
    """Draw all there is to draw; the names of the pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "memo"
    drawn = {}
    for name, group in CHARTS.items():
        if group in results["times"]:
            drawn[name] = bar_chart(results, group)
    if "memory per entry" in results["figures"]:
        drawn["memory"] = memory_chart(results)
    if any(group.endswith("entries") for group in results["times"]):
        drawn["size"] = size_chart(results)
    if "flat" in results:
        drawn["flat-memory"] = flat_chart(results)
    if results.get("traces"):
        drawn["hit-ratio"] = traces_chart(results)
    for name, figure in drawn.items():
        figure.tight_layout()
        # The same bytes for the same figures.
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
    return list(drawn)


def bar_chart(results: Results, group: str) -> Any:
    """Times of one group; whiskers over the turns."""
    found = sorted(results["times"][group].items(), key=lambda item: item[1]["ns"], reverse=True)
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(found) + 1))
    names = [name for name, _ in found]
    times = [about["ns"] for _, about in found]
    turns = [about["turns"].values() for _, about in found]
    whiskers = [
        [time - min(all_turns) for time, all_turns in zip(times, turns, strict=True)],
        [max(all_turns) - time for time, all_turns in zip(times, turns, strict=True)],
    ]
    colours = ["tab:orange" if name == "memo" else "tab:blue" for name in names]
    drawn = axes.barh(names, times, color=colours, xerr=whiskers, ecolor="tab:gray")
    axes.bar_label(drawn, [nanoseconds(time) for time in times], padding=3)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_title(group)
    axes.set_xlabel("ns per call")
    return figure


def memory_chart(results: Results) -> Any:
    """Bytes of an entry."""
    found = results["figures"]["memory per entry"].items()
    found = sorted(found, key=lambda item: item[1]["resident"], reverse=True)
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(found) + 1))
    names = [name for name, _ in found]
    colours = ["tab:orange" if name == "memo" else "tab:blue" for name in names]
    drawn = axes.barh(names, [about["resident"] for _, about in found], color=colours)
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.margins(x=0.15)
    axes.set_title("resident set by entry, beyond key and value")
    axes.set_xlabel("bytes")
    return figure


def size_chart(results: Results) -> Any:
    """Hits by size of the store."""
    by_size = {
        int(group.split(", ", 2)[2].split()[0].replace(",", "")): found
        for group, found in results["times"].items()
        if group.endswith("entries")
    }
    figure, axes = plt.subplots(figsize=(7, 4))
    for name in next(iter(by_size.values())):
        points = [(size, found[name]["ns"]) for size, found in by_size.items() if name in found]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="entries", ylabel="ns per hit")
    axes.set_title("sync hit by size of the store")
    axes.legend()
    return figure


def flat_chart(results: Results) -> Any:
    """Memory over a long run."""
    rows = results["flat"]["long"]
    figure, axes = plt.subplots(figsize=(7, 3.5))
    axes.plot([r["keys"] / 1e6 for r in rows], [r["resident"] / 2**20 for r in rows], marker=".")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="million distinct keys", ylabel="resident, MiB")
    axes.set_title(f"maxsize={rows[-1]['held']:,}")
    return figure


def traces_chart(results: Results) -> Any:
    """Hit ratios of each trace, by the size of the cache."""
    rows = results["traces"]
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    policies = [name for name in rows[0] if name not in {"trace", "size"}]
    across = 3
    down = -(-len(traces) // across)
    figure, grid = plt.subplots(down, across, figsize=(9, 2.4 * down), squeeze=False)
    for axes, trace in zip(grid.flat, traces, strict=False):
        here = [row for row in rows if row["trace"] == trace]
        for policy in policies:
            style = {"memo": "-", "optimum": ":"}.get(policy, "--")
            ratios = [row[policy] for row in here]
            axes.plot([row["size"] for row in here], ratios, style, label=policy)
        axes.set_title(trace)
    for axes in list(grid.flat)[len(traces) :]:
        axes.set_axis_off()
    grid[0][0].legend(fontsize="small")
    return figure
