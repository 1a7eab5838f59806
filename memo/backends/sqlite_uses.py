"""When entries were last used, as far as their file does not say it yet.

A hit writes nothing: it notes the name in a bounded buffer. Writes, which are rarer, take over what
was noted, and each brings a little of it into the file.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

__all__ = ["Uses"]

#: Hits between two writes that are remembered.
_HITS: Final = 4096

#: Entries whose last use is known here; beyond that, those not used for longest are forgotten, some
#: at once.
_KNOWN: Final = 16_384
_FORGOTTEN: Final = 1024


class Uses:
    """The last uses of entries, in whole milliseconds of Unix time.

    All but `note` is for one thread at a time.
    """

    def __init__(self) -> None:
        self._noted: deque[str] = deque(maxlen=_HITS)
        #: The last use by name, the latest behind the others; and names to be taken.
        self._last: dict[str, int] = {}
        self._untaken: dict[str, None] = {}
        #: `note(name)`: it is being used.
        self.note = self._noted.append

    def settle(self, now: int) -> None:
        """Take over what was noted; it counts as used `now`."""
        noted, last = self._noted, self._last
        for _ in range(len(noted)):
            name = noted.popleft()
            last.pop(name, None)
            last[name] = now
            self._untaken[name] = None
        if len(last) > _KNOWN:
            for name in list(last)[:_FORGOTTEN]:
                del last[name]
                self._untaken.pop(name, None)

    def last(self, name: str, stored: int) -> int:
        """When `name` was last used, where the file says that it was at `stored`."""
        return max(stored, self._last.get(name, stored))

    def take(self, n: int) -> list[tuple[str, int]]:
        """Up to `n` names and their last uses for the file to keep, the longest known first."""
        names = list(islice(self._untaken, n))
        for name in names:
            del self._untaken[name]
        return [(name, self._last[name]) for name in names]
