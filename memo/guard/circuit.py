"""The circuit breaker of one backend.

On the path of a success there is no lock and no clock: a guard looks at `shut` before an operation
and at `failures` after it, and calls nothing as long as the one is False and the other 0. Both are
plain attributes, which the GIL makes whole to read; who reads them a moment too early lets one
operation more through, or counts a success one operation later. `calls`, which only a breaker with
a `rate` counts, is bumped as all counters are (see `memo.stats`).
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from types import TracebackType
from typing import Any, Final, Self

from ..breaker import Breaker, Health, State
from ..errors import CacheError, OperationFailed, detached, shown, text_of
from ..forking import ForkableLock
from .answers import cause_of

__all__ = ["REFUSED", "Circuit", "Drill"]

_log = logging.getLogger("memo")

#: What `Circuit.admit` answers where an operation is not to be tried.
REFUSED: Final = -1

#: Seconds between two log lines about the same change of one breaker.
_QUIET: Final = 10.0


class Circuit:
    """A circuit breaker: closed, open, or half-open while a probe is under way.

    Args:
        options: when it opens, and how often it probes.
        backend: what messages call the backend.
    """

    def __init__(self, options: Breaker, backend: str) -> None:
        self.options = options
        self.backend = backend
        #: What is owed to the backend and what was given up, for `Health`; see `memo.recovery`.
        self.owing: Any = None
        #: The operations of loops, which are given up when it opens; see `Underway`.
        self.underway: Any = None
        #: Whether `admit` is to be asked before an operation.
        self.shut = False
        #: Operations that have failed in a row.
        self.failures = 0
        #: Whether `calls` is to be counted.
        self.rated = options.rate is not None
        #: Operations there have been.
        self.calls = 0
        #: The last failure in words, and the foreign error behind it.
        self.last_error: str | None = None
        self.cause: BaseException | None = None
        #: Why operations are refused.
        self.reason = "its breaker is open"
        self._lock = ForkableLock()
        self._since = options.timer()
        #: "open" or "closed" while somebody holds it so.
        self._forced: str | None = None
        #: The number of the probe under way, 0 for none; and of the last one.
        self._probe = self._probes = 0
        #: The moment from which the next probe may go.
        self._next = -math.inf
        # The window of the rate: its beginning, the calls before it and the failures in it.
        self._window = -math.inf
        self._before = self._failed = 0
        self._why = ""
        #: When each change was last logged, and how often it was not since.
        self._logged: dict[str, float] = {}
        self._silenced: dict[str, int] = {}

    @property
    def state(self) -> State:
        """What it is at present: "closed", "open" or "half-open"."""
        if not self.shut:
            return "closed"
        return "half-open" if self._probe and self.options.timer() < self._next else "open"

    # What guards call.

    def admit(self) -> int:
        """Where it is `shut`: the number of the probe that the caller is, or `REFUSED`; 0: closed.

        Exactly one caller every `probe_every` seconds is a probe, also where the last one has never
        come back. A probe ends in `succeeded`, `failed` or `give_back`.
        """
        if self.options.timer() >= self._next:
            with self._lock.lock:
                if not self.shut:
                    return 0
                now = self.options.timer()
                if now >= self._next:
                    self._next = now + self._pause
                    self._probes += 1
                    self._probe = self._probes
                    return self._probe
        return REFUSED if self.shut else 0

    def refusal(self, operation: str, key: Any, given_up: str = "") -> OperationFailed:
        """The error of an operation that is not tried, or that is `given_up` after some time.

        Its cause is that of the last failure.
        """
        error = OperationFailed(
            given_up + self.reason, operation=operation, key=key, backend=self.backend
        )
        error.__cause__ = self.cause
        return error

    def succeeded(self, probe: int = 0) -> None:
        """An operation has succeeded: what failed before does not count, and a probe closes it."""
        with self._lock.lock:
            if self._forced is not None:
                return
            if not self.shut:
                self.failures = 0
                return
            if not probe:
                return  # begun before it opened
            self._close()
        self._tell("has closed")

    def failed(self, error: CacheError, probe: int = 0) -> None:
        """An operation has failed, with `error`."""
        with self._lock.lock:
            self.last_error = getattr(error, "reason", None) or text_of(error)
            if self._forced is not None:
                return
            now = self.options.timer()
            if self.shut:
                if probe and probe == self._probe:
                    self.failures += 1
                    self._open(now, error)
                return  # else begun before it opened, or given up long since
            self.failures += 1
            if not self._reached(now):
                return
            self.shut = True
            self._since = now
            self._open(now, error)
        if self.underway is not None:
            self.underway.give_up(self)
        self._tell("has opened")

    def give_back(self, probe: int) -> None:
        """A probe says nothing of the backend, as it was cancelled: another may go at once."""
        with self._lock.lock:
            if probe and probe == self._probe and self._forced is None:
                self._probe = 0
                self._next = -math.inf

    # What programs call.

    def force_open(self) -> Drill:
        """Refuse all operations and let no probe through, until `release`; for drills.

        It holds for every cache on the same backend with the same `Breaker`. As a context manager,
        what this returns ends it.
        """
        return self._force("open", shut=True)

    def force_closed(self) -> Drill:
        """Let all operations through, whatever comes of them, until `release`."""
        return self._force("closed", shut=False)

    def release(self) -> None:
        """Go on by what happens, closed to begin with."""
        with self._lock.lock:
            was_shut = self.shut
            self._forced = None
            self._close()
        if was_shut:
            self._tell("has closed")

    def health(self) -> Health:
        """How the backend is, as far as this breaker has seen."""
        state = self.state
        owed, dropped = (0, 0) if self.owing is None else self.owing.counts()
        troubled = state != "closed" or self.failures or owed
        return Health(
            backend=self.backend,
            status="down" if state == "open" else "degraded" if troubled else "up",
            breaker=state,
            since=max(0.0, self.options.timer() - self._since),
            failures=self.failures,
            last_error=self.last_error,
            owed=owed,
            dropped=dropped,
        )

    # The rest runs under the lock, but for `_tell`.

    @property
    def _pause(self) -> float:
        pause: Any = self.options.probe_every
        return float(pause)

    def _force(self, state: str, *, shut: bool) -> Drill:
        with self._lock.lock:
            changed = self.shut != shut
            self._forced = state
            self.shut = shut
            self._probe = 0
            if changed:
                self._since = self.options.timer()
            if shut:
                self._next = math.inf
                self.cause = None
                self.reason = "its breaker is open, forced"
        if changed:
            self._tell("has opened" if shut else "has closed")
        return Drill(self)

    def _open(self, now: float, error: CacheError) -> None:
        behind = cause_of(error)
        self.cause = None if behind is None else detached(behind)
        self.reason = f"its breaker is open, after {self._why}; the last error: {self.last_error}"
        self._probe = 0
        # At last: from here on others are refused without the lock, and told the above.
        self._next = now + self._pause

    def _close(self) -> None:
        if self.shut:
            self._since = self.options.timer()
        self.shut = False
        self._next = -math.inf
        # `cause` stays: somebody may just have been refused.
        self.failures = self._probe = 0
        self._window = -math.inf

    def _reached(self, now: float) -> bool:
        """Whether a failure that came at `now` is one too many."""
        options = self.options
        window: Any = options.window
        if now - self._window >= window:
            self._window, self._before, self._failed = now, self.calls - 1, 0
        self._failed += 1
        if self.failures >= options.failures:
            self._why = f"{self.failures} failures in a row"
            return True
        calls = self.calls - self._before
        if options.rate is None or calls < options.minimum_calls:
            return False
        self._why = f"{self._failed} failures in {calls} operations"
        return self._failed >= calls * options.rate

    def _tell(self, change: str) -> None:
        """Log a change and pass it to `on_change`; what that raises is logged, and no more."""
        why = "" if self.last_error is None else f"; last error: {self.last_error}"
        self._log(change, f"the breaker {change}{why}")
        if self.options.on_change is not None:
            try:
                self.options.on_change(self.health())
            except Exception as fault:
                self._log("on_change", f"Breaker(on_change=...) raised {shown(fault)}")

    def _log(self, kind: str, text: str) -> None:
        """Log `text`, unless one of its kind was just now."""
        now = time.monotonic()
        with self._lock.lock:
            if now - self._logged.get(kind, -_QUIET) < _QUIET:
                self._silenced[kind] = self._silenced.get(kind, 0) + 1
                return
            self._logged[kind] = now
            silenced = self._silenced.pop(kind, 0)
        more = f" ({silenced} more like it since the last report)" if silenced else ""
        with contextlib.suppress(Exception):  # a log handler that fails is nobody's failure here
            _log.warning("%s: %s%s", self.backend, text, more)

    def __repr__(self) -> str:
        return f"<breaker of {self.backend}, {self.state}>"


class Drill:
    """A breaker that is held open or closed; `release`, or the end of the block, lets it go."""

    __slots__ = ("_circuit",)

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def release(self) -> None:
        """Let the breaker go on by what happens, closed to begin with."""
        self._circuit.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
