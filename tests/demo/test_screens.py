"""The two ways the demo is shown."""

import io
import re
import sys

import pytest
from rich.console import Console

from memo import Expired, Full, Miss, OperationFailed
from memo.cli import main
from memo.demo.act import Act, Row
from memo.demo.live import LiveScreen
from memo.demo.policies import Line
from memo.demo.screen import PlainScreen, screen_for
from memo.demo.server import Log
from memo.demo.sightings import Sightings
from memo.demo.story import Check, Story

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")

ROWS = [
    Row("no cache", 1_234, 1_234, median=0.0954, slowest=0.121),
    Row("with memo", 54_321, 1_234, 9_876, 1_234, 123, 4_567, 0.0012, 0.1064),
]
LINE = Line(
    "fallback(Memory())", "token has run out", "Full, the token in its .value", 1, held=True
)
ERRORS = [Miss("key"), Expired("key", age=1.0), Full("key"), OperationFailed("down " * 50)]


class Terminal(io.StringIO):
    """Stands for standard output on a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


class AsciiTerminal(Terminal):
    """The same where nothing but ASCII can be shown."""

    encoding = "ascii"


def shown(screen, *, held=True):
    """Have `screen` show one of everything."""
    story = Story(Sightings(screen.met))
    screen.opening("Once upon a time. " * 9)
    story.acts.append(Act("with memo", "something happens, " * 9, Log))
    screen.act(story.acts[0])
    for error in ERRORS:
        story.sightings.policy.action(error)
        screen.tick(story)
    story.rows += ROWS
    screen.act_over(story)
    assert screen.policies(iter([LINE])) == [LINE]
    screen.summary([Check("a fact, and another, " * 9, held)], "It is over.")
    screen.close()


def live(width):
    """What the live screen sends to a terminal of that width."""
    out = io.StringIO()
    shown(LiveScreen(Console(file=out, force_terminal=True, width=width, height=50)))
    return out.getvalue()


def lines_of(sent):
    """The lines that a terminal draws, one after the other, also over each other."""
    return CODES.sub("", sent).replace("\r", "\n").splitlines()


@pytest.mark.parametrize("width", [80, 104, 105, 120, 200])
def test_every_figure_fits(width):
    """From 80 columns on no figure is cut off, and no line is longer than the terminal."""
    lines = lines_of(live(width))
    assert max(map(len, lines)) <= width
    (row,) = {line.split("█")[0].split("░")[0].strip() for line in lines if "54,321" in line}
    assert " ".join(row.split()[2:]) == "54,321 1,234 9,876 1,234 123 4,567 89 1.2 ms 106 ms"
    for words in (LINE.policy, LINE.trouble, LINE.outcome, "OperationFailed", "replaced the token"):
        assert any(words in line for line in lines)


@pytest.mark.parametrize("width", [10, 40, 60])
def test_a_narrow_terminal_is_no_error(width):
    """What does not fit is cut off, and the demo goes on."""
    assert max(map(len, lines_of(live(width)))) <= width


def test_no_color_means_no_colour(monkeypatch):
    """Where NO_COLOR is set the picture is drawn without colours."""
    assert COLOUR.search(live(80))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(live(80))


def test_the_cursor_is_given_back():
    """However far the story got, the terminal has its cursor again."""
    out = io.StringIO()
    screen = LiveScreen(Console(file=out, force_terminal=True, width=80))
    screen.opening("Once upon a time")
    assert out.getvalue().count("\x1b[?25l") == 1
    screen.close()
    screen.close()
    assert out.getvalue().count("\x1b[?25h") == 1


def test_what_did_not_hold_is_marked():
    """On either screen a check that failed is marked so."""
    out = io.StringIO()
    shown(PlainScreen(out), held=False)
    assert "\nNO  a fact" in out.getvalue()
    out = io.StringIO()
    shown(LiveScreen(Console(file=out, force_terminal=True, width=80)), held=False)
    assert "✗" in CODES.sub("", out.getvalue())


def test_plain_lines_are_plain():
    """The plain screen writes ASCII without control codes, in lines of at most 80 columns."""
    out = io.StringIO()
    shown(PlainScreen(out, "a hint"))
    assert out.getvalue().isascii()
    assert all(line.isprintable() and len(line) <= 80 for line in out.getvalue().splitlines())
    assert "a hint" in out.getvalue()


@pytest.mark.parametrize(
    ("out", "term", "plain", "kind"),
    [
        (Terminal, "xterm-256color", False, LiveScreen),
        (Terminal, "xterm-256color", True, PlainScreen),
        (Terminal, "dumb", False, PlainScreen),
        (AsciiTerminal, "xterm-256color", False, PlainScreen),
        (io.StringIO, "xterm-256color", False, PlainScreen),
    ],
)
def test_the_screen_is_chosen_by_the_terminal(monkeypatch, out, term, plain, kind):
    """The live picture is for terminals that can draw, unless plain lines are asked for."""
    monkeypatch.setattr(sys, "stdout", out())
    monkeypatch.setenv("TERM", term)
    assert type(screen_for(plain=plain)) is kind


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_it_held(monkeypatch, held, status):
    """`memo demo` succeeds if and only if everything in the story held."""
    asked = []

    def tell(screen, seconds):
        asked.append((type(screen), seconds))
        return held

    monkeypatch.setattr("memo.demo.story.tell", tell)
    assert main(["demo", "--plain", "--seconds", "3"]) == status
    assert asked == [(PlainScreen, 3.0)]
