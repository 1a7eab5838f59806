"""A server program run by a test: started, found to be ready, and gone when the test is gone."""

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Process", "free_port", "wait_until"]

#: Below the range that the kernel takes the ports of outgoing connections from, so that nothing
#: sits on a server's port while it is down; 10000 below the highest, for what adds that to a port.
_PORTS = range(10_240, 32_000)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    ports = random.Random(os.urandom(8))
    for _ in range(1000):
        port = ports.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port found in {_PORTS}")


def wait_until(what: str, true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until `true()` is true, and return what it gave; an OSError of it is a not yet.

    Raises:
        TimeoutError: it did not come true within `seconds`.
    """
    end = time.monotonic() + seconds
    for pause in _pauses():
        last: object = "never true"
        try:
            answer = true()
        except OSError as error:
            last = error
        else:
            if answer:
                return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s ({last!r})")
        time.sleep(pause)
    raise AssertionError


def _pauses() -> Iterator[float]:
    pause = 0.002
    while True:
        yield pause
        pause = min(pause * 1.5, 0.05)


class Process:
    """A program in its own directory, with its output in a file there.

    It does not outlive this process, however that ends: a small shell waits at a pipe for either
    word that all is well, or the end of the pipe.
    """

    def __init__(self, command: list[str], directory: Path) -> None:
        self.command = command
        self.log_path = directory / "log"
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read word || kill -9 "$0"', str(self.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # an interrupt from the keyboard is for the tests
        )
        self._owner = os.getpid()
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Let it stand still (SIGSTOP), with its connections open; returns when it does."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let it go on after `stop`."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone; nothing where it is gone already."""
        if os.getpid() != self._owner:
            return  # a forked child, in which `atexit` runs as well
        self._popen.kill()
        self._popen.wait()
        if self._watcher.stdin is not None and not self._watcher.stdin.closed:
            self._watcher.communicate(b"well\n")
        atexit.unregister(self.kill)

    def expect_running(self) -> None:
        """Raise with what it said, if it has ended."""
        if not self.running:
            raise RuntimeError(
                f"{' '.join(self.command)} ended with {self._popen.returncode}:\n{self.log}"
            )
