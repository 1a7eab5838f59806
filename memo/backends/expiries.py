"""Which entry expires next, found without a sweep.

Entries of nearly the same lifetime and window (within one part in 32) stand in one line in the
order they were stored, which is nearly the order they expire in. With one ttl there is one line;
with many there are as many as the lifetimes differ in their leading digits. Joining a line, leaving
it, and looking at its head are O(1), and no look ever goes over more than a few entries.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ..entry import FOREVER

__all__ = ["Expiries"]

_STEPS: Final = 32
#: Entries of one line looked at in one search: those behind a head that may have expired before it.
_LOOKS: Final = 64


class _Line:
    """A doubly linked list of nodes through their `older` and `newer` slots.

    `shortest` has the least seconds after which a node of this line has expired, and the least
    after which one is of no use to anyone.
    """

    __slots__ = ("newer", "older", "shortest")

    def __init__(self, shortest: tuple[float, float]) -> None:
        self.shortest = shortest
        # The line stands for the ends of its own list: `newer` is its oldest node.
        self.newer: Any = self
        self.older: Any = self


_NO_LINE: Final = (_Line((0.0, 0.0)), 0.0, 0.0)


class Expiries:
    """The nodes of one store that will expire.

    A node has `created`, `expires` and `kept_until` (seconds), and slots `older`, `newer` for this
    class alone; `newer` is None while it stands in no line.
    """

    __slots__ = ("_lines", "not_before", "recent")

    def __init__(self) -> None:
        self._lines: dict[tuple[float, float], _Line] = {}
        #: The line that was joined last, and how long what stands in it lives: at least, less than;
        #: of entries that are of no use once they have expired.
        self.recent = _NO_LINE
        #: Moments before which a search is vain: for what has expired, for what is of no use.
        self.not_before = [FOREVER, FOREVER]

    def add(self, node: Any) -> None:
        """Put `node` in line, unless it never expires."""
        if node.expires == FOREVER:
            node.newer = node.older = None
            return
        created = node.created
        lifetime = node.expires - created
        recent = self.recent
        if node.kept_until is node.expires and recent[1] <= lifetime < recent[2]:
            line = recent[0]
        else:
            line = self._line(lifetime, node.kept_until - created)
        last = line.older
        if last is line:
            for dead in (0, 1):
                first = created + line.shortest[dead]
                self.not_before[dead] = min(self.not_before[dead], first)
        node.older = last
        node.newer = line
        last.newer = line.older = node

    def _line(self, lifetime: float, kept: float) -> _Line:
        shortest = (_floor(lifetime), _floor(kept))
        line = self._lines.get(shortest)
        if line is None:
            line = self._lines[shortest] = _Line(shortest)
        if lifetime == kept:
            self.recent = (line, shortest[0], _above(lifetime))
        return line

    @staticmethod
    def discard(node: Any) -> None:
        """Take `node` out of its line, if it stands in one."""
        newer = node.newer
        if newer is None:
            return
        older = node.older
        older.newer = newer
        newer.older = older
        node.newer = node.older = None

    def first(self, now: float, *, dead: bool) -> Any:
        """A node that has expired by `now`, or None; with `dead`, one of no use to anyone."""
        if now < self.not_before[dead]:
            return None
        not_before = FOREVER
        for name, line in list(self._lines.items()):
            node = line.newer
            if node is line:
                del self._lines[name]
                self.recent = _NO_LINE
                continue
            for _ in range(_LOOKS):
                if node is line:
                    break
                sure = node.created + line.shortest[dead]
                if now < sure:
                    not_before = min(not_before, sure)
                    break
                over = node.kept_until if dead else node.expires
                if now >= over:
                    return node
                not_before = min(not_before, over)
                node = node.newer
        self.not_before[dead] = not_before
        return None

    def clear(self) -> None:
        """Let all nodes go."""
        self._lines.clear()
        self.recent = _NO_LINE
        self.not_before = [FOREVER, FOREVER]


def _above(seconds: float) -> float:
    """The least that `_floor` rounds down to more than it does `seconds`."""
    fraction, exponent = math.frexp(seconds)
    return math.ldexp((int(fraction * _STEPS) + 1) / _STEPS, exponent)


def _floor(seconds: float) -> float:
    """`seconds`, rounded down to one of `_STEPS` steps to the next power of two."""
    if seconds == FOREVER:
        return FOREVER
    fraction, exponent = math.frexp(seconds)
    return math.ldexp(int(fraction * _STEPS) / _STEPS, exponent)
