"""Nothing is absorbed in silence: `on_error` and the log hear of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from .errors import CacheError, OperationFailed, variant_of
from .forking import ForkableLock

__all__ = ["Alerts"]

_log = logging.getLogger("memo")

#: Seconds between two log lines about the same kind of error of one cache.
_QUIET: Final = 10.0


#: What errors are told apart by: the name of the variant, and the operation.
Kind = tuple[str, str | None]


def _kind(error: CacheError) -> Kind:
    return variant_of(error).__name__, getattr(error, "operation", None)


class Alerts:
    """Passes the errors of one cache to its policy's `on_error` and to the logger "memo".

    `on_error` hears each error. The log has the first of a kind (variant and operation) and then
    one line every ten seconds at most, with how many were left out.
    """

    __slots__ = ("_counts", "_last", "_name", "_on_error", "_silenced")

    def __init__(
        self,
        name: str,
        on_error: Callable[[CacheError], object] | None,
        counts: dict[Kind, int] | None = None,
    ) -> None:
        #: How often each kind was heard of, those included that the log did not get.
        self._counts = {} if counts is None else counts
        self._name = name
        self._on_error = on_error
        self._last: dict[Kind, float] = {}
        self._silenced: dict[Kind, int] = {}

    def log_with(self, other: Alerts) -> None:
        """Log as one with `other`: what one of the two has just logged, the other does not."""
        self._last, self._silenced = other._last, other._silenced

    def hear(self, error: CacheError) -> bool:
        """Make `error` heard; False where `on_error` or a log handler failed itself.

        Such a failure is one of the operation "report", and counted as that.
        """
        failure = None
        if not self._write(error):
            failure = OperationFailed("a log handler raised", operation="report")
        if self._on_error is not None:
            try:
                self._on_error(error)
            except Exception as fault:
                text = f"on_error raised {type(fault).__name__}"
                failure = OperationFailed(text, operation="report")
                failure.__cause__ = fault
                self._write(failure)
                return False
        if failure is not None:
            self.count(failure)
        return failure is None

    def count(self, error: CacheError) -> None:
        """Count `error`, of which nobody is to hear."""
        kind = _kind(error)
        with _lock.lock:
            self._counts[kind] = self._counts.get(kind, 0) + 1

    def _write(self, error: CacheError) -> bool:
        """Count `error`, and log it unless its like was just now; False where a handler failed."""
        kind = _kind(error)
        now = time.monotonic()
        with _lock.lock:
            self._counts[kind] = self._counts.get(kind, 0) + 1
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
