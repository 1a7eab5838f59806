"""A picture that is kept up to date, drawn with rich."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ..errors import CacheError
from .act import Act, Row
from .policies import Line
from .screen import HEADINGS, WIDTHS, cells
from .sightings import WHAT_WAS_DONE
from .story import Check, Story

__all__ = ["LiveScreen"]

#: Columns from which on there is room for more than the figures.
_WIDE = 105
_WIDEST = 120
_BAR = 16
#: Columns that the table of errors needs before there is room for an error itself.
_ERRORS = 82
_STYLES = {
    "requests": "bold",
    "hits": "green",
    "misses": "yellow",
    "expired": "magenta",
    "failed": "red",
    "hit %": "bold green",
    "median": "bold cyan",
    "p95": "cyan",
}


class LiveScreen:
    """The story as tables that fill while it happens."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._width = min(self._console.width, _WIDEST)
        self._spinner = Spinner("dots", style="cyan")
        self._live: Live | None = None
        self._met: dict[type[CacheError], CacheError] = {}
        self._lock = threading.Lock()

    def opening(self, text: str) -> None:
        """What this is about."""
        self._console.print(self._panel(Text(text), "memo demo", "cyan"))
        self._start()

    def act(self, act: Act) -> None:
        """`act` begins."""
        self._spinner.update(text=Text(act.about))

    def met(self, error: CacheError) -> None:
        """The first error of its kind."""
        with self._lock:
            self._met[type(error)] = error

    def tick(self, story: Story) -> None:
        """Bring the picture up to date."""
        about = Padding(self._spinner, (0, 1, 1, 1))
        self._show(Group(self._acts(story.current()), self._errors(story), about))

    def act_over(self, story: Story) -> None:
        """The act has ended."""
        self._show(Group(self._acts(story.current()), self._errors(story)))

    def policies(self, lines: Iterator[Line]) -> list[Line]:
        """The act of the policies, on a table of its own."""
        self._start()
        shown: list[Line] = []
        self._show(self._policies(shown))
        for line in lines:
            shown.append(line)
            self._show(self._policies(shown))
        return shown

    def summary(self, checks: list[Check], verdict: str) -> None:
        """What held, and what did not."""
        self.close()
        grid = Table.grid(padding=(0, 1))
        for check in checks:
            mark = Text("✓", "bold green") if check.held else Text("✗", "bold red")
            grid.add_row(mark, Text(check.text, "" if check.held else "bold red"))
        held = all(check.held for check in checks)
        self._console.print(self._panel(grid, verdict, "green" if held else "red"))

    def close(self) -> None:
        """Leave the picture as it is, and give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        self.close()
        self._live = live = Live(console=self._console, auto_refresh=False)
        live.start()

    def _show(self, picture: RenderableType) -> None:
        if self._live is not None:
            self._live.update(picture, refresh=True)

    def _panel(self, content: RenderableType, title: str, colour: str) -> Panel:
        return Panel(
            content,
            title=Text(title, "bold"),
            title_align="left",
            border_style=colour,
            width=self._width,
        )

    def _table(self, title: str = "") -> Table:
        return Table(
            box=box.SIMPLE_HEAD,
            padding=(0, 1 if self._width >= _WIDE else 0),
            pad_edge=False,
            header_style="dim",
            title=title or None,
            title_justify="left",
            title_style="bold",
        )

    def _acts(self, rows: list[Row]) -> Table:
        table = self._table()
        for heading, width in zip(HEADINGS, WIDTHS, strict=True):
            table.add_column(
                heading,
                justify="right" if heading else "left",
                style=_STYLES.get(heading),
                min_width=width,
                no_wrap=True,
            )
        wide = self._width >= _WIDE
        if wide:
            table.add_column("hits and misses", no_wrap=True)
        for row in rows:
            table.add_row(*cells(row), *([self._bar(row)] if wide else []))
        return table

    def _bar(self, row: Row) -> Text:
        rate = row.hit_rate
        if rate is None:
            return Text()
        hits = round(_BAR * rate)
        return Text.assemble(("█" * hits, "green"), ("░" * (_BAR - hits), "yellow"))

    def _errors(self, story: Story) -> Table:
        table = self._table()
        table.add_column("error", style="bold", no_wrap=True)
        table.add_column("met", justify="right", no_wrap=True)
        table.add_column("what the policy did", no_wrap=True)
        if self._width >= _WIDE:
            table.add_column(
                "the first one", style="dim", no_wrap=True, max_width=self._width - _ERRORS
            )
        with self._lock:
            met = dict(self._met)
        for kind, (action, done) in WHAT_WAS_DONE.items():
            words = [Text.assemble((f"{action!r}: ", "cyan"), done), Text(str(met.get(kind)))]
            count = f"{story.sightings.counts[kind]:,}"
            if kind in met:
                table.add_row(kind.__name__, count, *words[: len(table.columns) - 2])
            else:
                table.add_row(kind.__name__, count, style="dim")
        return table

    def _policies(self, lines: list[Line]) -> Table:
        table = self._table("The same errors, and other policies")
        for heading, style in (("policy", "cyan"), ("trouble", ""), ("outcome", "bold")):
            table.add_column(heading, style=style, no_wrap=True, min_width=17)
        table.add_column("tokens", justify="right", no_wrap=True)
        for line in lines:
            outcome = Text(line.outcome, "" if line.held else "bold red")
            table.add_row(line.policy, line.trouble, outcome, str(line.asked))
        return table
