"""The command `memo`, also `python -m memo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._version import __version__

__all__ = ["main"]

#: Seconds that the demo can be asked to take.
_SHORTEST, _LONGEST = 2.0, 25.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    Args:
        argv: the arguments after the command's name; None: those of this process.

    Raises:
        SystemExit: the arguments are wrong (status 2), or were `--help` or `--version` (0).
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return _demo(options)
    except KeyboardInterrupt:
        print("\nmemo: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memo", description="Memoization that may make a program faster, and never wrong."
    )
    parser.add_argument("--version", action="version", version=f"memo-cache {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="a token cache that loses its backend, told live and checked",
        description=(
            "A client of a slow token endpoint, on loopback: without a cache, with memo, and with"
            " the cache's backend taken away. What the client saw is checked against the server's"
            " log; the exit status is 0 if everything held, else 1."
        ),
    )
    demo.add_argument(
        "--seconds",
        type=_seconds,
        default=10.0,
        metavar="N",
        help=f"about how long it takes, {_SHORTEST:.0f} to {_LONGEST:.0f} (default: 10)",
    )
    demo.add_argument("--plain", action="store_true", help="plain lines, also on a terminal")
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r}: takes a number of seconds from {_SHORTEST:.0f} to {_LONGEST:.0f}"
        )
    return seconds


def _demo(options: argparse.Namespace) -> int:
    from .demo.screen import screen_for
    from .demo.story import tell

    return 0 if tell(screen_for(plain=options.plain), options.seconds) else 1
