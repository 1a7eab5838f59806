"""Run all benchmarks; write the figures as JSON and Markdown, and draw them.

    python benchmarks/run.py --traces DIR         # into build/benchmarks/
    python benchmarks/run.py --publish            # and into docs/benchmarks.md
    python benchmarks/run.py --only hits,misses   # of bench_hits.py and bench_misses.py alone

Peers take turns, and a ratio is the median over the turns of the ratio in one (see conftest.py).
What fails is left out, listed in the report, and makes this end with 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pictures
from report import report
from results import Results, collected, packages

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

#: What is not run by pytest: scripts that write rows. No module of benchmarks is called so.
SCRIPTS = ("flat", "scale", "codecs", "traces")

Failure = dict[str, str]


def benchmarked(module: str, turns: int, scratch: Path) -> tuple[list[Any], list[Failure]]:
    """What pytest-benchmark has measured in a module, in a process of its own, and what failed."""
    figures, outcomes = scratch / f"{module}.json", scratch / f"{module}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-W", "default"]  # the peers' deprecations are theirs
    command += [f"--benchmark-json={figures}", f"--turns={turns}", f"--junit-xml={outcomes}"]
    done = subprocess.run(
        [*command, str(HERE / f"bench_{module}.py")],
        check=False,
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    failed = failures(outcomes) if outcomes.exists() else []
    if done.returncode and not failed:
        failed = [{"what": f"bench_{module}.py", "why": _last_line(done.stdout + done.stderr)}]
    measured = json.loads(figures.read_text())["benchmarks"] if figures.exists() else []
    return measured, failed


def failures(outcomes: Path) -> list[Failure]:
    """The tests of a JUnit report that have failed, and the first line of why."""
    found = []
    for case in ET.parse(outcomes).iter("testcase"):  # pytest has just written it
        for outcome in (*case.findall("failure"), *case.findall("error")):
            why = (outcome.get("message") or "").strip().partition("\n")[0]
            found.append({"what": str(case.get("name")), "why": why})
    return found


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "no output")


def script(name: str, *options: str, scratch: Path) -> Any:
    """What a script writes with `--json`.

    Raises:
        RuntimeError: it has failed; with the last line that it printed.
    """
    written = scratch / "rows.json"
    written.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *options, f"--json={written}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not written.exists() or done.returncode:
        raise RuntimeError(f"{name}.py: {_last_line(done.stdout + done.stderr)}")
    return json.loads(written.read_text())


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
        named = (value.strip() for name, _, value in lines if name.strip() == "model name")
        model = next(named, model)
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": os.getloadavg()[0],
    }


class Run:
    """One run, part by part; a part that fails is noted, and the others go on."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options = options
        self.scratch = scratch
        self.benchmarks: list[Any] = []
        self.rows: Results = {}
        self.failed: list[Failure] = []

    def part(self, title: str, work: Callable[[], None]) -> None:
        """Do one part, and tell how long it took."""
        began = time.perf_counter()
        print(f"{title} ...", end=" ", file=sys.stderr, flush=True)
        before = len(self.failed)
        try:
            work()
        except Exception as error:
            self.failed.append({"what": title, "why": str(error)})
        failed = len(self.failed) - before
        told = f"{time.perf_counter() - began:.0f} s" + (f", {failed} failed" if failed else "")
        print(told, file=sys.stderr, flush=True)

    def module(self, name: str) -> None:
        """The benchmarks of one module."""
        measured, failed = benchmarked(name, self.options.turns, self.scratch)
        self.benchmarks += measured
        self.failed += failed

    def flat(self) -> None:
        """`flat_memory.py`: one long run, and a shorter one that counts bytes."""
        count, scratch = self.options.keys, self.scratch
        self.rows["flat"] = {
            "long": script("flat_memory", f"--count={count}", scratch=scratch),
            "traced": script(
                "flat_memory", f"--count={count // 20}", "--tracemalloc", scratch=scratch
            ),
        }

    def scale(self) -> None:
        """`scale.py`, all of it."""
        self.rows["scale"] = script(
            "scale", f"--entries={self.options.entries}", scratch=self.scratch
        )

    def codecs(self) -> None:
        """`codecs.py`."""
        self.rows["codecs"] = script("codecs", scratch=self.scratch)

    def traces(self) -> None:
        """`hit_ratio.py`, where there are traces."""
        if self.options.traces is None:
            raise RuntimeError("no --traces DIR: hit ratios were not measured")
        self.rows["traces"] = script(
            "hit_ratio", f"--traces={self.options.traces}", scratch=self.scratch
        )

    def all(self) -> Results:
        """All that was asked for."""
        about = machine()  # before this adds to the load
        began = time.perf_counter()
        for name in self.options.only.split(","):
            if name in SCRIPTS:
                self.part(name, getattr(self, name))
            else:
                self.part(f"bench_{name}.py", lambda name=name: self.module(name))  # type: ignore[misc]
        results = collected(self.benchmarks) | self.rows
        found = {name: importlib.metadata.version(name) for name in packages(results)}
        about["versions"] = ", ".join(
            f"{name} {found[name]}" for name in sorted(found, key=str.lower)
        )
        about["minutes"] = (time.perf_counter() - began) / 60
        return results | {
            "machine": about,
            "turns": self.options.turns,
            "failed": self.failed,
            "whole": self.options.only == ",".join(parts()),
        }


def parts() -> list[str]:
    """All there is to run."""
    modules = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    return [*modules, *SCRIPTS]


def publish(results: Results) -> None:
    """Put the results into the page of the documentation."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    drawn = pictures.draw(results, PAGE.parent / "benchmarks")
    text = report(results, [f"benchmarks/{name}" for name in drawn])
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> int:
    """Run, write, draw."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    everything = ",".join(parts())
    parser.add_argument("--only", default=everything, help=f"which parts, of {everything}")
    parser.add_argument("--turns", type=int, default=7, help="how often the peers take turns")
    parser.add_argument("--keys", type=int, default=1_000_000, help="through flat_memory.py")
    parser.add_argument("--entries", type=int, default=1_000_000, help="the most, for scale.py")
    traces = os.environ.get("MEMO_TRACES")
    parser.add_argument(
        "--traces",
        type=Path,
        default=Path(traces) if traces else None,
        help="a folder of traces, for hit_ratio.py",
    )
    parser.add_argument(
        "--out", type=Path, default=HERE.parent / "build" / "benchmarks", help="where to write"
    )
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md, too")
    parser.add_argument("--from", dest="given", type=Path, help="report this JSON, and run nothing")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(parts())
    if unknown:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {everything}")
    if options.given:
        results = json.loads(options.given.read_text())
    else:
        with tempfile.TemporaryDirectory(prefix="memo-benchmarks-") as scratch:
            results = Run(options, Path(scratch)).all()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1))
    text = report(results, pictures.draw(results, options.out))
    (options.out / "results.md").write_text(text)
    if options.publish:
        publish(results)
    print(text)
    return int(bool(results["failed"]))


if __name__ == "__main__":
    sys.exit(main())
