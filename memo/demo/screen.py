"""Plain lines: for logs, pipes, and terminals without rich."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import TextIO

from ..errors import CacheError
from .act import Act, Row
from .policies import Line
from .sightings import WHAT_WAS_DONE
from .story import Check, Screen, Story

__all__ = ["HEADINGS", "WIDTHS", "PlainScreen", "cells", "screen_for"]

HEADINGS = (
    "",
    "requests",
    "tokens",
    "hits",
    "misses",
    "expired",
    "failed",
    "hit %",
    "median",
    "p95",
)
WIDTHS = (10, 8, 6, 5, 6, 7, 6, 5, 7, 7)
_WIDTH = 78


def screen_for(*, plain: bool) -> Screen:
    """The screen that standard output can show."""
    out = sys.stdout
    unicode = (out.encoding or "").lower().startswith("utf")
    drawable = unicode and out.isatty() and os.environ.get("TERM") != "dumb"
    hint = ""
    try:
        from .live import LiveScreen
    except ImportError:
        hint = "(With rich this is a live picture: pip install 'memo-cache[cli]')"
    else:
        if drawable and not plain:
            return LiveScreen()
    return PlainScreen(out, hint)


def cells(row: Row) -> list[str]:
    """A line of the table, as text."""

    def count(number: int | None) -> str:
        return "-" if number is None else f"{number:,}"

    counts = [row.requests, row.tokens, row.hits, row.misses, row.expired, row.failed]
    rate = "-" if row.hit_rate is None else f"{100 * row.hit_rate:.0f}"
    return [
        row.name,
        *map(count, counts),
        rate,
        _milliseconds(row.median),
        _milliseconds(row.slowest),
    ]


def _milliseconds(seconds: float) -> str:
    figure = 1000 * seconds
    return f"{figure:.{1 if figure < 10 else 0}f} ms"  # noqa: PLR2004 - two digits tell enough


class PlainScreen:
    """Lines of text, without a control code among them."""

    def __init__(self, out: TextIO, hint: str = "") -> None:
        self._out = out
        self._hint = hint
        self._lock = threading.Lock()
        self._acts = 0

    def opening(self, text: str) -> None:
        """What this is about."""
        self._write(f"memo demo: {text}")
        if self._hint:
            self._write(self._hint)

    def act(self, act: Act) -> None:
        """`act` begins."""
        self._acts += 1
        self._write("", f"{self._acts}. {act.about}")

    def met(self, error: CacheError) -> None:
        """The first error of its kind."""
        action, done = WHAT_WAS_DONE[type(error)]
        self._write(f"   {type(error).__name__}: {error}", f"      {action!r}: {done}")

    def tick(self, story: Story) -> None:
        """Lines that are printed stay: there is nothing to bring up to date."""

    def act_over(self, story: Story) -> None:
        """The act has ended."""
        self._table([cells(story.rows[-1])])

    def policies(self, lines: Iterator[Line]) -> list[Line]:
        """The act of the policies."""
        self._write("", f"{self._acts + 1}. The same errors, and other policies.")
        shown = []
        for line in lines:
            shown.append(line)
            asked = f"{line.asked} token{'' if line.asked == 1 else 's'} issued"
            self._write(f"   {line.policy}, {line.trouble}: {line.outcome} ({asked})")
        return shown

    def close(self) -> None:
        """Nothing is held."""

    def summary(self, checks: list[Check], verdict: str) -> None:
        """What held, and what did not."""
        self._write("")
        for check in checks:
            self._write(f"{'ok' if check.held else 'NO'}  {check.text}")
        self._write("", verdict)

    def _table(self, rows: list[list[str]]) -> None:
        for row in [HEADINGS, *rows]:
            first, *others = [f"{cell:>{width}}" for cell, width in zip(row, WIDTHS, strict=True)]
            self._out.write(" ".join([f"{row[0]:<{len(first)}}", *others]).rstrip() + "\n")
        self._out.flush()

    def _write(self, *texts: str) -> None:
        with self._lock:
            for text in texts:
                indent = " " * (len(text) - len(text.lstrip()) + 3)
                wrapped = textwrap.wrap(text, _WIDTH, subsequent_indent=indent)
                self._out.write("\n".join(wrapped) + "\n")
            self._out.flush()
