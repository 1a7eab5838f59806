"""What holds for a whole program: default backend and policy, caching switched off or bypassed.

Whether caching is off must cost a hit nothing. So no cached function asks; each one that is on its
fast path is registered here, and when something is switched all of them are told to leave it.
"""

from __future__ import annotations

import os
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, Protocol

from .backends.resolve import adopt
from .entry import ABSENT
from .errors import shown
from .forking import ForkableLock
from .policy import Policy

__all__ = ["VARIABLE", "bypass", "bypassed", "configure", "configured", "default_backend"]
__all__ += ["defaults", "enter_fast_path", "restore", "warn_once"]

#: The environment variable with the URL of the default backend.
VARIABLE: Final = "MEMO_BACKEND"


class _Defaults:
    """What `configure` has set."""

    #: ABSENT: what the environment says.
    backend: Any = ABSENT
    policy: Policy | None = None
    enabled: bool = True
    #: The clock of private memories whose function has none of its own; set by tests.
    timer: Callable[[], float] | None = None


class Switchable(Protocol):
    """A cached function that answers hits without asking whether caching is on."""

    def enter_fast_path(self) -> None:
        """From now on answer without asking."""

    def leave_fast_path(self) -> None:
        """From now on ask before each answer."""


class _Bypass:
    """One `with bypass()` block; a task that outlives the block must see that it is over."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


defaults = _Defaults()
_bypassing: ContextVar[_Bypass | None] = ContextVar("memo_bypassing", default=None)
_lock = ForkableLock()
_bypasses = 0
_fast: weakref.WeakSet[Switchable] = weakref.WeakSet()


def configure(
    *,
    backend: Any = ABSENT,
    policy: Policy | None = ABSENT,
    enabled: bool = ABSENT,
) -> None:
    """Set what holds for all caches of this program that do not say otherwise themselves.

    Args:
        backend: the backend of cached functions written without one, or its URL; None or
            "memory://": a private memory each. A function takes it up when it is first used. Until
            this is set, the environment variable MEMO_BACKEND is asked for a URL.
        policy: the policy of caches written without one; None: `Policy.absorb()`. Also taken up at
            first use.
        enabled: False switches all cached functions off, at once: calls go to the function.

    Raises:
        TypeError, ValueError: an option that cannot be; the message names it.
    """
    if policy is not ABSENT and policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"policy={shown(policy)}: takes a memo.Policy")
    if enabled is not ABSENT and not isinstance(enabled, bool):
        raise TypeError(f"enabled={shown(enabled)}: takes True or False")
    if backend is not ABSENT:
        defaults.backend = _adopted(backend)
    if policy is not ABSENT:
        defaults.policy = policy
    if enabled is not ABSENT:
        with _lock.lock:
            defaults.enabled = enabled
            if not enabled:
                _slow_all()


def _adopted(backend: Any) -> Any:
    """The default backend that `backend` is or names; None: a private memory each."""
    return None if backend is None or backend == "memory://" else adopt(backend)


def default_backend() -> Any:
    """The backend of functions written without one; None: a private memory each.

    Raises:
        TypeError, ValueError, ImportError: MEMO_BACKEND names none that can be had.
    """
    if defaults.backend is not ABSENT:
        return defaults.backend
    url = os.environ.get(VARIABLE)
    if not url:
        return None
    try:
        return _adopted(url)
    except (ImportError, TypeError, ValueError) as error:
        raise type(error)(f"{VARIABLE}: {error}") from error


def configured() -> dict[str, Any]:
    """What has been set until now, for `restore`."""
    return dict(vars(defaults))


def restore(settings: dict[str, Any]) -> None:
    """Have what was set, by `configure` or otherwise, be as it was when `configured` told it."""
    with _lock.lock:
        vars(defaults).clear()
        vars(defaults).update(settings)
        _warned.clear()
        _slow_all()


@contextmanager
def bypass() -> Iterator[None]:
    """Within the block, calls of cached functions go to the functions: nothing is read or stored.

    It holds for this context only (`contextvars`): this thread or task, and, until the block ends,
    the tasks it starts.
    """
    global _bypasses  # noqa: PLW0603 - how many blocks are open is the program's state
    with _lock.lock:
        _bypasses += 1
        _slow_all()
    block = _Bypass()
    outer = _bypassing.set(block)
    try:
        yield
    finally:
        block.over = True
        with _lock.lock:
            _bypasses -= 1
        with suppress(ValueError):  # a generator that is closed in another context
            _bypassing.reset(outer)


def bypassed() -> bool:
    """Whether a call made now is to go past the cache."""
    block = _bypassing.get()
    return not defaults.enabled or (block is not None and not block.over)


def enter_fast_path(function: Switchable) -> None:
    """Have `function` answer without asking, if nothing is switched off or passed by just now."""
    with _lock.lock:
        if not _bypasses and defaults.enabled:
            _fast.add(function)
            function.enter_fast_path()


def _slow_all() -> None:
    for function in list(_fast):
        function.leave_fast_path()
    _fast.clear()


_warned: set[str] = set()


def warn_once(message: str) -> None:
    """Warn of something that a program may want to change, once for each message."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, UserWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """The `stacklevel`, for a warning from the caller of this, of the first frame outside memo."""
    level = 1
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("memo."):
        frame = frame.f_back
        level += 1
    return level
