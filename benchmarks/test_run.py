"""The report says what was measured, and what was not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from report import report
from results import BARS, collected
from run import failures

ABOUT = {
    "date": "2026-01-01",
    "cpu": "a processor",
    "cores": 2,
    "system": "Linux",
    "python": "CPython 3.11.0",
    "load": 0.0,
    "versions": "",
    "minutes": 1.0,
}


def one(group: str, peer: str, turn: int, seconds: float) -> dict[str, Any]:
    """What pytest-benchmark writes of ten calls that took so long."""
    about = {"peer": peer, "package": None, "lacks": "", "turn": turn, "calls": 10}
    return {"group": group, "extra_info": about, "stats": {"median": seconds}}


def written(benchmarks: list[dict[str, Any]], *, whole: bool = False, failed: Any = ()) -> str:
    """The report of these."""
    more = {"machine": ABOUT, "turns": 3, "failed": list(failed), "whole": whole}
    return report(collected(benchmarks) | more, [])


def test_a_ratio_is_taken_within_a_turn() -> None:
    """Where the machine is slow for a turn, memo and its peer are slow together."""
    times = [(0, 1e-6, 2e-6), (1, 9e-6, 18e-6), (2, 1e-6, 2e-6)]
    measured = [one("sync hit, one int", "memo", turn, memo) for turn, memo, _ in times]
    measured += [one("sync hit, one int", "peer", turn, peer) for turn, _, peer in times]
    found = collected(measured)["times"]["sync hit, one int"]
    assert found["peer"]["memo_ratio"] == (0.5, 0.5, 0.5, 0.5, 0.5)
    assert found["memo"]["ns"] == 100


def test_what_failed_is_named() -> None:
    """A peer that fails is told of, and the others are in the report."""
    measured = [one("sync hit, one int", "memo", 0, 1e-6)]
    measured += [one("sync hit, one int", "functools.lru_cache", 0, 2e-6)]
    text = written(measured, failed=[{"what": "bench_x.py", "why": "no such module"}])
    assert "- bench_x.py: `no such module`" in text
    assert "| sync hit | functools.lru_cache | 4.5 | 0.50 |  | yes |" in text


def test_where_memo_itself_failed_its_peers_are_there() -> None:
    """A group without a figure of memo's says so."""
    text = written([one("async hit, one int", "async-lru", 0, 1e-6)])
    assert "| async hit, one int | failed |  |" in text


def test_no_bar_is_left_out_of_a_whole_run() -> None:
    """What a whole run should have measured, and has not, is in the table."""
    text = written([], whole=True)
    assert text.count("| not measured |") == len(BARS)


def test_a_failure_is_read_from_what_pytest_writes(tmp_path: Path) -> None:
    """The name of a failed benchmark, and the first line of why."""
    module, outcomes = tmp_path / "test_peers.py", tmp_path / "outcomes.xml"
    module.write_text(
        "def test_well(): pass\ndef test_ill():\n    raise RuntimeError('the peer\\nis ill')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(module)]
    subprocess.run(
        [*command, f"--rootdir={tmp_path}", f"--junit-xml={outcomes}"],
        check=False,
        capture_output=True,
        cwd=tmp_path,
    )
    assert failures(outcomes) == [{"what": "test_ill", "why": "RuntimeError: the peer"}]
