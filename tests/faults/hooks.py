"""Hooks and log handlers that fail, each time they are called."""

from __future__ import annotations

import logging
import threading
from typing import Any

__all__ = ["Handler", "Hook"]


class Handler(logging.Handler):
    """A handler that raises, as one does whose own server is down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Raise."""
        self.asked += 1
        raise RuntimeError("the log server is down as well")


class Hook:
    """A hook that raises `error`."""

    def __init__(self, error: type[BaseException] = ValueError) -> None:
        self.asked = 0
        self._error = error
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        with self._lock:
            self.asked += 1
        raise self._error("a hook that fails")
