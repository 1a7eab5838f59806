"""When entries were last used, as far as their file does not say it yet.

A hit writes nothing: it notes the name in a bounded buffer. Writes, which are rarer, take over what
was noted, and each brings a little of it into the file.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Uses"]

#: Hits between two writes that are remembered, and entries whose last use is known here.
_HITS: Final = 4096
_KNOWN: Final = 16_384


class Uses:
    """The last uses of entries, in whole milliseconds of Unix time.

    All but `note` is for one thread at a time.
    """

    def __init__(self) -> None:
        self._noted: deque[str] = deque(maxlen=_HITS)
        self._last: dict[str, int] = {}
        #: `note(name)`: it is being used.
        self.note = self._noted.append

    def settle(self, now: int) -> None:
        """Take over what was noted; it counts as used `now`."""
        noted, last = self._noted, self._last
        for _ in range(len(noted)):
            name = noted.popleft()
            last.pop(name, None)  # to be the newest of them
            last[name] = now
        for name in list(last)[: max(len(last) - _KNOWN, 0)]:
            del last[name]

    def last(self, name: str, stored: int) -> int:
        """When `name` was last used, where the file says that it was at `stored`."""
        return max(stored, self._last.get(name, stored))

    def take(self, n: int) -> list[tuple[str, int]]:
        """Up to `n` names and their last uses, oldest first, for the file to keep."""
        last = self._last
        return [(name, last.pop(name)) for name in list(last)[:n]]
