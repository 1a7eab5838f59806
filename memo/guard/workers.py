"""Threads in which loops have blocking backends called.

They are daemon threads, so that one that hangs in a backend keeps no program from exiting, and no
more than so many for each backend: where all of them hang, what comes later waits for its turn
until its time is up, and is then withdrawn.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ..errors import shown
from ..forking import mend_after_fork

__all__ = ["Call", "Workers"]

#: The most threads for one backend.
_MOST: Final = 32
#: Seconds without work after which a thread ends.
_IDLE: Final = 5.0


class Call:
    """A call that is to be made in another thread, and what came of it.

    Args:
        loop: the loop of the one who waits for it.
        work: what is to be called.
    """

    __slots__ = ("after", "begun", "context", "error", "landed", "loop", "over", "result", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], Any]) -> None:
        self.loop = loop
        self.work: Callable[[], Any] | None = work
        self.context = contextvars.copy_context()
        #: Done when it is over, unless it has been given up.
        self.landed: asyncio.Future[None] = loop.create_future()
        self.begun = False
        self.over = False
        self.result: Any = None
        self.error: BaseException | None = None
        #: Called once it is over, in its thread, where nobody waits for it any more.
        self.after: Callable[[], object] | None = None

    def run(self) -> None:
        """Make the call, in this thread."""
        work: Any = self.work
        self.work = None
        try:
            self.result = self.context.run(work)
        except StopIteration as stop:
            self.error = RuntimeError(f"the backend raised {shown(stop)}")
            self.error.__cause__ = stop
        except BaseException as error:
            self.error = error

    def outcome(self) -> Any:
        """What came of it: a result, or what it raised; to be asked for once."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self.result
        finally:
            del error  # which leads to this frame

    def land(self) -> None:
        """Wake who waits for it; in the loop's thread."""
        if not self.landed.done():
            self.landed.set_result(None)


class Workers:
    """The threads of one backend; started when there is work, gone when there has been none."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        mend_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget calls and threads: they are the parent's."""
        self._calls: collections.deque[Call] = collections.deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._free = 0

    def submit(self, call: Call) -> None:
        """Have `call` made soon.

        Raises:
            RuntimeError: there is no thread, and none can be started.
        """
        with self._changed:
            self._calls.append(call)
            if self._free >= len(self._calls) or self._threads >= _MOST:
                self._changed.notify()
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="memo-backend", daemon=True).start()
        except RuntimeError:
            with self._changed:
                self._threads -= 1
                if self._threads:
                    return  # it will have its turn
                with contextlib.suppress(ValueError):
                    self._calls.remove(call)
            raise

    def give_up(self, call: Call, after: Callable[[], object]) -> bool:
        """Nobody waits for `call` any more; whether it goes on all the same.

        It does where it has begun; `after` is called when it ends then.
        """
        with self._changed:
            if call.over:
                call.error = None  # nobody asks for it, and it leads to a frame that knows `call`
                return False
            if call.begun:
                call.after = after
                return True
            with contextlib.suppress(ValueError):
                self._calls.remove(call)
            return False

    def _work(self) -> None:
        while True:
            with self._changed:
                until = time.monotonic() + _IDLE
                self._free += 1
                while not self._calls:
                    if not self._changed.wait(until - time.monotonic()):
                        break
                self._free -= 1
                if not self._calls:
                    self._threads -= 1
                    return
                call = self._calls.popleft()
                call.begun = True
            call.run()
            with self._changed:
                call.over = True
                after = call.after
            if after is not None:
                call.error = None  # which leads to a frame that knows `call`
                after()
            else:
                with contextlib.suppress(RuntimeError):  # its loop is closed
                    call.loop.call_soon_threadsafe(call.land)
            del call, after
