"""Nothing is absorbed in silence: `on_error` and the log hear of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from .errors import CacheError, OperationFailed
from .forking import ForkableLock

__all__ = ["Alerts"]

_log = logging.getLogger("memo")

#: Seconds between two log lines about the same kind of error of one cache.
_QUIET: Final = 10.0


class Alerts:
    """Passes the errors of one cache to its policy's `on_error` and to the logger "memo".

    `on_error` hears each error. The log has the first of a kind (variant and operation) and then
    one line every ten seconds at most, with how many were left out.
    """

    __slots__ = ("_last", "_name", "_on_error", "_silenced")

    def __init__(self, name: str, on_error: Callable[[CacheError], object] | None) -> None:
        self._name = name
        self._on_error = on_error
        self._last: dict[tuple[str, str | None], float] = {}
        self._silenced: dict[tuple[str, str | None], int] = {}

    def hear(self, error: CacheError) -> bool:
        """Make `error` heard; False where `on_error` or a log handler failed itself."""
        written = self._write(error)
        if self._on_error is None:
            return written
        try:
            self._on_error(error)
        except Exception as fault:
            failure = OperationFailed(f"on_error raised {type(fault).__name__}", operation="report")
            failure.__cause__ = fault
            self._write(failure)
            return False
        return written

    def _write(self, error: CacheError) -> bool:
        """Log `error`, unless its like was just now; False where a log handler failed."""
        kind = (type(error).__name__, getattr(error, "operation", None))
        now = time.monotonic()
        with _lock.lock:
            if now - self._last.get(kind, -_QUIET) < _QUIET:
                self._silenced[kind] = self._silenced.get(kind, 0) + 1
                return True
            self._last[kind] = now
            silenced = self._silenced.pop(kind, 0)
        more = f" ({silenced} more like it since the last report)" if silenced else ""
        try:
            _log.warning("%s: %s%s", self._name, error, more, exc_info=error.__cause__)
        except Exception:
            return False
        return True


_lock = ForkableLock()
