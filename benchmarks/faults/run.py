"""What callers of a cached function meet while its server dies: memo, cashews, aiocache, dogpile.

    python benchmarks/faults/run.py               # into build/faults/
    python benchmarks/faults/run.py --publish     # and into docs/when-the-server-dies.md
    python benchmarks/faults/run.py --only kill,stop

Each peer runs in a process of its own (worker.py), on a Valkey of its own, which is killed,
stopped, slowed down or restarted meanwhile. Needs the extra `bench`.
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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests")]

from servers.proxy import Proxy  # noqa: E402
from servers.valkey import Valkey  # noqa: E402
from worker import PEERS  # noqa: E402

PAGE = ROOT / "docs" / "when-the-server-dies.md"
PICTURES = ROOT / "docs" / "degradation"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

#: Seconds before a fault, and after it.
BEFORE, AFTER = 2.0, 4.0
#: Seconds after a fault in which calls still count as hit by it.
SOON = 2.0
#: What happens, and for how many seconds.
FAULTS = {"kill": 4.0, "stop": 10.0, "drip": 4.0, "restart": 0.0}
TITLES = {
    "kill": "SIGKILL, restarted after 4 s",
    "stop": "SIGSTOP for 10 s",
    "drip": "a byte every 50 ms for 4 s",
    "restart": "SIGKILL, restarted at once",
}


def measure(peer: str, fault: str) -> dict[str, Any]:
    """The calls of one peer through one fault, and when that began and ended."""
    lasts = FAULTS[fault]
    with (
        Valkey() as server,
        Proxy(server.address) as proxy,
        tempfile.TemporaryDirectory(prefix="memo-faults-") as scratch,
    ):
        # Only the fault that needs it has the proxy, which takes time of its own, in between.
        port = proxy.port if fault == "drip" else server.port
        out = Path(scratch) / "calls.json"
        seconds = BEFORE + 1 + lasts + AFTER
        command = [sys.executable, str(HERE / "worker.py"), peer, server.host, str(port)]
        worker = subprocess.Popen([*command, str(seconds), str(out)], stderr=subprocess.DEVNULL)
        _wait_for_calls(server)
        time.sleep(BEFORE)
        began = time.monotonic()
        if fault == "kill":
            server.kill()
            time.sleep(lasts)
            server.restart()
        elif fault == "stop":
            server.stop()
            time.sleep(lasts)
            server.resume()
        elif fault == "drip":
            proxy.drip(0.05)
            time.sleep(lasts)
            proxy.normal()
        else:
            server.restart()
        ended = time.monotonic()
        worker.wait(60)
        return {"began": began, "ended": ended, "calls": json.loads(out.read_text())}


def _wait_for_calls(server: Valkey) -> None:
    """Wait until the worker stores something."""
    limit = time.monotonic() + 20
    while server.ask("DBSIZE") == 0:
        if time.monotonic() > limit:
            raise TimeoutError("the worker does not store anything")
        time.sleep(0.01)


def judged(run: dict[str, Any]) -> dict[str, Any]:
    """What one run shows."""
    began, ended = run["began"], run["ended"]
    # A call that begins before a fault may be hit by it, as one that begins soon afterwards.
    until = ended + SOON
    during = [call for call in run["calls"] if call[0] + call[1] >= began and call[0] <= until]
    added = sorted(call[1] for call in during)
    errors: dict[str, int] = {}
    for _, _, outcome, _ in during:
        if outcome != "ok":
            errors[outcome] = errors.get(outcome, 0) + 1
    return {
        "calls": len(during),
        "p50": _at(added, 0.5),
        "p99": _at(added, 0.99),
        "max": added[-1],
        "errors": errors,
        "recovered": _recovered(run),
        "before": _ratio([call for call in run["calls"] if began - 1 < call[0] < began]),
        "delayed": sum(value > 0.05 for value in added),
    }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _ratio(calls: list[Any]) -> float:
    return sum(call[2] == "ok" and call[3] for call in calls) / max(1, len(calls))


def _recovered(run: dict[str, Any]) -> float | None:
    """Seconds after the fault until a fifth of a second has 95 % of the hits it had before."""
    began, ended = run["began"], run["ended"]
    before = _ratio([call for call in run["calls"] if began - 1 < call[0] < began])
    for step in range(int((AFTER - 0.5) / 0.05)):
        since = ended + 0.05 * step
        window = [call for call in run["calls"] if since <= call[0] < since + 0.2]
        if len(window) >= 10 and _ratio(window) >= 0.95 * before:
            return since - ended
    return None


# The report.


def seconds(value: float | None) -> str:
    """A time as one reads it."""
    if value is None:
        return f"not within {AFTER - 0.5:g} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{max(0.0, value) * 1e6:.0f} µs"


def _told(errors: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in errors.items()) or "0"


def report(results: dict[str, Any], pictures: str) -> str:
    """The results as Markdown."""
    about = results["machine"]
    measured_on = (
        f"Measured on {about['date']}: {about['cpu']} cores, {about['system']}, {about['python']}; "
        f"{about['versions']}."
    )
    lines = [measured_on, ""]
    for fault, by_peer in results["faults"].items():
        lines += [f"### {TITLES[fault][:1].upper()}{TITLES[fault][1:]}", ""]
        lines += [f"![latency added under {fault}]({pictures}{fault}.svg)", ""]
        lines.append("| | calls | p50 | p99 | max | over 50 ms | errors raised | hits back after |")
        lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
        for peer, found in by_peer.items():
            cells = [peer, f"{found['calls']:,}"]
            cells += [seconds(found[name]) for name in ("p50", "p99", "max")]
            cells += [f"{found['delayed']:,}", _told(found["errors"])]
            cells.append(seconds(found["recovered"]))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).strip() + "\n"


def buckets(run: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """The largest latency of each tenth of a second, by the moment that calls began."""
    worst: dict[int, float] = {}
    for at, added, _, _ in run["calls"]:
        step = int((at - run["began"]) * 10)
        worst[step] = max(worst.get(step, 0.0), added, 1e-5)
    for step in sorted(worst):
        if step >= -10:
            yield step / 10, worst[step]


def draw(fault: str, runs: dict[str, Any], path: Path) -> None:
    """Latency over time, one line for each peer."""
    figure, axes = plt.subplots(figsize=(8, 4))
    for peer, run in runs.items():
        points = list(buckets(run))
        style = {"linewidth": 2.4} if peer.startswith("memo") else {"linewidth": 1.0}
        if peer.endswith("ms"):
            style["linestyle"] = "--"
        axes.plot([x for x, _ in points], [y for _, y in points], label=peer, **style)
    last = statistics.median(run["ended"] - run["began"] for run in runs.values())
    axes.axvspan(0, last, color="0.9")
    axes.set(yscale="log", xlabel="s since the fault began (grey: it lasts)")
    axes.set_ylabel("s added to the slowest call of each 0.1 s")
    axes.set_title(TITLES[fault])
    axes.legend(fontsize=7, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def machine() -> dict[str, str]:
    """What the figures were measured on, and with."""
    names = ("aiocache", "cashews", "dogpile.cache", "redis")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": str(os.cpu_count()),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
    }


def main() -> None:
    """Run, write, draw."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", default=",".join(FAULTS), help="which faults; all if not given")
    parser.add_argument("--peers", default="; ".join(PEERS), help="which peers, divided by ;")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "faults", help="where to write"
    )
    parser.add_argument("--publish", action="store_true", help=f"write {PAGE.name}, too")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "memo"
    results: dict[str, Any] = {"machine": machine(), "faults": {}}
    if options.publish:
        PICTURES.mkdir(parents=True, exist_ok=True)
    for fault in options.only.split(","):
        runs = {}
        for peer in options.peers.split("; "):
            print(f"{fault}: {peer} ...", file=sys.stderr, flush=True)
            runs[peer] = measure(peer, fault)
        results["faults"][fault] = {peer: judged(run) for peer, run in runs.items()}
        for directory in [options.out] + ([PICTURES] if options.publish else []):
            draw(fault, runs, directory / f"{fault}.svg")
    (options.out / "results.json").write_text(json.dumps(results, indent=1))
    (options.out / "results.md").write_text(report(results, ""))
    if options.publish:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{report(results, 'degradation/')}\n{END}{after}")
    print(report(results, ""))


if __name__ == "__main__":
    main()
