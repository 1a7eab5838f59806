"""When and where what is owed is carried out: behind the callers, one batch after the other.

It is tried when an operation has succeeded, at once when a breaker has closed, and otherwise by
itself after a pause. Operations of blocking backends run in
a thread of their own, those of async ones in a task of a running loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
import time
from typing import Any, Final

from ..errors import CacheError
from ..forking import ForkableLock, mend_after_fork
from ..recovery import Owed, Recovery
from .answers import is_final

__all__ = ["Replays"]

#: How many operations are carried out before others have their turn.
_BATCH: Final = 100
#: Seconds between two attempts. They are as far apart as a breaker's probes: a read of what is owed
#: asks no backend, so that nobody else may find out that it is back.
_PAUSE: Final = 1.0


class Replays:
    """Carries out what one backend is owed.

    Args:
        recovery: what is owed.
    """

    def __init__(self, recovery: Recovery) -> None:
        self._colours = (_InThreads(recovery, self.wake), _InLoop(recovery, self.wake))

    def wake(self, *, succeeded: bool = False, at_once: bool = False) -> None:
        """See whether to carry out now what is owed; if not, later.

        Args:
            succeeded: an operation on the backend has just succeeded.
            at_once: whatever came of the last attempt, it is to be tried now.
        """
        for colour in self._colours:
            colour.wake(succeeded=succeeded, at_once=at_once)


class _Colour:
    """What carrying out has in common, whether it is done in a thread or in a loop."""

    in_loop: bool

    def __init__(self, recovery: Recovery, wake: Any) -> None:
        self.recovery = recovery
        self._wake_all = wake
        self._lock = ForkableLock()
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Nothing is under way in a new process."""
        #: The moment before which a success elsewhere is no reason to try.
        self._not_before = 0.0
        self._under_way = False
        #: Whether it was to begin at once while it was under way.
        self._again = False
        self._timer: Any = None

    def wake(self, *, succeeded: bool = False, at_once: bool = False) -> None:
        """As `Replays.wake`, for this colour."""
        if not self.recovery.owes(in_loop=self.in_loop):
            return
        with self._lock.lock:
            if self._under_way:
                self._again = self._again or at_once
                return
            now = time.monotonic()
            if not (at_once or (succeeded and now >= self._not_before)):
                if self._timer is None:
                    self._timer = self._after(max(_PAUSE, self._not_before - now))
                return
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._under_way = True
        self._start()

    def _after(self, seconds: float) -> Any:
        """Call `_due` then; what is given back can be cancelled."""
        raise NotImplementedError

    def _start(self) -> None:
        """Carry a batch out, elsewhere."""
        raise NotImplementedError

    def _due(self) -> None:
        with self._lock.lock:
            self._timer = None
        self.wake(at_once=True)

    def _ended(self, ready: list[Owed], *, failed: bool) -> None:
        """A batch is over; what is left in `ready` was not tried."""
        for owed in ready:
            self.recovery.put_back(owed)
        with self._lock.lock:
            self._under_way = False
            again, self._again = self._again, False
            self._not_before = 0.0
            if failed:
                self._not_before = time.monotonic() + _PAUSE
        self._wake_all(succeeded=not failed, at_once=again)


class _InThreads(_Colour):
    in_loop = False

    def _after(self, seconds: float) -> threading.Timer | None:
        timer = threading.Timer(seconds, self._due)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no more threads to be had, or the interpreter is exiting
            return None
        return timer

    def _start(self) -> None:
        # A thread of its own: a backend that hangs must not hold up what refreshes other caches.
        try:
            threading.Thread(target=self._run, name="memo-recovery", daemon=True).start()
        except RuntimeError:
            self._under_way = False

    def _run(self) -> None:
        ready: list[Owed] = []
        failed = True
        try:
            ready = self.recovery.take(_BATCH, in_loop=False)
            failed = not ready
            while ready and not failed:
                owed = ready[0]
                try:
                    owed.by.carry_out(owed)
                except CacheError as error:
                    failed = self.recovery.failed(owed, error, final=is_final(error))
                else:
                    self.recovery.carried_out(owed)
                ready.pop(0)
        except BaseException:
            failed = True  # and is tried again, though not at once
            raise
        finally:
            self._ended(ready, failed=failed)


class _InLoop(_Colour):
    in_loop = True

    def after_fork_in_child(self) -> None:
        """No loop of the parent's runs here, whatever it says of itself."""
        super().after_fork_in_child()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def wake(self, *, succeeded: bool = False, at_once: bool = False) -> None:
        """As `Replays.wake`; where no loop runs here, in the one that ran last."""
        if not self.recovery.owes(in_loop=True):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock.lock:
            if loop is not None and not (self._loop is not None and self._loop.is_running()):
                # What an earlier loop had begun has ended with it.
                self._loop = loop
                self._timer = None
                self._under_way = False
            there = self._loop
        if there is loop is not None:
            super().wake(succeeded=succeeded, at_once=at_once)
        elif there is not None and there.is_running():
            again = functools.partial(self.wake, succeeded=succeeded, at_once=at_once)
            with contextlib.suppress(RuntimeError):  # it has closed meanwhile
                there.call_soon_threadsafe(again)

    def _after(self, seconds: float) -> Any:
        loop: Any = self._loop
        return loop.call_later(seconds, self._due)

    def _start(self) -> None:
        loop: Any = self._loop
        # A context of its own: it belongs to none of the callers.
        self._task = loop.create_task(self._run(), context=contextvars.Context())

    async def _run(self) -> None:
        ready: list[Owed] = []
        failed = True
        try:
            ready = self.recovery.take(_BATCH, in_loop=True)
            failed = not ready
            while ready and not failed:
                owed = ready[0]
                try:
                    await owed.by.carry_out(owed)
                except CacheError as error:
                    failed = self.recovery.failed(owed, error, final=is_final(error))
                else:
                    self.recovery.carried_out(owed)
                ready.pop(0)
        except BaseException:
            failed = True
            raise
        finally:
            self._ended(ready, failed=failed)
